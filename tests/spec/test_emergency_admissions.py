"""Any emergency admission: which spells count, by how the person was admitted and when it was known."""

import datetime as dt

import pytest

from tests.lib.tables import answer

SPELL = "person_id | admitted_date | entered_date | admission_method | diagnosis_codes"


def admitted(row: str) -> list[dt.date]:
    return answer("emergency_admissions", spells=f"{SPELL}\n{row}")["admitted_date"].to_list()


@pytest.mark.parametrize("method", ["21", "22", "23", "24", "25", "2A", "2D", "28"])
def test_new_emergencies_count_whatever_the_diagnosis(method: str) -> None:
    assert admitted(f"1 | 2026-01-01 | 2026-01-20 | {method} | S720") == [dt.date(2026, 1, 1)]
    assert admitted(f"1 | 2026-01-01 | 2026-01-20 | {method} |") == [dt.date(2026, 1, 1)]


@pytest.mark.parametrize("method", ["11", "12", "13", "31", "32", "81", "82", "2B", "98"])
def test_planned_maternity_and_transferred_do_not_count(method: str) -> None:
    assert admitted(f"1 | 2026-01-01 | 2026-01-20 | {method} | J440") == []


@pytest.mark.parametrize(("day", "is_counted"), [("2026-11-15", True), ("2026-11-16", False), ("2026-11-17", False)])
def test_only_what_began_and_was_known_before_the_as_of_date_counts(day: str, is_counted: bool) -> None:
    assert bool(admitted(f"1 | {day} | {day} | 21 | J440")) is is_counted
    assert bool(admitted(f"1 | 2026-01-01 | {day} | 21 | J440")) is is_counted


def test_each_spell_is_a_row_and_nobody_without_one_has_any() -> None:
    found = answer(
        "emergency_admissions",
        spells=f"{SPELL}\n2 | 2026-02-01 | 2026-02-20 | 21 | J440\n2 | 2026-01-01 | 2026-01-20 | 21 | J440",
    )
    assert found.rows() == [(2, dt.date(2026, 1, 1)), (2, dt.date(2026, 2, 1))]
