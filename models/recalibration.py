"""Local recalibration: the same ranking with probabilities that fit the place, as a step of its own."""

import numpy as np
import polars as pl

from models.additive import AdditiveModel, sealed
from models.calibration import Calibration, fit_calibration
from models.evaluation import Evaluation, evaluate
from models.matrix import Floats


def recalibrate(
    model: AdditiveModel, features: pl.LazyFrame, people: pl.DataFrame
) -> tuple[AdditiveModel, Evaluation, Evaluation]:
    """The model with a new curve from raw score to probability, and its judgement before and after.

    Half of the practices (every other one by code) make the curve and the others judge it, so that the report is of
    people whom the curve had not seen.

    Args:
        model: any served model; its points, and so its ranking, stay.
        features: person_features as of the local index date.
        people: local people with practice_code, has_outcome and outcome_count.

    Raises:
        ValueError: too few outcomes in either half, or a score that does not rank there.
    """
    codes = people["practice_code"].unique().sort().to_list()
    is_fitted = people["practice_code"].is_in(codes[::2])
    learn, judge = people.filter(is_fitted), people.filter(~is_fitted)
    least = model.design.smallest_events
    found = [int(half["has_outcome"].sum()) for half in (learn, judge)]
    if min(found) < least:
        raise ValueError(
            f"recalibration: expected at least {least} outcomes in each half of the practices, found {found[0]} and "
            f"{found[1]}; use a larger area or a longer look back"
        )
    scores = model.score(features, learn["person_id"]).drop_nulls("raw_score").join(learn, on="person_id")
    local = sealed(model.model_copy(update={"calibration": _curve(scores)}))
    before, after = (
        evaluate(model.design, each.score(features, judge["person_id"]), judge) for each in (model, local)
    )
    return local, before, after


def _curve(scores: pl.DataFrame) -> Calibration:
    raw: Floats = scores["raw_score"].to_numpy()
    outcomes: Floats = scores["has_outcome"].cast(pl.Float64).to_numpy()
    return fit_calibration(raw, outcomes, np.ones(len(raw)))
