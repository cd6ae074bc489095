"""The Charlson comorbidity index from diagnosis codes: one person, many rows."""

from functools import cache, reduce

import polars as pl

from data_contracts.clinical.scores.definition import load_definition, load_table
from models.published.icd10 import bits_by_prefix, clean_code, has_form, prefix_mask
from models.published.inputs import Inputs, points
from models.published.marking import Finding, joined
from models.published.registry import RowScore

_DEFINITION = load_definition("charlson")


@cache
def _table(name: str) -> pl.DataFrame:
    return load_table(_DEFINITION, name)


def _together(rows: pl.LazyFrame, key: str) -> pl.LazyFrame:
    """One row per person: whether there was a code, the age, and the conditions as bits."""
    quan, shmi = (bits_by_prefix(_table(name)) for name in ("charlson_quan", "charlson_shmi"))
    age = pl.col("age_years") if "age_years" in rows.collect_schema() else pl.lit(None, dtype=pl.Int64)
    code = pl.col("_code")
    return (
        rows.select(key, age.alias("age_years"), _code=clean_code(pl.col("icd10_code")))
        .with_columns(_form=has_form(code), _quan=prefix_mask(code, quan), _shmi=prefix_mask(code, shmi))
        .group_by(key)
        .agg(
            icd10_code=pl.when(pl.col("_form").any()).then(pl.lit("known")),
            age_years=pl.col("age_years").max(),
            _age_differs=pl.col("age_years").min() != pl.col("age_years").max(),
            _unreadable=pl.col("_form").not_().any(),
            _quan=pl.col("_quan").filter(pl.col("_form")).bitwise_or().fill_null(0),
            _shmi=pl.col("_shmi").filter(pl.col("_form")).bitwise_or().fill_null(0),
        )
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
        "charlson_conditions": joined(list(_counted("charlson_quan", "_quan").items())),
    }


def _refusals(inputs: Inputs) -> list[Finding]:
    return [("age_years: differs between the rows of one key", pl.col("_age_differs"))]


def _marks(inputs: Inputs) -> list[Finding]:
    return [("icd10_code: not ICD-10 in form", pl.col("_unreadable"))]


SCORE = RowScore(
    definition=_DEFINITION,
    formula=_formula,
    together=_together,
    refusals=_refusals,
    marks=_marks,
)
