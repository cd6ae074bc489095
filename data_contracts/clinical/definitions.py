"""Loads the clinical definitions of this folder; reference.py puts them together as the tables that SQL reads."""

import csv
import datetime as dt
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import polars as pl
from pydantic import BaseModel, ConfigDict, model_validator

from data_contracts.codelists import is_valid_sctid
from data_contracts.provenance import Provenance
from data_contracts.yaml_text import parse_yaml

CLINICAL = files("data_contracts.clinical")
_LIFESTYLE_TYPES: dict[str, Any] = dict.fromkeys(("value_from", "value_below"), pl.Float64) | dict.fromkeys(
    ("age_from", "age_below"), pl.Int16
)


class DefinitionFile(Provenance):
    """One definition file with its provenance."""

    file: str


class Feature(BaseModel):
    """One feature: what it means, where its value comes from, and what the absence of a row means."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    description: str
    kind: str
    key: str | None = None
    months: int | None = None
    unit: str
    absent: Literal["zero", "unknown"]
    source: str


class UnitRule(BaseModel):
    """How values recorded in some units become values in the measure's own unit."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    recorded: list[str]
    multiply: float = 1.0
    add: float = 0.0
    value_from: float | None = None
    value_below: float | None = None


class Measure(BaseModel):
    """One measure: its unit, its plausible range and its unit rules."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    unit: str
    plausible: tuple[float, float]
    from_age: int = 0
    """Values from before this age do not count: a child's height says nothing of the adult."""
    units: list[UnitRule]
    spread_months: int | None = None
    """How far back the standard deviation of its readings reaches, if it is kept."""


class QualityMeasure(BaseModel):
    """One measure, how its value is made, when it is judged and the limits that judge it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    feed: Literal["gp", "hospital"] = "gp"
    kind: Literal["share", "difference", "days"]
    at: Literal["delivery", "week", "both"]
    past: Literal["above", "below"] = "above"
    fewest: int = 0
    warn: float | None = None
    hold: float | None = None
    stop: float | None = None
    recorded_as: tuple[str, ...] = ()
    months: int | None = None
    age_from: int | None = None

    @model_validator(mode="after")
    def _limits_get_worse(self) -> "QualityMeasure":
        limits = [limit for limit in (self.warn, self.hold, self.stop) if limit is not None]
        if not limits or limits != sorted(limits, reverse=self.past == "below"):
            raise ValueError(
                f"{self.title}: expected limits that get worse from warn to hold to stop; found {limits}"
            )
        return self


@cache
def load_provenance() -> dict[str, DefinitionFile]:
    """The provenance of every definition file, by file name."""
    entries = parse_yaml((CLINICAL / "provenance.yaml").read_text("utf-8"))
    return {entry["file"]: DefinitionFile(**entry) for entry in entries}


def read_definition(file: str) -> str:
    """The text of one definition file.

    Raises:
        ValueError: the file has no entry in provenance.yaml.
    """
    if file not in load_provenance():
        raise ValueError(f"{file} has no source, version, licence, reviewer and dates: add it to provenance.yaml")
    text: str = CLINICAL.joinpath(*file.split("/")).read_text("utf-8")
    return text


def read_definition_csv(file: str, **types: Any) -> pl.DataFrame:
    """The rows of one definition file; every column is text unless ``types`` says otherwise."""
    return pl.read_csv(read_definition(file).encode(), infer_schema=False, schema_overrides=types)


@cache
def condition_titles() -> dict[str, str]:
    """Plain words for each condition, by codelist name."""
    return {name: entry["title"] for name, entry in parse_yaml(read_definition("conditions.yaml")).items()}


@cache
def load_measures() -> dict[str, Measure]:
    """Every measure by name."""
    measures = parse_yaml(read_definition("measures.yaml"))
    return {name: Measure(**_spell_out_ranges(entry)) for name, entry in measures.items()}


@cache
def load_features() -> dict[str, Feature]:
    """Every feature by name, in the order of features.yaml.

    Raises:
        ValueError: a name stands twice.
    """
    listed = [feature for group in parse_yaml(read_definition("features.yaml")) for feature in _expand(group)]
    features = {feature.name: feature for feature in listed}
    if len(features) != len(listed):
        raise ValueError(f"features.yaml: {len(listed) - len(features)} names stand twice")
    return features


@cache
def load_quality() -> dict[str, QualityMeasure]:
    """Every measure by name, in the order of data_quality.yaml."""
    return {name: QualityMeasure(**entry) for name, entry in parse_yaml(read_definition("data_quality.yaml")).items()}


@cache
def ethnic_groups() -> pl.DataFrame:
    """One row per SNOMED CT concept that states an ethnic category: concept_id, ethnic_group.

    Raises:
        ValueError: a code fails its check digit or stands twice.
    """
    rows = read_definition_csv("ethnic_groups.csv")
    bad = [code for code in rows["code"] if not is_valid_sctid(code)]
    if bad or rows["code"].is_duplicated().any():
        raise ValueError(f"ethnic_groups.csv: {len(bad)} codes fail the check digit, or a code stands twice")
    return rows.select("ethnic_group", concept_id=pl.col("code").cast(pl.Int64))


@cache
def ethnic_titles() -> dict[str, str]:
    """Each ethnic category's letter and its title, such as A and White: British."""
    rows = read_definition_csv("ethnic_categories.csv")
    return {letter: f"{group.capitalize()}: {label}" for letter, label, group in rows.iter_rows()}


