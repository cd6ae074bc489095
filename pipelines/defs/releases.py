"""What leaves: the release of a week, the analysts' catalogue, the weekly job and its schedule."""

import datetime as dt
from zoneinfo import ZoneInfo

import dagster as dg

from data_contracts.registry import WEEKLY
from pipelines.defs.resources import OWNERS, Workspace, as_of, weeks
from pipelines.io.releases import write_release
from pipelines.io.releases.options import ReleaseRefusedError
from pipelines.io.releases.publish import TABLES

LONDON = ZoneInfo("Europe/London")
MONDAY_NINE = dg.FreshnessPolicy.cron(
    deadline_cron="0 9 * * 1", lower_bound_delta=dt.timedelta(hours=9), timezone="Europe/London"
)


@dg.asset(
    partitions_def=weeks,
    deps=TABLES,
    group_name="releases",
    kinds={"parquet", "excel"},
    owners=OWNERS,
    freshness_policy=MONDAY_NINE,
    retry_policy=dg.RetryPolicy(max_retries=2, delay=30),
)
def release(context: dg.AssetExecutionContext, workspace: Workspace) -> dg.MaterializeResult:
    """One dated, whole, checked set of files: a folder an ICB, a target list a practice, a manifest."""
    today = dt.datetime.now(tz=LONDON).date()
    try:
        folder = write_release(workspace.settings, as_of(context), disclosed_on=today)
    except ReleaseRefusedError as refusal:
        # The condition that does not hold will not hold in half a minute either.
        raise dg.Failure(description=str(refusal), allow_retries=False) from refusal
    files = [path for path in folder.rglob("*") if path.is_file()]
    return dg.MaterializeResult(metadata={"folder": dg.MetadataValue.path(folder), "files": len(files)})


@dg.asset(
    partitions_def=weeks,
    deps=[*WEEKLY],
    group_name="releases",
    kinds={"duckdb"},
    owners=OWNERS,
    freshness_policy=MONDAY_NINE,
    retry_policy=dg.RetryPolicy(max_retries=2, delay=30),
)
def catalogue(context: dg.AssetExecutionContext, workspace: Workspace) -> dg.MaterializeResult:
    """The DuckDB file that analysts open: views over the history and over the tables of the latest week."""
    path = workspace.warehouse.publish_catalogue(as_of(context))
    return dg.MaterializeResult(metadata={"file": dg.MetadataValue.path(path)})


weekly_job = dg.define_asset_job(
    "weekly",
    selection=dg.AssetSelection.assets(*WEEKLY, "release", "catalogue"),
    description="One weekly pass from people to the release.",
)


@dg.schedule(job=weekly_job, cron_schedule="0 4 * * 1", execution_timezone="Europe/London")
def every_monday(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    """Runs the week that begins today, early on Monday, before practices open."""
    monday = context.scheduled_execution_time.date().isoformat()
    return dg.RunRequest(partition_key=monday, run_key=monday)


@dg.definitions
def defs() -> dg.Definitions:
    """The release, the catalogue, the weekly job and its schedule."""
    return dg.Definitions(assets=[release, catalogue], jobs=[weekly_job], schedules=[every_monday])
