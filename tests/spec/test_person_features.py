"""What each kind of feature counts, and over which days: from the window's first to the day before the as-of date."""

import pytest

from tests.lib.tables import answer


def features(person: int = 1, **given: str) -> dict[str, float]:
    """The features of one person."""
    given.setdefault("registrations", "person_id\n1\n2")
    found = answer("person_features", **given).filter(person_id=person)
    assert not found["feature"].is_duplicated().any()
    return dict(zip(found["feature"], found["value"], strict=True))


def test_demographics() -> None:
    found = features(
        registrations="person_id | birth_date | sex | lsoa_code\n1 | 1976-11-16 | male | E01000001",
        lsoas="lsoa_code | imd_decile | imd_edition\nE01000001 | 3 | 2025",
        events="person_id | ethnic_group | event_date\n1 | J | 2020-01-01",
    )
    assert found == {"age_years": 50, "is_male": 1, "imd_decile": 3, "ethnic_asian": 1}


def test_unknown_deprivation_and_ethnic_group_have_no_row() -> None:
    assert features(registrations="person_id | sex\n1 | unknown") == {"age_years": 60}


@pytest.mark.parametrize(("resolved", "expected"), [("2019-12-31", 1), ("2020-01-01", None), ("2020-01-02", None)])
def test_condition_counts_unless_resolved_on_or_after_its_latest_diagnosis(
    resolved: str, expected: int | None
) -> None:
    found = features(
        events=f"""
        person_id | codelist              | event_date
        1         | hypertension          | 2020-01-01
        1         | hypertension_resolved | {resolved}
        1         | copd                  | 2020-01-01
        """
    )
    assert found.get("has_hypertension") == expected
    assert found["condition_count"] == 1 + (expected or 0)
    assert found["has_copd"] == 1


def test_hospital_frailty_is_a_feature_unknown_without_a_coded_emergency_and_charlson_is_none() -> None:
    scores = "person_id | charlson_quan_2011 | hfrs\n1 | 3 | 11.5\n2 | 1 | "
    found = features(hospital_scores=scores)
    assert found["hospital_frailty"] == 11.5
    assert "charlson" not in found
    assert "hospital_frailty" not in features(2, hospital_scores=scores)


@pytest.mark.parametrize(
    ("values", "expected"),
    [([("2026-05-01", 62), ("2026-11-01", 50)], -12), ([("2026-11-01", 50)], None), ([], None)],
    ids=["two days", "one value", "none"],
)
def test_change_is_the_latest_value_less_the_one_before(values: list[tuple[str, int]], expected: int | None) -> None:
    rows = "\n".join(f"1 | egfr | {day} | {value}" for day, value in values)
    found = features(events=f"person_id | codelist | event_date | value\n{rows}".strip())
    assert found.get("egfr_change") == expected


@pytest.mark.parametrize(
    ("day", "expected"),
    [("2026-11-15", 1), ("2026-11-16", None), ("2023-11-16", 1096), ("2023-11-15", None)],
)
def test_days_since_hospital_care_and_contact_look_back_36_months(day: str, expected: int | None) -> None:
    found = features(
        spells=f"person_id | admitted_date\n1 | {day}",
        emergency_attendances=f"person_id | arrived_date\n1 | {day}",
        contacts=f"person_id | contact_date | contact_kind\n1 | {day} | consultation",
    )
    names = ["since_emergency_admission_days", "since_ed_attendance_days", "since_gp_contact_days"]
    assert [found.get(name) for name in names] == [expected] * 3


def test_days_since_counts_from_the_latest_and_knows_a_missed_slot_from_a_contact() -> None:
    found = features(
        spells="""
        person_id | admitted_date | admission_method
        1         | 2026-01-01    | 21
        1         | 2026-11-01    | 21
        1         | 2026-11-10    | 11
        """,
        contacts="person_id | contact_date | contact_kind\n1 | 2026-11-10 | appointment_missed",
    )
    assert found["since_emergency_admission_days"] == 15
    assert "since_gp_contact_days" not in found
    assert found["appointments_missed_36m"] == found["appointments_missed_12m"] == 1


def test_latest_measurement_and_its_age() -> None:
    found = features(
        events="""
        person_id | codelist | event_date | value
        1         | egfr     | 2026-11-01 | 50
        1         | egfr     | 2026-05-01 | 62
        1         | egfr     | 2025-05-01 | 90
        """
    )
    assert (found["egfr"], found["egfr_days"], found["egfr_best_of_last_two"]) == (50, 15, 62)


