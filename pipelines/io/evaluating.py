"""Judges a saved model on people whose outcomes are known, here or from files, and writes its report."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import polars as pl

from models.additive import AdditiveModel
from models.charts import draw_judgement
from models.design import DAYS_IN_WEEK, StudyDesign
from models.evaluation import Evaluation, Row, evaluate
from models.fairness import find_unfair_groups
from models.recalibration import recalibrate
from models.report import Judged, write_report
from models.stability import compare_lists, list_overlap, unexplained_share
from models.training import hold_out
from models.validation import Study, follow_frozen_scores, leave_areas_out, resample_practices
from pipelines.io.model_store import ModelStore
from pipelines.io.pages import make_page
from pipelines.io.studies import Question, Tell, definitions_of, read_study, study_of_week
from pipelines.io.warehouse import Warehouse
from pipelines.settings import Settings

DECAY_WEEKS = (0, 13, 26)
"""How long after the first date frozen scores are looked at again."""


def evaluate_model(
    settings: Settings, version: str, question: Question, *, on_step: Tell = lambda step: None
) -> tuple[Judged, Path]:
    """The judgement of one saved model, and the folder of its report: markdown, page, charts and long table.

    People of practices that the model was fitted on are left out if it was fitted on the same date.

    Raises:
        ValueError: the model is refused, a file is missing, nobody has the outcome or everybody has.
    """
    model = ModelStore(settings.models, definitions_of(question.source)).load(version)
    design = model.design.known_on(question.as_of)
    study = read_study(settings, design, question, on_step=on_step)
    on_step("judging")
    judged = judge(model, design, study)
    if question.is_wide:
        rows = _wider(settings, model, design, study, question, on_step)
        judged = replace(judged, evaluation=judged.evaluation.with_rows(rows))
    judged = replace(judged, explained=question.explained)
    return judged, write_judgement(settings.models / version / "evaluations" / f"{design.index_date}", judged)


def judge(model: AdditiveModel, design: StudyDesign, study: Study) -> Judged:
    """The model's judgement on a study's people, as it is and recalibrated there."""
    people, whom = study.labelled(design), "everyone of the study population"
    if design.index_date == model.design.index_date:
        people = people.filter(hold_out(design, people["practice_code"]))
        whom = "of practices that the model was not fitted on"
    evaluation = evaluate(design, model.score(study.inputs, people["person_id"]), people)
    recalibrated, why_not = _recalibrated(model, study, people)
    return Judged(
        model=model,
        evaluation=evaluation,
        index_date=design.index_date,
        whom=whom,
        unfair=find_unfair_groups(design, evaluation),
        recalibrated=recalibrated,
        why_not_recalibrated=why_not,
    )


def recalibrate_model(
    settings: Settings, version: str, question: Question, *, on_step: Tell = lambda step: None
) -> tuple[AdditiveModel, Judged, Path]:
    """The model with its probabilities fitted to these people, saved as a candidate, with the report of the change.

    Raises:
        ValueError: too few outcomes in either half of the practices.
    """
    store = ModelStore(settings.models, definitions_of(question.source))
    model = store.load(version)
    design = model.design.known_on(question.as_of)
    study = read_study(settings, design, question, on_step=on_step)
    local, before, after = recalibrate(model, study.inputs, study.labelled(design))
    judged = Judged(
        model=local,
        evaluation=before,
        index_date=design.index_date,
        whom="half of the practices; the other half made the curve",
        unfair=find_unfair_groups(design, after),
        recalibrated=after,
    )
    store.save(local)
    return local, judged, write_judgement(settings.models / local.version, judged, table=after)


def write_judgement(folder: Path, judged: Judged, *, table: Evaluation | None = None) -> Path:
    """The folder, now with report.md, report.html, the charts and evaluation.csv."""
    folder.mkdir(parents=True, exist_ok=True)
    charts = draw_judgement(judged.evaluation)
    for name, svg in charts.items():
        (folder / f"{name}.svg").write_text(svg, "utf-8")
    report = write_report(judged, charts=[f"{name}.svg" for name in charts])
    (folder / "report.md").write_text(report, "utf-8")
    title = f"Evaluation of {judged.model.version}"
    (folder / "report.html").write_text(make_page(title, report, charts), "utf-8")
    (table or judged.evaluation).table.write_csv(folder / "evaluation.csv")
    return folder


def _recalibrated(model: AdditiveModel, study: Study, people: pl.DataFrame) -> tuple[Evaluation | None, str | None]:
    """The judgement after recalibration, or why there is none."""
    try:
        return recalibrate(model, study.inputs, people)[2], None
    except ValueError as error:
        return None, str(error)


def _wider(
    settings: Settings, model: AdditiveModel, design: StudyDesign, study: Study, question: Question, on_step: Tell
) -> list[Row]:
    """Rows of the wider judgements; those that need other dates are for this workspace's history only."""
    chosen = next(estimator for estimator in design.estimators if estimator.name == model.estimator)
    is_held_out = hold_out(design, study.people["practice_code"])
    rows: list[Row] = []
    on_step("fitting on resampled practices")
    rows += resample_practices(
        design, chosen, study.only(~is_held_out), study.people.filter(is_held_out)["person_id"]
    )
    on_step("fitting with each ICB left out")
    rows += leave_areas_out(design, chosen, study) if "icb_code" in study.people.columns else []
    if question.source is None:
        rows += _at_other_dates(settings, model, study, question, on_step)
    return rows


def _at_other_dates(
    settings: Settings, model: AdditiveModel, study: Study, question: Question, on_step: Tell
) -> list[Row]:
    """Frozen scores beside fresh ones, and what a week changes in the list."""
    latest = model.design.known_on(question.as_of)
    warehouse, first = Warehouse(settings), latest.index_date - dt.timedelta(weeks=max(DECAY_WEEKS))
    studies = {}
    for weeks in DECAY_WEEKS:
        design = latest.model_copy(update={"index_date": first + dt.timedelta(weeks=weeks)})
        is_here = design.index_date == latest.index_date
        studies[weeks] = (
            study if is_here else study_of_week(warehouse, design, known_on=question.as_of, on_step=on_step)
        )
    frozen = model.model_copy(update={"design": model.design.model_copy(update={"index_date": first})})
    before = latest.model_copy(update={"index_date": latest.index_date - dt.timedelta(days=DAYS_IN_WEEK)})
    last_week = study_of_week(warehouse, before, known_on=question.as_of, on_step=on_step)
    return [*follow_frozen_scores(frozen, studies), *_week_to_week(model, last_week, study)]


def _week_to_week(model: AdditiveModel, before: Study, after: Study) -> list[Row]:
    share = model.design.judgement.alarm_cut
    weeks = [(model.score(each.inputs, each.people["person_id"]), each.inputs) for each in (before, after)]
    moves = compare_lists(model, *weeks, share=share)
    figures: Mapping[str, float] = {
        "share_still_listed": list_overlap(moves),
        "moves_nothing_explains": unexplained_share(moves),
    }
    return [
        {"metric": metric, "group": "list from week to week", "cut": share, "value": value}
        for metric, value in figures.items()
    ]
