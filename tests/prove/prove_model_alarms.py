"""Claims about alarms: a planted leak and an under-served group are found in every seed, and seldom more."""

from pathlib import Path

import polars as pl

from models.design import StudyDesign
from models.evaluation import Evaluation
from models.fairness import find_unfair_groups
from models.training import train
from tests.lib.studies import Study, make_design, make_study
from tests.prove.claims import Finding, at_least, at_most, proves

SEEDS = range(20)
PEOPLE = 100_000


@proves("model")
def alarms_ring_when_they_should(folder: Path) -> list[Finding]:
    """Twenty made-up studies each: as they are, with a leak, with need of women that no record shows."""
    plain = [make_study(PEOPLE, seed=seed) for seed in SEEDS]
    hidden = [make_study(PEOPLE, seed=seed, hidden_need=0.8) for seed in SEEDS]
    quiet = [_judge(study) for study in plain]
    leaks = sum(bool(_judge(_with_leak(study)).alarms) for study in plain)
    unfair = sum(_is_found(study.design, _judge(study)) for study in hidden)
    false = sum(bool(each.alarms) or find_unfair_groups(make_design(), each).height > 0 for each in quiet)
    return [
        at_least("studies of 20 in which a feature that knows the outcome stops training", leaks, 20),
        at_least("studies of 20 in which a planted under-served group is found", unfair, 20),
        at_most("studies of 20 without a fault in which an alarm rings", false, 1),
    ]


def _judge(study: Study) -> Evaluation:
    """The judgement of the study's logistic model."""
    design = study.design.model_copy(update={"estimators": study.design.estimators[1:2]})
    return train(design, study.features, study.people, study.admissions)[1]


def _with_leak(study: Study) -> Study:
    """The study with one feature replaced by the outcome."""
    told = study.admissions.select("person_id", feature=pl.lit("prison"), value=pl.lit(1.0))
    features = pl.concat([study.features.filter(pl.col("feature") != "prison").collect(), told]).lazy()
    return Study(study.design, features, study.people, study.admissions, study.cambridge, study.truth)


def _is_found(design: StudyDesign, evaluation: Evaluation) -> bool:
    """True if women are named as under-served."""
    found = find_unfair_groups(design, evaluation).filter("is_under_served")
    return ("sex", "female") in found.select("group", "level").rows()
