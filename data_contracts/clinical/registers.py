"""Registers and their rules as tables that SQL can join; the rules themselves are data in registers.yaml."""

import datetime as dt
from functools import cache
from typing import Any, Literal

import polars as pl
from pydantic import BaseModel, ConfigDict

from data_contracts.clinical.definitions import months_before, read_definition
from data_contracts.yaml_text import parse_yaml

RULES = {
    "register": pl.String,
    "rule_number": pl.Int16,
    "rule": pl.String,
    "condition": pl.String,
    "measure": pl.String,
    "threshold": pl.String,
    "unless_condition": pl.String,
    "born_from": pl.Date,
    "born_by": pl.Date,
    "first_age_months": pl.Int32,
    "first_from": pl.Date,
    "first_before": pl.Date,
    "latest_from": pl.Date,
    "needs": pl.Int16,
    "latest_decides": pl.Boolean,
}
NEEDS = {
    "register": pl.String,
    "rule_number": pl.Int16,
    "kind": pl.String,
    "codelist": pl.String,
    "date_from": pl.Date,
    "value_below": pl.Float64,
    "days_before": pl.Int32,
    "days_after": pl.Int32,
}


class _Frozen(BaseModel):
    """Cannot be changed, and takes no field it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class NeededCondition(_Frozen):
    """Another condition that a rule asks for."""

    condition: str
    latest_from: dt.date | None = None


class RegisterRule(_Frozen):
    """One way onto a register: a diagnosis, a measurement or a medicine, and what must hold beside it."""

    name: str
    condition: str | None = None
    measure: str | None = None
    threshold: str | None = None
    """The flag of lifestyle_rules.csv whose threshold the measure must reach."""
    age_from: int = 0
    age_below: int | None = None
    age_from_at_first: int | None = None
    first_from: dt.date | None = None
    first_before: dt.date | None = None
    latest_from: dt.date | None = None
    unless: str | None = None
    """A condition that, not resolved, keeps a person off."""
    needs: tuple[NeededCondition, ...] = ()
    medicine: str | None = None
    medicine_months: int = 0
    reading: str | None = None
    reading_below: float | None = None
    reading_days_before: int = 0
    reading_days_after: int = 0


class Register(_Frozen):
    """A register: what it counts and its rules, the first listed first."""

    title: str
    rules: tuple[RegisterRule, ...]
    qof: str | None = None
    """The register's code in the Quality and Outcomes Framework, if it has one there."""
    note: str | None = None
    choose: Literal["first", "latest"] = "first"


@cache
def load_registers() -> dict[str, Register]:
    """Every register by name."""
    return {name: Register(**entry) for name, entry in parse_yaml(read_definition("registers.yaml")).items()}


def register_tables(as_of: dt.date) -> dict[str, pl.DataFrame]:
    """``register_rules``, one row a rule, and ``register_needs``, one row for each thing a rule asks for beside."""
    rules, needs = [], []
    for name, register in load_registers().items():
        for number, rule in enumerate(register.rules):
            asked = _needs(rule, as_of)
            needs += [{"register": name, "rule_number": number} | need for need in asked]
            rules.append(_rule_row(name, number, rule, as_of) | {"latest_decides": register.choose == "latest"})
    return {
        "register_rules": pl.DataFrame(rules, schema=RULES, orient="row"),
        "register_needs": pl.DataFrame([dict.fromkeys(NEEDS) | need for need in needs], schema=NEEDS),
    }


def _rule_row(register: str, number: int, rule: RegisterRule, as_of: dt.date) -> dict[str, Any]:
    """One rule with its ages as birth dates."""
    first_age = rule.age_from_at_first
    return {
        "register": register,
        "rule_number": number,
        "rule": rule.name,
        "condition": rule.condition,
        "measure": rule.measure,
        "threshold": rule.threshold,
        "unless_condition": rule.unless,
        "born_from": None if rule.age_below is None else _day_after(months_before(as_of, 12 * rule.age_below)),
        "born_by": months_before(as_of, 12 * rule.age_from),
        "first_age_months": None if first_age is None else 12 * first_age,
        "first_from": rule.first_from,
        "first_before": rule.first_before,
        "latest_from": rule.latest_from,
        "needs": len(_needs(rule, as_of)),
    }


def _needs(rule: RegisterRule, as_of: dt.date) -> list[dict[str, Any]]:
    """What a rule asks for beside its diagnosis."""
    found = [
        {"kind": "condition", "codelist": need.condition, "date_from": need.latest_from or dt.date.min}
        for need in rule.needs
    ]
    if rule.medicine:
        found.append(
            {
                "kind": "medicine",
                "codelist": rule.medicine,
                "date_from": months_before(as_of, rule.medicine_months),
            }
        )
    if rule.reading:
        window = {"days_before": rule.reading_days_before, "days_after": rule.reading_days_after}
        found.append({"kind": "reading", "codelist": rule.reading, "value_below": rule.reading_below, **window})
    return found


def _day_after(day: dt.date) -> dt.date:
    return day + dt.timedelta(days=1)
