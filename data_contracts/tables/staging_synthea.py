"""Contracts of staged Synthea rows: what a typed row must meet to be loaded. Each rule names its reason."""

import datetime as dt
from typing import Any

import pandera.polars as pa
import polars as pl
from pandera.polars import PolarsData

from data_contracts.tables.history import SEXES, Contract


def _must_be(value: bool, reason: str) -> Any:
    """A yes-or-no column that has to hold one value, with the reason when it does not."""
    return pa.Field(
        eq=value, n_failure_cases=1, description=f"Rows with {not value} fail", metadata={"reason": reason}
    )


class StagedRow(Contract):
    """One row per record that is not superseded."""

    record_id: pl.Int64 = pa.Field(
        description="Keyed pseudonym of the row's key", metadata={"missing": "key_missing"}
    )
    has_readable_dates: bool = _must_be(True, "date_not_readable")


class StagedSyntheaPatients(StagedRow):
    """One row per made-up person."""

    person_id: pl.Int64 = pa.Field(description="Keyed pseudonym of the made-up NHS number")
    birth_date: dt.date = pa.Field(description="Date of birth")
    death_date: dt.date = pa.Field(nullable=True, description="Date of death")
    sex: str = pa.Field(
        isin=SEXES,
        n_failure_cases=1,
        description="Registered sex",
        metadata={"missing": "sex_not_known_word", "reason": "sex_not_known_word"},
    )

    @pa.dataframe_check(n_failure_cases=1)
    @classmethod
    def death_date_before_birth(cls, data: PolarsData) -> pl.LazyFrame:
        """True where the order is right; a rule is named after what breaks it."""
        return data.lazyframe.select(pl.col("birth_date") <= pl.col("death_date"))


class StagedSyntheaEntries(StagedRow):
    """One row per condition, procedure, observation, immunisation, medicine or encounter."""

    person_state: str = pa.Field(description="held, or null", metadata={"missing": "person_not_held"})
    birth_date: dt.date = pa.Field(nullable=True, description="Date of birth of the person")
    clinical_date: dt.date = pa.Field(description="Day of the entry", metadata={"missing": "date_missing"})
    code_state: str = pa.Field(description="known, or null", metadata={"missing": "code_not_mapped"})
    has_check_digit: bool = _must_be(True, "check_digit_wrong")
    has_readable_numbers: bool = _must_be(True, "number_not_readable")

    @pa.dataframe_check(n_failure_cases=1)
    @classmethod
    def date_before_birth(cls, data: PolarsData) -> pl.LazyFrame:
        """True where the order is right; a rule is named after what breaks it."""
        return data.lazyframe.select(pl.col("birth_date") <= pl.col("clinical_date"))


class StagedSyntheaEncounters(StagedSyntheaEntries):
    """One row per encounter; the discharge is that of an inpatient encounter, null for the others."""

    discharged_date: dt.date = pa.Field(nullable=True, description="Day the stay ended")
    is_plausible_stay: bool = _must_be(True, "stay_too_long")

    @pa.dataframe_check(n_failure_cases=1)
    @classmethod
    def discharged_before_admission(cls, data: PolarsData) -> pl.LazyFrame:
        """True where the order is right; a rule is named after what breaks it."""
        return data.lazyframe.select(pl.col("clinical_date") <= pl.col("discharged_date"))
