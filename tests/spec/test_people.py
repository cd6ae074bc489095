"""Who is in the population on the as-of date, Monday 16 November 2026."""

import datetime as dt

import polars as pl
import pytest

from tests.lib.tables import add_code, answer, by_person, table


def found(registrations: str, **given: str | pl.DataFrame) -> set[int]:
    return set(answer("people", registrations=registrations, **given)["person_id"])


def test_regular_registration_that_covers_the_as_of_date_counts() -> None:
    people = found("""
        person_id | registered_date | deregistered_date | registration_type
        1         | 2026-11-15      |                   | regular
        2         | 2026-11-16      |                   | regular
        3         | 2026-11-17      |                   | regular
        4         | 2020-01-01      | 2026-11-15        | regular
        5         | 2020-01-01      | 2026-11-16        | regular
        6         | 2020-01-01      | 2026-11-17        | regular
        7         | 2020-01-01      |                   | temporary
        8         | 2020-01-01      |                   | other
        9         | 2020-01-01      | 2019-01-01        | regular
    """)
    assert people == {1, 5, 6}


def test_death_known_before_the_as_of_date_removes() -> None:
    people = found("""
        person_id | death_date
        1         | 2026-11-15
        2         | 2026-11-16
        3         |
    """)
    assert people == {2, 3}


def test_death_recorded_on_an_older_registration_removes() -> None:
    people = found("""
        person_id | practice_code | registered_date | deregistered_date | death_date
        1         | A81002        | 2010-01-01      | 2015-01-01        | 2014-12-31
        1         | A81001        | 2015-01-01      |                   |
    """)
    assert people == set()


def test_death_in_hospital_removes() -> None:
    spells = """
        person_id | admitted_date | discharged_date | entered_date | discharge_method
        1         | 2026-11-01    | 2026-11-10      | 2026-11-15   | 4
        2         | 2026-11-01    | 2026-11-10      | 2026-11-16   | 4
        3         | 2026-11-01    | 2026-11-10      | 2026-11-15   | 1
        4         | 2026-11-01    | 2026-11-16      | 2026-11-15   | 4
    """
    assert found("person_id\n1\n2\n3\n4", spells=spells) == {2, 3, 4}


def test_latest_registration_wins_then_the_first_practice_code() -> None:
    people = answer(
        "people",
        registrations="""
            person_id | practice_code | registered_date
            1         | A81001        | 2010-01-01
            1         | A81002        | 2020-01-01
            2         | A81002        | 2020-01-01
            2         | A81001        | 2020-01-01
        """,
    )
    assert by_person(people, "practice_code") == {1: "A81002", 2: "A81001"}


def test_dissent_removes_whatever_its_date_or_practice_once_known() -> None:
    events = """
        person_id | codelist       | practice_code | event_date | entered_date
        1         | type_1_opt_out | A81001        | 2020-01-01 | 2020-01-01
        2         | type_1_opt_out | A81001        |            | 2020-01-01
        3         | type_1_opt_out | A81001        | 2027-01-01 | 2026-11-15
        4         | type_1_opt_out | A81999        | 2020-01-01 | 2020-01-01
        5         | type_1_opt_out | A81001        | 2020-01-01 | 2026-11-15
        6         | type_1_opt_out | A81001        | 2020-01-01 | 2026-11-16
        7         | hypertension   | A81001        | 2020-01-01 | 2020-01-01
    """
    assert found("person_id\n1\n2\n3\n4\n5\n6\n7\n8", events=events) == {6, 7, 8}


@pytest.mark.parametrize(
    ("dissent", "withdrawal", "is_in"),
    [
        (dt.date(2020, 1, 2), dt.date(2020, 1, 1), False),
        (dt.date(2020, 1, 2), dt.date(2020, 1, 2), False),
        (dt.date(2020, 1, 2), dt.date(2020, 1, 3), True),
        (dt.date(2020, 1, 2), dt.date(2026, 11, 16), False),
        (dt.date(2020, 1, 2), None, False),
        (None, dt.date(2020, 1, 3), False),
    ],
)
def test_withdrawal_counts_only_if_dated_after_the_dissent(
    dissent: dt.date | None, withdrawal: dt.date | None, is_in: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    withdrawn = 40030001
    add_code(monkeypatch, "type_1_opt_out_withdrawn", withdrawn)
    events = table(
        "events",
        """
        person_id | codelist       | entered_date
        1         | type_1_opt_out | 2020-01-01
        1         | hypertension   | 2020-01-01
        """,
    )
    events = events.with_columns(
        event_date=pl.Series([dissent, withdrawal], dtype=pl.Date),
        concept_id=pl.Series([events["concept_id"][0], withdrawn]),
    )
    assert found("person_id\n1", events=events) == ({1} if is_in else set())


def test_age_is_whole_years_by_birthday() -> None:
    people = answer(
        "people",
        registrations="""
            person_id | birth_date
            1         | 1976-11-15
            2         | 1976-11-16
            3         | 1976-11-17
            4         | 2026-11-15
            5         | 1976-02-29
        """,
    )
    assert by_person(people, "age_years") == {1: 50, 2: 50, 3: 49, 4: 0, 5: 50}


def test_someone_born_on_29_february_grows_older_on_1_march() -> None:
    born = "person_id | birth_date\n1 | 2004-02-29"
    ages = [answer("people", as_of=day, registrations=born)["age_years"][0] for day in _around_first_of_march()]
    assert ages == [22, 23]


def test_someone_not_yet_born_is_left_out() -> None:
    assert found("person_id | birth_date\n1 | 2026-11-16\n2 | 2026-11-15") == {2}


def test_latest_stated_ethnic_group_at_the_present_practice_counts() -> None:
    people = answer(
        "people",
        registrations="person_id\n1\n2\n3\n4",
        events="""
            person_id | ethnic_group | practice_code | event_date | entered_date
            1         | A            | A81001        | 2019-01-01 | 2019-01-01
            1         | H            | A81001        | 2020-01-01 | 2020-01-01
            1         | K            | A81001        | 2026-11-16 | 2026-11-16
            1         | N            | A81999        | 2021-01-01 | 2021-01-01
            2         | J            | A81001        |            | 2020-01-01
            3         | B            | A81001        | 2020-01-01 | 2020-02-01
            3         | C            | A81001        | 2020-01-01 | 2020-03-01
        """,
    )
    assert by_person(people, "ethnic_group") == {1: "H", 2: "J", 3: "C", 4: None}


def test_deprivation_comes_from_the_place_of_residence() -> None:
    people = answer(
        "people",
        registrations="person_id | lsoa_code\n1 | E01000001\n2 | E01000099\n3 |",
        lsoas="lsoa_code | imd_decile | imd_edition\nE01000001 | 9 | 2025",
    )
    assert by_person(people, "imd_decile") == {1: 9, 2: None, 3: None}


def _around_first_of_march() -> list[dt.date]:
    return [dt.date(2027, 2, 28), dt.date(2027, 3, 1)]
