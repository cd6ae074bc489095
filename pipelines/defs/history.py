"""Landed extracts become history: an asset a history table, made together by one ingestion, and its sensor."""

import datetime as dt
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import polars as pl

from data_contracts.registry import DELIVERIES, HISTORY, REFERENCE
from pipelines.defs.contracts import column_schema, contract_check, contract_result, description
from pipelines.defs.resources import OWNERS, Workspace
from pipelines.io.landing.ingest import ingest
from pipelines.settings import Settings

TABLES = [*HISTORY, *REFERENCE, *DELIVERIES]
UNDATED = dt.date.min
"""History has no as-of date."""


def _spec(table: str) -> dg.AssetSpec:
    """One history table as an asset."""
    return dg.AssetSpec(
        table,
        group_name="history",
        deps=["landing"],
        kinds={"parquet"},
        owners=OWNERS,
        description=description(table),
        metadata={"dagster/column_schema": column_schema(table)},
    )


landing = dg.AssetSpec(
    "landing",
    group_name="landing",
    kinds={"csv"},
    owners=OWNERS,
    description="Extract files as delivered: GP records, hospital activity, reference files, opt-out replies.",
)


@dg.multi_asset(
    specs=[_spec(table) for table in TABLES],
    check_specs=[contract_check(table) for table in TABLES],
)
def history(context: dg.AssetExecutionContext, workspace: Workspace) -> Iterator[dg.MaterializeResult]:
    """Registers, checks and loads what has landed; every record is accounted for in the ledger."""
    report = ingest(workspace.settings, on_progress=_teller(context))
    warehouse = workspace.warehouse
    for table in TABLES:
        rows = warehouse.read(table, UNDATED).select(pl.len()).collect().item()
        yield dg.MaterializeResult(
            asset_key=table,
            metadata={"dagster/row_count": rows, "files": report.files.height},
            check_results=[contract_result(table, warehouse.check(table, UNDATED))],
        )


def _teller(context: dg.AssetExecutionContext) -> Callable[[str, int, int], None]:
    """Logs what the ingestion is doing."""
    return lambda what, done, steps: context.log.info(f"{done} of {steps}: {what}")


ingest_job = dg.define_asset_job(
    "ingest", selection=dg.AssetSelection.assets(*TABLES), description="Load what has landed into history."
)


@dg.sensor(job=ingest_job, minimum_interval_seconds=300)
def landing_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """Starts an ingestion when the files in the landing folder have changed and have stopped changing."""
    seen = _fingerprint(Settings().landing)
    settled = context.cursor == seen
    requests = [dg.RunRequest(run_key=seen)] if settled and seen else []
    return dg.SensorResult(run_requests=requests, cursor=seen)


def _fingerprint(folder: Path) -> str:
    """A hash of the names, sizes and times of the files under a folder; empty if there are none."""
    stats = [(path.relative_to(folder).as_posix(), path.stat()) for path in folder.rglob("*") if path.is_file()]
    lines = sorted(f"{name} {stat.st_size} {stat.st_mtime_ns}" for name, stat in stats)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest() if lines else ""


@dg.definitions
def defs() -> dg.Definitions:
    """History, the job that loads it and the sensor that starts the job."""
    return dg.Definitions(assets=[landing, history], jobs=[ingest_job], sensors=[landing_sensor])
