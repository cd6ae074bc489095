"""Deaths: any source that says dead is enough, and the earliest date that one gives counts."""

import datetime as dt

import pytest

from tests.lib.tables import answer

PERSON = "person_id | practice_code | death_date"
SPELL = "person_id | admitted_date | discharged_date | entered_date | discharge_method"


def died(registrations: str = "1 | A81001 |", spells: str = "") -> list[tuple[int, dt.date]]:
    found = answer("deaths", registrations=f"{PERSON}\n{registrations}", spells=f"{SPELL}\n{spells}".strip())
    return found.rows()


def test_a_death_on_the_gp_record_counts_and_no_date_is_no_death() -> None:
    assert died("1 | A81001 | 2026-03-01") == [(1, dt.date(2026, 3, 1))]
    assert died() == []


@pytest.mark.parametrize(("day", "is_known"), [("2026-11-15", True), ("2026-11-16", False), ("2026-11-17", False)])
def test_only_deaths_before_the_as_of_date_are_known(day: str, is_known: bool) -> None:
    assert bool(died(f"1 | A81001 | {day}")) is is_known
    assert bool(died(spells=f"1 | 2026-01-01 | {day} | 2026-01-02 | 4")) is is_known
    assert bool(died(spells=f"1 | 2026-01-01 | 2026-01-05 | {day} | 4")) is is_known


@pytest.mark.parametrize("method", ["1", "2", "3", "8", "9", ""])
def test_a_spell_that_ended_otherwise_is_no_death(method: str) -> None:
    assert died(spells=f"1 | 2026-01-01 | 2026-01-05 | 2026-01-20 | {method}") == []


def test_the_earliest_of_several_dates_counts_once() -> None:
    two = "1 | A81001 | 2026-03-03\n1 | A81002 | 2026-03-02"
    assert died(two, "1 | 2026-02-01 | 2026-03-01 | 2026-03-20 | 4") == [(1, dt.date(2026, 3, 1))]
