"""From raw score to shown probability, fitted on people whom the model had not seen, and how far it holds."""

from typing import Annotated, NamedTuple

import numpy as np
from annotated_types import MinLen

from models.design import Frozen
from models.matrix import Floats

HINGE_QUANTILES = (0.9, 0.98)
EVENTS_FOR_HINGES = 500
KNOT_QUANTILES = (0.0, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 1.0)
WEAKEST_RIDGE = 1e6
NORMAL_95 = 1.959964


class Interval(NamedTuple):
    """A figure and its 95% interval."""

    value: float
    low: float
    high: float


class Calibration(Frozen):
    """Log odds at knots of the raw score, straight between them and flat outside."""

    raw_scores: Annotated[tuple[float, ...], MinLen(2)]
    log_odds: Annotated[tuple[float, ...], MinLen(2)]

    def probabilities(self, raw_scores: Floats) -> Floats:
        """The calibrated probability of each raw score."""
        log_odds = np.interp(raw_scores, self.raw_scores, self.log_odds)
        return np.asarray(1 / (1 + np.exp(-log_odds)), dtype=np.float64)


def observed_over_expected(risks: Floats, outcomes: Floats) -> Interval:
    """Outcomes over the sum of risks, with a 95% interval that treats the outcomes as Poisson."""
    observed, expected = float(outcomes.sum()), float(risks.sum())
    spread = NORMAL_95 * np.sqrt(max(observed, 1.0)) / expected
    return Interval(observed / expected, max(0.0, observed / expected - spread), observed / expected + spread)


def fit_calibration(raw_scores: Floats, outcomes: Floats, weights: Floats) -> Calibration:
    """The curve that never falls; bent near the top where there are events enough to see a bend.

    Raises:
        ValueError: the score does not rank: risk falls as it rises.
    """
    hinges = np.quantile(raw_scores, HINGE_QUANTILES) if outcomes.sum() >= EVENTS_FOR_HINGES else np.empty(0)
    knots = np.unique(np.concatenate([np.quantile(raw_scores, KNOT_QUANTILES), hinges]))
    for used in (hinges, hinges[:0]):
        log_odds = _fit(raw_scores, outcomes, weights, hinges=used, at=knots)
        if len(knots) > 1 and np.all(np.diff(log_odds) > 0):
            return Calibration(raw_scores=tuple(knots.tolist()), log_odds=tuple(log_odds.tolist()))
    raise ValueError(
        "the raw score does not rank people: risk does not rise with it in people the model had not seen; "
        "look for an outcome or features taken from the wrong people"
    )


def _fit(raw_scores: Floats, outcomes: Floats, weights: Floats, *, hinges: Floats, at: Floats) -> Floats:
    # Only who fits needs it: loading it takes two seconds, which who scores, or ingests, need not wait.
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=WEAKEST_RIDGE, max_iter=1000)
    model.fit(_bends(raw_scores, hinges), outcomes, sample_weight=weights)
    return np.asarray(model.decision_function(_bends(at, hinges)), dtype=np.float64)


def _bends(raw_scores: Floats, hinges: Floats) -> Floats:
    return np.column_stack([raw_scores, *(np.maximum(raw_scores - hinge, 0.0) for hinge in hinges)])
