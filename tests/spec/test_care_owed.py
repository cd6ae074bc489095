"""The four things owed to people in complex care: in place, due for review, missing, or not known."""

import datetime as dt

import pytest

from tests.lib.tables import AS_OF, answer

MEMBER = """
person_id | practice_code | rank | ranked_by | score | cambridge_score | age_years | was_member | is_held_over
1 | A81001 | 1 | cambridge_score | 3.0 | 3.0 | 80 | false | false
"""
PERSON = "person_id | practice_code | birth_date\n1 | A81001 | 1946-06-01"


def stands(*entries: str, thing: str = "care_plan") -> tuple[object, ...]:
    """State, first and last entry of one thing, from entries as practice, day, day of entry."""
    rows = [f"1 | {entry} | care_plan_agreed" for entry in entries]
    head = "person_id | practice_code | event_date | entered_date | codelist"
    found = answer("care_owed", complex_care=MEMBER, people=PERSON, events="\n".join([head, *rows]))
    assert found.height == 4
    return found.filter(thing=thing).select("state", "since_date", "latest_date").row(0)


def day(days_before: int) -> str:
    return (AS_OF - dt.timedelta(days=days_before)).isoformat()


@pytest.mark.parametrize(("age", "state"), [(1, "in_place"), (365, "in_place"), (366, "due_for_review")])
def test_a_plan_is_reviewed_each_year(age: int, state: str) -> None:
    entered = AS_OF - dt.timedelta(days=age)
    assert stands(f"A81001 | {day(age)} | {day(age)}") == (state, entered, entered)


def test_the_first_entry_says_since_when_and_the_last_whether_it_holds() -> None:
    first, last = AS_OF - dt.timedelta(days=900), AS_OF - dt.timedelta(days=9)
    entries = [f"A81001 | {date} | {date}" for date in (first, last)]
    assert stands(*entries) == ("in_place", first, last)


@pytest.mark.parametrize(
    "entry",
    [f"A81001 | {day(0)} | {day(0)}", f"A81001 | {day(9)} | {day(0)}", f"B82001 | {day(9)} | {day(9)}"],
    ids=["on the day", "entered on the day", "of another practice"],
)
def test_what_is_not_on_record_here_before_the_day_is_missing(entry: str) -> None:
    assert stands(entry) == ("missing", None, None)


def test_a_thing_for_which_no_code_is_known_is_never_said_to_be_missing() -> None:
    assert stands(thing="named_gp") == ("not_known", None, None)
