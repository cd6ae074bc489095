"""How many long-term conditions a person has: one person, many rows."""

import polars as pl

from data_contracts.clinical.scores.definition import load_definition
from models.published.inputs import Inputs
from models.published.registry import RowScore

_DEFINITION = load_definition("multimorbidity")


def _together(rows: pl.LazyFrame, key: str) -> pl.LazyFrame:
    """One row per person: whether any condition was given, and the listed ones, each once."""
    listed = pl.col("condition").is_in(_DEFINITION.lists["conditions"])
    return (
        rows.select(key, pl.col("condition").cast(pl.String))
        .group_by(key)
        .agg(
            condition=pl.when(pl.col("condition").is_not_null().any()).then(pl.lit("known")),
            _conditions=pl.col("condition").filter(listed).unique().sort(),
        )
        .sort(key)
    )


def _formula(inputs: Inputs) -> dict[str, pl.Expr]:
    names = pl.col("_conditions").list.join("|")
    return {
        "condition_count": pl.col("_conditions").list.len().cast(pl.Int64),
        "conditions": pl.when(names != "").then(names),
    }


SCORE = RowScore(definition=_DEFINITION, formula=_formula, together=_together)
