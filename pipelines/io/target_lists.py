"""Makes the target_lists table of a week from the week's other tables and the last list before it."""

import datetime as dt
import time

import polars as pl

from data_contracts.actions import load_actions
from pipelines.io.warehouse import BuildReport, Warehouse
from pipelines.steps.lists import WeeklyTables, build_target_lists

READS = tuple(WeeklyTables.__dataclass_fields__)
"""The weekly tables that the lists are made from."""


def make_target_lists(warehouse: Warehouse, as_of: dt.date) -> BuildReport:
    """What was written: each practice's list of the week, ICB by ICB.

    Raises:
        FileNotFoundError: a table that the lists are made from has not been built.
    """
    started, rows, size = time.perf_counter(), {}, 0
    for icb in warehouse.icb_codes():
        tables = read_weekly_tables(warehouse, as_of, icb)
        lists = build_target_lists(tables, rules=load_actions(), previous=read_previous(warehouse, as_of, icb))
        size += warehouse.write("target_lists", as_of, icb, lists).stat().st_size
        rows[icb] = lists.height
    return BuildReport("target_lists", rows, time.perf_counter() - started, size)


def read_weekly_tables(warehouse: Warehouse, as_of: dt.date, icb: str) -> WeeklyTables:
    """One ICB's tables of a week that lists are made from and explained by."""
    return WeeklyTables(**{name: warehouse.read(name, as_of, icb) for name in READS})


def read_previous(warehouse: Warehouse, as_of: dt.date, icb: str) -> pl.DataFrame | None:
    """One ICB's list of the latest week before this one; None if there is none."""
    weeks = warehouse.settings.tables.glob(f"????-??-??/target_lists/{icb}.parquet")
    earlier = [path for path in weeks if path.parent.parent.name < as_of.isoformat()]
    return pl.read_parquet(max(earlier)) if earlier else None
