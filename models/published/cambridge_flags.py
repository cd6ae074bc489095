"""The Cambridge Multimorbidity Score from 20 yes-or-no conditions; deciding them from a record is in cambridge.py."""

from functools import reduce

import polars as pl

from data_contracts.clinical.scores.definition import load_definition, load_table
from models.published.inputs import Inputs
from models.published.marking import Finding
from models.published.registry import RowScore

_DEFINITION = load_definition("cambridge")


def _sum(weights: str) -> pl.Expr:
    table = load_table(_DEFINITION, "cambridge_20")
    return reduce(
        lambda one, other: one + other,
        [
            pl.when(pl.col(f"_{condition}")).then(float(weight)).otherwise(0.0)
            for condition, weight in table.select("condition", weights).iter_rows()
        ],
    )


def _formula(inputs: Inputs) -> dict[str, pl.Expr]:
    present = [inputs[column.name].cast(pl.Int64) for column in inputs.definition.inputs]
    return {
        "cambridge_score": _sum("weight_general"),
        "cambridge_mortality_score": _sum("weight_mortality"),
        "cambridge_condition_count": pl.sum_horizontal(present),
    }


def _refusals(inputs: Inputs) -> list[Finding]:
    unknown = [inputs.known(column.name).not_() for column in inputs.definition.inputs]
    return [("no condition is known to be present or absent", pl.all_horizontal(unknown))]


SCORE = RowScore(definition=_DEFINITION, formula=_formula, refusals=_refusals)
