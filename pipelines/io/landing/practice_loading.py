"""What every GP feed does with one practice's delivery: decide its records, keep the roster, stage its history."""

import datetime as dt
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import pandera.polars as pa
import polars as pl

from data_contracts.registry import HISTORY
from data_contracts.tables import staging as contracts
from pipelines.io.history import DATES, GONE_KEYS, GONE_PEOPLE, MOVED_PEOPLE, RENEWED, Change
from pipelines.io.identity import PEOPLE, record_ids
from pipelines.io.landing.feeds import load_feed
from pipelines.io.landing.protocol import Bench, Practice
from pipelines.io.landing.quarantine import QUARANTINE
from pipelines.io.landing.reading import TextTable
from pipelines.io.landing.staging import OUTCOME, Decided, decide, decide_in_batches, gather, tally

Convert = Callable[[pl.DataFrame], pl.DataFrame]


class PracticeLoading:
    """One practice's delivery while it is being loaded: table after table, each with what came before it."""

    def __init__(self, *, feed: str, practice: Practice, bench: Bench) -> None:
        self.feed, self.practice, self.bench = feed, practice, bench
        self.people_before = practice.people
        self.outcomes: list[pl.DataFrame] = [pl.DataFrame(schema=OUTCOME)]
        self.pending: list[pl.DataFrame] = [pl.DataFrame(schema=QUARANTINE)]
        self.gone: list[pl.DataFrame] = [pl.DataFrame(schema=GONE_KEYS)]
        self.renewed: list[pl.DataFrame] = [pl.DataFrame(schema=RENEWED)]
        self.spared: list[pl.DataFrame] = [pl.DataFrame(schema=GONE_KEYS)]
        self.staged: dict[str, Path] = {}

    @property
    def extract_date(self) -> dt.date:
        """The day of the delivery."""
        return dt.datetime.strptime((self.practice.applied_moment or "")[:8], "%Y%m%d").date()

    @property
    def roster(self) -> pl.DataFrame:
        """One row per patient record: patient_record_id, person_id, birth_date, person_state (held, or why not)."""
        held = self.practice.people.select(
            "person_id", "birth_date", patient_record_id="record_id", person_state=pl.lit("held")
        )
        kept_out = self.practice.withheld.select(patient_record_id="record_id", person_state="reason")
        return pl.concat([held, kept_out], how="diagonal")

    def decide(
        self,
        table: str,
        contract: type[pa.DataFrameModel],
        convert: Convert,
        *,
        read: list[TextTable],
        is_whole: bool = False,
        together: str | None = None,
    ) -> Decided:
        """What becomes of one table's records, those held from before with it; outcomes and held rows are noted.

        A whole table replaces all that is held of it. A large one may be taken in batches of rows that are alike in
        the text column ``together``: ``convert`` looks at no other rows beside a row.
        """
        columns = load_feed(self.feed).tables[table].names
        held = self.practice.pending.filter(pl.col("table") == table)
        if is_whole:
            self.outcomes.append(tally(held, "superseded"))
            held = held.clear()
        gathered = gather(read, pending=held, columns=columns)

        def typed(rows: pl.DataFrame) -> pl.DataFrame:
            converted = convert(rows)
            missing = [name for name in ("is_deleted", "is_blank") if name not in converted.columns]
            return converted.with_columns(pl.lit(False).alias(name) for name in missing)

        decided, batches = None, 1 + gathered.rows.height // self.bench.batch
        if together and batches > 1:
            decided = decide_in_batches(
                gathered, typed, by=together, batches=batches, contract=contract, columns=columns
            )
        decided = decided or decide(typed(gathered.rows), gathered, contract=contract, columns=columns)
        self.outcomes.append(decided.outcomes)
        names = {"feed": self.feed, "practice_code": self.practice.practice_code, "table": table}
        named = decided.pending.with_columns(pl.lit(value).alias(name) for name, value in names.items())
        self.pending.append(named.select(list(QUARANTINE)))
        return decided

    def look_at(self, table: str, *, read: list[TextTable]) -> None:
        """Counts a table that was read for what it says about the delivery."""
        none = pl.lit(None, dtype=pl.Int64).alias("record_id")
        self.decide(table, contracts.StagedNotices, lambda rows: rows.with_columns(none), read=read)

    def keep_people(self, decided: Decided, *, present: pl.Series | None = None) -> None:
        """Brings the roster up to the patients decided; with ``present``, nobody else stays on it."""
        kept_out = decided.withheld.drop_nulls("record_id").select(
            "record_id",
            practice_code=pl.lit(self.practice.practice_code),
            reason=pl.col("reasons").str.extract(f"({'|'.join(contracts.WITHHELD)})"),
        )
        touched = pl.concat([decided.good["record_id"], decided.gone, kept_out["record_id"]])
        people, withheld = (
            untouched(frame, touched, present=present) for frame in (self.practice.people, self.practice.withheld)
        )
        self.practice = replace(
            self.practice,
            people=pl.concat([people, decided.good.select(list(PEOPLE))]).sort("record_id"),
            withheld=pl.concat([withheld, kept_out]).sort("record_id"),
        )

    def stage(self, table: str, parts: list[Decided]) -> None:
        """Writes a history table's new rows, and notes those that go: deleted, blanked or withheld from now on."""
        gone = [part.gone for part in parts] + [part.withheld["record_id"].drop_nulls() for part in parts]
        self.gone.append(_keys(table, pl.concat(gone)))
        good = [part.good.rename(renamed(table, part.good.columns)).select(columns_of(table)) for part in parts]
        self.write(table, good)

    def renew(self, table: str, *, part: int = 0, parts: int = 1) -> None:
        """Notes that this delivery replaces a history table of the practice, or the part from one of its sources."""
        row = {"table": table, "practice_code": self.practice.practice_code, "part": part, "parts": parts}
        self.renewed.append(pl.DataFrame([row], schema=self.renewed[0].schema))

    def spare(self, table: str, ids: pl.Series) -> None:
        """Notes which rows of a renewed table stay as they were if nothing sound takes their place."""
        self.spared.append(_keys(table, ids))

    def write(self, table: str, frames: list[pl.DataFrame]) -> None:
        """Writes a history table's new rows, if there are any."""
        if sum(frame.height for frame in frames):
            self.staged[table] = self.bench.work / f"{self.practice.practice_code}_{table}.parquet"
            pl.concat(frames).write_parquet(self.staged[table], compression="lz4")

    def pseudonyms(self, rows: pl.DataFrame, message: pl.Expr) -> pl.Series:
        """Keyed pseudonyms of the supplier's record ids."""
        return record_ids(self.bench.con, rows.select(message).to_series(), self.bench.key)

    def patient_pseudonyms(self, rows: pl.DataFrame, names: list[str], message: pl.Expr) -> pl.Series:
        """Pseudonyms of the patients' records; each distinct patient is hashed once."""
        distinct = rows.select(names).unique(maintain_order=True)
        named = distinct.with_columns(self.pseudonyms(distinct, message).alias("patient"))
        joined = rows.select(names).join(named, on=names, how="left", nulls_equal=True, maintain_order="left")
        return joined["patient"]

    def change(self) -> Change:
        """What all the tables change in history."""
        return Change(
            icb_code=self.practice.icb_code,
            staged=self.staged,
            gone_keys=pl.concat(self.gone),
            gone_people=_gone_people(self.people_before, self.practice),
            moved_people=_moved_people(self.people_before, self.practice),
            renewed=pl.concat(self.renewed),
            spared=pl.concat(self.spared),
        )


