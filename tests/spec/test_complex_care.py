"""How places in the complex-care cohort are shared out and who gets them. Here a run has one place per ten people."""

import polars as pl
import pytest

from data_contracts.tables.weekly import CambridgeScores, ComplexCare, RiskScores
from tests.lib.tables import answer, by_person


def registered(count: int, birth_date: str = "1950-01-01") -> str:
    return "\n".join(["person_id | birth_date", *[f"{person} | {birth_date}" for person in range(1, count + 1)]])


def cambridge(scores: dict[int, float]) -> pl.DataFrame:
    blank = {"cambridge_mortality_score": 0.0, "condition_count": 0, "conditions": None}
    rows = [{"person_id": person, "cambridge_score": score, **blank} for person, score in scores.items()]
    return pl.DataFrame(rows, schema=_schema(CambridgeScores))


def learned(scores: dict[int, float | None], cut_error: float | None = None) -> pl.DataFrame:
    blank = {"risk_avoidable_admission_12m": None, "reasons": None, "unscored_reason": None, "model_version": "1"}
    rows = [
        {"person_id": person, "raw_score": score, "cut_error": cut_error, **blank} for person, score in scores.items()
    ]
    return pl.DataFrame(rows, schema=_schema(RiskScores))


def _schema(contract: type) -> dict[str, object]:
    return {name: column.dtype.type for name, column in contract.to_schema().columns.items()}


@pytest.mark.parametrize(("people", "places"), [(4, 0), (5, 1), (14, 1), (15, 2), (24, 2), (30, 3)])
def test_places_are_the_share_of_england_rounded(people: int, places: int) -> None:
    scores = cambridge(dict.fromkeys(range(1, people + 1), 1.0))
    assert answer("complex_care", registrations=registered(people), cambridge_scores=scores).height == places


def test_highest_learned_risk_comes_first() -> None:
    found = answer(
        "complex_care",
        registrations=registered(20),
        cambridge_scores=cambridge({person: float(20 - person) for person in range(1, 21)}),
        risk_scores=learned({person: float(person) for person in range(1, 21)}),
    )
    assert by_person(found, "rank") == {20: 1, 19: 2}
    assert by_person(found, "score") == {20: 20.0, 19: 19.0}
    assert set(found["ranked_by"]) == {"risk_avoidable_admission_12m"}


def test_without_any_learned_risk_the_cambridge_score_ranks_and_says_so() -> None:
    scores = cambridge({person: float(20 - person) for person in range(1, 21)})
    for risks in (learned({}), learned(dict.fromkeys(range(1, 21)))):
        found = answer("complex_care", registrations=registered(20), cambridge_scores=scores, risk_scores=risks)
        assert by_person(found, "rank") == {1: 1, 2: 2}
        assert set(found["ranked_by"]) == {"cambridge_score"}


def test_person_without_a_learned_risk_is_not_ranked_beside_those_who_have_one() -> None:
    found = answer(
        "complex_care",
        registrations=registered(20),
        cambridge_scores=cambridge(dict.fromkeys(range(1, 21), 5.0)),
        risk_scores=learned({person: None if person == 1 else -float(person) for person in range(1, 21)}),
    )
    assert by_person(found, "rank") == {2: 1, 3: 2}


def test_ties_go_to_the_cambridge_score_then_age_then_person_id() -> None:
    births = {1: "1950-01-01", 2: "1940-01-01", 3: "1940-01-01", 4: "1990-01-01"} | dict.fromkeys(
        range(5, 41), "2000-01-01"
    )
    found = answer(
        "complex_care",
        registrations="\n".join(["person_id | birth_date", *[f"{person} | {day}" for person, day in births.items()]]),
        cambridge_scores=cambridge({person: 2.0 if person == 4 else 1.0 for person in births}),
        risk_scores=learned({person: 0.5 if person <= 4 else 0.1 for person in births}),
    )
    assert by_person(found, "rank") == {4: 1, 2: 2, 3: 3, 1: 4}


def members(*people: int) -> pl.DataFrame:
    """Last week's cohort."""
    return pl.DataFrame(
        [{"person_id": person, "practice_code": "A81001", "rank": 1} for person in people],
        schema=_schema(ComplexCare),
    )


