"""Figures of an evaluation against worked cases, statsmodels, and scores that are calibrated by construction."""

import numpy as np
import polars as pl
import pytest
import statsmodels.api as sm
from sklearn.metrics import roc_auc_score

from models import evaluation as judged
from models.design import Subgroup
from models.evaluation import against_oracle, evaluate, with_subgroups
from tests.lib.studies import make_design, make_study


@pytest.fixture(scope="module")
def calibrated():
    """Risks that are true by construction, and what was drawn from them."""
    draw = np.random.default_rng(5)
    risks = 1 / (1 + np.exp(-draw.normal(-3, 1.2, 40_000)))
    return risks, (draw.random(40_000) < risks).astype(float)


def _scores(ids, risks):
    return pl.DataFrame({"person_id": ids, "raw_score": risks, "risk": risks})


def test_c_statistic_counts_pairs_and_halves_ties():
    found = judged.c_statistic(np.array([1.0, 2.0, 2.0, 3.0]), np.array([0.0, 1.0, 0.0, 1.0]))
    assert found.value == pytest.approx(3.5 / 4)


def test_c_statistic_equals_scikit_learn_and_its_interval_holds_it(calibrated):
    risks, outcomes = calibrated
    found = judged.c_statistic(risks, outcomes)
    assert found.value == pytest.approx(roc_auc_score(outcomes, risks))
    assert found.low < found.value < found.high
    assert found.high - found.low < 0.04


def test_calibration_slope_equals_statsmodels(calibrated):
    risks, outcomes = calibrated
    log_odds = np.log(risks / (1 - risks))
    reference = sm.Logit(outcomes, sm.add_constant(log_odds)).fit(disp=0)
    found = judged.calibration_slope(risks, outcomes)
    assert found.value == pytest.approx(reference.params[1])
    assert (found.low, found.high) == pytest.approx(tuple(reference.conf_int()[1]))
    assert found.low < 1 < found.high


@pytest.mark.parametrize("stretch", [0.6, 1.0, 1.6])
def test_calibration_index_is_close_to_lowess_and_to_the_truth(calibrated, stretch):
    risks, outcomes = calibrated
    log_odds = np.log(risks / (1 - risks))
    said = 1 / (1 + np.exp(-stretch * log_odds))
    found = float(np.abs(judged.observed_curve(said, outcomes) - said).mean())
    smooth = sm.nonparametric.lowess(outcomes, said, frac=0.3, it=0, delta=0.002, return_sorted=False)
    assert found == pytest.approx(float(np.abs(smooth - said).mean()), abs=0.004)
    assert found == pytest.approx(float(np.abs(risks - said).mean()), abs=0.003)


def test_observed_over_expected_is_one_for_true_risks_and_doubles_when_they_are_halved(calibrated):
    risks, outcomes = calibrated
    found = judged.observed_over_expected(risks, outcomes)
    assert found.low < 1 < found.high
    assert judged.observed_over_expected(risks / 2, outcomes).value == pytest.approx(2 * found.value)


@pytest.mark.parametrize(
    ("found", "among", "low", "high"), [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (81, 263, 0.2553, 0.3662)]
)
def test_proportion_has_wilsons_interval(found, among, low, high):
    interval = judged.proportion(found, among)
    assert interval.value == found / among
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=5e-5)


def test_cut_figures_of_ten_people():
    design = make_design()
    ids = list(range(10))
    outcomes = [0, 0, 0, 0, 0, 0, 0, 1, 0, 1]
    people = pl.DataFrame({"person_id": ids, "has_outcome": outcomes, "outcome_count": [x * 3 for x in outcomes]})
    found = evaluate(design, _scores(ids, [0.01 * x for x in range(1, 11)]), people)
    assert found.value("flagged", cut=0.1) == 1
    assert found.value("positive_predictive_value", cut=0.1) == 1
    assert found.value("sensitivity", cut=0.1) == 0.5
    assert found.value("lift", cut=0.1) == 5
    assert found.value("share_of_admissions", cut=0.1) == 0.5
    assert found.value("contacted_per_person_found", cut=0.1) == 1
    assert found.value("net_benefit", group="rule", level="model", cut=0.05) == pytest.approx(
        (2 - 4 * 0.05 / 0.95) / 10
    )


def test_unscored_people_are_counted_not_dropped_in_silence():
    people = pl.DataFrame({"person_id": [1, 2, 3], "has_outcome": [1, 0, 0], "outcome_count": [1, 0, 0]})
    scores = _scores([1, 2, 3], [0.5, 0.1, None])
    found = evaluate(make_design(), scores, people)
    assert (found.value("people"), found.value("unscored")) == (3, 1)


def test_single_class_is_refused():
    people = pl.DataFrame({"person_id": [1, 2], "has_outcome": [0, 0], "outcome_count": [0, 0]})
    with pytest.raises(ValueError, match="found 0 of 2 scored people with"):
        evaluate(make_design(), _scores([1, 2], [0.1, 0.2]), people)


@pytest.mark.parametrize(("age", "level"), [(39, "under 40"), (40, "40 to under 65"), (65, "65 and over")])
def test_groups_are_cut_at_the_edge(age, level):
    people = pl.DataFrame(
        {"person_id": [1, 2], "age_years": [age, None], "has_outcome": [1, 0], "outcome_count": [1, 0]}
    )
    found = evaluate(make_design(), _scores([1, 2], [0.2, 0.1]), people)
    assert found.value("people", group="age", level=level) == 1
    assert found.value("people", group="age", level="unknown") == 1


def test_subgroup_columns_come_from_features_and_dates():
    base = make_design()
    flag = base.judgement.subgroups[0].model_copy(update={"column": "has_copd"})
    design = base.model_copy(update={"judgement": base.judgement.model_copy(update={"subgroups": (flag,)})})
    features = pl.DataFrame({"person_id": [1], "feature": ["has_copd"], "value": [1.0]}).lazy()
    people = pl.DataFrame({"person_id": [1, 2], "registered_date": [design.index_date] * 2})
    found = with_subgroups(design, features, people)
    assert found.select("registered_days", "has_copd").rows() == [(0, 1.0), (0, 0.0)]


def test_oracle_of_itself_is_perfect():
    study = make_study(4_000)
    people = study.people.with_columns(has_outcome=pl.col("person_id").is_in(study.admissions["person_id"].to_list()))
    risks = study.truth["true_risk"]
    found = against_oracle(study.design, _scores(study.truth["person_id"], risks), study.truth, people)
    assert found.value("calibration_error_against_truth", group="oracle") == 0
    assert found.value("rank_correlation_with_truth", group="oracle") == pytest.approx(1)
    levels = ("raw_score", "observable_risk", "true_risk")
    shares = [found.value("mean_true_risk", group="oracle", level=level, cut=0.02) for level in levels]
    assert shares == [shares[0]] * 3


def test_an_ethnic_group_is_shown_by_its_title_and_the_unknown_as_such():
    group = Subgroup(name="ethnic group", column="ethnic_group", titles="ethnic_categories")
    levels = judged._levels(group, pl.Series(["A", "J", "Z", None]))
    assert levels.to_list() == ["White: British", "Asian: Pakistani", "Z", "unknown"]
