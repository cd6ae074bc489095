"""Which value of a measure counts, and in which unit."""

import polars as pl
import pytest

from tests.lib.tables import answer, by_person


def latest(measure: str, value: str, unit: str) -> float | None:
    """The value that one reading becomes; None if it is left out."""
    events = f"person_id | codelist | event_date | value | unit\n1 | {measure} | 2026-01-01 | {value} | {unit}"
    found = answer("measurements", registrations="person_id\n1", events=events)
    return found["value"][0] if found.height else None


@pytest.mark.parametrize(
    ("measure", "lowest", "highest", "unit"),
    [
        ("bmi", 10, 150, "kg/m2"),
        ("systolic_bp", 40, 350, "mmHg"),
        ("diastolic_bp", 20, 200, "mmHg"),
        ("hba1c", 20, 200, "mmol/mol"),
        ("cholesterol_total", 1, 30, "mmol/L"),
        ("cholesterol_hdl", 0.1, 10, "mmol/L"),
        ("egfr", 1, 200, "mL/min/1.73m2"),
        ("haemoglobin", 10, 300, "g/L"),
        ("audit_c", 0, 12, ""),
    ],
)
def test_plausible_range_takes_in_both_ends(measure: str, lowest: float, highest: float, unit: str) -> None:
    assert latest(measure, str(lowest), unit) == lowest
    assert latest(measure, str(highest), unit) == highest
    assert latest(measure, str(lowest - 0.05), unit) is None
    assert latest(measure, str(highest + 0.05), unit) is None


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        ("48", "mmol/mol", 48.0),
        ("48", "mmol/mol Hb", 48.0),
        ("6.5", "%", 47.5385),
        ("48", "%", None),
        ("19.9", "", 193.9871),
        ("20", "", None),
        ("25", "", None),
        ("25.1", "", 25.1),
        ("48", " MMOL/MOL ", 48.0),
        ("48", "furlongs", None),
        ("", "mmol/mol", None),
    ],
)
def test_hba1c_is_turned_into_mmol_per_mol(value: str, unit: str, expected: float | None) -> None:
    assert latest("hba1c", value, unit) == (pytest.approx(expected) if expected else None)


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        ("135", "g/L", 135),
        ("13.5", "g/dL", 135),
        ("13.5", "", 135),
        ("27", "", None),
        ("135", "", 135),
        ("135", "%", None),
    ],
)
def test_haemoglobin_is_turned_into_grams_per_litre(value: str, unit: str, expected: float | None) -> None:
    assert latest("haemoglobin", value, unit) == expected


def test_latest_known_value_wins_the_lower_of_a_day_and_the_one_before_is_kept() -> None:
    found = answer(
        "measurements",
        registrations="person_id\n1\n2\n3\n4",
        events="""
            person_id | codelist | event_date | entered_date | value
            1         | egfr     | 2024-01-01 | 2024-01-01   | 50
            1         | egfr     | 2025-01-01 | 2025-01-01   | 55
            1         | egfr     | 2026-11-16 | 2026-11-15   | 80
            1         | egfr     | 2026-11-15 | 2026-11-16   | 90
            2         | egfr     | 2025-01-01 | 2025-01-01   | 57
            2         | egfr     | 2025-01-01 | 2025-01-02   | 58
            3         | egfr     | 2025-01-01 | 2025-01-01   | 0
            3         | egfr     | 2024-01-01 | 2024-01-01   | 70
        """,
    )
    assert by_person(found, "value") == {1: 55, 2: 57, 3: 70}
    assert by_person(found, "previous_value") == {1: 50, 2: None, 3: None}


def test_every_code_of_a_measure_counts() -> None:
    events = "person_id | codelist | event_date | value\n1 | bmi | 2026-01-01 | 31"
    other_code = pl.lit(846931000000101, dtype=pl.Int64)
    from tests.lib.tables import table

    found = answer(
        "measurements",
        registrations="person_id\n1",
        events=table("events", events).with_columns(concept_id=other_code),
    )
    assert found["value"].to_list() == [31]


def test_a_childs_bmi_says_nothing_of_the_adult() -> None:
    found = answer(
        "measurements",
        registrations="person_id | birth_date\n1 | 1990-02-28\n2 | 1990-02-28\n3 | 1990-02-28\n4 | 1992-02-29",
        events="""
            person_id | codelist    | event_date | value
            1         | bmi         | 2006-02-27 | 17
            2         | bmi         | 2006-02-28 | 18
            3         | bmi         | 2006-03-01 | 19
            3         | systolic_bp | 2001-01-01 | 110
            4         | bmi         | 2008-02-28 | 20
        """,
    )
    assert by_person(found.filter(pl.col("measure") == "bmi"), "value") == {2: 18.0, 3: 19.0}
    assert by_person(found.filter(pl.col("measure") == "systolic_bp"), "value") == {3: 110.0}
