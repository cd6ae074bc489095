"""Judgements in other places and times: areas left out, resampled practices, frozen scores."""

import datetime as dt

import numpy as np
import polars as pl
import pytest

from models.design import StudyDesign
from models.training import train
from models.validation import Study, fit_all, follow_frozen_scores, leave_areas_out, refit_margins, resample_practices
from tests.lib.studies import make_design, make_study


@pytest.fixture(scope="module")
def study() -> Study:
    made = make_study(6_000)
    area = pl.col("practice_code").str.tail(1).cast(pl.Int64) % 2
    people = made.people.with_columns(icb_code=pl.format("Q{}", area))
    return Study(made.features, people, made.admissions, made.cambridge)


@pytest.fixture(scope="module")
def design() -> StudyDesign:
    return make_design()


def test_each_icb_is_judged_by_a_model_that_never_saw_it(design, study):
    rows = leave_areas_out(design, design.estimators[1], study)
    figures = {(row["level"], row["metric"]): row["value"] for row in rows}
    assert {level for level, _ in figures} == {"Q0", "Q1"}
    assert figures["Q0", "c_statistic"] > 0.7
    labelled = study.labelled(design)
    alone = fit_all(
        design.model_copy(update={"estimators": design.estimators[1:2]}),
        study,
        labelled.filter(pl.col("icb_code") == "Q1"),
    )
    assert alone.trained_people == labelled.filter(pl.col("icb_code") == "Q1").height


def test_one_icb_cannot_be_left_out(design, study):
    one = study.only(study.people["icb_code"] == "Q0")
    assert leave_areas_out(design, design.estimators[1], one) == []


def test_the_error_at_the_cut_is_about_what_resampled_practices_give(design, study):
    only = design.model_copy(update={"estimators": design.estimators[1:2]})
    model = fit_all(only, study, study.labelled(design))
    spread = resample_practices(design, design.estimators[1], study, study.people["person_id"])[0]
    assert spread["metric"] == "raw_score_spread"
    assert model.cut_error == pytest.approx(spread["value"], rel=0.6)


def test_resampled_practices_say_how_sure_a_place_is(design, study):
    unseen = study.people["person_id"].head(2_000)
    rows = {row["metric"]: row for row in resample_practices(design, design.estimators[1], study, unseen)}
    assert 0 < rows["raw_score_spread"]["value"] < 1
    assert 0.5 < rows["chance_of_a_listed_place"]["value"] <= 1
    assert rows["places_that_are_sure"]["low"] <= rows["places_that_are_sure"]["value"]


def test_each_refit_fills_the_places_and_repeats_itself(design, study):
    unseen = study.people["person_id"].head(500)
    first = refit_margins(design, design.estimators[1], study, unseen)
    assert ((first >= 0).sum(axis=1) >= 10).all()
    assert np.array_equal(first, refit_margins(design, design.estimators[1], study, unseen))


def test_frozen_scores_are_followed_beside_fresh_ones(design, study):
    model, _ = train(design, study.features, study.people, study.outcomes)
    moved = study.features.with_columns(
        pl.when(pl.col("feature") == "admissions_12m").then(pl.col("value") + 3).otherwise("value").alias("value")
    )
    late = study.outcomes.with_columns(pl.col("admitted_date") + dt.timedelta(weeks=10))
    rows = follow_frozen_scores(model, {0: study, 10: Study(moved, study.people, late)})
    figures = {(row["level"], row["cut"]): row["value"] for row in rows}
    assert figures["frozen", 0.0] == figures["fresh", 0.0]
    assert figures["fresh", 10.0] != figures["frozen", 10.0]
