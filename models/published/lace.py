"""The LACE index: length of stay, acuity, comorbidity and emergency attendances."""

from functools import reduce

import polars as pl

from data_contracts.clinical.scores.definition import load_definition
from models.published.inputs import Inputs, points
from models.published.registry import RowScore


def _formula(inputs: Inputs) -> dict[str, pl.Expr]:
    parts = [points(inputs[name].cast(pl.Int64), steps) for name, steps in inputs.definition.steps.items()]
    return {"lace": reduce(lambda one, other: one + other, parts).cast(pl.Int64)}


SCORE = RowScore(definition=load_definition("lace"), formula=_formula)
