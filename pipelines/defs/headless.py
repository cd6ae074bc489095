"""Runs a job without the Dagster pages, on the same instance, so that the run shows there afterwards."""

import os
import re
import shutil
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg

from pipelines.defs.contracts import CHECK
from pipelines.defs.resources import weeks
from pipelines.io.progress import heard_by
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


@dataclass(frozen=True)
class Standing:
    """Where a run stands."""

    step: str
    share: float
    """The share of the run that is done, by the seconds that each step took last time."""
    done: int
    """Registrations that the step is through with."""
    of: int
    """Registrations that the step has to go through; 0 where it does not say."""


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
    on_progress: Callable[[Standing], None] = lambda standing: None,
) -> RunOutcome:
    """The outcome of one run of a job; ``on_progress`` hears where it stands whenever that changes.

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
        follower = _Follower(_seconds_before(instance, job, [node.name for node in runnable.nodes]), on_progress)
        instance.add_event_listener(run_id, follower.hear_event)
        with heard_by(follower.hear_part):
            result = runnable.execute_in_process(
                instance=instance, run_id=run_id, partition_key=partition, run_config=run_config, raise_on_error=False
            )
    made = [event.asset_key.to_user_string() for event in result.all_events if event.is_step_materialization]
    return RunOutcome(run_id, result.success, made, [*_errors(result), *_broken_contracts(result)])


class _Follower:
    """Follows one run and tells where it stands."""

    def __init__(self, seconds: dict[str, float], on_progress: Callable[[Standing], None]) -> None:
        self.seconds, self.on_progress = seconds, on_progress
        self.passed = 0.0
        self.step = ""

    def hear_event(self, entry: dg.EventLogEntry) -> None:
        """Hears that a step starts or has ended."""
        kind = entry.dagster_event.event_type if entry.dagster_event else None
        if kind == dg.DagsterEventType.STEP_START:
            self.step = str(entry.step_key)
            self._tell(0, 0)
        elif kind == dg.DagsterEventType.STEP_SUCCESS:
            self.passed += self.seconds.get(str(entry.step_key), 0)
            self._tell(0, 0)

    def hear_part(self, done: int, of: int) -> None:
        """Hears how far the step has come."""
        self._tell(done, of)

    def _tell(self, done: int, of: int) -> None:
        part = self.seconds.get(self.step, 0) * done / of if of else 0
        self.on_progress(Standing(self.step, (self.passed + part) / sum(self.seconds.values()), done, of))


def _seconds_before(instance: dg.DagsterInstance, job: str, steps: list[str]) -> dict[str, float]:
    """What each step took in the last run of the job that succeeded, alike where there is none."""
    wanted = dg.RunsFilter(job_name=job, statuses=[dg.DagsterRunStatus.SUCCESS])
    runs = instance.get_runs(filters=wanted, limit=1)
    stats = instance.get_run_step_stats(runs[0].run_id) if runs else []
    known = {one.step_key: one.end_time - one.start_time for one in stats if one.end_time and one.start_time}
    usual = sum(known.values()) / len(known) if known else 1.0
    return {step: max(known.get(step, usual), 1e-3) for step in steps}


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
    """The message of the first error in a chain of causes; of an error of ours the message alone."""
    while error and error.cause:
        error = error.cause
    return re.sub(r"^pipelines[\w.]+: ", "", error.message.strip()) if error else "no error was recorded"


def _broken_contracts(result: dg.ExecuteInProcessResult) -> list[str]:
    """One line a table whose contract does not hold."""
    return [
        f"{evaluation.asset_key.to_user_string()}: its contract does not hold; its check counts the rows by rule"
        for evaluation in result.get_asset_check_evaluations()
        if evaluation.check_name == CHECK and not evaluation.passed
    ]
