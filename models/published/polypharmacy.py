"""Polypharmacy: whether a person is prescribed many different medicines."""

import polars as pl

from data_contracts.clinical.scores.definition import load_definition
from models.published.inputs import Inputs
from models.published.registry import RowScore


def _formula(inputs: Inputs) -> dict[str, pl.Expr]:
    count = inputs["medicine_count"]
    return {
        "medicine_count_used": count,
        "is_polypharmacy": count >= inputs.definition.constants["polypharmacy_from"],
    }


SCORE = RowScore(definition=load_definition("polypharmacy"), formula=_formula)