@cache
def resolutions() -> dict[str, str | None]:
    """Each condition and the codelist that resolves it; None if nothing does."""
    conditions = parse_yaml(read_definition("conditions.yaml"))
    return {name: entry.get("resolved_by") for name, entry in conditions.items()}


def _condition_table() -> pl.DataFrame:
    """One row per condition: condition, resolved_by, and the age from which an entry counts."""
    conditions = parse_yaml(read_definition("conditions.yaml"))
    rows = [(name, entry.get("resolved_by"), entry.get("from_age", 0)) for name, entry in conditions.items()]
    schema = {"condition": pl.String, "resolved_by": pl.String, "from_age": pl.Int32}
    return pl.DataFrame(rows, schema=schema, orient="row")


def dated_tables(as_of: dt.date) -> dict[str, pl.DataFrame]:
    """The definitions whose cut-off dates depend on the as-of date, as tables by name."""
    return {
        "features": _feature_table(as_of),
        "measure_units": _measure_table(as_of),
        "not_seen_rules": _not_seen_rules(as_of),
        "owed_things": _owed_things(as_of),
    } | quality_tables(as_of)


def months_before(day: dt.date, months: int) -> dt.date:
    """The same day of the month some months earlier, or the last day of that month if it is shorter."""
    shifted: dt.date = pl.select(pl.lit(day).dt.offset_by(f"-{months}mo")).item()
    return shifted


def quality_tables(as_of: dt.date) -> dict[str, pl.DataFrame]:
    """``quality_measures``, the limits of the weekly table, and ``quality_recordings``, what counts as recorded.

    The limit that holds a delivery has no place in the weekly table, but for a measure that only the week knows.
    """
    judged = {name: measure for name, measure in load_quality().items() if measure.at != "delivery"}
    measures = [
        {
            "measure": name,
            "measure_number": number,
            "feed": measure.feed,
            "kind": measure.kind,
            "is_acceptable": measure.at == "both",
            "worse": -1 if measure.past == "below" else 1,
            "fewest": measure.fewest,
            "warn_at": measure.warn if measure.warn is not None else measure.hold if measure.at == "both" else None,
            "hold_at": measure.hold if measure.at == "week" else None,
            "stop_at": measure.stop,
        }
        for number, (name, measure) in enumerate(judged.items())
    ]
    recordings = [
        {
            "measure": name,
            "recorded_as": each,
            "since": months_before(as_of, measure.months),
            "age_from": measure.age_from,
        }
        for name, measure in judged.items()
        if measure.months is not None
        for each in measure.recorded_as
    ]
    limits = dict.fromkeys(("warn_at", "hold_at", "stop_at"), pl.Float64)
    return {
        "quality_measures": pl.DataFrame(
            measures, schema_overrides={"measure_number": pl.Int16, "worse": pl.Int8, **limits}
        ),
        "quality_recordings": pl.DataFrame(recordings, schema_overrides={"age_from": pl.Int16}),
    }


@cache
def owed_titles() -> dict[str, str]:
    """Plain words for each thing owed to people in complex care, by name."""
    # A contract reads this when it is imported, and processes are forked after that: Polars would start threads.
    return {row["thing"]: row["title"] for row in csv.DictReader(read_definition("care_owed.csv").splitlines())}


def _owed_things(as_of: dt.date) -> pl.DataFrame:
    """One row per thing owed: its place, its codelist, and the day before which its last entry is due for review."""
    rows = read_definition_csv("care_owed.csv", review_days=pl.Int32).with_row_index("thing_number")
    review_from = pl.lit(as_of) - pl.duration(days="review_days")
    return rows.select("thing", pl.col("thing_number").cast(pl.Int16), "codelist", review_from=review_from)


@cache
def timeless_tables() -> dict[str, pl.DataFrame]:
    """The definitions that do not depend on the as-of date."""
    return {
        "ethnic_groups": ethnic_groups(),
        "ethnic_categories": read_definition_csv("ethnic_categories.csv"),
        "condition_list": _condition_table(),
        "admission_methods": read_definition_csv("admission_methods.csv").with_columns(
            is_new_emergency=pl.col("is_new_emergency") == "true"
        ),
        "discharge_methods": read_definition_csv("discharge_methods.csv").with_columns(
            is_death=pl.col("is_death") == "true"
        ),
        "acsc_conditions": _avoidable_conditions(),
        "seen_measures": read_definition_csv("seen_measures.csv"),
        "lifestyle_rules": read_definition_csv("lifestyle_rules.csv", **_LIFESTYLE_TYPES),
    }


