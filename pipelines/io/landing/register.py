"""Keeps account of one ingest: which files are new, what became of their records, what was refused and why."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

import polars as pl

from pipelines.io.landing.feeds import load_feed
from pipelines.io.landing.files import LandedFile, UnknownFile
from pipelines.io.landing.reading import FileCount
from pipelines.io.landing.staging import UNDATED
from pipelines.io.ledger import LEDGER, NOT_LOADED, OUTCOMES, WITHDRAWN, add_files, move_outcomes, prove

Row = dict[str, str | int | None]
MOVED = {
    "practice_code": pl.String,
    "sha256": pl.String,
    "window_end": pl.String,
    "outcome": pl.String,
    "records": pl.Int64,
}


@dataclass(frozen=True)
class Refusal:
    """One delivery or file that was not loaded, and why; ``status`` is that of its files."""

    feed: str
    source: str
    reason: str
    status: Literal["refused", "held"] = "refused"


@dataclass
class Register:
    """The ledger as it was, and what this ingest adds to it."""

    ledger: pl.DataFrame
    refused: list[Refusal] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    moved: list[pl.DataFrame] = field(default_factory=lambda: [pl.DataFrame(schema=MOVED)])
    landed: list[tuple[str, str]] = field(default_factory=list)
    """Name and content of each file that lies in landing."""

    @property
    def number(self) -> int:
        """The number of this ingest."""
        return 1 + max(self.ledger["ingest"].to_list(), default=0)

    def unseen(self, known: list[LandedFile], held: set[tuple[str, str | None]]) -> list[LandedFile]:
        """The files whose content was not loaded before; a copy under another name is entered as unchanged.

        A drop is taken whole, so a table that says the same again in a new drop is new. So is one of a practice that
        was let go of: ``held`` are the feeds and practices of which something is held.
        """
        loaded = self.ledger.filter(pl.col("status") == "loaded").to_dicts()
        rows = {(row["feed"], row["practice_code"], row["table"], row["sha256"]): row for row in loaded}
        nothing_taken = pl.col("status").is_in([*NOT_LOADED, WITHDRAWN])
        names = set(self.ledger.filter(~nothing_taken).select("file", "sha256").iter_rows())
        self.landed = [(file.name, file.sha256) for file in known]
        new = []
        for file in known:
            row = rows.get((file.feed, file.practice_code, file.table, file.sha256))
            is_entered = (file.name, file.sha256) in names
            is_news = _is_of_drop(file) or (file.feed, file.practice_code) not in held
            if row is None or (is_news and not is_entered):
                new.append(file)
            elif not is_entered:
                reason = f"same content as {row['file']}"
                self._enter(
                    file, status="unchanged", reason=reason, records=row["records"], superseded=row["records"]
                )
        return new

    def refuse(self, files: Iterable[LandedFile], *, source: str, reason: str) -> None:
        """Enters files that cannot be loaded as they are."""
        self._turn_away(files, source=source, reason=reason, status="refused")

    def hold(self, files: Iterable[LandedFile], *, source: str, reason: str) -> None:
        """Enters files that are sound, but wait until someone has looked at them."""
        self._turn_away(files, source=source, reason=reason, status="held")

    def _turn_away(
        self, files: Iterable[LandedFile], *, source: str, reason: str, status: Literal["refused", "held"]
    ) -> None:
        feeds = set()
        for file in files:
            self._enter(file, status=status, reason=reason)
            feeds.add(file.feed)
        self.refused += [Refusal(feed, source, reason, status) for feed in sorted(feeds)]

    def refuse_unknown(self, file: UnknownFile) -> None:
        """Enters a file that no contract knows."""
        row: Row = dict.fromkeys(LEDGER)
        row |= dict.fromkeys(OUTCOMES, 0)
        self.rows.append(row | {"file": file.name, "status": "refused", "reason": file.reason, "ingest": self.number})
        self.refused.append(Refusal("landing", file.name, file.reason))

    def account(self, files: Iterable[FileCount], outcomes: pl.DataFrame, *, practice_code: str | None) -> None:
        """Enters the files just read, and moves the outcomes of records held from earlier files."""
        keys = ["sha256", "window_end"]
        counted = outcomes.rename({"moment": "window_end"}).group_by(*keys, "outcome").agg(pl.col("records").sum())
        read = pl.DataFrame(schema=dict.fromkeys(keys, pl.String))
        for count in files:
            file = pl.DataFrame({"sha256": [count.file.sha256], "window_end": [count.file.moment]})
            read = pl.concat([read, file])
            own = counted.join(file, on=keys, how="semi").select("outcome", "records")
            self._enter_read(count, dict(own.iter_rows()))
        is_moved = ~pl.col("outcome").is_in(["quarantined", UNDATED])
        older = counted.filter(is_moved).join(read, on=keys, how="anti")
        self.moved.append(
            older.select(pl.lit(practice_code, dtype=pl.String).alias("practice_code"), *list(MOVED)[1:])
        )

    def let_go(self, pending: pl.DataFrame, *, practice_code: str) -> None:
        """Moves the records that were held of a practice to the superseded ones of their files."""
        counts = pending.group_by("sha256", window_end="moment").agg(records=pl.len().cast(pl.Int64))
        told = counts.with_columns(practice_code=pl.lit(practice_code), outcome=pl.lit("superseded"))
        self.moved.append(told.select(list(MOVED)))

    def _enter_read(self, count: FileCount, outcomes: dict[str, int]) -> None:
        """Enters one file that was read; of an unused one every record is declared blank."""
        records = count.records + count.blank
        if not count.is_used:
            told = count.note or "nothing is taken from this table"
            self._enter(count.file, status="loaded", reason=told, records=records, blank=records)
            return
        outcomes["blank"] = outcomes.get("blank", 0) + count.blank
        undated = outcomes.pop(UNDATED, 0)
        dates = f"dates before birth or after the extract taken out: {undated}" if undated else None
        unknown = f"columns not known: {', '.join(count.left_out)}"[:400] if count.left_out else None
        reason = "; ".join(filter(None, (count.note, dates, unknown))) or None
        self._enter(count.file, status="loaded", reason=reason, records=records, **outcomes)

    def _enter(self, file: LandedFile, *, status: str, reason: str | None, **counts: int | None) -> None:
        row: Row = {"window_start": None, "records": None, **dict.fromkeys(OUTCOMES, 0)}
        row |= {"feed": file.feed, "practice_code": file.practice_code, "table": file.table, "file": file.name}
        row |= {"window_end": file.moment, "bytes": file.size, "sha256": file.sha256}
        self.rows.append(row | {"status": status, "reason": reason, "ingest": self.number, **counts})

    def files(self) -> pl.DataFrame:
        """The ledger rows of this ingest."""
        return pl.DataFrame(self.rows, schema=LEDGER, orient="row")

    def result(self) -> pl.DataFrame:
        """The ledger after this ingest; as it was if nothing in it changed.

        Raises:
            LedgerError: a file does not balance.
        """
        told = ["file", "sha256", "status", "reason"]
        news = self.files().join(self.ledger, on=told, how="anti", nulls_equal=True)
        after = self._withdraw(move_outcomes(add_files(self.ledger, news), pl.concat(self.moved)))
        prove(after)
        return after

    def _withdraw(self, ledger: pl.DataFrame) -> pl.DataFrame:
        """The ledger, in which what was refused or held and has left landing no longer waits."""
        landed = pl.DataFrame(self.landed, schema={"file": pl.String, "sha256": pl.String}, orient="row")
        here = pl.concat([landed, self.files().select("file", "sha256")]).unique()
        found = ledger.join(
            here.with_columns(is_here=True),
            on=["file", "sha256"],
            how="left",
            nulls_equal=True,
            maintain_order="left",
        )
        is_gone = pl.col("status").is_in(NOT_LOADED) & pl.col("is_here").is_null()
        status = pl.when(is_gone).then(pl.lit(WITHDRAWN)).otherwise("status")
        return found.with_columns(status=status).select(list(LEDGER))


def _is_of_drop(file: LandedFile) -> bool:
    return load_feed(file.feed).split_by == "drop"
