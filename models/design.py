"""The study design: all that a model needs to be trained, judged and scored. Nothing is fitted here."""

import datetime as dt
import hashlib
from collections.abc import Iterable, Mapping
from importlib.resources import files
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from data_contracts.clinical.definitions import Feature as Definition
from data_contracts.clinical.definitions import load_features
from data_contracts.yaml_text import parse_yaml

SPECS = files("models") / "specs"

Absent = Literal["zero", "unknown"]
Outcome = Literal["avoidable_admissions", "emergency_admissions", "deaths"]
EstimatorName = Literal["cambridge_only", "logistic_splines", "additive_boosting", "full_boosting"]
DAYS_IN_WEEK = 7
RANKS_BY: Outcome = "avoidable_admissions"
"""The outcome whose risk may rank people; models of the others are judged beside it."""
OUTCOME_DATES: dict[Outcome, str] = {
    "avoidable_admissions": "admitted_date",
    "emergency_admissions": "admitted_date",
    "deaths": "death_date",
}
"""The table of each outcome, and its column that says when it happened."""


class Frozen(BaseModel):
    """A value that cannot change and refuses fields it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Feature(Frozen):
    """One input of the model."""

    name: str
    """As in features.yaml."""
    absent: Absent
    """What no row means: nothing happened (zero), or nobody measured (unknown)."""
    risk: Literal["rises", "falls", "any"] = "any"
    """How risk must move with the value, where that is clinically sure."""
    is_needed: bool = False
    """A person in whom it is unknown gets no score, and is told why."""
    is_reason: bool = True
    """May be shown as a reason; false for sensitive matters."""


class Population(Frozen):
    """Who is in the study, beside being registered, alive and not opted out on the index date."""

    description: str
    minimum_age_years: Annotated[int, Field(ge=0)] = 0
    maximum_age_years: Annotated[int, Field(le=130)] = 130


class FollowUp(Frozen):
    """What counts as an outcome, and what becomes of people who die or leave."""

    outcome: Outcome
    horizon_days: Annotated[int, Field(gt=0)]
    late_coding_gap_days: Annotated[int, Field(ge=0)]
    """Days between the end of the horizon and the day the outcome is read: hospital coding arrives late."""
    deaths: Literal["compete"]
    """A death ends the chance of the outcome. It is never merged into the outcome."""
    leavers: Literal["counted"]
    """People who leave stay in the denominator to the end of follow-up, with the hospital records that still came."""
    worked: Literal["left_out"]
    """People whom a practice contacted from a list during follow-up are not learned from: help hides their risk."""


class Estimator(Frozen):
    """One way to fit, with its settings."""

    name: EstimatorName
    settings: dict[str, float]
    smallest_events: int = 0
    """With fewer outcomes in training it is not tried."""


class ChoiceRule(Frozen):
    """The simplest as good as the best (most average precision) is chosen; estimators are listed simplest first."""

    comparison_people: Annotated[int, Field(gt=0)]
    """Estimators are compared on at most so many training people, spread evenly; the chosen one learns from all."""
    c_statistic_within: float
    average_precision_share: float


class Split(Frozen):
    """How people are kept apart: whole practices, by a hash of the practice code and the seed."""

    held_out_share: Annotated[float, Field(gt=0, lt=1)]
    folds: Annotated[int, Field(ge=2)]
    seed: int


class Subgroup(Frozen):
    """A column by which results are broken down, cut at the edges if it is a number."""

    name: str
    column: str
    edges: tuple[float, ...] = ()
    titles: Literal["ethnic_categories"] | None = None
    """The definition file that says what the column's codes mean; null shows the codes."""


class Rule(Frozen):
    """A simple rule that the model has to beat: choose people whose value is at least so much."""

    name: str
    column: str
    at_least: float


class Judgement(Frozen):
    """Where the model is judged, and when the result is too good to be true."""

    cuts: tuple[float, ...]
    thresholds: tuple[float, ...]
    subgroups: tuple[Subgroup, ...]
    rules: tuple[Rule, ...] = ()
    smallest_group_events: int
    alarm_c_statistic: float
    alarm_positive_predictive_value: float
    alarm_cut: float
    drift_limit: float
    """Population stability index of an input past which somebody has to look."""
    drift_every: Annotated[int, Field(ge=1)]
    """Drift of inputs is measured on one person in so many."""
    calibration_limit: float
    """How far outcomes may lie from what earlier risks said, beyond chance, as a share of them."""
    oldest_days: int
    """Days after its index date on which a model is due to be fitted again."""


