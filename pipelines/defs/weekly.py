"""The weekly tables as assets: one a SQL file or a scoring step, each with its blocking contract check."""

import datetime as dt
from collections.abc import Callable, Iterator

import dagster as dg

from data_contracts.registry import CONTRACTS
from pipelines.defs.contracts import (
    column_schema,
    contract_check,
    contract_result,
    description,
    quality_check,
    quality_result,
)
from pipelines.defs.resources import OWNERS, Workspace, as_of, weeks
from pipelines.io import weekly_steps
from pipelines.io.queries import Query, load_queries
from pipelines.io.warehouse import BuildReport, Warehouse
from pipelines.steps.quality import stand

Build = Callable[[Warehouse, dt.date], BuildReport]


def weekly_table(name: str, *, reads: tuple[str, ...], group: str, kind: str, build: Build) -> dg.AssetsDefinition:
    """The asset of one weekly table: built, checked against its contract, reported as counts."""

    @dg.asset(
        name=name,
        partitions_def=weeks,
        deps=list(reads),
        group_name=group,
        kinds={kind, "parquet"},
        description=description(name),
        owners=OWNERS,
        metadata={"dagster/column_schema": column_schema(name)},
        check_specs=[contract_check(name), *([quality_check()] if name == "data_quality" else [])],
    )
    def table(context: dg.AssetExecutionContext, workspace: Workspace) -> Iterator[dg.MaterializeResult]:
        report = build(workspace.warehouse, as_of(context))
        broken = workspace.warehouse.check(name, as_of(context))
        metadata = {
            "dagster/row_count": report.rows,
            "seconds": report.seconds,
            "bytes": report.bytes,
            "reused_icbs": report.reused,
        }
        results = [contract_result(name, broken)]
        if name == "data_quality":
            results.append(quality_result(stand(workspace.warehouse.read(name, as_of(context)))))
        yield dg.MaterializeResult(metadata=metadata, check_results=results)

    return table


def _from_sql(query: Query) -> dg.AssetsDefinition:
    """The asset of a table that one SQL file makes."""

    def build(warehouse: Warehouse, date: dt.date) -> BuildReport:
        return warehouse.build(query.name, date)

    tables = tuple(table for table in query.reads if table in CONTRACTS)
    return weekly_table(query.name, reads=tables, group=query.folder, kind="duckdb", build=build)


@dg.definitions
def defs() -> dg.Definitions:
    """Every weekly table."""
    tables = [_from_sql(query) for query in load_queries().values()]
    steps = [
        weekly_table(step.name, reads=step.reads, group=step.group, kind="polars", build=step.build)
        for step in weekly_steps.STEPS
    ]
    return dg.Definitions(assets=[*tables, *steps])
