"""Works out, for everybody in a week, the published scores that go by hospital diagnoses, from the spells held."""

import datetime as dt

import polars as pl

from data_contracts.clinical.definitions import months_before, read_definition_csv
from data_contracts.tables.weekly import HospitalScores
from models.published.registry import PublishedScore, load_scores

CHARLSON = ["charlson_quan_2011", "charlson_shmi", "charlson_1987_age_adjusted"]
"""Conditions are left out: some of them are in sensitive sets."""
HFRS = ["hfrs", "hfrs_band"]


def hospital_scores(people: pl.DataFrame, spells: pl.DataFrame, *, as_of: dt.date) -> pl.DataFrame:
    """One row per person with a coded spell in the lookback: Charlson and Hospital Frailty Risk Score, by person_id.

    Charlson goes by every spell, the frailty score by emergency spells only, as it was derived; each as far back as
    its definition says. A spell counts if it was begun and known before the date.
    """
    known = spells.lazy().filter((pl.col("admitted_date") < as_of) & (pl.col("entered_date") < as_of))
    scores = load_scores()
    methods = read_definition_csv("admission_methods.csv").filter(is_new_emergency="true")["admission_method"]
    emergencies = known.filter(pl.col("admission_method").is_in(methods.implode()))
    charlson = _scored(scores["charlson"], people, known, as_of).select("person_id", *CHARLSON)
    hfrs = _scored(scores["hfrs"], people, emergencies, as_of).select("person_id", *HFRS, hfrs_marks="marks")
    return (
        charlson.join(hfrs, on="person_id", how="left", validate="1:1")
        .select(list(HospitalScores.to_schema().columns))
        .sort("person_id")
    )


def _scored(score: PublishedScore, people: pl.DataFrame, spells: pl.LazyFrame, as_of: dt.date) -> pl.DataFrame:
    """One row per person with a coded spell in the score's lookback."""
    since = months_before(as_of, score.definition.constants["lookback_months"])
    codes = (
        spells.filter((pl.col("admitted_date") >= since) & pl.col("diagnosis_codes").is_not_null())
        .join(people.lazy().select("person_id", "age_years"), on="person_id", how="inner", validate="m:1")
        .select("person_id", "age_years", icd10_code=pl.col("diagnosis_codes").str.split("|"))
        .explode("icd10_code", keep_nulls=False, empty_as_null=False)
    )
    return score.score(codes.with_columns(pl.col("age_years").cast(pl.Int64)).collect())
