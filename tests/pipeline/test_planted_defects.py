"""The answer key: every planted defect is caught by the rule meant for it, and nothing else is touched."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest

from tests.lib.defects.answer_key import plant, plant_systmone
from tests.lib.defects.grading import Grader, Score
from tests.lib.defects.planting import Key


@pytest.fixture(scope="module")
def grader(tmp_path_factory: pytest.TempPathFactory) -> Grader:
    return plant(tmp_path_factory.mktemp("defects"))


@pytest.fixture(scope="module")
def score(grader: Grader) -> Score:
    return grader.grade()


def test_every_defect_is_caught_by_its_rule_and_nothing_else_is_touched(
    score: Score, record_property: Callable[[str, object], None]
) -> None:
    record_property("score", str(score))
    assert score.missed == []
    assert score.touched == []


def test_there_are_at_least_300_defects_of_35_kinds(score: Score) -> None:
    assert len(score.caught) >= 300
    assert len({defect.kind for defect in score.caught}) >= 35


def test_every_defect_of_systmone_is_caught_by_its_rule_and_nothing_else_is_touched(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    found = plant_systmone(tmp_path).grade()
    record_property("score", str(found))
    assert found.missed == []
    assert found.touched == []
    assert len({defect.kind for defect in found.caught}) >= 50


def graded(grader: Grader, change: Callable[[Key], None]) -> Score:
    """The score by another key."""
    key = deepcopy(grader.key)
    change(key)
    return Grader(grader.clean, grader.marred, key).grade()


@pytest.mark.parametrize("outcome", ["quarantined", "refused", "held", "unchanged", "mended"])
def test_a_defect_that_another_rule_catches_counts_as_missed(grader: Grader, outcome: str) -> None:
    wrong = {"mended": "bmi: 1"}.get(outcome, "a rule of another kind")

    def mistake(key: Key) -> None:
        place = next(n for n, defect in enumerate(key.defects) if defect.outcome == outcome)
        about = next(defect.about for defect in key.defects if defect.rule == "the person counts once")
        key.defects[place] = replace(key.defects[place], rule=wrong, about=about)

    assert len(graded(grader, mistake).missed) == 1


@pytest.mark.parametrize("outcome", ["quarantined", "superseded", "blank", "refused", "held"])
def test_what_no_defect_explains_counts_as_touched(grader: Grader, outcome: str) -> None:
    def forget(key: Key) -> None:
        key.defects.remove(next(defect for defect in key.defects if defect.outcome == outcome))

    found = graded(grader, forget)
    assert found.missed == []
    assert found.touched


@pytest.mark.parametrize("name", ["follows", "lost", "changed", "added", "lost_stays", "lost_people"])
def test_a_row_that_the_key_does_not_name_counts_as_touched(grader: Grader, name: str) -> None:
    def forget(key: Key) -> None:
        named = getattr(key, name)
        one = sorted(named)[0]
        named.pop(one) if isinstance(named, dict) else named.remove(one)

    assert graded(grader, forget).touched


def test_a_superseded_record_that_is_not_found_counts_as_missed(grader: Grader) -> None:
    def add(key: Key) -> None:
        key.defects.append(next(defect for defect in key.defects if defect.outcome == "superseded"))

    assert len(graded(grader, add).missed) == 1
