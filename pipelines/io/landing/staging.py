"""Decides what becomes of each staged record, the same way for every feed: one record, one outcome."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import pandera.polars as pa
import polars as pl

from data_contracts.tables import staging as contracts
from pipelines.io.landing.quarantine import QUARANTINE, is_retried, is_withheld
from pipelines.io.landing.reading import TextTable
from pipelines.steps.validation import split_by_contract

UNDATED = "undated"
"""Counted beside the outcomes, not one of them: loaded records that lost an impossible clinical date."""
OUTCOME = {"sha256": pl.String, "moment": pl.String, "outcome": pl.String, "records": pl.Int64}
FILE = {"file_no": pl.UInt32, "sha256": pl.String, "moment": pl.String}


@dataclass(frozen=True)
class Gathered:
    """Records of one table as text (``text_<name>``); ``file_no`` orders files, old held records first.

    ``bad`` are records that are no rows, ``kept`` held rows that are not tried again.
    """

    rows: pl.DataFrame
    files: pl.DataFrame
    bad: pl.DataFrame
    kept: pl.DataFrame


@dataclass(frozen=True)
class Decided:
    """What became of one table's records; ``pending`` is all that is held now, ``outcomes`` counts by file."""

    good: pl.DataFrame
    gone: pl.Series
    withheld: pl.DataFrame
    pending: pl.DataFrame
    outcomes: pl.DataFrame


def gather(read: Sequence[TextTable], *, pending: pl.DataFrame, columns: list[str]) -> Gathered:
    """The records of one table: those held that may be tried again, then those of the new files in order.

    ``pending`` are the held rows of this table. ``columns`` are the text columns every record has.
    """
    retried = pending.filter(is_retried())
    old = retried.select("sha256", "moment").unique().sort("moment", "sha256")
    new = [{"sha256": text.file.sha256, "moment": text.file.moment} for text in read]
    files = pl.concat([old, pl.DataFrame(new, schema={"sha256": pl.String, "moment": pl.String})])
    files = files.with_row_index("file_no")
    frames = [_retry(retried, files, columns)]
    bad = [pl.DataFrame(schema=QUARANTINE).drop("feed", "practice_code", "table")]
    for number, text in enumerate(read, start=old.height):
        renamed = [pl.col(name).alias(f"text_{name}") for name in columns]
        frames.append(text.rows.select("line", *renamed, file_no=pl.lit(number, dtype=pl.UInt32)))
        bad.append(
            text.bad.select(
                sha256=pl.lit(text.file.sha256),
                moment=pl.lit(text.file.moment),
                line="line",
                record_id=pl.lit(None, dtype=pl.Int64),
                reasons="reasons",
                raw="raw",
            )
        )
    rows = pl.concat(frames, how="diagonal")
    return Gathered(rows=rows, files=files, bad=pl.concat(bad), kept=pending.filter(~is_retried()))


def _retry(retried: pl.DataFrame, files: pl.DataFrame, columns: list[str]) -> pl.DataFrame:
    text = pl.Struct(dict.fromkeys(columns, pl.String))
    return (
        retried.join(files, on=["sha256", "moment"], how="left", validate="m:1")
        .select("line", "file_no", pl.col("raw").str.json_decode(text).alias("text"))
        .unnest("text")
        .select("line", *[pl.col(name).alias(f"text_{name}") for name in columns], "file_no")
    )


