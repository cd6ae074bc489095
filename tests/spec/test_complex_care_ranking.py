"""What people are ranked by for complex care: every registered person once, with area and scores."""

import polars as pl
import pytest

from tests.lib.tables import answer, by_person

PEOPLE = """
person_id | practice_code | lsoa_code
1         | A81001        | E01000001
2         | A81001        | E01000002
3         | A81002        |
"""
LSOAS = """
lsoa_code | imd_decile | imd_edition
E01000001 | 2          | 2025
E01000002 | 3          | 2025
"""
PRACTICES = """
practice_code | practice_name | pcn_code | icb_code | status
A81001        | One           | U00001   | QE1      | active
A81002        | Two           |          | QE1      | active
"""
SCORES = """
person_id | cambridge_score | cambridge_mortality_score | condition_count | conditions
1         | 2.5             | 0.0                       | 1               |
2         | 0.0             | 0.0                       | 0               |
"""
RISKS = """
person_id | raw_score | cut_error
1         | -1.25     | 0.5
3         |           |
"""


def ranking(**options: str | int | float) -> pl.DataFrame:
    return answer(
        "complex_care_ranking",
        options=options,
        registrations=PEOPLE,
        lsoas=LSOAS,
        practices=PRACTICES,
        cambridge_scores=SCORES,
        risk_scores=RISKS,
    )


def test_every_registered_person_has_a_row_with_or_without_a_score() -> None:
    found = ranking()
    assert by_person(found, "cambridge_score") == {1: 2.5, 2: 0.0, 3: None}
    assert by_person(found, "raw_score") == {1: -1.25, 2: None, 3: None}
    assert by_person(found, "cut_error") == {1: 0.5, 2: None, 3: None}


def test_the_two_most_deprived_tenths_are_deprived_and_an_unknown_one_is_not() -> None:
    assert by_person(ranking(), "is_deprived") == {1: True, 2: False, 3: False}


@pytest.mark.parametrize(
    ("places_by", "areas"),
    [
        ("all", ["all", "all", "all"]),
        ("icb", ["QE1", "QE1", "QE1"]),
        ("network", ["U00001", "U00001", "A81002"]),
        ("practice", ["A81001", "A81001", "A81002"]),
    ],
)
def test_the_area_is_where_places_are_shared_out(places_by: str, areas: list[str]) -> None:
    """A practice without a network is one of its own."""
    assert by_person(ranking(places_by=places_by), "area") == dict(zip([1, 2, 3], areas, strict=True))
