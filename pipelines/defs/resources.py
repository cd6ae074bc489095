"""What assets are given: the workspace they read and write, and the weeks they are made for."""

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from pipelines.io.history import recover, run_lock
from pipelines.io.warehouse import Warehouse
from pipelines.settings import Settings

OWNERS = ["team:population-health"]

weeks = dg.WeeklyPartitionsDefinition(start_date="2020-01-06", day_offset=1, timezone="Europe/London", end_offset=1)
"""One partition a week, named by its Monday: the as-of date."""


def as_of(context: dg.AssetExecutionContext) -> dt.date:
    """The as-of date of the partition that is being made."""
    return dt.date.fromisoformat(context.partition_key)


class Workspace(dg.ConfigurableResource):
    """The folder in which this instance of Casefinder lives, and the settings that go with it."""

    home: str | None = None
    """The workspace folder; the default is what ``CASEFINDER_HOME`` says."""

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator["Workspace"]:
        """This workspace for one run: no other run meanwhile, and history whole if an ingestion was interrupted."""
        with run_lock(self.settings):
            recover(self.settings)
            yield self

    @property
    def settings(self) -> Settings:
        """Settings from the environment, in this workspace."""
        return Settings() if self.home is None else Settings(home=self.home)

    @property
    def warehouse(self) -> Warehouse:
        """The tables of this workspace."""
        return Warehouse(self.settings, reuses=self.settings.reuse)


@dg.definitions
def defs() -> dg.Definitions:
    """The workspace resource and the executor that every job uses."""
    return dg.Definitions(resources={"workspace": Workspace()}, executor=dg.in_process_executor)
