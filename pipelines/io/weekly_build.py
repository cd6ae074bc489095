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
    reports = {}
    for table in TopologicalSorter(_needed(upto, _reads())).static_order():
        on_step(f"{table} as of {as_of}")
        reports[table] = build_table(warehouse, table, as_of)
    return reports


def weekly_order() -> list[str]:
    """Every weekly table, each after those that it reads."""
    return list(TopologicalSorter(_reads()).static_order())


def _reads() -> dict[str, list[str]]:
    """The weekly tables that each weekly table reads, sorted."""
    reads = {query.name: query.reads for query in load_queries().values()} | {step.name: step.reads for step in STEPS}
    return {name: sorted(table for table in tables if table in WEEKLY) for name, tables in sorted(reads.items())}


def _needed(table: str, reads: dict[str, list[str]]) -> dict[str, list[str]]:
    """The table and all that it needs, each with what it reads."""
    found, open_tables = {}, [table]
    while open_tables:
        name = open_tables.pop()
        if name not in found:
            found[name] = reads[name]
            open_tables += found[name]
    return found


def build_table(warehouse: Warehouse, table: str, as_of: dt.date) -> BuildReport:
    """What was written: one weekly table, made by its SQL file or its step."""
    if table in load_queries():
        return warehouse.build(table, as_of)
    return next(step for step in STEPS if step.name == table).build(warehouse, as_of)
