"""Brings the diagnosis rows of each person together, for the scores that take one code a row."""

import polars as pl

from models.published.icd10 import clean_code, has_form
from models.published.inputs import Inputs
from models.published.marking import Finding


def with_codes_read(rows: pl.LazyFrame, **columns: pl.Expr) -> pl.LazyFrame:
    """The rows with ``_form``, true for codes that look like ICD-10, and columns made from the clean ``_code``.

    A million rows share a few thousand codes, so each code is read once and joined on.
    """
    codes = (
        rows.select("icd10_code")
        .unique()
        .with_columns(_code=clean_code(pl.col("icd10_code")))
        .with_columns(_form=has_form(pl.col("_code")))
        .with_columns(**columns)
    )
    return rows.join(codes, on="icd10_code", how="left", nulls_equal=True, validate="m:1")


def age_or_null(rows: pl.LazyFrame) -> pl.Expr:
    """The age column, null for everybody if the table has none."""
    there = "age_years" in rows.collect_schema()
    return pl.col("age_years") if there else pl.lit(None, dtype=pl.Int64).alias("age_years")


def summary() -> list[pl.Expr]:
    """For each person: whether any code was readable, any not, the age, and whether it differs between rows."""
    return [
        pl.when(pl.col("_form").any()).then(pl.lit("known")).alias("icd10_code"),
        pl.col("_form").all().not_().alias("_unreadable"),
        pl.col("age_years").max(),
        (pl.col("age_years").min() != pl.col("age_years").max()).alias("_age_differs"),
    ]


def age_refusals(inputs: Inputs) -> list[Finding]:
    """Why a person whose rows contradict one another has no score."""
    return [("age_years: differs between the rows of one key", pl.col("_age_differs"))]


def code_marks(inputs: Inputs) -> list[Finding]:
    """That some of a person's codes were left out."""
    return [("icd10_code: not ICD-10 in form", pl.col("_unreadable"))]
