"""The ways to fit: each turns bin numbers and outcomes into something that gives a raw score. None reads a file."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Protocol

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import SplineTransformer

from models.design import Estimator, Feature
from models.matrix import Binning, Bins, Floats

CAMBRIDGE = "cambridge_score"
TREE_BATCH = 20_000
"""Trees predict several times faster in batches that stay in the processor's cache."""
DIRECTIONS = {"rises": 1, "falls": -1, "any": 0}
FEWEST_BINS_FOR_SPLINES = 5
SMALLEST_SPREAD = 0.05
"""A curve that moves in few people is not stretched further, so that the penalty holds the points of rare values."""


class Fitted(Protocol):
    """What every fit gives."""

    def raw_scores(self, bins: Bins) -> Floats:
        """The raw score (log odds) of each column of people."""


@dataclass(frozen=True)
class Parts:
    """An additive fit: intercept and points by bin, centred on the people it was fitted on."""

    intercept: float
    points: tuple[Floats, ...]

    def raw_scores(self, bins: Bins) -> Floats:
        """Intercept and points, added."""
        total = np.full(bins.shape[1], self.intercept)
        for points, row in zip(self.points, bins, strict=True):
            total += points[row]
        return total


@dataclass(frozen=True)
class Trees:
    """A fit with interactions: the challenger, whose score has no exact parts."""

    model: HistGradientBoostingClassifier
    binnings: Sequence[Binning]

    def raw_scores(self, bins: Bins) -> Floats:
        """The boosted score, batch by batch."""
        width = bins.shape[1]
        starts = range(0, width, TREE_BATCH)
        batches = [self.model.decision_function(_numbers(bins[:, i : i + TREE_BATCH], self.binnings)) for i in starts]
        return np.concatenate(batches)


@dataclass(frozen=True)
class Sample:
    """People to fit on: bin numbers (feature by person), outcome 0 or 1, weight, and what the bins stand for."""

    bins: Bins
    outcomes: Floats
    weights: Floats
    features: tuple[Feature, ...]
    binnings: tuple[Binning, ...]
    centres: tuple[Floats, ...]

    def people(self, chosen: np.ndarray) -> "Sample":
        """The same with some of the people."""
        return Sample(
            self.bins[:, chosen],
            self.outcomes[chosen],
            self.weights[chosen],
            self.features,
            self.binnings,
            self.centres,
        )


def inputs_of(estimator: Estimator, sample: Sample) -> Sample:
    """The same people with the features that the estimator reads: the Cambridge score alone, or all the others."""
    is_read = [(feature.name == CAMBRIDGE) == (estimator.name == "cambridge_only") for feature in sample.features]
    return Sample(
        sample.bins[is_read],
        sample.outcomes,
        sample.weights,
        tuple(compress(sample.features, is_read)),
        tuple(compress(sample.binnings, is_read)),
        tuple(compress(sample.centres, is_read)),
    )


def fit(estimator: Estimator, sample: Sample, *, seed: int) -> Fitted:
    """The fit that the estimator's name asks for, on every feature of the sample."""
    if estimator.name == "full_boosting":
        return Trees(_boosting(estimator, sample, seed=seed, interactions=None), sample.binnings)
    if estimator.name == "additive_boosting":
        return _centred(
            _read_out(_boosting(estimator, sample, seed=seed, interactions="no_interactions"), sample), sample
        )
    return _centred(_splines(estimator, sample), sample)


def _splines(estimator: Estimator, sample: Sample) -> Parts:
    """Regularised logistic regression on a smooth curve of each feature, read out by bin."""
    bases = [_basis(centres) for centres in sample.centres]
    columns = np.concatenate(
        [basis[row] for basis, row in zip(bases, sample.bins, strict=True)], axis=1, dtype=np.float32
    )
    scale = np.maximum(columns.std(axis=0), SMALLEST_SPREAD)
    model = LogisticRegression(C=estimator.settings["inverse_penalty"], max_iter=2000)
    model.fit(columns / scale, sample.outcomes, sample_weight=sample.weights)
    slopes = model.coef_[0] / scale
    ends = np.cumsum([basis.shape[1] for basis in bases])[:-1]
    points = tuple(basis @ part for basis, part in zip(bases, np.split(slopes, ends), strict=True))
    return Parts(float(model.intercept_[0]), points)


def _basis(centres: Floats) -> Floats:
    """Curve values by bin, and a last row and column for the unknown."""
    if len(centres) < FEWEST_BINS_FOR_SPLINES:
        curve = centres[:, None] - centres[0]
    else:
        spline = SplineTransformer(n_knots=4, degree=3, knots="quantile", include_bias=False)
        curve = spline.fit_transform(centres[:, None])
    basis = np.zeros((len(centres) + 1, curve.shape[1] + 1))
    basis[:-1, :-1] = curve
    basis[-1, -1] = 1
    return basis


def _boosting(
    estimator: Estimator, sample: Sample, *, seed: int, interactions: str | None
) -> HistGradientBoostingClassifier:
    settings = estimator.settings
    model = HistGradientBoostingClassifier(
        learning_rate=settings["learning_rate"],
        max_iter=int(settings["iterations"]),
        max_leaf_nodes=int(settings["leaves"]),
        min_samples_leaf=int(settings["smallest_leaf"]),
        l2_regularization=settings["penalty"],
        monotonic_cst=[DIRECTIONS[feature.risk] for feature in sample.features],
        interaction_cst=interactions,
        early_stopping=False,
        random_state=seed,
    )
    return model.fit(_numbers(sample.bins, sample.binnings), sample.outcomes, sample_weight=sample.weights)


def _numbers(bins: Bins, binnings: Sequence[Binning]) -> np.ndarray:
    """Bin numbers as numbers, one row per person; the unknown bin is missing."""
    numbers = bins.T.astype(np.float32)
    for place, binning in enumerate(binnings):
        numbers[bins[place] == binning.unknown_bin, place] = np.nan
    return numbers


def _read_out(model: HistGradientBoostingClassifier, sample: Sample) -> Parts:
    """The exact table of a model without interactions: one feature moves, the others stay in their first bin."""
    width = len(sample.binnings)
    nobody = np.zeros((1, width), dtype=np.float32)
    start = float(model.decision_function(nobody)[0])
    points = []
    for place, binning in enumerate(sample.binnings):
        sweep = np.repeat(nobody, binning.unknown_bin + 1, axis=0)
        sweep[:, place] = [*range(binning.unknown_bin), np.nan]
        points.append(model.decision_function(sweep) - start)
    return Parts(start, tuple(points))


def _centred(parts: Parts, sample: Sample) -> Parts:
    """The same scores, with points of mean zero in each feature: a part says how far a person is from average."""
    means = [
        np.average(points[row], weights=sample.weights) for points, row in zip(parts.points, sample.bins, strict=True)
    ]
    points = tuple(points - mean for points, mean in zip(parts.points, means, strict=True))
    return Parts(parts.intercept + float(np.sum(means)), points)
