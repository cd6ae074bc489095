"""What counts as a condition on record."""

import pytest

from tests.lib.tables import answer

PEOPLE = "person_id\n1\n2\n3\n4\n5\n6\n7"


def test_condition_has_its_first_and_latest_date() -> None:
    conditions = answer(
        "conditions",
        registrations=PEOPLE,
        events="""
            person_id | codelist     | event_date
            1         | hypertension | 2015-03-01
            1         | hypertension | 2020-03-01
            1         | hypertension | 2018-03-01
            2         | bmi          | 2020-03-01
        """,
    )
    assert conditions.rows() == [(1, "hypertension", *_dates("2015-03-01", "2020-03-01"), None, True)]


@pytest.mark.parametrize(
    ("resolved", "unresolved"), [("2020-02-29", True), ("2020-03-01", False), ("2020-03-02", False)]
)
def test_condition_counts_if_its_latest_entry_is_later_than_the_latest_that_resolves_it(
    resolved: str, unresolved: bool
) -> None:
    events = f"""
        person_id | codelist              | event_date
        1         | hypertension          | 2015-03-01
        1         | hypertension          | 2020-03-01
        1         | hypertension_resolved | 2010-01-01
        1         | hypertension_resolved | {resolved}
    """
    found = answer("conditions", registrations=PEOPLE, events=events).filter(condition="hypertension")
    assert found.select("resolved_date", "is_unresolved").rows() == [(*_dates(resolved), unresolved)]


def test_entry_counts_if_known_dated_and_of_the_present_practice() -> None:
    conditions = answer(
        "conditions",
        registrations=PEOPLE,
        events="""
            person_id | codelist | practice_code | event_date | entered_date
            1         | asthma   | A81001        | 2026-11-15 | 2026-11-15
            2         | asthma   | A81001        | 2026-11-16 | 2026-11-15
            3         | asthma   | A81001        | 2026-11-15 | 2026-11-16
            4         | asthma   | A81001        |            | 2026-11-15
            5         | asthma   | A81999        | 2020-01-01 | 2020-01-01
            6         | asthma   | A81001        | 1966-05-31 | 2020-01-01
            7         | asthma   | A81001        | 1966-06-01 | 2020-01-01
            8         | asthma   | A81001        | 2020-01-01 | 2020-01-01
        """,
    )
    assert set(conditions["person_id"]) == {1, 7}


def test_a_smoking_status_of_a_child_under_10_does_not_count() -> None:
    conditions = answer(
        "conditions",
        registrations="person_id | birth_date\n1 | 1990-06-01\n2 | 1990-06-01\n3 | 1990-06-01",
        events="""
            person_id | codelist        | event_date
            1         | smoking_current | 2000-05-31
            2         | smoking_current | 2000-06-01
            3         | smoking_never   | 2000-05-31
            3         | asthma          | 1995-01-01
        """,
    )
    assert set(conditions.select("person_id", "condition").rows()) == {(2, "smoking_current"), (3, "asthma")}


def _dates(*texts: str) -> list[object]:
    import datetime as dt

    return [dt.date.fromisoformat(text) for text in texts]
