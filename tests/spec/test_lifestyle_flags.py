"""Lifestyle flags: thresholds, latest values, and what is unknown."""

import pytest

from tests.lib.tables import answer, by_person


def flags(events: str, registrations: str = "person_id\n1") -> dict[str, object]:
    """The flags of one person."""
    row: dict[str, object] = answer("lifestyle_flags", registrations=registrations, events=events).row(0, named=True)
    return row


def reading(*readings: tuple[str, object]) -> str:
    lines = [f"1 | {name} | 2026-01-01 | {value}" for name, value in readings]
    return "\n".join(["person_id | codelist | event_date | value", *lines])


def test_only_people_of_16_and_over_have_a_row() -> None:
    people = "person_id | birth_date\n1 | 2010-11-15\n2 | 2010-11-16\n3 | 2010-11-17"
    assert set(answer("lifestyle_flags", registrations=people)["person_id"]) == {1, 2}


def test_nothing_recorded_is_unknown_not_false() -> None:
    row = flags("person_id\n")
    assert {name for name, value in row.items() if value is None} == set(row) - {"person_id", "flag_count"}
    assert row["flag_count"] == 0


@pytest.mark.parametrize(("bmi", "expected"), [(29.9, False), (30, True), (30.1, True)])
def test_obesity_from_bmi_30(bmi: float, expected: bool) -> None:
    assert flags(reading(("bmi", bmi)))["is_obese"] is expected


@pytest.mark.parametrize(
    ("group", "bmi", "expected"),
    [
        ("A", 27.5, False),
        ("C", 29.9, False),
        ("D", 27.5, True),
        ("H", 27.4, False),
        ("H", 27.5, True),
        ("S", 27.5, True),
    ],
)
def test_obesity_from_27_5_in_minority_ethnic_groups(group: str, bmi: float, expected: bool) -> None:
    events = f"""
        person_id | codelist | ethnic_group | event_date | value
        1         | bmi      |              | 2026-01-01 | {bmi}
        1         | bmi      | {group}      | 2020-01-01 |
    """
    assert flags(events)["is_obese"] is expected


@pytest.mark.parametrize(
    ("systolic", "diastolic", "expected"),
    [
        (139, 89, False),
        (140, 89, True),
        (139, 90, True),
        (160, "", True),
        ("", 95, True),
        (120, "", None),
        ("", 60, None),
    ],
)
def test_raised_blood_pressure_from_140_90(systolic: object, diastolic: object, expected: bool | None) -> None:
    assert (
        flags(reading(("systolic_bp", systolic), ("diastolic_bp", diastolic)))["has_raised_blood_pressure"]
        is expected
    )


def test_blood_pressure_counts_the_latest_reading_only() -> None:
    row = flags("""
        person_id | codelist     | event_date | value
        1         | systolic_bp  | 2026-01-01 | 120
        1         | diastolic_bp | 2026-01-01 | 70
        1         | diastolic_bp | 2025-01-01 | 95
        1         | systolic_bp  | 2025-01-01 | 170
    """)
    assert (row["has_raised_blood_pressure"], row["systolic_bp"], row["diastolic_bp"]) == (False, 120, 70)


def test_half_a_reading_from_another_day_does_not_count() -> None:
    row = flags("""
        person_id | codelist     | event_date | value
        1         | systolic_bp  | 2026-01-01 | 120
        1         | diastolic_bp | 2025-01-01 | 95
    """)
    assert (row["has_raised_blood_pressure"], row["diastolic_bp"]) == (None, None)


@pytest.mark.parametrize(("hba1c", "expected"), [(41, False), (41.9, False), (42, True), (47.9, True), (48, False)])
def test_non_diabetic_hyperglycaemia_from_42_to_under_48(hba1c: float, expected: bool) -> None:
    assert flags(reading(("hba1c", hba1c)))["has_non_diabetic_hyperglycaemia"] is expected


@pytest.mark.parametrize(
    ("resolved", "expected"), [("2019-12-31", False), ("2020-01-01", True), ("2020-01-02", True)]
)
def test_diabetes_rules_it_out_unless_resolved(resolved: str, expected: bool) -> None:
    row = flags(f"""
        person_id | codelist          | event_date | value
        1         | hba1c             | 2026-01-01 | 44
        1         | diabetes          | 2020-01-01 |
        1         | diabetes_resolved | {resolved} |
    """)
    assert row["has_non_diabetic_hyperglycaemia"] is expected


@pytest.mark.parametrize(("score", "expected"), [(4, False), (5, True), (12, True)])
def test_increasing_risk_drinking_from_audit_c_5(score: int, expected: bool) -> None:
    assert flags(reading(("audit_c", score)))["has_increasing_risk_drinking"] is expected


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ([("smoking_current", "2020-01-01")], True),
        ([("smoking_ex", "2020-01-01")], False),
        ([("smoking_never", "2020-01-01")], False),
        ([("smoking_current", "2020-01-01"), ("smoking_ex", "2020-01-02")], False),
        ([("smoking_ex", "2020-01-01"), ("smoking_current", "2020-01-02")], True),
        ([("smoking_ex", "2020-01-01"), ("smoking_current", "2020-01-01")], True),
    ],
)
def test_latest_smoking_status_counts(statuses: list[tuple[str, str]], expected: bool) -> None:
    lines = "\n".join(f"1 | {codelist} | {day}" for codelist, day in statuses)
    assert flags(f"person_id | codelist | event_date\n{lines}")["is_current_smoker"] is expected


def test_flags_are_counted() -> None:
    events = reading(("bmi", 31), ("systolic_bp", 150), ("hba1c", 44), ("audit_c", 8), ("smoking_current", ""))
    assert by_person(answer("lifestyle_flags", registrations="person_id\n1", events=events), "flag_count") == {1: 5}
