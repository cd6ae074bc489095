"""The Charlson comorbidity index from diagnosis codes: one person, many rows."""

from functools import cache, reduce

import polars as pl

from data_contracts.clinical.scores.definition import load_definition, load_table
from models.published.diagnoses import age_or_null, age_refusals, code_marks, summary, with_codes_read
from models.published.icd10 import bits_by_prefix, prefix_mask
from models.published.inputs import Inputs, points
from models.published.marking import Finding
from models.published.registry import RowScore

_DEFINITION = load_definition("charlson")


@cache
def _table(name: str) -> pl.DataFrame:
    return load_table(_DEFINITION, name)


def _together(rows: pl.LazyFrame, key: str) -> pl.LazyFrame:
    """One row per person: whether there was a code, the age, and the conditions as bits."""
    tables = {"_quan": "charlson_quan", "_shmi": "charlson_shmi"}
    bits = {
        column: pl.when("_form").then(prefix_mask(pl.col("_code"), bits_by_prefix(_table(name)))).otherwise(0)
        for column, name in tables.items()
    }
    return (
        with_codes_read(rows.select(key, "icd10_code", age_or_null(rows)), **bits)
        .group_by(key)
        .agg(*summary(), pl.col(list(bits)).bitwise_or())
        .sort(key)
    )


def _counted(name: str, mask: str) -> dict[str, pl.Expr]:
    """For each condition of a table, true where it is present and nothing worse replaces it."""
    table = _table(name)
    present = {condition: pl.col(mask) // (1 << i) % 2 == 1 for i, condition in enumerate(table["condition"])}
    return {
        condition: present[condition] & present[worse].not_() if worse else present[condition]
        for condition, worse in table.select("condition", "replaced_by").iter_rows()
    }


def _weighed(name: str, mask: str, weights: str) -> pl.Expr:
    table = _table(name)
    counted = _counted(name, mask)
    return reduce(
        lambda one, other: one + other,
        [
            counted[condition].cast(pl.Int64) * int(weight)
            for condition, weight in table.select("condition", weights).iter_rows()
        ],
    )


def _formula(inputs: Inputs) -> dict[str, pl.Expr]:
    original = _weighed("charlson_quan", "_quan", "weight_1987")
    age = points(inputs["age_years"], inputs.definition.steps["age"])
    return {
        "charlson_1987": original,
        "charlson_quan_2011": _weighed("charlson_quan", "_quan", "weight_quan_2011"),
        "charlson_shmi": _weighed("charlson_shmi", "_shmi", "weight_shmi").clip(lower_bound=0),
        "charlson_age_points": age.cast(pl.Int64),
        "charlson_1987_age_adjusted": original + age,
    }


def _lists(inputs: Inputs) -> dict[str, list[Finding]]:
    return {"charlson_conditions": list(_counted("charlson_quan", "_quan").items())}


SCORE = RowScore(
    definition=_DEFINITION,
    formula=_formula,
    lists=_lists,
    together=_together,
    refusals=age_refusals,
    marks=code_marks,
)
