"""Who has a gap: one row a person, ranked by harm, days overdue and past response, with when they were last seen."""

import datetime as dt

import polars as pl

from tests.lib.tables import AS_OF, answer, by_person, table

PEOPLE = table(
    "people",
    "person_id | icb_code | birth_date | age_years\n"
    + "\n".join(f"{number} | QE1 | 19{50 + number}-06-01 | 60" for number in range(1, 7)),
).with_columns(registered_date=pl.lit(dt.date(2015, 1, 1)), sex=pl.lit("female"))
HEADER = "person_id | programme | state | days_overdue | is_gap | due_date | last_done_date"


def ranked(states: str, **given: str) -> pl.DataFrame:
    """The cohort of six people with these states."""
    rows = table("programme_states", f"{HEADER}\n{states}").with_columns(
        event=pl.lit("x"), grade=pl.lit("coded"), invitations=pl.lit(0, dtype=pl.Int16), is_covered=pl.lit(False)
    )
    return answer("non_responders", people=PEOPLE, programme_states=rows, **given)


def test_only_people_with_a_gap_are_in_and_once() -> None:
    found = ranked(
        """1 | bowel | did_not_respond | 400 | true  | 2025-10-12 |
           1 | flu   | due             | 46  | false | 2026-10-01 |
           1 | mmr   | overdue_never_invited | 300 | true | 2026-01-20 |
           2 | bowel | up_to_date      |     | false | 2026-09-30 | 2024-09-30
           3 | bowel | declined        |     | false | 2026-09-30 | """
    )
    assert found.select("person_id", "gap_count", "gaps", "days_overdue").rows() == [(1, 2, "mmr|bowel", 400)]


def test_priority_is_harm_times_days_overdue_by_past_response() -> None:
    found = ranked(
        """1 | bowel | did_not_respond | 0    | true  | 2026-11-16 |
           2 | bowel | did_not_respond | 730  | true  | 2024-11-16 |
           3 | bowel | did_not_respond | 1500 | true  | 2022-10-08 |
           4 | flu   | did_not_respond | 0    | true  | 2026-11-16 |
           5 | bowel | did_not_respond | 0    | true  | 2026-11-16 | 2020-01-01
           6 | bowel | did_not_respond | 0    | true  | 2026-11-15 |
           6 | flu   | up_to_date      |      | false | 2026-10-01 | 2026-10-02"""
    )
    assert by_person(found, "priority") == {
        1: 4 * 365 // 2,
        2: 4 * 1095 // 2,
        3: 4 * 1095 // 2,
        4: 2 * 365 // 2,
        5: 4 * 365,
        6: 4 * 365 * 3 // 4,
    }
    # The same priority: the longer overdue comes first.
    assert found["person_id"].to_list() == [3, 2, 5, 6, 1, 4]


def test_ties_end_with_the_older_person() -> None:
    found = ranked(
        """2 | bowel | did_not_respond | 10 | true | 2026-11-06 |
           1 | bowel | did_not_respond | 10 | true | 2026-11-06 |"""
    )
    assert found.select("person_id", "rank").rows() == [(1, 1), (2, 2)]


def test_last_seen_says_for_what() -> None:
    gap = "\n".join(f"{number} | bowel | did_not_respond | 10 | true | 2026-11-06 |" for number in range(1, 6))
    contacts = """person_id | contact_date | contact_kind
        1 | 2026-03-01 | consultation
        1 | 2026-05-01 | appointment_missed
        2 | 2026-03-01 | consultation
        4 | 2026-11-16 | consultation
        5 | 2026-03-02 | appointment_attended"""
    measured = """person_id | measure | value | measured_date
        2 | hba1c       | 48  | 2026-03-01
        2 | systolic_bp | 140 | 2026-02-01
        3 | systolic_bp | 140 | 2026-02-01
        5 | hba1c       | 48  | 2026-03-01"""
    found = ranked(gap, contacts=contacts, measurements=measured).sort("person_id")
    assert found.select("last_seen_date", "last_seen_for").rows() == [
        (dt.date(2026, 3, 1), "consultation"),
        (dt.date(2026, 3, 1), "blood test"),
        (dt.date(2026, 2, 1), "blood pressure test"),
        (None, None),
        (dt.date(2026, 3, 2), "appointment_attended"),
    ]
    assert found["last_seen_date"].max() < AS_OF
