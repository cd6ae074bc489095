"""Writes the ICB's cohort files: pseudonyms, bands and months, contract checked, one Parquet file a cohort."""

import datetime as dt
from pathlib import Path

import polars as pl

from data_contracts.actions import load_actions
from data_contracts.tables.release import QUASI_IDENTIFIERS, RELEASED
from pipelines.steps.disclosure import months

_ROW_GROUP = 100_000


def cohort_files(
    tables: dict[str, pl.DataFrame], *, masked: pl.DataFrame, names: pl.DataFrame
) -> dict[str, pl.DataFrame]:
    """Each cohort as the ICB receives it, by cohort name.

    Args:
        tables: the cohort tables and lifestyle_flags, of the people who may leave.
        masked: one row per person with the masked quasi-identifiers.
        names: one row per person with the pseudonym.
    """
    flags = list(load_actions().flags)
    extra = {
        "complex_care": _with_risk(tables["complex_care"], tables["risk_scores"]),
        "non_responders": tables["non_responders"].with_columns(
            months("due_date", "last_done_date", "last_invited_date")
        ),
        "lifestyle_risk": tables["lifestyle_risk"].join(
            tables["lifestyle_flags"].select("person_id", *flags), on="person_id", how="left", validate="1:1"
        ),
    }
    return {name: _to_contract(name, cohort, masked=masked, names=names) for name, cohort in extra.items()}


def _with_risk(complex_care: pl.DataFrame, risk_scores: pl.DataFrame) -> pl.DataFrame:
    """Complex care with the probability beside the score, all rounded."""
    risks = risk_scores.select("person_id", pl.col("risk_avoidable_admission_12m").round(3))
    return complex_care.join(risks, on="person_id", how="left", validate="1:1").with_columns(
        score=pl.col("score").round(3), cambridge_score=pl.col("cambridge_score").round(2)
    )


def _to_contract(name: str, cohort: pl.DataFrame, *, masked: pl.DataFrame, names: pl.DataFrame) -> pl.DataFrame:
    """The cohort with pseudonyms and masked quasi-identifiers, columns and order of its contract."""
    columns = list(RELEASED[name].to_schema().columns)
    bare = cohort.drop(*QUASI_IDENTIFIERS, strict=False)
    return (
        bare.join(masked, on="person_id", how="inner", validate="m:1")
        .join(names, on="person_id", how="inner", validate="m:1")
        .select(columns)
        .sort("pseudonym", *[column for column in columns if column == "programme"])
    )


def write_parquet(frame: pl.DataFrame, path: Path, *, as_of: dt.date, facts: dict[str, str]) -> None:
    """Writes one file that DuckDB, Polars, pandas and Power BI read: zstd, statistics, facts in the footer."""
    footer = {"casefinder.as_of_date": as_of.isoformat(), **facts}
    frame.write_parquet(path, compression="zstd", row_group_size=_ROW_GROUP, metadata=footer)
