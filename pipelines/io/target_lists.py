"""Reads what a week's target lists are made from: the week's other tables and the last lists before it."""

import datetime as dt

import polars as pl

from pipelines.io.warehouse import Warehouse
from pipelines.steps.lists import WeeklyTables

READS = tuple(WeeklyTables.__dataclass_fields__)
"""The weekly tables that the lists are made from."""


def read_weekly_tables(warehouse: Warehouse, as_of: dt.date, icb: str) -> WeeklyTables:
    """One ICB's tables of a week that lists are made from and explained by."""
    return WeeklyTables(**{name: warehouse.read(name, as_of, icb) for name in READS})


def read_previous(warehouse: Warehouse, as_of: dt.date, icb: str) -> pl.DataFrame | None:
    """One ICB's list of the latest week before this one; None if there is none."""
    weeks = warehouse.settings.tables.glob(f"????-??-??/target_lists/{icb}.parquet")
    earlier = [path for path in weeks if path.parent.parent.name < as_of.isoformat()]
    return pl.read_parquet(max(earlier)) if earlier else None