class StudyDesign(Frozen):
    """A whole study: population, dates, outcome, features, estimators, split and judgement."""

    name: str
    version: int
    purpose: str
    population: Population
    index_date: dt.date
    """Features are built as of this Monday; the outcome is looked for from this day on."""
    lookbacks: str
    follow_up: FollowUp
    features: tuple[Feature, ...]
    feature_version: str
    """Changes when features.yaml changes what one of the features counts."""
    estimators: tuple[Estimator, ...]
    choice: ChoiceRule
    max_bins: Annotated[int, Field(ge=2, le=250)]
    smallest_events: Annotated[int, Field(ge=2)]
    reasons_shown: Annotated[int, Field(ge=1)]
    split: Split
    judgement: Judgement

    @property
    def end_date(self) -> dt.date:
        """The first day after the horizon."""
        return self.index_date + dt.timedelta(days=self.follow_up.horizon_days)

    @property
    def readable_from(self) -> dt.date:
        """The first as-of date on which the outcome is complete: the horizon has passed and coding caught up."""
        return self.end_date + dt.timedelta(days=self.follow_up.late_coding_gap_days)

    def known_on(self, as_of_date: dt.date) -> "StudyDesign":
        """The same design with the latest Monday whose outcome is complete on the as-of date."""
        days = self.follow_up.horizon_days + self.follow_up.late_coding_gap_days
        latest = as_of_date - dt.timedelta(days=days)
        return self.model_copy(update={"index_date": latest - dt.timedelta(days=latest.weekday() % DAYS_IN_WEEK)})

    @property
    def names(self) -> list[str]:
        """Names of the features, in the design's order."""
        return [feature.name for feature in self.features]


def version_of(definitions: Iterable[Definition]) -> str:
    """Twelve hex digits that change when what a feature counts, or the meaning of its absence, changes."""
    stated = [definition.model_dump_json(exclude={"description"}) for definition in definitions]
    return hashlib.sha256("\n".join(stated).encode()).hexdigest()[:12]


def read_design(text: str, definitions: Mapping[str, Definition]) -> StudyDesign:
    """The design that a YAML text states, with what the absence of each feature means.

    Raises:
        ValueError: a feature that is not defined.
    """
    stated = _with_parent(parse_yaml(text))
    names = [feature["name"] for feature in stated["features"]]
    unknown = sorted(set(names) - set(definitions))
    if unknown:
        raise ValueError(f"study design {stated['name']!r}: features.yaml does not define {unknown}")
    features = [{**feature, "absent": definitions[feature["name"]].absent} for feature in stated["features"]]
    version = version_of(definitions[name] for name in names)
    return StudyDesign(**{**stated, "features": features, "feature_version": version})


def _with_parent(stated: dict[str, Any]) -> dict[str, Any]:
    """The design that is stated, over the one it is like; where both have a block, its entries win one by one."""
    if "like" not in stated:
        return stated
    changes = {key: value for key, value in stated.items() if key != "like"}
    parent = _with_parent(parse_yaml((SPECS / f"{stated['like']}.yaml").read_text("utf-8")))
    merged = {key: parent[key] | value for key, value in changes.items() if isinstance(value, dict)}
    return parent | changes | merged


def load_design(name: str) -> StudyDesign:
    """The design that ships as ``models/specs/<name>.yaml``.

    Raises:
        ValueError: there is no such design; the message names those there are.
    """
    path = SPECS / f"{name}.yaml"
    if not path.is_file():
        raise ValueError(f"no study design named {name!r} in {SPECS}; there are: {', '.join(design_names())}")
    return read_design(path.read_text("utf-8"), load_features())


def design_names() -> list[str]:
    """Names of the designs that ship."""
    return sorted(entry.name.removesuffix(".yaml") for entry in SPECS.iterdir() if entry.name.endswith(".yaml"))
