"""Writes the ICB's cohort files: pseudonyms, bands and months, contract checked, one Parquet file a cohort."""

import datetime as dt
from pathlib import Path

import polars as pl

from data_contracts.actions import load_actions
from data_contracts.tables.release import COHORTS, QUASI_IDENTIFIERS, RELEASED
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
        "non_responders": tables["programme_states"].with_columns(
            months("due_date", "last_done_date", "last_invited_date")
        ),
        "lifestyle_risk": tables["lifestyle_risk"].join(
            tables["lifestyle_flags"].select("person_id", *flags), on="person_id", how="left", validate="1:1"
        ),
    }
    extra["people_not_seen"] = tables["people_not_seen"].with_columns(months("last_seen_date", "last_trace_date"))
    extra["wide"] = _wide(tables)
    return {name: _to_contract(name, cohort, masked=masked, names=names) for name, cohort in extra.items()}


def cohorts_of(tables: dict[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    """The table that each cohort file is made from, by cohort name."""
    return {name: tables["programme_states" if name == "non_responders" else name] for name in COHORTS}


def _wide(tables: dict[str, pl.DataFrame]) -> pl.DataFrame:
    """One row per person in any cohort, every cohort side by side."""
    everyone = pl.concat([cohort.select("person_id") for cohort in cohorts_of(tables).values()]).unique()
    listed = tables["target_lists"].select("person_id", is_on_the_list=pl.lit(True))
    wide = everyone.join(listed, on="person_id", how="left", validate="1:1")
    states = (
        tables["programme_states"]
        .sort("person_id", "programme")
        .group_by("person_id", maintain_order=True)
        .agg(overdue=_joined(pl.col("is_gap")), declined=_joined(pl.col("state") == "declined"))
    )
    for part in [
        tables["complex_care"].select("person_id", complex_care_rank="rank"),
        tables["risk_scores"].select("person_id", pl.col("risk_avoidable_admission_12m").round(3)),
        states,
        tables["lifestyle_risk"].select("person_id", lifestyle_flag_count="flag_count"),
        tables["people_not_seen"].select("person_id", "not_seen"),
    ]:
        wide = wide.join(part, on="person_id", how="left", validate="1:1")
    return wide.with_columns(pl.col("is_on_the_list").fill_null(value=False))


def _joined(wanted: pl.Expr) -> pl.Expr:
    """The names of the programmes wanted, joined by |; null if there is none."""
    return pl.when(wanted.any()).then(pl.col("programme").filter(wanted).str.join("|"))


def _with_risk(complex_care: pl.DataFrame, risk_scores: pl.DataFrame) -> pl.DataFrame:
    """Complex care with the probability beside the score, all rounded."""
    risks = risk_scores.select("person_id", pl.col("risk_avoidable_admission_12m").round(3))
    return complex_care.join(risks, on="person_id", how="left", validate="1:1").with_columns(
        pl.col("belongs_probability").round(2),
        score=pl.col("score").round(3),
        cambridge_score=pl.col("cambridge_score").round(2),
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
