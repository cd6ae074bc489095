"""Rows held with a reason, in the identity zone: what they say stays there, how many there are may be told."""

import stat
from pathlib import Path

import polars as pl

from data_contracts.tables.staging import RETRIED, WITHHELD
from pipelines.settings import Settings

QUARANTINE = {
    "feed": pl.String,
    "practice_code": pl.String,
    "table": pl.String,
    "sha256": pl.String,
    "moment": pl.String,
    "line": pl.UInt32,
    "record_id": pl.Int64,
    "reasons": pl.String,
    "raw": pl.String,
}
"""One row per held record. ``line`` counts the file's records from 1; ``raw`` is the record, null if withheld."""


def quarantine_path(settings: Settings, feed: str, source: str) -> Path:
    """Where the held rows of one practice, or of a feed without practices, lie."""
    return settings.identity / "quarantine" / feed / f"{source}.parquet"


def count_quarantine(settings: Settings) -> pl.DataFrame:
    """One row per feed, practice, table and rule: how many records are held. A record may break several rules."""
    paths = sorted((settings.identity / "quarantine").glob("*/*.parquet"))
    held = pl.concat([pl.LazyFrame(schema=QUARANTINE), *(pl.scan_parquet(path) for path in paths)])
    keys = ["feed", "practice_code", "table", "rule"]
    return (
        held.with_columns(rule=pl.col("reasons").str.split("|"))
        .explode("rule")
        .group_by(keys)
        .agg(records=pl.len())
        .sort(keys)
        .collect()
    )


def is_retried() -> pl.Expr:
    """True for held rows whose every reason may go by itself."""
    return (
        pl.col("reasons").str.split("|").list.eval(pl.element().is_in(RETRIED)).list.all()
        & pl.col("raw").is_not_null()
    )


def is_withheld() -> pl.Expr:
    """True for rows with a reason that keeps them out for good."""
    return pl.col("reasons").str.split("|").list.eval(pl.element().is_in(WITHHELD)).list.any()


def held_as() -> pl.Expr:
    """Why a row is held, in one word: withheld, code_not_known, code_not_mapped (each if nothing else), or fault."""
    reasons = pl.col("reasons").str.split("|")
    waits = reasons.list.eval(pl.element().is_in(["code_not_known", "code_not_mapped"])).list.all()
    word = pl.when(reasons.list.contains("code_not_known")).then(pl.lit("code_not_known"))
    return (
        pl.when(is_withheld())
        .then(pl.lit("withheld"))
        .when(waits)
        .then(word.otherwise(pl.lit("code_not_mapped")))
        .otherwise(pl.lit("fault"))
    )


def is_private(path: Path) -> bool:
    """True if nobody but its owner may open a folder."""
    return stat.S_IMODE(path.stat().st_mode) & 0o077 == 0
