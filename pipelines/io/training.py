"""Trains the model of a study design on this workspace's history, judges it, saves it with its card."""

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from data_contracts.clinical.definitions import load_features
from models.additive import AdditiveModel
from models.card import write_card
from models.charts import draw_charts
from models.design import RANKS_BY
from models.evaluation import Evaluation
from models.training import train
from pipelines.io.model_store import ModelStore
from pipelines.io.pages import make_page
from pipelines.io.studies import Question, Tell, definitions_of, find_design, read_study
from pipelines.settings import Settings


@dataclass(frozen=True)
class Trained:
    """A model that was fitted, its judgement on practices it never saw, and where it was saved."""

    model: AdditiveModel
    evaluation: Evaluation
    folder: Path


def train_model(settings: Settings, name: str, question: Question, *, on_step: Tell = lambda step: None) -> Trained:
    """The model of one design, fitted on the latest outcomes that are complete on the as-of date, and saved.

    It is a candidate until someone promotes it; the first of a workspace becomes champion, and the register says so.

    Raises:
        ValueError: too few outcomes, a feature that nobody has, a leak alarm that nobody explained: nothing is saved.
    """
    design = find_design(name, question.source).known_on(question.as_of)
    study = read_study(settings, design, question, on_step=on_step)
    on_step("fitting")
    model, evaluation = train(design, study.features, study.people, study.outcomes, study.cambridge)
    if evaluation.alarms and not question.explained:
        raise ValueError("leak alarm, nothing saved: " + "; ".join(evaluation.alarms))
    return Trained(model, evaluation, _save(settings, model, evaluation, question))


def _save(settings: Settings, model: AdditiveModel, evaluation: Evaluation, question: Question) -> Path:
    """The folder of the model's card, charts and figures, beside the saved model."""
    store, design, as_of = ModelStore(settings.models, definitions_of(question.source)), model.design, question.as_of
    store.save(model)
    if question.source is None and design.follow_up.outcome == RANKS_BY and store.champion() is None:
        reason = "the first model of this workspace"
        store.promote(
            model.version,
            decided_by="casefinder train",
            decided_on=as_of,
            reason=reason,
            figures=_figures(evaluation),
        )
    folder = settings.models / model.version
    folder.mkdir(exist_ok=True)
    charts = draw_charts(model, evaluation)
    for chart, svg in charts.items():
        (folder / f"{chart}.svg").write_text(svg, "utf-8")
    origin = "Files that somebody brought" if question.source else "This workspace's history"
    data = f"{origin}: features as of {design.index_date}, outcomes known on {as_of}."
    if question.explained:
        data += f" The leak alarm was explained: {question.explained}"
    card = write_card(model, evaluation, data=data, charts=[f"{chart}.svg" for chart in charts])
    (folder / "card.md").write_text(card, "utf-8")
    (folder / "card.html").write_text(make_page(f"Model card: {design.name}", card, charts), "utf-8")
    evaluation.table.write_csv(folder / "evaluation.csv")
    return folder


@dataclass(frozen=True)
class ListedModel:
    """A saved model: its version, its state, and C-statistic, calibration slope and PPV at 2% on unseen practices."""

    version: str
    state: str
    figures: tuple[float, float, float]


def list_models(settings: Settings) -> list[ListedModel]:
    """Every saved model of the workspace, oldest first."""
    entries = ModelStore(settings.models, load_features()).entries()
    tables = {entry.version: _evaluation(settings, entry.version) for entry in entries}
    return [
        ListedModel(
            entry.version,
            entry.state,
            (
                tables[entry.version].value("c_statistic"),
                tables[entry.version].value("calibration_slope"),
                tables[entry.version].value("positive_predictive_value", cut=0.02),
            ),
        )
        for entry in entries
    ]


def promote_model(settings: Settings, version: str, *, decided_by: str, decided_on: dt.date, reason: str) -> str:
    """One sentence on the new champion; the decision stands in the register with the model's figures.

    Raises:
        OSError: there is no such model.
        ValueError: it is not what was registered.
    """
    figures = _figures(_evaluation(settings, version))
    store = ModelStore(settings.models, load_features())
    entry = store.promote(version, decided_by=decided_by, decided_on=decided_on, reason=reason, figures=figures)
    return f"{entry.version} is champion"


def _evaluation(settings: Settings, version: str) -> Evaluation:
    """The judgement that was saved with a model."""
    return Evaluation(pl.read_csv(settings.models / version / "evaluation.csv", schema_overrides={"cut": pl.Float64}))


def _figures(evaluation: Evaluation) -> dict[str, float]:
    """The figures that a promotion is recorded with."""
    return {metric: evaluation.value(metric) for metric in ("c_statistic", "calibration_slope")}