def untouched(held: pl.DataFrame, touched: pl.Series, *, present: pl.Series | None = None) -> pl.DataFrame:
    """The held rows that a delivery says nothing new of; of a whole one, those that it holds at all."""
    stays = held.filter(~pl.col("record_id").is_in(touched.implode()))
    return stays if present is None else stays.filter(pl.col("record_id").is_in(present.implode()))


def _keys(table: str, ids: pl.Series) -> pl.DataFrame:
    """Record ids of a history table, as a change names them."""
    return pl.DataFrame({"record_id": ids}).select(table=pl.lit(table), record_id="record_id")


def renamed(table: str, columns: list[str]) -> dict[str, str]:
    """The staged columns whose history name differs."""
    names = {"clinical_date": DATES[table]} if "clinical_date" in columns else {}
    return names | ({"concept_id": "product_id"} if table == "medications" else {})


def columns_of(table: str) -> list[str]:
    """The columns of a history table, in order."""
    return list(HISTORY[table].to_schema().columns)


def latest_rows(rows: pl.DataFrame, by: str, order: Iterable[str]) -> pl.DataFrame:
    """The last row of each key by an order, nulls first."""
    return rows.sort(*order, nulls_last=False).unique(by, keep="last", maintain_order=True)


def _gone_people(before: pl.DataFrame, after: Practice) -> pl.DataFrame:
    """People of whom the practice holds no record any more: all that is about them goes."""
    gone = before.join(after.people, on="record_id", how="anti").join(after.people, on="person_id", how="anti")
    return gone.select(list(GONE_PEOPLE)).unique().sort("person_id")


def _moved_people(before: pl.DataFrame, after: Practice) -> pl.DataFrame:
    """People whose record now carries another NHS number: all that is about them moves with it."""
    both = before.join(after.people, on="record_id", how="inner", suffix="_now", validate="1:1")
    moved = both.filter(pl.col("person_id") != pl.col("person_id_now"))
    return (
        moved.select("practice_code", "person_id", new_person_id="person_id_now")
        .unique("person_id", keep="first", maintain_order=True)
        .select(list(MOVED_PEOPLE))
    )
