"""Who joined or left complex care since the week before, and why."""

import polars as pl
import pytest

from data_contracts.tables.weekly import CohortMoves
from pipelines.steps.moves import MOVES, CohortWeek, explain_moves


def week(members: dict[int, str], scores: dict[int, float], people: list[int] | None = None) -> CohortWeek:
    everyone = sorted(scores) if people is None else people
    return CohortWeek(
        people=pl.DataFrame({"person_id": everyone}, schema={"person_id": pl.Int64}),
        members=pl.DataFrame(
            list(members.items()), schema={"person_id": pl.Int64, "practice_code": pl.String}, orient="row"
        ),
        scores=pl.DataFrame(list(scores.items()), schema={"person_id": pl.Int64, "score": pl.Float64}, orient="row"),
    )


def ids(*people: int) -> pl.DataFrame:
    return pl.DataFrame({"person_id": people}, schema={"person_id": pl.Int64})


def moves(before: CohortWeek, now: CohortWeek, *, registered: list[int] | None = None, dead: tuple[int, ...] = ()):
    open_now = ids(*(now.people["person_id"].to_list() if registered is None else registered))
    found = explain_moves(before, now, registrations=open_now, deaths=ids(*dead))
    CohortMoves.validate(found)
    return {row[0]: row[1:] for row in found.rows()}


def test_nobody_moved() -> None:
    same = week({1: "A81001"}, {1: 2.0, 2: 1.0})
    assert moves(same, same) == {}


@pytest.mark.parametrize(
    ("before", "now", "reason"),
    [
        ({1: 2.0}, {1: 2.0, 2: 3.0}, "newly registered"),
        ({2: 1.0}, {2: 3.0}, "score rose"),
        ({2: 1.0}, {2: 1.0}, "places came free"),
    ],
)
def test_who_joined(before: dict[int, float], now: dict[int, float], reason: str) -> None:
    assert moves(week({}, before), week({2: "A81001"}, now)) == {2: ("A81001", "joined", reason)}


@pytest.mark.parametrize(
    ("scores", "registered", "dead", "reason"),
    [
        ({}, [], (1,), "died"),
        ({}, [], (), "left the practice"),
        ({}, [1], (), "opted out or record withheld"),
        ({1: 1.0}, [1], (), "score fell"),
        ({1: 2.0}, [1], (), "others ranked higher"),
    ],
)
def test_who_left(scores: dict[int, float], registered: list[int], dead: tuple[int, ...], reason: str) -> None:
    found = moves(week({1: "A81001"}, {1: 2.0}), week({}, scores), registered=registered, dead=dead)
    assert found == {1: ("A81001", "left", reason)}


def test_who_changed_practice_stays_and_is_named() -> None:
    found = moves(week({1: "A81001"}, {1: 2.0}), week({1: "A81002"}, {1: 2.0}))
    assert found == {1: ("A81002", "moved practice", "registered elsewhere")}


def test_moves_have_the_columns_of_their_contract() -> None:
    assert list(MOVES) == list(CohortMoves.to_schema().columns)
