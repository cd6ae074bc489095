"""Studies in files: what is read, what is missing, and what an evaluation writes of them."""

import datetime as dt

import polars as pl
import pytest
import yaml

from models.training import train
from pipelines.io.evaluating import judge, recalibrate_model, write_judgement
from pipelines.io.model_store import ModelRefusedError, ModelStore
from pipelines.io.pages import make_page
from pipelines.io.studies import Question, definitions_of, find_design, study_of_files
from pipelines.settings import Settings
from tests.lib.studies import DEFINITIONS, DESIGN, make_study

AS_OF = dt.date(2026, 11, 16)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made, folder = make_study(), tmp_path_factory.mktemp("study")
    made.people.write_parquet(folder / "people.parquet")
    made.features.collect().write_parquet(folder / "person_features.parquet")
    made.admissions.write_parquet(folder / "avoidable_admissions.parquet")
    stated = [definition.model_dump(exclude_none=True) for definition in DEFINITIONS.values()]
    (folder / "features.yaml").write_text(yaml.safe_dump(stated), "utf-8")
    (folder / "design.yaml").write_text(DESIGN, "utf-8")
    return folder


@pytest.fixture(scope="module")
def trained(folder):
    design = find_design(str(folder / "design.yaml"), folder)
    study = study_of_files(folder, design)
    return train(design, study.features, study.people, study.outcomes)[0], study


def test_people_whom_the_model_was_fitted_on_are_not_judged_on_the_same_date(trained):
    model, study = trained
    judged = judge(model, model.design, study)
    assert judged.evaluation.value("people") == study.people.height - model.trained_people
    later = model.design.model_copy(update={"index_date": model.design.index_date + dt.timedelta(weeks=1)})
    assert judge(model, later, study).evaluation.value("people") == study.people.height


def test_the_report_holds_its_charts_and_figures(trained, tmp_path):
    model, study = trained
    judged = judge(model, model.design, study)
    folder = write_judgement(tmp_path / "report", judged)
    page = (folder / "report.html").read_text("utf-8")
    assert page.count("<svg") == len(list(folder.glob("*.svg"))) >= 4
    assert "<img" not in page
    assert f"{judged.evaluation.value('c_statistic'):.3f}" in page


def test_recalibration_saves_a_candidate_with_the_same_ranking(folder, trained, tmp_path):
    model, _ = trained
    settings = Settings(home=tmp_path)
    store = ModelStore(settings.models, definitions_of(folder))
    store.save(model)
    local, judged, _ = recalibrate_model(settings, model.version, Question(as_of=AS_OF, source=folder))
    assert {entry.version: entry.state for entry in store.entries()}[local.version] == "candidate"
    assert local.tables == model.tables
    assert judged.recalibrated is not None


@pytest.mark.parametrize(
    ("name", "column", "says"),
    [("people", "practice_code", "practice_code"), ("avoidable_admissions", "admitted_date", "admitted_date")],
)
def test_a_missing_column_is_named(folder, tmp_path, name, column, says):
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    pl.read_parquet(folder / f"{name}.parquet").drop(column).write_parquet(tmp_path / f"{name}.parquet")
    with pytest.raises(ValueError, match=rf"{name}\.parquet.*missing: {says}"):
        study_of_files(tmp_path, find_design(str(folder / "design.yaml"), folder))


def test_a_missing_file_is_named(tmp_path, folder):
    with pytest.raises(ValueError, match=r"people\.parquet"):
        study_of_files(tmp_path, find_design(str(folder / "design.yaml"), folder))
    with pytest.raises(ValueError, match=r"no study design at"):
        find_design(str(tmp_path / "none.yaml"), folder)


def test_a_model_of_another_outcome_never_ranks_people(trained, tmp_path, folder):
    model, _ = trained
    follow_up = model.design.follow_up.model_copy(update={"outcome": "deaths"})
    of_deaths = model.model_copy(update={"design": model.design.model_copy(update={"follow_up": follow_up})})
    store = ModelStore(tmp_path, definitions_of(folder))
    store.save(of_deaths)
    with pytest.raises(ModelRefusedError, match="only a model of avoidable_admissions"):
        store.promote(of_deaths.version, decided_by="x", decided_on=AS_OF, reason="y", figures={})


def test_a_page_escapes_its_title_and_shows_each_chart_once():
    page = make_page("a < b", "# A\n\n![one](one.svg)\n\ntext\n", {"one": "<svg>1</svg>"})
    assert "<title>a &lt; b</title>" in page
    assert page.count("<svg>1</svg>") == 1
