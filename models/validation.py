"""Wider judgements of a model: areas left out, resampled practices, later dates. Each is rows of an evaluation."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import polars as pl

from models.additive import AdditiveModel
from models.calibration import Interval, observed_over_expected
from models.design import Estimator, StudyDesign
from models.estimators import Sample, inputs_of
from models.evaluation import Row, c_statistic, calibration_slope, proportion, with_subgroups
from models.matrix import Floats, batches, label, select_rows, with_cambridge
from models.training import (
    check_outcome,
    finish,
    fit_quietly,
    folds,
    inputs_with,
    leave_out_worked,
    make_sample,
    select,
    study_people,
)

REFITS = 10
SURE = 0.8


@dataclass(frozen=True)
class Study:
    """The tables of one index date, as the weekly contracts say; ``outcomes`` is the table that the design names."""

    features: pl.LazyFrame
    people: pl.DataFrame
    outcomes: pl.DataFrame
    cambridge: pl.DataFrame | None = None

    @property
    def inputs(self) -> pl.LazyFrame:
        """The features with the Cambridge score among them."""
        return with_cambridge(self.features, self.cambridge)

    def labelled(self, design: StudyDesign) -> pl.DataFrame:
        """The people of the study population with their outcomes and subgroups."""
        return with_subgroups(design, self.inputs, label(design, study_people(design, self.people), self.outcomes))

    def only(self, chosen: pl.Series) -> Self:
        """The same with some of the people."""
        return type(self)(self.features, self.people.filter(chosen), self.outcomes, self.cambridge)


def leave_areas_out(design: StudyDesign, estimator: Estimator, study: Study) -> list[Row]:
    """Figures of each ICB by a model fitted on all the others; none with fewer than two ICBs to speak of.

    Raises:
        ValueError: too few outcomes are left without one ICB.
    """
    only = design.model_copy(update={"estimators": (estimator,)})
    labelled = study.labelled(design)
    least = design.judgement.smallest_group_events
    events = labelled.group_by("icb_code").agg(pl.col("has_outcome").sum()).sort("icb_code")
    judged = events.filter(pl.col("has_outcome") >= least)["icb_code"].to_list()
    rows: list[Row] = []
    for code in judged if events.height > 1 else []:
        is_out = labelled["icb_code"] == code
        model = fit_all(only, study, labelled.filter(~is_out))
        rows += _of_area(model, study, labelled.filter(is_out), code)
    return rows


def fit_all(design: StudyDesign, study: Study, labelled: pl.DataFrame) -> AdditiveModel:
    """The model of a design with one estimator, fitted on all the labelled people."""
    labelled = leave_out_worked(labelled)
    check_outcome(design, labelled)
    sample = make_sample(study.inputs, labelled, inputs_with(design, study.cambridge), max_bins=design.max_bins)
    _, chosen = select(design, sample, folds(design, labelled["practice_code"]))
    return finish(design, chosen, sample)


def _of_area(model: AdditiveModel, study: Study, people: pl.DataFrame, code: str) -> Iterator[Row]:
    raw, risks, outcomes = _scored(model, study, people)
    figures = {
        "c_statistic": c_statistic(raw, outcomes),
        "observed_over_expected": observed_over_expected(risks, outcomes),
        "calibration_slope": calibration_slope(risks, outcomes),
    }
    for metric, figure in figures.items():
        yield {"metric": metric, "group": "ICB left out", "level": code, **_spread(figure)}


def follow_frozen_scores(model: AdditiveModel, studies: dict[int, Study]) -> list[Row]:
    """How the first date's scores keep, beside fresh scores of the same model: C-statistic at each later date.

    Args:
        model: any model.
        studies: by weeks after the first date, which is 0; each with the outcomes of its own horizon.
    """
    first = studies[0]
    frozen = model.score(first.inputs, first.people["person_id"]).select("person_id", "raw_score").drop_nulls()
    rows: list[Row] = []
    for weeks, study in sorted(studies.items()):
        day = model.design.index_date + dt.timedelta(weeks=weeks)
        labelled = study.labelled(model.design.model_copy(update={"index_date": day}))
        fresh = model.score(study.inputs, labelled["person_id"]).select("person_id", fresh="raw_score")
        both = labelled.join(frozen, on="person_id").join(fresh, on="person_id").drop_nulls("fresh")
        outcomes = both["has_outcome"].cast(pl.Float64).to_numpy()
        for level, column in (("frozen", "raw_score"), ("fresh", "fresh")):
            figure = c_statistic(both[column].to_numpy(), outcomes)
            rows.append(
                {"metric": "c_statistic", "group": "decay", "level": level, "cut": float(weeks), **_spread(figure)}
            )
    return rows


def resample_practices(design: StudyDesign, estimator: Estimator, study: Study, unseen: pl.Series) -> list[Row]:
    """How sure the list is: the estimator fitted again on resampled practices, and who would be listed each time.

    Args:
        design: says the cut and the seed.
        estimator: the one that was chosen.
        study: what it was fitted on.
        unseen: ids of the people to rank.
    """
    margins = refit_margins(design, estimator, study, unseen)
    belonging = (margins >= 0).mean(axis=0)
    top = max(1, round(design.judgement.alarm_cut * len(belonging)))
    likeliest = np.sort(belonging)[::-1][:top]
    near = np.argsort(np.abs(margins.mean(axis=0)), kind="stable")[: max(2 * top, 10)]
    figures = {
        "raw_score_spread": {"value": float(margins[:, near].std(axis=0, ddof=1).mean())},
        "chance_of_a_listed_place": {"value": float(likeliest.mean())},
        "places_that_are_sure": _spread(proportion(float((likeliest >= SURE).sum()), top)),
    }
    place: Row = {"group": "resampled practices", "cut": design.judgement.alarm_cut}
    return [{"metric": metric, **place, **figure} for metric, figure in figures.items()]  # type: ignore[typeddict-item]


def refit_margins(design: StudyDesign, estimator: Estimator, study: Study, unseen: pl.Series) -> Floats:
    """How far each person's raw score lies above the cut: one row per refit, one column per person sorted by id."""
    labelled = leave_out_worked(study.labelled(design))
    labelled = labelled.gather_every(-(-labelled.height // design.choice.comparison_people))
    features = inputs_with(design, study.cambridge)
    sample = inputs_of(estimator, make_sample(study.inputs, labelled, features, max_bins=design.max_bins))
    ids = unseen.unique().sort().to_numpy()
    rows = select_rows(study.inputs, [binning.name for binning in sample.binnings])
    bins = np.concatenate([part for _, part in batches(rows, ids, sample.binnings)], axis=1)
    scores = np.stack(
        [
            fit_quietly(estimator, refit, seed=design.split.seed).raw_scores(bins)
            for refit in _resampled(sample, labelled["practice_code"], seed=design.split.seed)
        ]
    )
    top = max(1, round(design.judgement.alarm_cut * len(ids)))
    return np.asarray(scores - np.partition(scores, -top, axis=1)[:, [-top]])


def _resampled(sample: Sample, practices: pl.Series, *, seed: int) -> Iterator[Sample]:
    """The sample with each practice as often as it was drawn, with replacement."""
    codes = practices.unique().sort()
    number = practices.replace_strict(codes, pl.Series(range(len(codes))), return_dtype=pl.Int64).to_numpy()
    for refit in range(REFITS):
        drawn = np.random.default_rng([seed, refit]).integers(0, len(codes), len(codes))
        times = np.bincount(drawn, minlength=len(codes))[number].astype(np.float64)
        yield replace(sample.people(times > 0), weights=times[times > 0])


def _scored(model: AdditiveModel, study: Study, people: pl.DataFrame) -> tuple[Floats, Floats, Floats]:
    """Raw scores, risks and outcomes of the people who have a score."""
    scores = model.score(study.inputs, people["person_id"]).drop_nulls("raw_score")
    known = people.select("person_id", "has_outcome").join(scores, on="person_id", validate="1:1")
    columns = (known[name].cast(pl.Float64).to_numpy() for name in ("raw_score", "risk", "has_outcome"))
    return next(columns), next(columns), next(columns)


def _spread(interval: Interval) -> Row:
    return {"value": interval.value, "low": interval.low, "high": interval.high}
