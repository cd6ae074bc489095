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


def test_nobody_is_asked_at_the_end_of_life() -> None:
    events = """
        person_id | codelist                      | event_date | value
        1         | palliative_care               | 2026-01-01 |
        1         | bmi                           | 2026-01-01 | 40
        2         | palliative_care               | 2026-01-01 |
        2         | palliative_care_not_indicated | 2026-02-01 |
        2         | bmi                           | 2026-01-01 | 40
    """
    found = answer("lifestyle_flags", registrations="person_id\n1\n2", events=events)
    assert found.select("person_id", "is_obese").rows() == [(2, True)]


def test_nothing_recorded_is_unknown_not_false() -> None:
    row = flags("person_id\n")
    assert {name: value for name, value in row.items() if value is not None} == {
        "person_id": 1,
        "has_blood_pressure_above_target": False,
        "is_on_statin": False,
        "is_on_blood_pressure_medicine": False,
        "has_hypertension": False,
        "has_cardiovascular_disease": False,
        "treatment_gaps": 0,
        "flag_count": 0,
    }


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


SCORED = "person_id | qrisk3 | qrisk3_version | qdiabetes | health_check_eligible | health_check_due_date"


def risk_flags(
    scores: str, events: str = "person_id\n", medications: str = "person_id\n", **people: str
) -> dict[str, object]:
    """The flags of one person whose published scores are given."""
    registrations = f"person_id | birth_date\n1 | {people.get('born', '1966-06-01')}"
    found = answer(
        "lifestyle_flags",
        registrations=registrations,
        events=events,
        medications=medications,
        prevention_scores=f"{SCORED}\n1 | {scores}",
    )
    row: dict[str, object] = found.row(0, named=True)
    return row


@pytest.mark.parametrize(("qrisk3", "expected"), [("9.99", False), ("10", True), ("10.01", True), ("", None)])
def test_untreated_risk_from_qrisk3_of_10_percent(qrisk3: str, expected: bool | None) -> None:
    row = risk_flags(f"{qrisk3} | v | | |")
    assert row["has_untreated_cardiovascular_risk"] is expected
    assert row["treatment_gaps"] == int(expected is True)


@pytest.mark.parametrize(
    ("issued", "expected"), [("2026-05-15", True), ("2026-05-16", False), ("2026-05-17", False), ("2026-11-16", True)]
)
def test_statin_in_six_months_treats_the_risk(issued: str, expected: bool) -> None:
    issues = f"person_id | codelist | issued_date\n1 | statin | {issued}"
    row = risk_flags("25 | v | | |", medications=issues)
    assert (row["has_untreated_cardiovascular_risk"], row["is_on_statin"]) == (expected, not expected)


def test_cardiovascular_disease_without_a_statin_is_untreated_whatever_the_score() -> None:
    row = risk_flags(" | v | | |", events="person_id | codelist | event_date\n1 | stroke_or_tia | 2020-01-01")
    assert (row["has_untreated_cardiovascular_risk"], row["qrisk3_date"]) == (True, None)


@pytest.mark.parametrize(
    ("born", "systolic", "diastolic", "expected"),
    [
        ("1966-06-01", 139, 89, False),
        ("1966-06-01", 140, 89, True),
        ("1966-06-01", 139, 90, True),
        ("1946-11-17", 149, 80, True),
        ("1946-11-16", 149, 80, False),
        ("1946-11-15", 150, 80, True),
    ],
)
def test_treated_pressure_has_a_target_of_its_own_from_80(
    born: str, systolic: int, diastolic: int, expected: bool
) -> None:
    events = f"""
        person_id | codelist     | event_date | value
        1         | hypertension | 2015-01-01 |
        1         | systolic_bp  | 2026-01-01 | {systolic}
        1         | diastolic_bp | 2026-01-01 | {diastolic}
    """
    assert risk_flags("5 | v | | |", events=events, born=born)["has_blood_pressure_above_target"] is expected


def test_pressure_without_a_diagnosis_has_no_target_and_one_never_measured_is_unknown() -> None:
    assert flags(reading(("systolic_bp", 190)))["has_blood_pressure_above_target"] is False
    diagnosed = "person_id | codelist | event_date\n1 | hypertension | 2015-01-01"
    assert flags(diagnosed)["has_blood_pressure_above_target"] is None


@pytest.mark.parametrize(("value", "expected"), [(7.4, False), (7.5, True), (7.6, True)])
def test_raised_cholesterol_from_7_5(value: float, expected: bool) -> None:
    assert flags(reading(("cholesterol_total", value)))["has_raised_cholesterol"] is expected


@pytest.mark.parametrize(("qdiabetes", "expected"), [("5.59", False), ("5.6", True), ("5.61", True), ("", None)])
def test_high_diabetes_risk_from_5_6_percent(qdiabetes: str, expected: bool | None) -> None:
    assert risk_flags(f"5 | v | {qdiabetes} | |")["has_high_diabetes_risk"] is expected


@pytest.mark.parametrize(
    ("due", "expected"), [("2026-11-15", True), ("2026-11-16", True), ("2026-11-17", False), ("", None)]
)
def test_health_check_is_due_from_its_day(due: str, expected: bool | None) -> None:
    assert risk_flags(f"5 | v | | true | {due}")["is_health_check_due"] is expected


def test_activity_and_diet_go_by_the_latest_entry_and_say_when() -> None:
    row = flags("""
        person_id | codelist            | event_date
        1         | physically_active   | 2024-01-01
        1         | physically_inactive | 2026-01-01
        1         | poor_diet           | 2024-01-01
        1         | healthy_diet        | 2026-02-01
    """)
    assert (row["is_inactive"], row["has_poor_diet"], str(row["diet_date"])) == (True, False, "2026-02-01")


def test_flags_are_counted() -> None:
    events = reading(("bmi", 31), ("systolic_bp", 150), ("hba1c", 44), ("audit_c", 8), ("smoking_current", ""))
    assert by_person(answer("lifestyle_flags", registrations="person_id\n1", events=events), "flag_count") == {1: 5}
