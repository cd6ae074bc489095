"""Builds weekly tables in order, outside Dagster: for training, evaluation and benchmarks."""

import datetime as dt
from collections.abc import Callable
from graphlib import TopologicalSorter

from data_contracts.registry import WEEKLY
from pipelines.io.queries import load_queries
from pipelines.io.warehouse import BuildReport, Warehouse
from pipelines.io.weekly_steps import STEPS


def build_tables(
    warehouse: Warehouse, as_of: dt.date, *, upto: str, on_step: Callable[[str], None] = lambda step: None
) -> dict[str, BuildReport]:
    """What was written: one table and all the weekly tables that it needs, each after those that it reads."""
    reads = {query.name: query.reads for query in load_queries().values()} | {step.name: step.reads for step in STEPS}
    needed = _needed(upto, {name: [table for table in tables if table in WEEKLY] for name, tables in reads.items()})
    reports = {}
    for table in TopologicalSorter(needed).static_order():
        on_step(f"{table} as of {as_of}")
        reports[table] = _build(warehouse, table, as_of)
    return reports


def _needed(table: str, reads: dict[str, list[str]]) -> dict[str, list[str]]:
    """The table and all that it needs, each with what it reads."""
    found, open_tables = {}, [table]
    while open_tables:
        name = open_tables.pop()
        if name not in found:
            found[name] = sorted(reads[name])
            open_tables += found[name]
    return found


def _build(warehouse: Warehouse, table: str, as_of: dt.date) -> BuildReport:
    """Builds one table, by its SQL file or its step."""
    if table in load_queries():
        return warehouse.build(table, as_of)
    return next(step for step in STEPS if step.name == table).build(warehouse, as_of)
