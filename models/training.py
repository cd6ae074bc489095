"""Training: outcome, split, comparison of estimators, final fit and its judgement. No file is read or written."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from models.additive import POINTS_DECIMALS, AdditiveModel, PointsTable, sealed
from models.calibration import fit_calibration
from models.design import Estimator, Feature, StudyDesign
from models.estimators import CAMBRIDGE, Fitted, Parts, Sample, fit, inputs_of
from models.evaluation import Evaluation, Row, average_precision, c_statistic, evaluate, with_subgroups
from models.matrix import (
    Binning,
    Bins,
    Floats,
    Ints,
    Rows,
    batches,
    choose_edges,
    label,
    select_rows,
    shares_of,
    with_cambridge,
)

PEOPLE_FOR_THREADS = 100_000
CAMBRIDGE_FEATURE = Feature(name=CAMBRIDGE, absent="zero")


@dataclass(frozen=True)
class Comparison:
    """Scores of one estimator for people in folds it was not fitted on."""

    estimator: Estimator
    raw_scores: Floats
    c_statistic: float
    average_precision: float
    fits: tuple[Fitted, ...] = ()
    """The estimator as fitted without each fold."""


def study_people(design: StudyDesign, people: pl.DataFrame) -> pl.DataFrame:
    """People of the study population, sorted by person_id."""
    ages = (design.population.minimum_age_years, design.population.maximum_age_years)
    return people.filter(pl.col("age_years").is_between(*ages)).sort("person_id")


def hold_out(design: StudyDesign, practices: pl.Series) -> pl.Series:
    """True for people of the held-out practices: those whose hashes come first."""
    codes = sorted(practices.unique().to_list(), key=lambda code: _hash(design, code))
    if len(codes) <= design.split.folds:
        raise ValueError(
            f"practices: expected more than {design.split.folds} to hold some out and fit in folds, "
            f"found {len(codes)}; train on a larger area or lower split.folds in the study design"
        )
    chosen = max(1, round(len(codes) * design.split.held_out_share))
    return practices.is_in(codes[:chosen])


def folds(design: StudyDesign, practices: pl.Series) -> npt.NDArray[np.int64]:
    """The fold of each person: practices dealt out in the order of their hashes."""
    codes = sorted(practices.unique().to_list(), key=lambda code: _hash(design, code))
    number = {code: place % design.split.folds for place, code in enumerate(codes)}
    return practices.replace_strict(number, return_dtype=pl.Int64).to_numpy()


def train(
    design: StudyDesign,
    features: pl.LazyFrame,
    people: pl.DataFrame,
    outcomes: pl.DataFrame,
    cambridge: pl.DataFrame | None = None,
) -> tuple[AdditiveModel, Evaluation]:
    """The chosen model, and its judgement on practices it never saw.

    Args:
        design: the study.
        features: person_features as of the index date.
        people: people as of the index date.
        outcomes: the table that the design names, read on or after ``design.readable_from``.
        cambridge: cambridge_scores as of the index date, the simplest rival; None leaves it out.

    Raises:
        ValueError: too few outcomes, a single class, a feature that nobody has: before anything is fitted.
    """
    inputs = with_cambridge(features, cambridge)
    labelled = label(design, study_people(design, people), outcomes)
    check_outcome(design, labelled)
    is_held_out = hold_out(design, labelled["practice_code"])
    known = leave_out_worked(labelled.filter(~is_held_out))
    check_outcome(design, known)
    sample = make_sample(inputs, known, inputs_with(design, cambridge), max_bins=design.max_bins)
    comparisons, chosen = select(design, sample, folds(design, known["practice_code"]))
    model = remember_inputs(finish(design, chosen, sample), inputs, labelled["person_id"])
    unseen = with_subgroups(design, inputs, labelled.filter(is_held_out))
    evaluation = evaluate(design, model.score(inputs, unseen["person_id"]), unseen)
    return model, evaluation.with_rows(_comparison_rows(comparisons, chosen.estimator))


def leave_out_worked(people: pl.DataFrame) -> pl.DataFrame:
    """The people whom no practice contacted because of a list during follow-up, as far as that is known."""
    return people.filter(~pl.col("is_worked")) if "is_worked" in people.columns else people


def remember_inputs(model: AdditiveModel, inputs: pl.LazyFrame, people: pl.Series) -> AdditiveModel:
    """The model with the share of these people in each bin: of held-out practices too, as they are scored as well."""
    ids, rows = people.unique().sort().to_numpy(), select_rows(inputs, model.names)
    bins = np.concatenate([part for _, part in batches(rows, ids, model.ready.binnings)], axis=1)
    shares = shares_of(bins, (len(table.by_bin) for table in model.tables))
    tables = tuple(
        table.model_copy(update={"shares": tuple(np.round(share, POINTS_DECIMALS).tolist())})
        for table, share in zip(model.tables, shares, strict=True)
    )
    return sealed(model.model_copy(update={"tables": tables}))


def inputs_with(design: StudyDesign, cambridge: pl.DataFrame | None) -> tuple[Feature, ...]:
    """The features of the design, and the Cambridge score where there is one to compare with."""
    return design.features if cambridge is None else (*design.features, CAMBRIDGE_FEATURE)


def check_outcome(design: StudyDesign, labelled: pl.DataFrame) -> None:
    """Raises ValueError if there are too few people with, or without, the outcome to learn from."""
    events = int(labelled["has_outcome"].sum())
    least = design.smallest_events
    if min(events, labelled.height - events) < least:
        raise ValueError(
            f"{design.follow_up.outcome}: expected at least {least} people with the outcome and {least} without it "
            f"from {design.index_date} to before {design.end_date}, found {events} of {labelled.height} with it; "
            "look at the table of outcomes and its as-of date, or train on more practices"
        )


def make_sample(
    features: pl.LazyFrame, labelled: pl.DataFrame, chosen: tuple[Feature, ...], *, max_bins: int
) -> Sample:
    """The labelled people (sorted by person_id) as bin numbers of the chosen features; edges are chosen on them."""
    rows = select_rows(features, [feature.name for feature in chosen])
    ids = labelled["person_id"].to_numpy()
    rows = _of_people(rows, ids)
    values = [rows.value[rows.code == code] for code in range(len(chosen))]
    edges = [choose_edges(f, v, max_bins=max_bins) for f, v in zip(chosen, values, strict=True)]
    binnings = tuple(Binning(f.name, f.absent, e) for f, e in zip(chosen, edges, strict=True))
    return Sample(
        bins=np.concatenate([bins for _, bins in batches(rows, ids, binnings)], axis=1),
        outcomes=labelled["has_outcome"].cast(pl.Float64).to_numpy(),
        weights=np.ones(len(ids)),
        features=chosen,
        binnings=binnings,
        centres=tuple(_centres(binning, value) for binning, value in zip(binnings, values, strict=True)),
    )


def select(design: StudyDesign, sample: Sample, fold: npt.NDArray[np.int64]) -> tuple[list[Comparison], Comparison]:
    """Every comparison, and the chosen estimator's scores for all of the sample in folds it was not fitted on."""
    step = -(-len(fold) // design.choice.comparison_people)
    if step == 1:
        comparisons = compare(design, sample, fold)
        return comparisons, choose(design, comparisons)
    is_compared = np.arange(len(fold)) % step == 0
    comparisons = compare(design, sample.people(is_compared), fold[is_compared])
    estimator = choose(design, comparisons).estimator
    return comparisons, _cross_fit(design, estimator, inputs_of(estimator, sample), fold)


def compare(design: StudyDesign, sample: Sample, fold: npt.NDArray[np.int64]) -> list[Comparison]:
    """One comparison per estimator of the design, in its order, cross-fitted over groups of practices."""
    events = sample.outcomes.sum()
    tried = [estimator for estimator in design.estimators if estimator.smallest_events <= events]
    inputs = [(estimator, inputs_of(estimator, sample)) for estimator in tried]
    return [_cross_fit(design, estimator, narrowed, fold) for estimator, narrowed in inputs if narrowed.features]


def choose(design: StudyDesign, comparisons: list[Comparison]) -> Comparison:
    """The first (simplest) that can be served and is as good as the best, the one with most average precision."""
    served = [each for each in comparisons if each.estimator.name != "full_boosting"]
    best = max(served, key=lambda each: each.average_precision)
    return next(
        each
        for each in served
        if each.c_statistic >= best.c_statistic - design.choice.c_statistic_within
        and each.average_precision >= best.average_precision * design.choice.average_precision_share
    )


def finish(design: StudyDesign, chosen: Comparison, sample: Sample) -> AdditiveModel:
    """The model of the chosen estimator, fitted on everyone in the sample; features without points are left out."""
    narrowed = inputs_of(chosen.estimator, sample)
    parts = fit_quietly(chosen.estimator, narrowed, seed=design.split.seed)
    if not isinstance(parts, Parts):
        raise TypeError(f"{chosen.estimator.name} has no table of points and cannot be served")
    calibration = fit_calibration(chosen.raw_scores, sample.outcomes, sample.weights)
    model = AdditiveModel(
        version="",
        estimator=chosen.estimator.name,
        design=design,
        trained_people=len(sample.outcomes),
        trained_events=int(sample.outcomes.sum()),
        intercept=round(parts.intercept, POINTS_DECIMALS),
        tables=_tables(narrowed, parts),
        calibration=calibration,
        cut_error=cut_error(chosen.fits, narrowed.bins, cut=design.judgement.alarm_cut),
    )
    return sealed(model)


def cut_error(fits: Sequence[Fitted], bins: Bins, *, cut: float) -> float:
    """The standard error of how far a raw score lies above the cut, for people near it.

    Delete-a-group jackknife: each fit lacks one group of practices. What moves everybody alike ranks nobody and does
    not count.

    Args:
        fits: one per group that was left out.
        bins: the people to rank.
        cut: the share of them above the cut.
    """
    scores = np.stack([fitted.raw_scores(bins) for fitted in fits])
    top = max(1, round(cut * scores.shape[1]))
    margins = scores - np.partition(scores, -top, axis=1)[:, [-top]]
    near = np.argsort(np.abs(margins.mean(axis=0)), kind="stable")[: max(2 * top, 10)]
    variance = (len(fits) - 1) * margins[:, near].var(axis=0)
    return round(float(np.sqrt(variance.mean())), POINTS_DECIMALS)


def fit_quietly(estimator: Estimator, sample: Sample, *, seed: int) -> Fitted:
    """The fit, on one thread if the sample is small: threads waiting for a busy machine cost more than they save."""
    with threadpool_limits(limits=1 if len(sample.outcomes) < PEOPLE_FOR_THREADS else None):
        return fit(estimator, sample, seed=seed)


def _cross_fit(design: StudyDesign, estimator: Estimator, sample: Sample, fold: npt.NDArray[np.int64]) -> Comparison:
    raw, fits = np.empty(len(fold)), []
    for number in range(design.split.folds):
        fitted: Fitted = fit_quietly(estimator, sample.people(fold != number), seed=design.split.seed)
        raw[fold == number] = fitted.raw_scores(sample.bins[:, fold == number])
        fits.append(fitted)
    return Comparison(
        estimator=estimator,
        raw_scores=raw,
        c_statistic=c_statistic(raw, sample.outcomes).value,
        average_precision=average_precision(raw, sample.outcomes),
        fits=tuple(fits),
    )


def _tables(sample: Sample, parts: Parts) -> tuple[PointsTable, ...]:
    rounded = [np.round(points, POINTS_DECIMALS).tolist() for points in parts.points]
    return tuple(
        PointsTable(
            name=feature.name,
            absent=feature.absent,
            is_needed=feature.is_needed,
            is_reason=feature.is_reason,
            edges=tuple(binning.edges.tolist()),
            points=tuple(points[:-1]),
            unknown_points=points[-1],
            shares=(),
        )
        for feature, binning, points in zip(sample.features, sample.binnings, rounded, strict=True)
        if any(points) or feature.is_needed
    )


def _of_people(rows: Rows, ids: Ints) -> Rows:
    place = np.searchsorted(ids, rows.person_id).clip(max=len(ids) - 1)
    is_wanted = ids[place] == rows.person_id
    return Rows(rows.person_id[is_wanted], rows.code[is_wanted], rows.value[is_wanted])


def _centres(binning: Binning, values: Floats) -> Floats:
    """The mean value in each bin; zero where nobody who has a row falls, which is the bin of the absent."""
    bins = binning.bins_of(values)
    counts = np.bincount(bins, minlength=binning.unknown_bin + 1)[:-1]
    sums = np.bincount(bins, weights=np.nan_to_num(values), minlength=binning.unknown_bin + 1)[:-1]
    return np.asarray(sums / np.maximum(counts, 1), dtype=np.float64)


def _hash(design: StudyDesign, practice_code: str) -> str:
    return hashlib.sha256(f"{design.split.seed}:{practice_code}".encode()).hexdigest()


def _comparison_rows(comparisons: list[Comparison], chosen: Estimator) -> list[Row]:
    return [
        {"metric": metric, "group": "estimator", "level": each.estimator.name, "value": value}
        for each in comparisons
        for metric, value in {
            "cross_fitted_c_statistic": each.c_statistic,
            "cross_fitted_average_precision": each.average_precision,
            "chosen": float(each.estimator == chosen),
        }.items()
    ]