def with_places_for_eight(*before: int) -> dict[int, tuple[int, bool, bool]]:
    """Rank, was_member and is_held_over of those with a place; person 1 ranks first, 80 people share eight places."""
    found = answer(
        "complex_care",
        registrations=registered(80),
        cambridge_scores=cambridge({person: float(100 - person) for person in range(1, 81)}),
        previous_complex_care=members(*before),
    )
    return {row["person_id"]: (row["rank"], row["was_member"], row["is_held_over"]) for row in found.to_dicts()}


def test_without_a_week_before_the_highest_ranks_have_the_places() -> None:
    assert with_places_for_eight() == {person: (person, False, False) for person in range(1, 9)}


@pytest.mark.parametrize(("rank", "stays"), [(8, True), (9, True), (16, True), (17, False), (80, False)])
def test_a_member_stays_within_the_band_and_leaves_beyond_it(rank: int, stays: bool) -> None:
    found = with_places_for_eight(rank)
    assert (rank in found) is stays
    assert len(found) == 8
    if rank > 8 and stays:
        assert found[rank] == (rank, True, True)
        assert 8 not in found


def test_members_keep_out_only_those_whom_they_nearly_rank_above() -> None:
    """Ranks 15 and 16 over the band are 7.5 and 8: seven new people rank above both, so one seat is left."""
    assert sorted(with_places_for_eight(15, 16)) == [1, 2, 3, 4, 5, 6, 7, 15]


def test_a_member_who_is_no_longer_ranked_frees_the_place() -> None:
    assert sorted(with_places_for_eight(999)) == list(range(1, 9))


def shared_out(**options: str | int | float) -> list[int]:
    """Who has a place of 40 people, four places: 1 to 20 at one practice, the others at another; 1 scores highest.

    The even numbers live in the most deprived tenth.
    """
    people = "\n".join(
        f"{person} | {'A81001' if person <= 20 else 'A81002'} | {person % 2}" for person in range(1, 41)
    )
    homes = people.replace("| 0", "| E01000002").replace("| 1", "| E01000001")
    found = answer(
        "complex_care",
        options=options,
        registrations=f"person_id | practice_code | lsoa_code\n{homes}",
        lsoas="lsoa_code | imd_decile | imd_edition\nE01000001 | 9 | 2025\nE01000002 | 1 | 2025",
        practices="practice_code | practice_name | pcn_code | icb_code | status\n"
        "A81001 | One | U00001 | QE1 | active\nA81002 | Two | U00001 | QE1 | active",
        cambridge_scores=cambridge({person: float(100 - person) for person in range(1, 41)}),
    )
    return sorted(found["person_id"])


@pytest.mark.parametrize(
    ("options", "chosen"),
    [
        ({}, [1, 2, 3, 4]),
        ({"places_by": "practice"}, [1, 2, 21, 22]),
        ({"places_by": "network"}, [1, 2, 3, 4]),
        ({"places_by": "icb"}, [1, 2, 3, 4]),
        ({"deprived_floor": 0.75}, [1, 2, 4, 6]),
        ({"deprived_floor": 1}, [2, 4, 6, 8]),
        ({"deprived_floor": 1, "places_by": "practice"}, [2, 4, 22, 24]),
        ({"share_of_adults": 0.05}, [1, 2]),
    ],
)
def test_places_can_be_shared_out_by_area_with_a_floor_for_deprived_people(
    options: dict[str, str | int | float], chosen: list[int]
) -> None:
    assert shared_out(**options) == chosen


@pytest.mark.parametrize(
    ("above", "cut_error", "chance"),
    [(0.0, 0.2, 0.5), (0.2, 0.2, 0.846), (0.4, 0.2, 0.968), (0.2, 0.4, 0.701), (0.2, None, None)],
)
def test_the_chance_of_belonging_falls_towards_the_cut(
    above: float, cut_error: float | None, chance: float | None
) -> None:
    found = answer(
        "complex_care",
        registrations=registered(20),
        cambridge_scores=cambridge(dict.fromkeys(range(1, 21), 1.0)),
        risk_scores=learned({1: 1 + above, 2: 1.0} | dict.fromkeys(range(3, 21), 0.5), cut_error),
    )
    first, last = found.sort("rank")["belongs_probability"]
    assert (first if first is None else round(first, 3)) == chance
    assert last == (None if cut_error is None else 0.5)


def test_where_the_cambridge_score_ranks_no_chance_is_told() -> None:
    found = answer("complex_care", registrations=registered(20), cambridge_scores=cambridge({1: 2.0, 2: 1.0}))
    assert found["belongs_probability"].to_list() == [None, None]
