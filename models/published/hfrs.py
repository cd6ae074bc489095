"""The Hospital Frailty Risk Score from diagnosis codes, added up in whole tenths so that band edges are exact."""

from functools import cache

import polars as pl

from data_contracts.clinical.scores.definition import load_definition, load_table
from models.published.icd10 import clean_code, has_form
from models.published.inputs import Inputs, quotient
from models.published.marking import Finding
from models.published.registry import RowScore

_DEFINITION = load_definition("hfrs")


@cache
def _tenths() -> dict[str, int]:
    table = load_table(_DEFINITION, "hfrs_weights")
    return {code: int(tenths) for code, tenths in table.select("icd10_code", "weight_tenths").iter_rows()}


def _together(rows: pl.LazyFrame, key: str) -> pl.LazyFrame:
    """One row per person: whether there was a code, the age, and the tenths of the codes, each once."""
    age = pl.col("age_years") if "age_years" in rows.collect_schema() else pl.lit(None, dtype=pl.Int64)
    ages = [pl.col("_oldest").max().alias("age_years"), pl.col("_youngest").min() != pl.col("_oldest").max()]
    return (
        rows.select(key, age.alias("age_years"), _code=clean_code(pl.col("icd10_code")))
        .with_columns(pl.col("_code").str.head(3).alias("_category"), _form=has_form(pl.col("_code")))
        .with_columns(_tenths=pl.col("_category").replace_strict(_tenths(), default=0, return_dtype=pl.Int64))
        .group_by(key, pl.when(pl.col("_tenths") > 0).then(pl.col("_category")))
        .agg(
            pl.col("_tenths").max(),
            pl.col("_form").any().alias("_readable"),
            pl.col("_form").not_().any().alias("_unreadable"),
            _oldest=pl.col("age_years").max(),
            _youngest=pl.col("age_years").min(),
        )
        .group_by(key)
        .agg(
            ages[0],
            ages[1].alias("_age_differs"),
            pl.col("_tenths").sum(),
            pl.col("_unreadable").any(),
            icd10_code=pl.when(pl.col("_readable").any()).then(pl.lit("known")),
        )
        .sort(key)
    )


def _formula(inputs: Inputs) -> dict[str, pl.Expr]:
    return {"hfrs": quotient(pl.col("_tenths"), 10, most=sum(_tenths().values())), "hfrs_tenths": pl.col("_tenths")}


def _refusals(inputs: Inputs) -> list[Finding]:
    return [("age_years: differs between the rows of one key", pl.col("_age_differs"))]


def _marks(inputs: Inputs) -> list[Finding]:
    age = inputs.definition.constants["built_for_age_from"]
    return [
        (f"outside guidance: age_years under {age}", inputs["age_years"] < age),
        ("age_years unknown", inputs["age_years"].is_null()),
        ("icd10_code: not ICD-10 in form", pl.col("_unreadable")),
    ]


SCORE = RowScore(
    definition=_DEFINITION,
    formula=_formula,
    together=_together,
    refusals=_refusals,
    marks=_marks,
)
