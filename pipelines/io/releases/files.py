"""Writes the ICB's cohort files: pseudonyms, bands and months, contract checked, one Parquet file a cohort."""

import datetime as dt
from pathlib import Path

import polars as pl

from data_contracts.actions import load_actions
from data_contracts.tables.release import COHORTS, RELEASED
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
    shown = names.join(masked, on="person_id", how="inner", validate="1:1").sort("pseudonym").with_row_index("place")
    return {name: _to_contract(name, cohort, shown) for name, cohort in extra.items()}


def cohorts_of(tables: dict[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    """The table that each cohort file is made from, by cohort name."""
    return {name: tables["programme_states" if name == "non_responders" else name] for name in COHORTS}


def _wide(tables: dict[str, pl.DataFrame]) -> pl.DataFrame:
    """One row per person in any cohort, every cohort side by side."""
    everyone = pl.concat([cohort.select("person_id") for cohort in cohorts_of(tables).values()]).unique()
    listed = tables["target_lists"].select("person_id", is_on_the_list=pl.lit(True))
    wide = everyone.join(listed, on="person_id", how="left", validate="1:1")
    states = tables["programme_states"]
    for part in [
        tables["complex_care"].select("person_id", complex_care_rank="rank"),
        tables["risk_scores"].select("person_id", pl.col("risk_avoidable_admission_12m").round(3)),
        _programmes(states.filter("is_gap"), "overdue"),
        _programmes(states.filter(pl.col("state") == "declined"), "declined"),
        tables["lifestyle_risk"].select("person_id", lifestyle_flag_count="flag_count"),
        tables["people_not_seen"].select("person_id", "not_seen"),
    ]:
        wide = wide.join(part, on="person_id", how="left", validate="1:1")
    return wide.with_columns(pl.col("is_on_the_list").fill_null(value=False))


def _programmes(states: pl.DataFrame, name: str) -> pl.DataFrame:
    """One row per person in these states: person_id and the names of the programmes joined by |, under this name."""
    programmes = states.group_by("person_id").agg(pl.col("programme"))
    return programmes.select("person_id", pl.col("programme").list.sort().list.join("|").alias(name))


def _with_risk(complex_care: pl.DataFrame, risk_scores: pl.DataFrame) -> pl.DataFrame:
    """Complex care with the probability beside the score, all rounded."""
    risks = risk_scores.select("person_id", pl.col("risk_avoidable_admission_12m").round(3))
    return complex_care.join(risks, on="person_id", how="left", validate="1:1").with_columns(
        pl.col("belongs_probability").round(2),
        score=pl.col("score").round(3),
        cambridge_score=pl.col("cambridge_score").round(2),
    )


def _to_contract(name: str, cohort: pl.DataFrame, shown: pl.DataFrame) -> pl.DataFrame:
    """The cohort under pseudonyms and masked quasi-identifiers, columns and order of its contract.

    ``shown`` has one row per person in the order of the pseudonyms, which is what the cohort is sorted by.
    """
    columns = list(RELEASED[name].to_schema().columns)
    own = [column for column in columns if column not in shown.columns]
    rows = (
        cohort.select("person_id", *own)
        .join(shown.select("person_id", "place"), on="person_id", how="inner", validate="m:1")
        .sort("place", *[column for column in own if column == "programme"])
    )
    people = shown.select(pl.col(column).gather(rows["place"]) for column in columns if column in shown.columns)
    return pl.concat([people, rows.select(own)], how="horizontal").select(columns)


def write_parquet(frame: pl.DataFrame, path: Path, *, as_of: dt.date, facts: dict[str, str]) -> None:
    """Writes one file that DuckDB, Polars, pandas and Power BI read: zstd, statistics, facts in the footer."""
    footer = {"casefinder.as_of_date": as_of.isoformat(), **facts}
    frame.write_parquet(path, compression="zstd", row_group_size=_ROW_GROUP, metadata=footer)
