"""Runs a job without the Dagster pages, on the same instance, so that the run shows there afterwards."""

import os
import shutil
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg

from pipelines.defs.contracts import CHECK
from pipelines.defs.resources import weeks
from pipelines.settings import Settings

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
INSTANCE_FILE = Path(__file__).parents[2] / "dagster.yaml"


@dataclass(frozen=True)
class RunOutcome:
    """How one run ended: what was made, and what failed with its message."""

    run_id: str
    succeeded: bool
    made: list[str]
    failures: list[str]


def prepare_instance(settings: Settings) -> Path:
    """The Dagster folder inside the workspace, made if need be; the environment points at it afterwards."""
    home = (settings.home / "dagster").resolve()
    home.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(INSTANCE_FILE, home / "dagster.yaml")
    os.environ["DAGSTER_HOME"] = str(home)
    os.environ["CASEFINDER_HOME"] = str(settings.home.resolve())
    return home


def run_job(
    definitions: dg.Definitions,
    job: str,
    settings: Settings,
    *,
    partition: str | None = None,
    config: dict[str, dict[str, str]] | None = None,
    on_step: Callable[[str], None] = lambda step: None,
) -> RunOutcome:
    """The outcome of one run of a job; ``on_step`` hears the name of each step as it starts.

    ``config`` holds the configuration of an asset by the asset's name.

    Raises:
        ValueError: the partition is not a Monday that has come.
    """
    if partition and not weeks.has_partition_key(partition):
        raise ValueError(
            f"expected a Monday from {weeks.get_first_partition_key()} to {weeks.get_last_partition_key()}, "
            f"found {partition}: a week can be made from its Monday on"
        )
    prepare_instance(settings)
    runnable = definitions.resolve_job_def(job)
    run_id = str(uuid.uuid4())
    run_config = QUIET | {"ops": {name: {"config": values} for name, values in (config or {}).items()}}
    with dg.DagsterInstance.get() as instance:
        instance.add_event_listener(run_id, _announcer(on_step))
        result = runnable.execute_in_process(
            instance=instance, run_id=run_id, partition_key=partition, run_config=run_config, raise_on_error=False
        )
    made = [event.asset_key.to_user_string() for event in result.all_events if event.is_step_materialization]
    return RunOutcome(run_id, result.success, made, [*_errors(result), *_broken_contracts(result)])


def _announcer(on_step: Callable[[str], None]) -> Callable[[dg.EventLogEntry], None]:
    """Calls ``on_step`` with the step's name when the log says that a step starts."""

    def listen(entry: dg.EventLogEntry) -> None:
        if entry.dagster_event and entry.dagster_event.event_type == dg.DagsterEventType.STEP_START:
            on_step(str(entry.step_key))

    return listen


def _errors(result: dg.ExecuteInProcessResult) -> list[str]:
    """One line a failed step, or one for the run if it failed before its first step: the error that began it."""
    lines = []
    for event in result.all_events:
        if event.is_step_failure:
            lines.append(f"{event.step_key}: {_began_with(event.step_failure_data.error)}")
        elif event.is_job_failure and not lines:
            lines.append(_began_with(event.job_failure_data.error))
    return lines


def _began_with(error: Any) -> str:
    """The message of the first error in a chain of causes."""
    while error and error.cause:
        error = error.cause
    return error.message.strip() if error else "no error was recorded"


def _broken_contracts(result: dg.ExecuteInProcessResult) -> list[str]:
    """One line a table whose contract does not hold."""
    return [
        f"{evaluation.asset_key.to_user_string()}: its contract does not hold; its check counts the rows by rule"
        for evaluation in result.get_asset_check_evaluations()
        if evaluation.check_name == CHECK and not evaluation.passed
    ]
