"""Registered people whom the practice has not seen, or whom no count reaches, and why."""

import datetime as dt

import pytest

from tests.lib.tables import answer, table

OTHERS = "9 | 2015-02-01 | consultation"
"""Somebody else's first contact: from then on the practice's contacts are on file."""


def found(**given: str) -> dict[str, object]:
    """The row of person 1, registered since 2015 unless told otherwise; empty if seen."""
    registered = given.pop("registered", "2015-01-01")
    contacts = given.pop("contacts", "")
    rows = answer(
        "people_not_seen",
        registrations=f"person_id | registered_date\n1 | {registered}\n9 | 2015-01-01",
        contacts=f"person_id | contact_date | contact_kind\n{OTHERS}\n9 | 2026-11-01 | consultation\n{contacts}",
        **given,
    ).filter(person_id=1)
    return rows.row(0, named=True) if rows.height else {}


@pytest.mark.parametrize(
    ("last", "reason"),
    [
        ("2025-11-16", None),
        ("2025-11-15", "no_contact_12m"),
        ("2024-11-16", "no_contact_12m"),
        ("2024-11-15", "no_contact_24m"),
        ("2021-11-16", "no_contact_24m"),
        ("2021-11-15", "no_contact_60m"),
    ],
)
def test_no_contact_in_one_two_or_five_years(last: str, reason: str | None) -> None:
    row = found(contacts=f"1 | {last} | appointment_attended")
    assert row.get("reasons") == reason
    if row:
        assert row["last_seen_date"] == dt.date.fromisoformat(last)


def test_never_seen_counts_from_the_registration() -> None:
    row = found()
    assert (row["reasons"], row["last_seen_date"]) == ("no_contact_60m", None)
    assert row["not_seen_since"] == dt.date(2015, 2, 1)
    assert found(registered="2026-11-01") == {}


def test_a_missed_appointment_is_not_a_contact_and_three_are_a_reason() -> None:
    missed = [f"1 | {day} | appointment_missed" for day in ("2026-01-05", "2026-02-05", "2026-03-05")]
    seen = "1 | 2026-04-01 | consultation"
    assert found(contacts="\n".join([*missed, seen]))["reasons"] == "missed_appointments_12m"
    assert found(contacts="\n".join([*missed[:2], seen])) == {}
    assert found(contacts=missed[0])["reasons"] == "no_contact_60m"


def test_seen_at_emergency_departments_only() -> None:
    attended = "person_id | arrived_date\n1 | 2026-06-01"
    row = found(emergency_attendances=attended)
    assert row["reasons"] == "no_contact_60m|emergency_only_12m"
    assert (row["last_trace_date"], row["last_trace"]) == (dt.date(2026, 6, 1), "A&E")
    assert found(emergency_attendances=attended, contacts="1 | 2026-01-01 | consultation") == {}


@pytest.mark.parametrize(
    ("registered", "reason"),
    [("2025-11-15", "no_contact_12m"), ("2025-11-16", "new_without_check"), ("2026-08-15", "new_without_check")],
)
def test_newly_registered_and_not_seen(registered: str, reason: str) -> None:
    assert found(registered=registered)["reasons"] == reason
    assert found(registered="2026-08-16") == {}


@pytest.mark.parametrize("condition", ["homeless", "traveller", "refugee_or_asylum_seeker"])
def test_groups_that_use_little_primary_care_where_coded(condition: str) -> None:
    seen = "1 | 2026-10-01 | consultation"
    row = found(contacts=seen, events=f"person_id | codelist | event_date\n1 | {condition} | 2020-01-01")
    assert row["reasons"] == condition


def test_people_whom_the_model_cannot_score() -> None:
    unscored = table("risk_scores", "person_id | unscored_reason\n1 | no model")
    seen = "1 | 2026-10-01 | consultation"
    assert found(contacts=seen, risk_scores=unscored)["reasons"] == "unscored"


def test_a_possible_ghost_is_told_apart() -> None:
    assert found()["is_possible_ghost"]
    assert not found(events="person_id | codelist | event_date\n1 | bmi | 2025-01-01")["is_possible_ghost"]
    assert not found(registered="2025-01-01")["is_possible_ghost"]
    assert found(events="person_id | codelist | event_date\n1 | bmi | 2024-11-15")["is_possible_ghost"]


def test_the_weightiest_reasons_come_first_and_possible_ghosts_last() -> None:
    """Person 1 came to A&E only, 2 missed three appointments, 3 was not seen in a year, 4 left no trace for years."""
    rows = answer(
        "people_not_seen",
        registrations="person_id | registered_date\n"
        + "\n".join(f"{person} | 2015-01-01" for person in (1, 2, 3, 4, 9)),
        contacts=f"person_id | contact_date | contact_kind\n{OTHERS}\n9 | 2026-11-01 | consultation\n"
        "1 | 2025-11-01 | consultation\n3 | 2025-11-01 | consultation\n2 | 2026-11-01 | consultation\n"
        "2 | 2026-10-01 | appointment_missed\n2 | 2026-09-01 | appointment_missed\n"
        "2 | 2026-08-01 | appointment_missed\n4 | 2018-01-01 | consultation",
        emergency_attendances="person_id | arrived_date\n1 | 2026-10-01",
    )
    assert rows.sort("rank")["person_id"].to_list() == [1, 2, 3, 4]
    assert rows.sort("rank")["priority"].to_list() == [6, 4, 1, 3]
    assert rows.filter("is_possible_ghost")["person_id"].to_list() == [4]
