"""What the casefinder command says, and how it exits, when it can't do what it was asked."""

from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from pipelines.cli import app
from pipelines.io.history import run_lock
from pipelines.io.identity import make_key
from pipelines.io.landing.quarantine import QUARANTINE, quarantine_path
from pipelines.settings import Settings


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CASEFINDER_HOME", str(tmp_path))
    return tmp_path


def said(*arguments: str) -> str:
    """What a command that must fail printed, in one line."""
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 1, result.output
    return " ".join(result.output.split())


def test_ingest_without_a_landing_folder_says_where_it_looked(home: Path) -> None:
    make_key(Settings().key_file)
    assert "expected a landing folder; found none" in said("ingest")


def test_ingest_without_a_key_says_how_to_make_one(home: Path) -> None:
    (home / "landing").mkdir()
    assert "casefinder key" in said("ingest")


def test_run_on_another_day_than_monday_says_so(home: Path) -> None:
    assert "expected a Monday, found Tuesday" in said("run", "--as-of", "2026-11-17")


def test_run_for_a_week_that_has_not_come_says_so(home: Path) -> None:
    assert "a week can be made from its Monday on" in said("run", "--as-of", "2099-01-05")


def test_run_before_anything_was_ingested_says_what_to_do(home: Path) -> None:
    message = said("run", "--as-of", "2026-11-16")
    assert "ingest extracts first" in message
    assert "The last release and the history are as they were" in message


def test_a_second_run_started_meanwhile_says_to_wait(home: Path) -> None:
    with run_lock(Settings()):
        assert "expected to be the only run; found another one going" in said("run", "--as-of", "2026-11-16")


def test_score_without_an_input_says_what_it_takes(home: Path) -> None:
    assert "--describe" in said("score", "qrisk3")


def test_quarantine_counts_held_records_and_shows_none(home: Path) -> None:
    assert "No record is held" in CliRunner().invoke(app, ["quarantine"]).output
    path = quarantine_path(Settings(), "emis", "A81001")
    path.parent.mkdir(parents=True)
    row = {"feed": "emis", "practice_code": "A81001", "table": "observation", "raw": "SECRET", "line": 7}
    reasons = ["date_not_readable", "date_not_readable|code_not_known"]
    pl.DataFrame([row | {"reasons": each} for each in reasons], schema=QUARANTINE).write_parquet(path)
    shown = CliRunner().invoke(app, ["quarantine", "--practice", "A81001", "--rule", "date_not_readable"]).output
    assert "2" in shown.split()
    assert "code_not_known" not in shown
    assert "SECRET" not in shown


def test_synth_in_an_unknown_format_names_the_known(home: Path) -> None:
    assert "choose among emis, systmone, hospital" in said("synth", "--format", "vision", "--people", "300")
