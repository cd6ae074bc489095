"""Practices that have closed on the as-of date, Monday 16 November 2026, and the people whom they leave behind."""

from tests.lib.tables import answer, by_person

PRACTICES = """
    practice_code | practice_name | icb_code | status | closed_date
    A81001        | First         | QE1      | closed | 2026-11-15
    A81002        | Second        | QE1      | closed | 2026-11-16
    A81003        | Third         | QE1      | active | 2026-11-15
    A81004        | Fourth        | QE1      | closed |
    A81005        | Fifth         | QE1      | active |
    A81006        | Sixth         | QE1      | closed | 2020-01-01
"""
REGISTRATIONS = """
    person_id | practice_code | registered_date | deregistered_date | registration_type | death_date
    1         | A81001        | 2015-01-01      |                   | regular           |
    2         | A81002        | 2015-01-01      |                   | regular           |
    3         | A81003        | 2015-01-01      |                   | regular           |
    4         | A81004        | 2015-01-01      |                   | regular           |
    5         | A81005        | 2015-01-01      |                   | regular           |
    6         | A81005        | 2014-01-01      |                   | regular           |
    6         | A81001        | 2015-01-01      |                   | regular           |
    7         | A81006        | 2015-01-01      | 2026-11-15        | regular           |
    8         | A81001        | 2015-01-01      |                   | temporary         |
    9         | A81001        | 2015-01-01      |                   | regular           | 2026-01-01
   10         | B81001        | 2015-01-01      |                   | regular           |
"""


def test_closed_practice_has_no_people_from_the_day_after_it_closed() -> None:
    people = answer("people", registrations=REGISTRATIONS, practices=PRACTICES)
    assert by_person(people, "practice_code") == {2: "A81002", 5: "A81005", 6: "A81005", 10: "B81001"}


def test_people_of_closed_practices_are_counted() -> None:
    closed = answer("closed_practices", registrations=REGISTRATIONS, practices=PRACTICES)
    assert closed.select("practice_code", "people", "people_nowhere_else").rows() == [
        ("A81001", 2, 1),
        ("A81003", 1, 1),
        ("A81004", 1, 1),
    ]
