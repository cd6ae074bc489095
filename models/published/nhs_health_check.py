"""Who is eligible for an NHS Health Check, and when the next one falls due."""

import polars as pl

from data_contracts.clinical.scores.definition import load_definition
from models.published.inputs import Inputs
from models.published.marking import Finding, joined
from models.published.registry import RowScore


def _age(birth: pl.Expr, on: pl.Expr) -> pl.Expr:
    """Whole years, one more from each birthday on."""
    before_birthday = _day_of_year(on) < _day_of_year(birth)
    return on.dt.year() - birth.dt.year() - before_birthday.cast(pl.Int32)


def _day_of_year(date: pl.Expr) -> pl.Expr:
    """Month and day as one number, which unlike a day count is the same in leap years."""
    return date.dt.month().cast(pl.Int32) * 100 + date.dt.day()


def _working(inputs: Inputs) -> dict[str, pl.Expr]:
    constants = inputs.definition.constants
    between = f"{constants['years_between']}y"
    again = inputs["last_health_check_date"].dt.offset_by(between)
    first = inputs["birth_date"].dt.offset_by(f"{constants['youngest']}y")
    return {
        "_age": _age(inputs["birth_date"], inputs["as_of_date"]),
        "_again": again,
        "_due": pl.max_horizontal(first, again),
    }


def _flags(inputs: Inputs) -> list[Finding]:
    return [(column.name, inputs[column.name]) for column in inputs.definition.inputs if column.kind == "flag"]


def _formula(inputs: Inputs) -> dict[str, pl.Expr]:
    constants = inputs.definition.constants
    too_old = pl.col("_age") > constants["oldest"]
    excluding = [
        ("under_40", pl.col("_age") < constants["youngest"]),
        ("over_74", too_old),
        ("check_in_five_years", pl.col("_again") > inputs["as_of_date"]),
        *_flags(inputs),
    ]
    excluded = pl.any_horizontal([flag for _, flag in _flags(inputs)])
    too_old_then = _age(inputs["birth_date"], pl.col("_due")) > constants["oldest"]
    return {
        "health_check_eligible": pl.any_horizontal([flag.fill_null(value=False) for _, flag in excluding]).not_(),
        "health_check_due_date": pl.when((excluded | too_old | too_old_then).not_()).then(pl.col("_due")),
        "health_check_exclusions": joined(excluding),
    }


def _refusals(inputs: Inputs) -> list[Finding]:
    as_of = inputs["as_of_date"]
    return [
        ("birth_date: after as_of_date", inputs["birth_date"] > as_of),
        ("last_health_check_date: not before as_of_date", inputs["last_health_check_date"] >= as_of),
        ("last_health_check_date: before birth_date", inputs["last_health_check_date"] < inputs["birth_date"]),
    ]


SCORE = RowScore(
    definition=load_definition("nhs_health_check"), formula=_formula, working=_working, refusals=_refusals
)