def latest(rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The last row of each record id by file, processing id and line; and the rows it supersedes."""
    is_repeated = pl.col("record_id").is_not_null() & pl.col("record_id").is_duplicated()
    repeated = rows.filter(is_repeated)
    if repeated.is_empty():
        return rows, repeated
    order = [name for name in ("file_no", "processing_id", "line") if name in rows.columns]
    place = repeated.select(pl.struct(order).rank("ordinal", descending=True).over("record_id")).to_series()
    kept = pl.concat([rows.filter(~is_repeated), repeated.filter(place == 1)])
    return kept.sort("file_no", "line"), repeated.filter(place > 1)


def decide(
    rows: pl.DataFrame, gathered: Gathered, *, contract: type[pa.DataFrameModel], columns: list[str]
) -> Decided:
    """Gives every typed record its outcome.

    ``rows`` are the gathered records with the contract's columns and ``is_deleted`` and ``is_blank``.
    """
    winners, superseded = latest(_without_impossible_dates(rows, contract))
    is_gone = pl.col("is_deleted") | pl.col("is_blank")
    deleted = winners.filter(is_gone & pl.col("record_id").is_not_null())
    blank = deleted.filter(~pl.col("is_deleted"))
    checked = split_by_contract(winners.filter(~(is_gone & pl.col("record_id").is_not_null())), contract)
    held = _held(checked.bad, gathered.files, columns)
    replaced = gathered.kept.filter(pl.col("record_id").is_in(winners["record_id"].drop_nulls().implode()))
    kept = gathered.kept.join(replaced, on=["sha256", "line"], how="anti")
    counted = {
        "loaded": checked.good,
        UNDATED: checked.good.filter("is_date_taken_out"),
        "superseded": superseded,
        "deleted": deleted.filter("is_deleted"),
        "blank": blank,
    }
    outcomes = [
        _count(counted, gathered.files),
        tally(pl.concat([held.select("sha256", "moment"), gathered.bad.select("sha256", "moment")]), "quarantined"),
        tally(replaced, "superseded"),
    ]
    shape = gathered.bad.columns
    return Decided(
        good=checked.good,
        gone=deleted["record_id"],
        withheld=held.filter(is_withheld()).select("record_id", "reasons"),
        pending=pl.concat([kept.select(shape), held.select(shape), gathered.bad]),
        outcomes=pl.concat(outcomes),
    )


def decide_in_batches(
    gathered: Gathered,
    typed: Callable[[pl.DataFrame], pl.DataFrame],
    *,
    by: str,
    batches: int,
    contract: type[pa.DataFrameModel],
    columns: list[str],
) -> Decided | None:
    """The same as ``decide`` of all rows typed at once, in the memory of a batch; the good rows lose their text.

    Rows that are alike in the text column ``by`` come into one batch. None if a record id came into two: then only
    all rows at once can tell which of its rows counts.
    """
    place, kept, parts = ["sha256", "line"], gathered.kept, []
    for number in range(batches):
        rows = gathered.rows.filter(pl.col(by).hash() % batches == number)
        part = replace(gathered, rows=rows, bad=gathered.bad.clear(), kept=kept)
        decided = decide(typed(rows), part, contract=contract, columns=columns)
        held = decided.pending.join(kept, on=place, how="anti")
        kept = kept.join(decided.pending, on=place, how="semi", maintain_order="left")
        good = decided.good.select(name for name in decided.good.columns if not name.startswith("text_"))
        parts.append(replace(decided, good=good, pending=held))
    ids = pl.concat(ids for part in parts for ids in (part.good["record_id"], part.gone, part.pending["record_id"]))
    if ids.drop_nulls().is_duplicated().any():
        return None
    held = pl.concat(part.pending for part in parts).join(gathered.files, on=["sha256", "moment"], validate="m:1")
    shape = gathered.bad.columns
    return Decided(
        good=pl.concat(part.good for part in parts),
        gone=pl.concat(part.gone for part in parts),
        withheld=pl.concat(part.withheld for part in parts),
        pending=pl.concat([kept.select(shape), held.sort("file_no", "line").select(shape), gathered.bad]),
        outcomes=pl.concat([*(part.outcomes for part in parts), tally(gathered.bad, "quarantined")]),
    )


def _without_impossible_dates(rows: pl.DataFrame, contract: type[pa.DataFrameModel]) -> pl.DataFrame:
    """The records, marked by ``is_date_taken_out``: where the contract says so, a date that cannot be becomes none.

    No other date takes its place: no day is made up. What needs no day still counts.
    """
    column = contract.to_schema().columns.get("clinical_date")
    if column is None or column.metadata != contracts.TAKEN_OUT:
        return rows.with_columns(is_date_taken_out=pl.lit(False))
    date = pl.col("clinical_date")
    is_impossible = ((date < pl.col("birth_date")) | (date > pl.col("extract_date"))).fill_null(False)
    return rows.with_columns(clinical_date=pl.when(~is_impossible).then(date), is_date_taken_out=is_impossible)


def _held(bad: pl.DataFrame, files: pl.DataFrame, columns: list[str]) -> pl.DataFrame:
    named = bad.join(files, on="file_no", how="left", validate="m:1")
    raw = pl.struct(pl.col(f"text_{name}").alias(name) for name in columns).struct.json_encode()
    return named.select(
        "sha256",
        "moment",
        "line",
        "record_id",
        "reasons",
        raw=pl.when(is_withheld()).then(None).otherwise(raw),
    )


def _count(counted: Mapping[str, pl.DataFrame], files: pl.DataFrame) -> pl.DataFrame:
    """How many records of each file found each outcome."""
    tallies = [
        rows.lazy().group_by("file_no").agg(pl.lit(outcome).alias("outcome"), records=pl.len().cast(pl.Int64))
        for outcome, rows in counted.items()
        if rows.height
    ]
    none = pl.LazyFrame(schema={"file_no": pl.UInt32, "outcome": pl.String, "records": pl.Int64})
    named = pl.concat([none, *tallies]).join(files.lazy(), on="file_no", how="left", validate="m:1")
    return named.select(list(OUTCOME)).collect()


def tally(rows: pl.DataFrame, outcome: str) -> pl.DataFrame:
    """How many records of each file found this outcome."""
    if rows.is_empty():
        return pl.DataFrame(schema=OUTCOME)
    counted = rows.group_by("sha256", "moment").agg(pl.lit(outcome).alias("outcome"), records=pl.len().cast(pl.Int64))
    return counted.select(list(OUTCOME))
