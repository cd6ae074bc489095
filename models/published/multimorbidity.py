"""How many long-term conditions a person has: one person, many rows."""

import polars as pl

from data_contracts.clinical.scores.definition import load_definition
from models.published.inputs import Inputs
from models.published.marking import Finding
from models.published.registry import RowScore

_DEFINITION = load_definition("multimorbidity")


def _together(rows: pl.LazyFrame, key: str) -> pl.LazyFrame:
    """One row per person: whether any condition was given, and the listed ones as bits, so that each counts once."""
    bits = {name: 1 << place for place, name in enumerate(_DEFINITION.lists["conditions"])}
    name = pl.col("condition").cast(pl.String)
    return (
        rows.select(
            key, _known=name.is_not_null(), _bits=name.replace_strict(bits, default=0, return_dtype=pl.UInt32)
        )
        .group_by(key)
        .agg(condition=pl.when(pl.col("_known").any()).then(pl.lit("known")), _bits=pl.col("_bits").bitwise_or())
        .sort(key)
    )


def _formula(inputs: Inputs) -> dict[str, pl.Expr]:
    return {"condition_count": pl.col("_bits").bitwise_count_ones().cast(pl.Int64)}


def _lists(inputs: Inputs) -> dict[str, list[Finding]]:
    names = _DEFINITION.lists["conditions"]
    return {"conditions": [(name, pl.col("_bits") // (1 << place) % 2 == 1) for place, name in enumerate(names)]}


SCORE = RowScore(definition=_DEFINITION, formula=_formula, lists=_lists, together=_together)