def _avoidable_conditions() -> pl.DataFrame:
    """One row per condition, rule and prefix of a code: priority, condition, rule, prefix."""
    conditions = read_definition_csv("scores/acsc_conditions.csv").with_row_index("priority")
    rules = {
        "icd10_prefixes": pl.format("diagnosis_{}", "position"),
        "needs_secondary": pl.lit("require_secondary"),
        "excluded_by_secondary": pl.lit("exclude_secondary"),
        "excluded_procedure_prefixes": pl.format("exclude_procedure_{}", "excluded_procedure_position"),
    }
    parts = [
        conditions.filter(pl.col(prefixes).is_not_null())
        .select(pl.col("priority").cast(pl.Int32), "condition", rule=rule, prefix=pl.col(prefixes).str.split("|"))
        .explode("prefix")
        for prefixes, rule in rules.items()
    ]
    return pl.concat(parts).sort("priority", "condition", "rule", "prefix")


def _spell_out_ranges(entry: dict[str, Any]) -> dict[str, Any]:
    """A measure with ``from`` and ``below`` of its unit rules under names Python can use."""
    renamed = [
        {{"from": "value_from", "below": "value_below"}.get(key, key): value for key, value in rule.items()}
        for rule in entry["units"]
    ]
    return entry | {"units": renamed}


def _measure_table(as_of: dt.date) -> pl.DataFrame:
    """One row per measure, recorded unit and range of raw values."""
    rows = [
        {
            "measure": name,
            "measure_number": number,
            "recorded_unit": recorded,
            "value_from": rule.value_from,
            "value_below": rule.value_below,
            "multiply": rule.multiply,
            "add": rule.add,
            "plausible_from": measure.plausible[0],
            "plausible_to": measure.plausible[1],
            "spread_from": months_before(as_of, measure.spread_months) if measure.spread_months else None,
            "from_age": measure.from_age,
        }
        for number, (name, measure) in enumerate(load_measures().items())
        for rule in measure.units
        for recorded in rule.recorded
    ]
    overrides = {
        "measure_number": pl.Int16,
        "from_age": pl.Int32,
        "value_from": pl.Float64,
        "value_below": pl.Float64,
        "spread_from": pl.Date,
    }
    return pl.DataFrame(rows, schema_overrides=overrides)


def _expand(group: dict[str, Any]) -> Iterator[Feature]:
    """The features of one group: those it lists, or one for each of its keys."""
    shared = {name: group[name] for name in ("absent", "unit", "source", "kind", "months") if name in group}
    for entry in group.get("features", []):
        yield Feature(**shared | entry)
    titles = condition_titles() | {name: measure.title for name, measure in load_measures().items()}
    for key in group.get("keys", []):
        title = titles.get(key, key.replace("_", " "))
        name, description = group["keyed"].format(key=key), group["described"].format(title=title)
        yield Feature(**shared, name=name, key=key, description=description)


def _feature_table(as_of: dt.date) -> pl.DataFrame:
    """One row per feature and key: feature, its number in features.yaml, kind, key, window_start."""
    rows = [
        (feature.name, number, feature.kind, key, months_before(as_of, feature.months) if feature.months else None)
        for number, feature in enumerate(load_features().values())
        for key in (feature.key or "").split("|")
    ]
    schema = {
        "feature": pl.String,
        "feature_number": pl.Int16,
        "kind": pl.String,
        "key": pl.String,
        "window_start": pl.Date,
    }
    return pl.DataFrame(rows, schema=schema, orient="row")


def not_seen_titles() -> dict[str, str]:
    """Plain words for each reason why a person is taken as not seen."""
    rules = read_definition_csv("not_seen.csv")
    return dict(rules.select("reason", "title").rows())


def _not_seen_rules(as_of: dt.date) -> pl.DataFrame:
    """One row per reason: its number, kind and key, from when it looks back, how many it needs, its weight."""
    rows = [
        (
            number,
            row["reason"],
            row["kind"],
            row["key"],
            months_before(as_of, int(row["months"])) if row["months"] else None,
            months_before(as_of, int(row["at_least"])) if row["kind"] == "new" else None,
            int(row["at_least"] or 1),
            int(row["weight"]),
        )
        for number, row in enumerate(read_definition_csv("not_seen.csv").iter_rows(named=True))
    ]
    schema = {
        "reason_number": pl.Int32,
        "reason": pl.String,
        "kind": pl.String,
        "key": pl.String,
        "since": pl.Date,
        "settled_by": pl.Date,
        "at_least": pl.Int32,
        "weight": pl.Int32,
    }
    return pl.DataFrame(rows, schema=schema, orient="row")
