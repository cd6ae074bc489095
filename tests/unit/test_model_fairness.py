"""Groups served badly are found, and a model recalibrated in a new place says the right thing there."""

import numpy as np
import polars as pl
import pytest

from models.evaluation import evaluate
from models.fairness import find_unfair_groups
from models.matrix import label
from models.recalibration import recalibrate
from models.training import train
from tests.lib.studies import make_design, make_study


def judged(seed, under_recorded):
    """The judgement of risks that halve one group's if it is under-recorded, and are true otherwise."""
    draw = np.random.default_rng(seed)
    size = 20_000
    risks = 1 / (1 + np.exp(-draw.normal(-2.5, 1, size)))
    is_female = draw.random(size) < 0.3
    said = np.where(is_female & under_recorded, risks * 0.6, risks)
    outcomes = draw.random(size) < risks
    people = pl.DataFrame(
        {
            "person_id": np.arange(size),
            "sex": np.where(is_female, "female", "male"),
            "age_years": draw.integers(18, 90, size),
            "has_outcome": outcomes,
            "outcome_count": outcomes.astype(int),
        }
    )
    scores = people.select("person_id", raw_score=pl.Series(said), risk=pl.Series(said))
    design = make_design()
    return find_unfair_groups(design, evaluate(design, scores, people))


@pytest.mark.parametrize("seed", range(5))
def test_an_under_recorded_group_is_found(seed):
    found = judged(seed, under_recorded=True)
    assert found.filter("is_under_served").select("group", "level").rows() == [("sex", "female")]


def test_fair_risks_ring_no_alarm():
    assert sum(judged(seed, under_recorded=False).height for seed in range(10, 16)) == 0


@pytest.fixture(scope="module")
def trained():
    study = make_study()
    return study, train(study.design, study.features, study.people, study.admissions)[0]


def test_recalibration_mends_risks_that_are_too_high_and_keeps_the_ranking(trained):
    study, model = trained
    new = make_study(20_000, seed=2)
    fewer = new.admissions.filter(pl.Series(np.random.default_rng(3).random(new.admissions.height) < 0.5))
    people = label(study.design, new.people, fewer)
    local, before, after = recalibrate(model, new.features, people)
    assert before.value("observed_over_expected") < 0.7
    assert after.value("observed_over_expected") == pytest.approx(1, abs=0.2)
    assert after.value("c_statistic") == before.value("c_statistic")
    assert local.version != model.version
    assert local.tables == model.tables


def test_recalibration_needs_outcomes_in_both_halves(trained):
    study, model = trained
    people = label(study.design, study.people, study.admissions.head(40))
    with pytest.raises(ValueError, match="recalibration: expected at least 30 outcomes in each half"):
        recalibrate(model, study.features, people)
