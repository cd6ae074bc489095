"""Reads the tables of a study: from this workspace as of a date, or from a folder of Parquet files."""

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from data_contracts.actions import load_actions
from data_contracts.clinical.definitions import Feature as Definition
from data_contracts.clinical.definitions import load_features
from data_contracts.yaml_text import parse_yaml
from models.design import OUTCOME_DATES, StudyDesign, load_design, read_design
from models.validation import Study
from pipelines.io.feedback import read_answers
from pipelines.io.warehouse import Warehouse
from pipelines.io.weekly_build import build_tables
from pipelines.settings import Settings

Tell = Callable[[str], None]
DEFINITIONS = "features.yaml"
PEOPLE = ("person_id", "practice_code", "age_years")
FEATURES = ("person_id", "feature", "value")


@dataclass(frozen=True)
class Question:
    """What to judge: on which people, and how widely."""

    as_of: dt.date
    """A Monday; what may be known. The index date is the latest Monday whose outcome is complete then."""
    source: Path | None = None
    """A folder of Parquet files in place of this workspace's history."""
    is_wide: bool = False
    """Also areas left out, resampled practices, frozen scores and the week before."""
    explained: str | None = None
    """Why a leak alarm is no fault."""


def read_study(settings: Settings, design: StudyDesign, question: Question, *, on_step: Tell) -> Study:
    """The tables that a question is about.

    Raises:
        ValueError: a file or a column is missing.
    """
    if question.source:
        return study_of_files(question.source, design)
    return study_of_week(Warehouse(settings), design, known_on=question.as_of, on_step=on_step)


def study_of_week(warehouse: Warehouse, design: StudyDesign, *, known_on: dt.date, on_step: Tell) -> Study:
    """The tables as of the design's index date, with the outcomes that are known on a later date."""
    build_tables(warehouse, design.index_date, upto="cambridge_scores", on_step=on_step)
    build_tables(warehouse, known_on, upto=design.follow_up.outcome, on_step=on_step)
    people, features, cambridge = (
        warehouse.read(table, design.index_date) for table in ("people", "person_features", "cambridge_scores")
    )
    outcomes = warehouse.read(design.follow_up.outcome, known_on).collect()
    worked = people_worked(warehouse.settings, design, known_on=known_on)
    marked = people.with_columns(is_worked=pl.col("person_id").is_in(worked.implode())).collect()
    return Study(features, marked, outcomes, cambridge.collect())


def people_worked(settings: Settings, design: StudyDesign, *, known_on: dt.date) -> pl.Series:
    """Ids of people whom a practice says it contacted from a list between the index date and the end of follow-up."""
    contacts = [decision.name for decision in load_actions().decisions if decision.is_contact]
    is_then = pl.col("decided_date").is_between(design.index_date, design.end_date, closed="left")
    answers = read_answers(settings, as_of=known_on)
    return answers.filter(pl.col("decision").is_in(contacts) & is_then)["person_id"].unique().sort()


def study_of_files(folder: Path, design: StudyDesign) -> Study:
    """The tables in people.parquet, person_features.parquet and the outcome's own file, such as deaths.parquet.

    ``cambridge_scores.parquet`` may lie beside them. Columns are those of the weekly contracts; of people only
    person_id, practice_code and age_years are needed, the others let subgroups be judged.

    Raises:
        ValueError: a file or a column is missing; the message names it.
    """
    outcome = design.follow_up.outcome
    people = _read(folder, "people", PEOPLE).collect()
    features = _read(folder, "person_features", FEATURES)
    outcomes = _read(folder, outcome, ("person_id", OUTCOME_DATES[outcome])).collect()
    has_cambridge = (folder / "cambridge_scores.parquet").exists()
    cambridge = (
        _read(folder, "cambridge_scores", ("person_id", "cambridge_score")).collect() if has_cambridge else None
    )
    return Study(features, people, outcomes, cambridge)


def definitions_of(folder: Path | None) -> Mapping[str, Definition]:
    """The features that are defined: by features.yaml in the folder if there is one, else by Casefinder's own.

    The folder's file lists features, each with name, description, kind, unit, source and absent.
    """
    if folder is None or not (folder / DEFINITIONS).exists():
        return load_features()
    stated = parse_yaml((folder / DEFINITIONS).read_text("utf-8"))
    return {entry["name"]: Definition(**entry) for entry in stated}


def find_design(name: str, folder: Path | None) -> StudyDesign:
    """The design that ships under a name, or that a YAML file states.

    Raises:
        ValueError: there is no such design, or it reads a feature that nobody defines.
    """
    path = Path(name)
    if path.suffix not in {".yaml", ".yml"}:
        return load_design(name)
    if not path.is_file():
        raise ValueError(f"no study design at {path}; give the path of a YAML file, or a name of models/specs")
    return read_design(path.read_text("utf-8"), definitions_of(folder))


def _read(folder: Path, table: str, columns: tuple[str, ...]) -> pl.LazyFrame:
    path = folder / f"{table}.parquet"
    if not path.is_file():
        raise ValueError(
            f"expected {path}, found none: a study in files needs people, person_features and its outcome"
        )
    frame = pl.scan_parquet(path)
    missing = [name for name in columns if name not in frame.collect_schema().names()]
    if missing:
        raise ValueError(f"{path}: expected the columns {', '.join(columns)}; missing: {', '.join(missing)}")
    return frame
