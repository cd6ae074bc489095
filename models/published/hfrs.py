"""The Hospital Frailty Risk Score from diagnosis codes, added up in whole tenths so that band edges are exact."""

from functools import cache, reduce

import polars as pl

from data_contracts.clinical.scores.definition import load_definition, load_table
from models.published.diagnoses import age_or_null, age_refusals, code_marks, summary, with_codes_read
from models.published.inputs import Inputs, quotient
from models.published.marking import Finding
from models.published.registry import RowScore

_DEFINITION = load_definition("hfrs")


_CHUNK = 12


@cache
def _tenths() -> dict[str, int]:
    table = load_table(_DEFINITION, "hfrs_weights")
    return {code: int(tenths) for code, tenths in table.select("icd10_code", "weight_tenths").iter_rows()}


@cache
def _chunks() -> list[list[str]]:
    """The categories in groups small enough for a table of every combination."""
    codes = list(_tenths())
    return [codes[first : first + _CHUNK] for first in range(0, len(codes), _CHUNK)]


def _together(rows: pl.LazyFrame, key: str) -> pl.LazyFrame:
    """One row per person: whether there was a code, the age, and the categories as bits, so that each counts once."""
    bits = {
        f"_bits_{place}": pl.when("_form")
        .then(
            pl.col("_code")
            .str.head(3)
            .replace_strict({code: 1 << i for i, code in enumerate(codes)}, default=0, return_dtype=pl.UInt16)
        )
        .otherwise(0)
        for place, codes in enumerate(_chunks())
    }
    return (
        with_codes_read(rows.select(key, "icd10_code", age_or_null(rows)), **bits)
        .group_by(key)
        .agg(*summary(), pl.col(list(bits)).bitwise_or())
        .sort(key)
    )


def _working(inputs: Inputs) -> list[dict[str, pl.Expr]]:
    sums = [_sums(tuple(codes)).gather(pl.col(f"_bits_{place}")) for place, codes in enumerate(_chunks())]
    return [{"_tenths": reduce(lambda one, other: one + other, sums)}]


def _sums(codes: tuple[str, ...]) -> pl.Expr:
    """The tenths of every combination of these categories."""
    sums = [0]
    for code in codes:
        sums += [total + _tenths()[code] for total in sums]
    return pl.lit(pl.Series(sums))


def _formula(inputs: Inputs) -> dict[str, pl.Expr]:
    return {"hfrs": quotient(pl.col("_tenths"), 10, most=sum(_tenths().values())), "hfrs_tenths": pl.col("_tenths")}


def _marks(inputs: Inputs) -> list[Finding]:
    age = inputs.definition.constants["built_for_age_from"]
    return [
        (f"outside guidance: age_years under {age}", inputs["age_years"] < age),
        ("age_years unknown", inputs["age_years"].is_null()),
        *code_marks(inputs),
    ]


SCORE = RowScore(
    definition=_DEFINITION,
    formula=_formula,
    working=_working,
    together=_together,
    refusals=age_refusals,
    marks=_marks,
)
