"""On people that others made: next year's admission from claims, and what a year does to a frozen model."""

import os
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from models.evaluation import Evaluation
from pipelines.cli import app
from tests.lib.synpuf import KNOWN_ON, write_design, write_study

FOLDER = Path(os.environ.get("CASEFINDER_SHARED_DATA", "absent")) / "synpuf"
pytestmark = [
    pytest.mark.shared_data,
    pytest.mark.skipif(not FOLDER.is_dir(), reason="needs CASEFINDER_SHARED_DATA with the folder synpuf"),
]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("synpuf")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CASEFINDER_HOME", str(folder / "workspace"))
        source = write_study(folder / "2009", FOLDER, 2009, samples=[1, 2])
        design = write_design(folder / "design.yaml")
        run("train", str(design), "--input", str(source), "--as-of", f"{KNOWN_ON[2009]}")
        yield folder


def run(*words: str) -> str:
    result = CliRunner().invoke(app, list(words))
    assert result.exit_code == 0, result.output
    return result.output


def saved_model(home: Path) -> Path:
    return next((home / "workspace" / "models").glob("synpuf_*.json")).with_suffix("")


def read(folder: Path) -> Evaluation:
    return Evaluation(pl.read_csv(folder / "evaluation.csv", schema_overrides={"cut": pl.Float64}))


def test_next_years_admission_is_found_as_well_as_is_known_to_be_possible(home):
    evaluation = read(saved_model(home))
    assert evaluation.value("c_statistic") == pytest.approx(0.76, abs=0.02)
    assert evaluation.value("positive_predictive_value", cut=0.02) == pytest.approx(0.55, abs=0.1)


def test_a_year_later_the_frozen_model_ranks_worse_and_says_too_much_until_recalibrated(home):
    model = saved_model(home)
    later = write_study(home / "2010", FOLDER, 2010, samples=[1, 2])
    said = run("evaluate", model.name, "--input", str(later), "--as-of", f"{KNOWN_ON[2010]}")
    assert "Predictions are too high" in said
    evaluation = read(model / "evaluations" / "2010-01-04")
    assert evaluation.value("c_statistic") == pytest.approx(0.70, abs=0.03)
    assert evaluation.value("observed_over_expected") < 0.8
    assert "<svg" in (model / "evaluations" / "2010-01-04" / "report.html").read_text("utf-8")
    run("recalibrate", model.name, "--input", str(later), "--as-of", f"{KNOWN_ON[2010]}")
    local = next(path for path in model.parent.glob("synpuf_*") if path.is_dir() and path != model)
    assert read(local).value("observed_over_expected") == pytest.approx(1, abs=0.1)
    assert read(local).value("calibration_slope") == pytest.approx(1, abs=0.15)
