"""Who is eligible for an NHS Health Check, and when the next one falls due."""

import polars as pl

from data_contracts.clinical.scores.definition import load_definition
from models.published.inputs import Inputs
from models.published.marking import Finding
from models.published.registry import RowScore


def _stamp(date: pl.Expr) -> pl.Expr:
    """A date as one number, such as 19701231: the gap between two, in ten thousands, is whole years by birthdays."""
    return date.dt.year() * 10_000 + date.dt.month().cast(pl.Int32) * 100 + date.dt.day()


def _working(inputs: Inputs) -> list[dict[str, pl.Expr]]:
    """When a check is due again, when the next falls due, and the age now and then."""
    constants = inputs.definition.constants
    first = {
        "_born": _stamp(inputs["birth_date"]),
        "_first": inputs["birth_date"].dt.offset_by(f"{constants['youngest']}y"),
        "_again": inputs["last_health_check_date"].dt.offset_by(f"{constants['years_between']}y"),
    }
    second = {
        "_due": pl.max_horizontal("_first", "_again"),
        "_age": (_stamp(inputs["as_of_date"]) - pl.col("_born")) // 10_000,
    }
    return [first, second, {"_age_when_due": (_stamp(pl.col("_due")) - pl.col("_born")) // 10_000}]


def _flags(inputs: Inputs) -> list[Finding]:
    return [(column.name, inputs[column.name]) for column in inputs.definition.inputs if column.kind == "flag"]


def _formula(inputs: Inputs) -> dict[str, pl.Expr]:
    oldest = inputs.definition.constants["oldest"]
    barred = pl.any_horizontal([flag for _, flag in _flags(inputs)])
    too_old = (pl.col("_age") > oldest) | (pl.col("_age_when_due") > oldest)
    return {
        "health_check_eligible": pl.any_horizontal([flag for _, flag in _exclusions(inputs)]).not_(),
        "health_check_due_date": pl.when((barred | too_old).not_()).then(pl.col("_due")),
    }


def _lists(inputs: Inputs) -> dict[str, list[Finding]]:
    return {"health_check_exclusions": _exclusions(inputs)}


def _exclusions(inputs: Inputs) -> list[Finding]:
    constants = inputs.definition.constants
    return [
        ("under_40", pl.col("_age") < constants["youngest"]),
        ("over_74", pl.col("_age") > constants["oldest"]),
        ("check_in_five_years", (pl.col("_again") > inputs["as_of_date"]).fill_null(value=False)),
        *_flags(inputs),
    ]


def _refusals(inputs: Inputs) -> list[Finding]:
    as_of = inputs["as_of_date"]
    return [
        ("birth_date: after as_of_date", inputs["birth_date"] > as_of),
        ("last_health_check_date: not before as_of_date", inputs["last_health_check_date"] >= as_of),
        ("last_health_check_date: before birth_date", inputs["last_health_check_date"] < inputs["birth_date"]),
    ]


SCORE = RowScore(
    definition=load_definition("nhs_health_check"),
    formula=_formula,
    lists=_lists,
    working=_working,
    refusals=_refusals,
)
