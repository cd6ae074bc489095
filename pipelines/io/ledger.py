"""The ledger: one row per landed file and content, with what became of each of its records."""

from pathlib import Path

import polars as pl

from data_contracts.tables.deliveries import Ledger

LEDGER = {name: column.dtype.type for name, column in Ledger.to_schema().columns.items()}
"""Columns of the ledger; only a refused or held file may not balance."""
NOT_LOADED = ("refused", "held")
"""Statuses of files of which nothing was taken: they are tried again at each ingest."""
WITHDRAWN = "withdrawn"
"""Status of a file that was refused or held and lies in landing no more, or with another content."""
OUTCOMES = ("loaded", "quarantined", "superseded", "deleted", "blank")


class LedgerError(Exception):
    """Says which files' records are not all accounted for."""


def ledger_path(home: Path) -> Path:
    """Where the ledger lies."""
    return home / "ledger.parquet"


def read_ledger(home: Path) -> pl.DataFrame:
    """One row per landed file and content; empty before the first ingest."""
    path = ledger_path(home)
    return pl.read_parquet(path) if path.exists() else pl.DataFrame(schema=LEDGER)


def prove(ledger: pl.DataFrame) -> None:
    """Passes if every file's records are all accounted for, of the files of which anything was taken.

    Raises:
        LedgerError: a file has more or fewer records than outcomes.
    """
    total = pl.sum_horizontal(OUTCOMES)
    broken = ledger.filter(~pl.col("status").is_in([*NOT_LOADED, WITHDRAWN])).filter(
        pl.col("records").is_null() | (total != pl.col("records")) | pl.any_horizontal(pl.col(*OUTCOMES) < 0)
    )
    if broken.height:
        worst = broken.row(0, named=True)
        counts = ", ".join(f"{name} {worst[name]}" for name in ("records", *OUTCOMES))
        raise LedgerError(f"{broken.height} files do not balance; the first is {worst['file']}: {counts}")


def add_files(ledger: pl.DataFrame, files: pl.DataFrame) -> pl.DataFrame:
    """The ledger with these files' rows, each in place of an earlier row of the same file and content."""
    kept = ledger.join(files, on=["file", "sha256"], how="anti", nulls_equal=True)
    return pl.concat([kept, files.select(list(LEDGER)).cast(LEDGER)]).sort(
        "feed", "practice_code", "window_end", "table", "file", "sha256", nulls_last=False
    )


def move_outcomes(ledger: pl.DataFrame, moved: pl.DataFrame) -> pl.DataFrame:
    """The ledger after held records found another outcome.

    ``moved`` has practice_code, sha256, window_end, outcome, records: so many records of a file left the quarantine.
    """
    keys = ["practice_code", "sha256", "window_end"]
    others = [name for name in OUTCOMES if name != "quarantined"]
    wide = moved.group_by(keys).agg(
        pl.col("records").filter(pl.col("outcome") == name).sum().alias(f"{name}_more") for name in others
    )
    joined = ledger.join(wide, on=keys, how="left", nulls_equal=True, validate="m:1")
    # The same content may lie in several drops; only the last of them still holds records.
    is_holding = (pl.col("status") == "loaded") & (pl.col("quarantined") > 0)
    is_told = is_holding & pl.struct(*keys, is_holding.alias("is_holding")).is_first_distinct()
    more = {name: pl.when(is_told).then(f"{name}_more").fill_null(0) for name in others}
    return joined.with_columns(
        *(pl.col(name) + value for name, value in more.items()),
        quarantined=pl.col("quarantined") - pl.sum_horizontal(more.values()),
    ).select(list(LEDGER))