@pytest.mark.parametrize(
    ("admitted", "entered", "expected"),
    [
        ("2026-11-15", "2026-11-15", {3: 1, 12: 1, 36: 1}),
        ("2026-11-16", "2026-11-15", {}),
        ("2026-11-15", "2026-11-16", {}),
        ("2026-08-16", "2026-08-17", {3: 1, 12: 1, 36: 1}),
        ("2026-08-15", "2026-08-17", {12: 1, 36: 1}),
        ("2025-11-16", "2025-11-17", {12: 1, 36: 1}),
        ("2025-11-15", "2025-11-17", {36: 1}),
        ("2023-11-16", "2023-11-17", {36: 1}),
        ("2023-11-15", "2023-11-17", {}),
    ],
)
def test_emergency_admissions_fall_in_half_open_windows(
    admitted: str, entered: str, expected: dict[int, int]
) -> None:
    found = features(spells=f"person_id | admitted_date | entered_date\n1 | {admitted} | {entered}")
    assert {
        months: found[f"emergency_admissions_{months}m"]
        for months in (3, 12, 36)
        if f"emergency_admissions_{months}m" in found
    } == expected
    assert {
        months: found[f"avoidable_admissions_{months}m"]
        for months in (12, 36)
        if f"avoidable_admissions_{months}m" in found
    } == {months: count for months, count in expected.items() if months != 3}


def test_planned_admissions_and_transfers_are_kept_apart() -> None:
    found = features(spells="person_id | admitted_date | admission_method\n1 | 2026-11-01 | 11\n1 | 2026-11-02 | 2B")
    assert found["planned_admissions_12m"] == 1
    assert "emergency_admissions_12m" not in found


def test_bed_days_count_ended_emergency_spells() -> None:
    found = features(
        spells="""
        person_id | admitted_date | discharged_date | admission_method
        1         | 2026-01-01    | 2026-01-04      | 21
        1         | 2026-02-01    | 2026-02-01      | 21
        1         | 2026-03-01    |                 | 21
        1         | 2026-04-01    | 2026-11-16      | 21
        1         | 2026-05-01    | 2026-04-01      | 21
        1         | 2026-06-01    | 2026-06-09      | 11
        """
    )
    assert found["emergency_bed_days_12m"] == 3


def test_attendances_at_emergency_departments() -> None:
    found = features(
        emergency_attendances="""
        person_id | arrived_date | entered_date
        1         | 2026-11-15   | 2026-11-15
        1         | 2026-11-16   | 2026-11-15
        1         | 2026-08-15   | 2026-11-15
        9         | 2026-08-15   | 2026-11-15
        """
    )
    assert (found["ed_attendances_3m"], found["ed_attendances_12m"]) == (1, 2)


def test_contacts_count_by_kind_at_the_present_practice() -> None:
    found = features(
        contacts="""
        person_id | practice_code | contact_date | contact_kind
        1         | A81001        | 2026-11-15   | consultation
        1         | A81001        | 2026-11-16   | consultation
        1         | A81001        | 2026-02-01   | consultation
        1         | A81999        | 2026-11-01   | consultation
        1         | A81001        | 2026-11-01   | appointment_missed
        1         | A81001        | 2026-11-02   | appointment_attended
        """
    )
    assert {name: value for name, value in found.items() if "gp_" in name or "appointments" in name} == {
        "gp_contacts_3m": 1,
        "gp_contacts_12m": 2,
        "gp_contacts_36m": 2,
        "since_gp_contact_days": 1,
        "appointments_missed_12m": 1,
        "appointments_missed_36m": 1,
        "appointments_attended_12m": 1,
    }


def test_medicines_count_products_and_issues() -> None:
    found = features(
        medications="""
        person_id | practice_code | codelist | issued_date | entered_date
        1         | A81001        | statin   | 2026-11-15  | 2026-11-15
        1         | A81001        | statin   | 2026-10-15  | 2026-10-15
        1         | A81001        | opioid   | 2025-11-16  | 2025-11-16
        1         | A81001        | laxative | 2025-11-15  | 2025-11-15
        1         | A81001        | laxative | 2026-11-16  | 2026-11-15
        1         | A81001        | laxative | 2026-11-15  | 2026-11-16
        1         | A81999        | laxative | 2026-10-15  | 2026-10-15
        """
    )
    assert (found["medicines_12m"], found["statin_issues_12m"], found["opioid_issues_12m"]) == (2, 2, 1)
    assert "laxative_issues_12m" not in found


def test_people_who_are_not_registered_have_no_features() -> None:
    assert features(person=9, contacts="person_id | contact_date\n9 | 2026-11-01") == {}
