"""Training: outcomes, split, comparison, choice and errors."""

import datetime as dt

import numpy as np
import polars as pl
import pytest

from data_contracts.tables.weekly import RiskScores
from models.additive import AdditiveModel
from models.design import Subgroup
from models.evaluation import Evaluation
from models.matrix import label
from models.scoring import leave_unscored, score_people
from models.training import Comparison, choose, cut_error, hold_out, train
from tests.lib.studies import Study, make_design, make_study


@pytest.fixture(scope="module")
def study() -> Study:
    return make_study()


@pytest.fixture(scope="module")
def trained(study: Study) -> tuple[AdditiveModel, Evaluation]:
    return train(study.design, study.features, study.people, study.admissions, study.cambridge)


def test_training_twice_gives_the_same_model(study, trained):
    again, _ = train(study.design, study.features, study.people, study.admissions, study.cambridge)
    assert again == trained[0]


def test_model_finds_what_was_planted(study, trained):
    model, evaluation = trained
    assert model.estimator == "logistic_splines"
    assert evaluation.value("c_statistic") > 0.7
    scores = model.score(study.features, study.people["person_id"]).join(study.truth, on="person_id")
    assert scores.select(pl.corr("raw_score", "true_risk", method="spearman")).item() > 0.9
    assert not evaluation.alarms
    benefits = [evaluation.value("net_benefit", group="rule", level=x, cut=0.05) for x in ("model", "two admissions")]
    assert benefits[0] > benefits[1]


def test_comparison_names_every_estimator_and_the_chosen_one(trained):
    rows = trained[1].table.filter(pl.col("metric") == "chosen")
    assert rows["level"].to_list() == ["cambridge_only", "logistic_splines", "additive_boosting"]
    assert rows["value"].sum() == 1


def test_held_out_practices_are_whole_and_not_trained_on(study, trained):
    is_held_out = hold_out(study.design, study.people["practice_code"])
    held_out = set(study.people.filter(is_held_out)["practice_code"])
    kept = set(study.people.filter(~is_held_out)["practice_code"])
    assert len(held_out) == 3
    assert not held_out & kept
    assert trained[0].trained_people == int((~is_held_out).sum())


@pytest.mark.parametrize(
    ("day", "is_counted"), [(-1, False), (0, True), (364, True), (365, False)], ids=["before", "on", "last", "after"]
)
def test_outcome_is_from_the_index_date_to_before_the_end(day, is_counted):
    design = make_design()
    people = pl.DataFrame({"person_id": [7, 8]})
    admissions = pl.DataFrame({"person_id": [7], "admitted_date": [design.index_date + dt.timedelta(days=day)]})
    assert label(design, people, admissions)["has_outcome"].to_list() == [is_counted, False]


def test_two_admissions_are_one_outcome_and_two_counts():
    design = make_design()
    admissions = pl.DataFrame({"person_id": [7, 7], "admitted_date": [design.index_date] * 2})
    labelled = label(design, pl.DataFrame({"person_id": [7]}), admissions)
    assert labelled.select("has_outcome", "outcome_count").row(0) == (True, 2)


def test_comparison_on_fewer_people_still_trains_on_all(study, trained):
    choice = study.design.choice.model_copy(update={"comparison_people": 4_000})
    design = study.design.model_copy(update={"choice": choice})
    model, evaluation = train(design, study.features, study.people, study.admissions, study.cambridge)
    assert model.trained_people == trained[0].trained_people
    assert evaluation.value("c_statistic") == pytest.approx(trained[1].value("c_statistic"), abs=0.05)


@pytest.mark.parametrize(
    ("figures", "chosen"),
    [
        ([(0.70, 0.10), (0.80, 0.20), (0.801, 0.202)], 1),
        ([(0.70, 0.10), (0.79, 0.20), (0.80, 0.20)], 1),
        ([(0.80, 0.10), (0.77, 0.20)], 1),
        ([(0.80, 0.199), (0.80, 0.20)], 0),
        ([(0.78, 0.20), (0.80, 0.25)], 1),
    ],
    ids=["as good", "equal precision, first best", "ranks differ", "simplest", "clearly better"],
)
def test_the_simplest_as_good_as_the_best_is_chosen(figures, chosen):
    design = make_design()
    estimators = design.estimators[: len(figures)]
    compared = [Comparison(e, np.empty(0), c, p) for e, (c, p) in zip(estimators, figures, strict=True)]
    assert choose(design, compared) is compared[chosen]


class Shifted:
    """A fit that adds one number to everybody's score, and another to that of the odd ones."""

    def __init__(self, everybody: float, odd: float) -> None:
        self.everybody, self.odd = everybody, odd

    def raw_scores(self, bins):
        return bins[0] / 1000 + self.everybody + self.odd * (bins[0] % 2)


