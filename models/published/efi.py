"""The electronic frailty index: how many of 36 deficits a person has."""

import polars as pl

from data_contracts.clinical.scores.definition import load_definition
from models.published.inputs import Inputs, quotient
from models.published.marking import Finding
from models.published.registry import RowScore


def _deficits(inputs: Inputs) -> list[str]:
    return [column.name for column in inputs.definition.inputs if column.kind == "flag"]


def _working(inputs: Inputs) -> list[dict[str, pl.Expr]]:
    return [{"_count": pl.sum_horizontal([inputs[name].cast(pl.Int64) for name in _deficits(inputs)])}]


def _formula(inputs: Inputs) -> dict[str, pl.Expr]:
    count, deficits = pl.col("_count"), len(_deficits(inputs))
    return {"efi_deficit_count": count, "efi": quotient(count, deficits, most=deficits)}


def _refusals(inputs: Inputs) -> list[Finding]:
    unknown = [inputs.known(name).not_() for name in _deficits(inputs)]
    return [("no deficit is known to be present or absent", pl.all_horizontal(unknown))]


def _marks(inputs: Inputs) -> list[Finding]:
    youngest = inputs.definition.constants["built_for_age_from"]
    oldest = inputs.definition.constants["built_for_age_to"]
    return [
        (
            f"outside guidance: age_years not {youngest} to {oldest}",
            inputs["age_years"].is_between(youngest, oldest).not_(),
        ),
        ("age_years unknown", inputs["age_years"].is_null()),
    ]


SCORE = RowScore(
    definition=load_definition("efi"), formula=_formula, working=_working, refusals=_refusals, marks=_marks
)
