"""The whole pipeline on a few hundred made-up people: extracts in, a release out, twice the same bytes."""

import datetime as dt
import os
import runpy
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from data_contracts.registry import RELEASE, WEEKLY
from pipelines.definitions import defs
from pipelines.defs.headless import Standing, run_job
from pipelines.io.releases import verify_release
from pipelines.io.releases.canary import find_identifiers
from pipelines.io.releases.options import ReleaseRefusedError
from pipelines.io.warehouse import Warehouse
from pipelines.io.weekly_steps import STEPS, WeeklyStep
from pipelines.settings import Settings
from tests.lib.canaries import plant
from tests.lib.workspaces import AS_OF, digests, land, make_workspace

WEEK = AS_OF.isoformat()
NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


@pytest.fixture(scope="module")
def week(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    settings = make_workspace(tmp_path_factory.mktemp("first"))
    run(settings)
    return settings


def run(settings: Settings, hear: Callable[[Standing], None] = lambda standing: None) -> None:
    outcome = run_job(defs(), "weekly", settings, partition=WEEK, on_progress=hear)
    assert outcome.succeeded, outcome.failures


def test_a_week_makes_every_table_and_a_release_that_verifies(week: Settings) -> None:
    assert {path.name for path in (week.tables / WEEK).iterdir()} == {*WEEKLY, *RELEASE}
    assert verify_release(week.releases / WEEK) == []
    assert (week.releases / "latest").resolve() == (week.releases / WEEK).resolve()


def test_the_same_inputs_give_the_same_bytes(week: Settings, tmp_path: Path) -> None:
    again = make_workspace(tmp_path, key=week.key_file)
    run(again)
    assert digests(again.history) == digests(week.history)
    assert digests(again.tables) == digests(week.tables)
    assert digests(again.releases / WEEK) == digests(week.releases / WEEK)


def test_a_refused_release_says_why_and_is_not_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def refuse(*_: object, **__: object) -> Path:
        asked.append(1)
        raise ReleaseRefusedError("no national opt-out answer")

    monkeypatch.setattr("pipelines.defs.releases.write_release", refuse)
    job = dg.define_asset_job("release_alone", selection="release")
    alone = dg.Definitions.merge(defs(), dg.Definitions(jobs=[job]))
    outcome = run_job(alone, job.name, Settings(home=tmp_path), partition=WEEK)
    assert outcome.failures == ["release: no national opt-out answer"]
    assert len(asked) == 1


def test_no_identifier_lies_outside_the_identity_zone(week: Settings, tmp_path: Path) -> None:
    people = pl.concat([pl.read_parquet(path) for path in (week.identity / "people").glob("*.parquet")])
    numbers = people["nhs_number"].drop_nulls().to_list()
    words = list(plant(land(tmp_path).landing).values())
    assert len(words) >= 20
    closed = {week.landing, week.identity, week.key_file.parent, week.releases, week.home / "truth"}
    zone = [path for path in week.home.iterdir() if path not in closed]
    assert {"history", "tables", "dagster", "spill", "ledger.parquet", "casefinder.duckdb"} <= {
        path.name for path in zone
    }
    assert (
        find_identifiers(
            [*zone, week.releases / WEEK / "icb", week.releases / WEEK / "manifest.json"], [*numbers, *words]
        )
        == {}
    )
    assert find_identifiers([week.releases / WEEK / "practices"], words) == {}


def test_planted_words_reach_quarantine_and_are_found_there(week: Settings) -> None:
    assert find_identifiers([week.identity / "quarantine"], ["Canary"])


def test_running_the_same_week_again_changes_nothing(week: Settings) -> None:
    before, made = digests(week.releases / WEEK), times_made(week)
    run(week)
    assert digests(week.releases / WEEK) == before
    assert times_made(week) == made


def test_progress_reaches_the_terminal_while_steps_run(week: Settings) -> None:
    heard: list[Standing] = []
    terminals = {os.fstat(2).st_ino}

    def hear(standing: Standing) -> None:
        heard.append(standing)
        terminals.add(os.fstat(2).st_ino)

    run(week, hear)
    assert len(terminals) == 1
    shares = [standing.share for standing in heard]
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1)
    assert {"people", "release"} <= {standing.step for standing in heard if standing.done == standing.of > 0}


def times_made(week: Settings) -> dict[Path, int]:
    """When each part of a table was written that is left alone while nothing changes."""
    anew = {step.name for step in STEPS if step.looks_elsewhere} | RELEASE.keys()
    parts = (week.tables / WEEK).glob("*/*.parquet")
    return {path: path.stat().st_mtime_ns for path in parts if path.parent.name not in anew}


@pytest.mark.parametrize("step", [step for step in STEPS if not step.looks_elsewhere], ids=lambda step: step.name)
def test_a_step_reads_no_more_than_it_says(week: Settings, step: WeeklyStep) -> None:
    read: set[str] = set()

    class Watched(Warehouse):
        def read(self, table: str, as_of: dt.date, icb: str | None = None) -> pl.LazyFrame:
            read.add(table)
            assert as_of == AS_OF
            return super().read(table, as_of, icb)

        def previous_path(self, table: str, as_of: dt.date, icb: str) -> Path | None:
            raise AssertionError(table)

    warehouse = Watched(week)
    for icb in warehouse.icb_codes():
        step.make(warehouse, AS_OF, icb)
    assert read <= set(step.reads)


def test_notebooks_run_on_the_week(week: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CASEFINDER_HOME", str(week.home))
    for notebook in sorted(NOTEBOOKS.glob("*.py")):
        runpy.run_path(str(notebook))