@pytest.mark.parametrize(
    ("fits", "expected"),
    [
        ([(0.0, 0.0)] * 5, 0.0),
        ([(0.0, 0.0), (5.0, 0.0), (-5.0, 0.0)], 0.0),
        ([(0.0, 0.001), (0.0, -0.001), (0.0, 0.0)], 0.001),
    ],
    ids=["all agree", "what moves all alike", "half of the people move"],
)
def test_the_error_at_the_cut_is_that_of_the_margin(fits, expected):
    bins = np.arange(1000)[None, :]
    found = cut_error([Shifted(*fit) for fit in fits], bins, cut=0.1)
    assert found == pytest.approx(expected, rel=0.5)


def test_empty_outcome_is_refused(study):
    with pytest.raises(ValueError, match="found 0 of 8000 with it"):
        train(study.design, study.features, study.people, study.admissions.clear())


def test_single_class_is_refused(study):
    everyone = study.people.select("person_id", admitted_date=pl.lit(study.design.index_date))
    with pytest.raises(ValueError, match="found 8000 of 8000 with it"):
        train(study.design, study.features, study.people, everyone)


def test_feature_that_nobody_has_is_refused(study):
    without = study.features.filter(pl.col("feature") != "egfr")
    with pytest.raises(ValueError, match="feature 'egfr' is unknown in everyone"):
        train(study.design, without, study.people, study.admissions)


def test_zero_feature_that_nobody_has_is_left_out(study):
    without = study.features.filter(pl.col("feature") != "prison")
    model, _ = train(study.design, without, study.people, study.admissions)
    assert "prison" not in model.names


def test_too_few_practices_are_refused(study):
    one = study.people.with_columns(practice_code=pl.lit("Y00001"))
    with pytest.raises(ValueError, match="practices: expected more than 3"):
        train(study.design, study.features, one, study.admissions)


def test_planted_leak_raises_the_alarm(study):
    cases = study.admissions.select("person_id", feature=pl.lit("prison"), value=pl.lit(1.0))
    leaky = pl.concat([study.features.filter(pl.col("feature") != "prison").collect(), cases]).lazy()
    _, evaluation = train(study.design, leaky, study.people, study.admissions)
    assert any("c_statistic" in alarm for alarm in evaluation.alarms)


def test_scores_meet_the_contract_and_leave_nobody_out(study, trained):
    lacking = study.people["person_id"][0]
    features = study.features.filter((pl.col("person_id") != lacking) | (pl.col("feature") != "age_years"))
    scores = score_people(trained[0], features, study.people)
    RiskScores.validate(scores)
    assert scores["person_id"].to_list() == study.people["person_id"].sort().to_list()
    unscored = scores.filter(pl.col("raw_score").is_null())
    assert unscored.select("person_id", "unscored_reason", "model_version").rows() == [
        (lacking, "age_years is unknown", None)
    ]


def test_people_outside_the_population_get_a_reason(study, trained):
    population = trained[0].design.population.model_copy(update={"minimum_age_years": 40})
    design = trained[0].design.model_copy(update={"population": population})
    model = trained[0].model_copy(update={"design": design})
    scores = score_people(model, study.features, study.people).join(study.people, on="person_id")
    young = scores.filter(pl.col("age_years") < 40)
    assert young["unscored_reason"].unique().to_list() == ["age is outside the model's 40 to 130 years"]
    assert scores.filter(pl.col("age_years") >= 40)["raw_score"].null_count() == 0


def test_a_week_without_a_champion_says_so(study):
    scores = leave_unscored(study.people)
    RiskScores.validate(scores)
    assert scores["unscored_reason"].unique().to_list() == ["no model has been promoted to champion"]


def test_people_contacted_from_a_list_are_not_learned_from_but_judged(study):
    """Half of the people at risk were helped, so not admitted: marked, they do not teach that such risk is low."""
    risky = study.truth.filter(pl.col("true_risk") > 0.1)["person_id"]
    helped = risky.filter(pl.Series(np.arange(len(risky)) % 2 == 0))
    averted = study.admissions.filter(~pl.col("person_id").is_in(helped.implode()))
    marked = study.people.with_columns(is_worked=pl.col("person_id").is_in(helped.implode()))
    groups = (*study.design.judgement.subgroups, Subgroup(name="contacted", column="is_worked"))
    design = study.design.model_copy(
        update={"judgement": study.design.judgement.model_copy(update={"subgroups": groups})}
    )
    blind, _ = train(design, study.features, study.people, averted)
    aware, evaluation = train(design, study.features, marked, averted)
    means = [model.score(study.features, risky)["risk"].mean() for model in (blind, aware)]
    truth = study.truth.filter(pl.col("person_id").is_in(risky.implode()))["true_risk"].mean()
    assert means[0] < 0.7 * truth
    assert means[1] > 0.85 * truth
    assert evaluation.value("people", group="contacted", level="true") > 0
