"""How far this week's people differ from those a model learned from: inputs, scores, age, and risks come true."""

import datetime as dt
from collections.abc import Iterator

import numpy as np
import polars as pl

from models.additive import AdditiveModel
from models.calibration import observed_over_expected
from models.matrix import Floats, batches, select_rows, shares_of

SMALLEST_SHARE = 1e-4
DRIFT = {
    "kind": pl.String,
    "name": pl.String,
    "value": pl.Float64,
    "limit": pl.Float64,
    "is_over": pl.Boolean,
}
"""Columns of a drift table: a figure, and the limit past which somebody has to look; null where there is none."""
Figure = tuple[str, str, float, float | None]


def measure_drift(
    model: AdditiveModel, features: pl.LazyFrame, people: pl.DataFrame, *, as_of: dt.date, come_true: pl.DataFrame
) -> pl.DataFrame:
    """One row per figure, in the columns of DRIFT.

    Inputs are compared on one person in so many, as the study design says: bin by bin with the people in training, by
    the population stability index.

    Args:
        model: the champion.
        features: person_features as of the week, with the Cambridge score if the model reads it.
        people: people as of the week.
        as_of: the week.
        come_true: earlier scores whose outcome is now known: risk and has_outcome; empty if there are none.
    """
    figures = [*_inputs(model, features, people), *_age(model, as_of), *_come_true(model, come_true)]
    return pl.DataFrame(
        [(*figure, figure[3] is not None and abs(figure[2]) > figure[3]) for figure in figures],
        schema=DRIFT,
        orient="row",
    )


def stability_index(before: Floats, now: Floats) -> float:
    """The population stability index of two distributions over the same bins: 0 if they are the same."""
    p, q = before.clip(SMALLEST_SHARE), now.clip(SMALLEST_SHARE)
    return float(np.sum((q - p) * np.log(q / p)))


def _inputs(model: AdditiveModel, features: pl.LazyFrame, people: pl.DataFrame) -> Iterator[Figure]:
    ids = people["person_id"].unique().sort().gather_every(model.design.judgement.drift_every).to_numpy()
    if len(ids) == 0:
        return
    rows = select_rows(features, model.names)
    bins = np.concatenate([part for _, part in batches(rows, ids, model.ready.binnings)], axis=1)
    limit = model.design.judgement.drift_limit
    now = shares_of(bins, (len(table.by_bin) for table in model.tables))
    for table, shares in zip(model.tables, now, strict=True):
        yield "input", table.name, stability_index(np.array(table.shares), shares), limit


def _age(model: AdditiveModel, as_of: dt.date) -> Iterator[Figure]:
    limit = float(model.design.judgement.oldest_days)
    yield "age", "days_since_index_date", float((as_of - model.design.index_date).days), limit


def _come_true(model: AdditiveModel, come_true: pl.DataFrame) -> Iterator[Figure]:
    """How many outcomes came for each that earlier risks said, as a distance from 1 beyond what chance gives."""
    if come_true.is_empty():
        return
    found = observed_over_expected(come_true["risk"].to_numpy(), come_true["has_outcome"].cast(pl.Float64).to_numpy())
    yield "calibration", "observed_over_expected", found.value, None
    beyond = max(found.low - 1, 1 - found.high, 0.0)
    yield "calibration", "distance_from_one_beyond_chance", beyond, model.design.judgement.calibration_limit
