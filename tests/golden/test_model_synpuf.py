"""On people that others made: next year's admission from claims, and what a year does to a frozen model."""

import os
from pathlib import Path

import pytest

from models.evaluation import evaluate
from models.recalibration import recalibrate
from models.training import hold_out, label, train
from tests.lib.synpuf import make_features, read_people, read_stays, synpuf_design

FOLDER = Path(os.environ.get("CASEFINDER_SHARED_DATA", "absent")) / "synpuf"
pytestmark = [
    pytest.mark.shared_data,
    pytest.mark.skipif(not FOLDER.is_dir(), reason="needs CASEFINDER_SHARED_DATA with the folder synpuf"),
]


@pytest.fixture(scope="module")
def trained():
    design, stays = synpuf_design(2009), read_stays(FOLDER)
    people = read_people(FOLDER, 2009, samples=[1, 2])
    return train(design, make_features(people, stays, design.index_date), people, stays)


def test_next_years_admission_is_found_as_well_as_is_known_to_be_possible(trained):
    evaluation = trained[1]
    assert evaluation.value("c_statistic") == pytest.approx(0.76, abs=0.02)
    assert evaluation.value("positive_predictive_value", cut=0.02) == pytest.approx(0.55, abs=0.1)
    assert not evaluation.alarms


def test_a_year_later_the_frozen_model_ranks_worse_and_says_too_much_until_recalibrated(trained):
    model = trained[0]
    design, stays = synpuf_design(2010), read_stays(FOLDER)
    people = label(design, read_people(FOLDER, 2010, samples=[1, 2]), stays)
    features = make_features(people, stays, design.index_date)
    unseen = people.filter(hold_out(model.design, people["practice_code"]))
    later = evaluate(model.design, model.score(features, unseen["person_id"]), unseen)
    assert later.value("c_statistic") == pytest.approx(0.70, abs=0.03)
    assert later.value("observed_over_expected") < 0.8
    _, before, after = recalibrate(model, features, people)
    assert before.value("observed_over_expected") < 0.8
    assert after.value("observed_over_expected") == pytest.approx(1, abs=0.1)
    assert after.value("calibration_slope") == pytest.approx(1, abs=0.15)
