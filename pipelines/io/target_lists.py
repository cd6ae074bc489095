"""Reads what a week's target lists are made from: the week's tables, the last lists before it, stated capacity."""

import datetime as dt
from dataclasses import fields
from pathlib import Path

import polars as pl
from pandera.errors import SchemaError, SchemaErrors

from data_contracts.actions import load_actions
from data_contracts.tables.capacity import Capacity
from pipelines.io.feedback import read_feedback
from pipelines.io.warehouse import Warehouse
from pipelines.settings import Settings
from pipelines.steps.lists import WeeklyTables, sort_answers, weekly_slots

READS = tuple(field.name for field in fields(WeeklyTables) if field.name not in {"slots", "resting", "added"})
"""The weekly tables that the lists are made from."""


def read_weekly_tables(warehouse: Warehouse, as_of: dt.date, icb: str) -> WeeklyTables:
    """One ICB's tables of a week, its practices' capacity and answers: what lists are made from and explained by."""
    settings, rules = warehouse.settings, load_actions()
    feedback = read_feedback(settings, as_of=as_of, rules=rules)
    resting, added = sort_answers(feedback.decisions, rules=rules, as_of=as_of) if feedback else (None, None)
    tables = {name: warehouse.read(name, as_of, icb) for name in READS}
    return WeeklyTables(**tables, slots=read_slots(settings, as_of=as_of), resting=resting, added=added)


def capacity_path(settings: Settings) -> Path:
    """Where capacity may be stated."""
    return settings.home / "capacity.csv"


def read_slots(settings: Settings, *, as_of: dt.date) -> pl.DataFrame | None:
    """One row per practice that states its capacity for the week; None if there is no capacity file.

    Raises:
        ValueError: the file is not as its contract says.
    """
    path = capacity_path(settings)
    if not path.is_file():
        return None
    columns = {name: column.dtype.type for name, column in Capacity.to_schema().columns.items()}
    try:
        capacity = pl.read_csv(path, schema=columns)
        Capacity.validate(capacity)
    except (pl.exceptions.PolarsError, SchemaError, SchemaErrors) as error:
        raise ValueError(
            f"{path} is not as expected: the columns {', '.join(columns)}, dates as 2026-11-16, whole numbers of "
            f"slots; see data_contracts/tables/capacity.py. Found: {str(error).splitlines()[0]}"
        ) from None
    return weekly_slots(capacity, as_of=as_of)


def read_previous(warehouse: Warehouse, as_of: dt.date, icb: str) -> pl.DataFrame | None:
    """One ICB's list of the latest week before this one; None if there is none."""
    path = warehouse.previous_path("target_lists", as_of, icb)
    if path is None:
        return None
    before = pl.read_parquet(path)
    # Lists of older versions do not say for how long.
    return before if "weeks_listed" in before.columns else before.with_columns(weeks_listed=pl.lit(1, dtype=pl.Int64))
