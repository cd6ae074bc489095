"""Charlson and the Hospital Frailty Risk Score of a week: which spells count, and how far back."""

import polars as pl
import pytest

from data_contracts.tables.weekly import HospitalScores
from models.published.hospital import hospital_scores
from tests.lib.tables import AS_OF, table, weekly_tables

SPELL = "person_id | admitted_date | entered_date | admission_method | diagnosis_codes"


def scored(*spells: str) -> pl.DataFrame:
    """The scores of person 1, a woman of 60, with codes joined by + here, checked against the contract."""
    people = weekly_tables(["people"], registrations="person_id\n1")["people"]
    held = table("spells", "\n".join([SPELL, *spells]))
    held = held.with_columns(pl.col("diagnosis_codes").str.replace_all("+", "|", literal=True))
    return HospitalScores.validate(hospital_scores(people, held, as_of=AS_OF))


def test_a_code_counts_once_over_all_spells() -> None:
    twice = scored(
        "1 | 2026-01-05 | 2026-01-20 | 21 | F009+I500", "1 | 2026-06-05 | 2026-06-20 | 21 | F001+G819"
    ).row(0, named=True)
    # Dementia 2, heart failure 2, hemiplegia 2; frailty: F00 7.1, G81 4.4; one age point at 60 on the 1987 weights.
    assert (twice["charlson_quan_2011"], twice["hfrs"], twice["hfrs_band"]) == (6, 11.5, "intermediate")
    assert twice["hfrs_marks"] == "outside guidance: age_years under 75"


@pytest.mark.parametrize(
    ("spell", "counts"),
    [
        ("1 | 2024-11-15 | 2024-12-01 | 21 | F009", False),
        ("1 | 2024-11-16 | 2024-12-01 | 21 | F009", True),
        ("1 | 2026-11-15 | 2026-11-15 | 21 | F009", True),
        ("1 | 2026-11-16 | 2026-11-16 | 21 | F009", False),
        ("1 | 2026-11-15 | 2026-11-16 | 21 | F009", False),
        ("1 | 2026-11-01 | 2026-11-02 | 21 | ", False),
        ("2 | 2026-11-01 | 2026-11-02 | 21 | F009", False),
    ],
    ids=[
        "day before the lookback",
        "first day of it",
        "day before the date",
        "the date",
        "known on the date",
        "no codes",
        "somebody who does not count",
    ],
)
def test_a_spell_counts_if_begun_and_known_in_24_months(*, spell: str, counts: bool) -> None:
    assert scored(spell).height == counts


@pytest.mark.parametrize(
    ("method", "frailty"), [("21", 7.1), ("2A", 7.1), ("28", 7.1), ("2B", None), ("11", None), ("31", None)]
)
def test_frailty_goes_by_new_emergencies_and_charlson_by_every_spell(method: str, frailty: float | None) -> None:
    row = scored(f"1 | 2026-01-05 | 2026-01-20 | {method} | F009").row(0, named=True)
    assert (row["charlson_quan_2011"], row["hfrs"]) == (2, frailty)


def test_nobody_with_a_spell_is_no_rows() -> None:
    assert scored().is_empty()
