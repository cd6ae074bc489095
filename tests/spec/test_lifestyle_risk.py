"""Who is in the lifestyle cohort, and in which order."""

from tests.lib.tables import answer, by_person


def test_people_with_a_flag_are_ranked_in_their_practice() -> None:
    found = answer(
        "lifestyle_risk",
        registrations="""
            person_id | practice_code | birth_date
            1         | A81001        | 1970-01-01
            2         | A81001        | 1960-01-01
            3         | A81001        | 1960-01-01
            4         | A81001        | 1990-01-01
            5         | A81002        | 1990-01-01
            6         | A81001        | 1990-01-01
        """,
        events="""
            person_id | practice_code | codelist        | event_date | value
            1         | A81001        | bmi             | 2026-01-01 | 31
            2         | A81001        | bmi             | 2026-01-01 | 31
            3         | A81001        | bmi             | 2026-01-01 | 31
            4         | A81001        | bmi             | 2026-01-01 | 31
            4         | A81001        | smoking_current | 2026-01-01 |
            5         | A81002        | smoking_current | 2026-01-01 |
            6         | A81001        | bmi             | 2026-01-01 | 22
        """,
    )
    assert by_person(found, "rank") == {4: 1, 2: 2, 3: 3, 1: 4, 5: 1}
    assert by_person(found, "flag_count") == {4: 2, 2: 1, 3: 1, 1: 1, 5: 1}
