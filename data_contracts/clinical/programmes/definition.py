"""Loads screening, immunisation and recall programmes with their dated rules; refuses rows that cannot be right."""

import datetime as dt
import re
from functools import cache
from itertools import pairwise
from typing import Any, Literal

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from data_contracts.clinical.definitions import (
    load_features,
    load_measures,
    months_before,
    read_definition,
    read_definition_csv,
    resolutions,
)
from data_contracts.codelists import load_codelists
from data_contracts.yaml_text import parse_yaml

ROLES = ["done", "done_elsewhere", "invited", "booked", "did_not_attend", "no_response", "declined", "unsuitable"]
AGES = ["age_from", "age_to", "due_at", "valid_from", "inferred_from"]
LENGTHS = [
    "due_after",
    "interval",
    "window",
    "clear_interval",
    "clear_window",
    "clear_gap",
    "lead",
    "grace",
    "settled",
    "decline_lasts",
    "unsuitable_lasts",
]
DATES = [
    *("age_on", "born_from", "born_before", "due_on", "offered_from", "clear_since"),
    *("effective_from", "effective_to"),
]
NEEDED = ["event", "age_from", "lead", "grace", "settled", "decline_lasts", "effective_from", "source"]
NEVER = "never"
_AGE = re.compile(r"(\d+(y|mo|w|d))+")
_LENGTH = re.compile(r"\d+[dw]")
_NO_OLDEST = dt.date(1900, 1, 1)


class Programme(BaseModel):
    """One programme: its words for a practice, who calls people, and what holds whatever the year."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    title: str
    kind: Literal["screening", "immunisation", "check", "recall"]
    called_by: Literal["national", "practice"]
    harm: int = Field(ge=1, le=5)
    action: str
    note: str | None = None
    dose_gap: str = Field(default="0d", pattern=_LENGTH.pattern)
    invitation_gap: str = Field(default="7d", pattern=_LENGTH.pattern)
    done_by: tuple[str, ...] = ()


@cache
def load_programmes() -> dict[str, Programme]:
    """Every programme by name, in the order of programmes.yaml.

    Raises:
        ValueError: a name stands twice, or a measure is not in measures.yaml.
    """
    entries = [Programme(**entry) for entry in parse_yaml(read_definition("programmes/programmes.yaml"))]
    programmes = {entry.name: entry for entry in entries}
    strange = {measure for entry in entries for measure in entry.done_by} - set(load_measures())
    if len(programmes) != len(entries) or strange:
        raise ValueError(f"programmes.yaml: a name stands twice, or measures {sorted(strange)} do not exist")
    return programmes


@cache
def load_rules() -> pl.DataFrame:
    """Every dated rule, in the order of rules.csv: dates as dates, durations as text with their units."""
    rules = read_definition_csv("programmes/rules.csv", dose=pl.Int32, **dict.fromkeys(DATES, pl.Date))
    check_rules(rules)
    return rules


def load_codes(codelists: pl.DataFrame | None = None) -> pl.DataFrame:
    """One row per programme, codelist and code: programme, codelist, role, result, channel, note, concept_id.

    Args:
        codelists: one row per codelist and code in force; by default the ones that ship.
    """
    in_force = (load_codelists() if codelists is None else codelists).select("codelist", "concept_id")
    rows = read_definition_csv("programmes/codes.csv")
    codes = rows.join(in_force, on="codelist", how="left", validate="m:m")
    check_codes(codes)
    return codes


@cache
def load_groups() -> pl.DataFrame:
    """One row per group and condition or feature that puts a person in it."""
    rows = read_definition_csv("programmes/groups.csv", at_least=pl.Float64)
    known = {"condition": set(resolutions()), "feature": set(load_features())}
    for number, row in enumerate(rows.iter_rows(named=True), start=2):
        if row["key"] not in known.get(row["kind"], set()):
            raise ValueError(f"groups.csv, row {number} ({row['group']}): no {row['kind']} is named {row['key']!r}")
    return rows


@cache
def load_coverage() -> pl.DataFrame:
    """One row per measure of coverage that England publishes: who is counted, by which doses, and its figure."""
    rows = read_definition_csv(
        "programmes/coverage.csv",
        age_from=pl.Int16,
        age_below=pl.Int16,
        doses=pl.Int16,
        published_percent=pl.Float64,
    )
    strange = set(rows["programme"]) - set(load_programmes()) | set(rows["rule"].drop_nulls()) - set(
        load_rules()["rule"]
    )
    if strange:
        raise ValueError(f"coverage.csv: no programme or rule is named {sorted(strange)}")
    return rows


def check_rules(rules: pl.DataFrame) -> None:
    """Refuses rules that cannot be right.

    Raises:
        ValueError: the row and what is wrong: a field is missing, a duration has no unit, dates overlap.
    """
    for number, row in enumerate(rules.iter_rows(named=True), start=2):
        wrong = _wrong_with(row)
        if wrong:
            raise ValueError(f"rules.csv, row {number} ({row['rule']}): {wrong}")
    for (name,), dated in rules.with_row_index("row", offset=2).group_by("rule", maintain_order=True):
        for one, other in pairwise(dated.sort("effective_from").rows(named=True)):
            if one["effective_to"] is None or one["effective_to"] > other["effective_from"]:
                raise ValueError(f"rules.csv, row {other['row']} ({name}): in force while row {one['row']} still is")


def check_codes(codes: pl.DataFrame) -> None:
    """Refuses codelists that do not exist and codes that say two things in one programme.

    Raises:
        ValueError: the programme, the codelist and the code.
    """
    for row in codes.iter_rows(named=True):
        where = f"codes.csv ({row['programme']}, {row['codelist']})"
        if row["programme"] not in load_programmes() or row["role"] not in ROLES:
            raise ValueError(f"{where}: there is no such programme, or no role {row['role']!r}")
        if row["concept_id"] is None and row["note"] is None:
            raise ValueError(f"{where}: no codelist has that name; say in the note why it may be empty")
    # Done elsewhere is done, and a code with a result says more than the same code without one.
    meaning = pl.col("role").replace("done_elsewhere", "done")
    said = (
        codes.drop_nulls("concept_id")
        .group_by("programme", "concept_id")
        .agg(
            roles=meaning.n_unique(),
            results=pl.col("result").drop_nulls().n_unique(),
            codelists=pl.col("codelist").unique().sort(),
        )
    )
    torn = said.filter((pl.col("roles") > 1) | (pl.col("results") > 1)).sort("programme", "concept_id")
    if torn.height:
        row = torn.row(0, named=True)
        lists = " and ".join(row["codelists"])
        raise ValueError(f"codes.csv ({row['programme']}): code {row['concept_id']} stands in {lists}, which differ")


def programme_tables(as_of: dt.date, *, codelists: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """The programmes as tables that SQL can join: rules in force on the date, with their cut-off dates."""
    rules = rules_in_force(as_of)
    cut_offs = _cut_offs(rules, as_of)
    births = cut_offs.select("rule_number", "born_by", "born_from")
    return {
        "programmes": _programmes(rules),
        "programme_rules": cut_offs,
        "programme_codes": _codes(rules, load_codes(codelists)),
        "programme_measures": _measures(),
        "rule_conditions": _members(rules, as_of, "condition").join(births, on="rule_number", validate="m:1"),
        "rule_features": _members(rules, as_of, "feature").join(births, on="rule_number", validate="m:1"),
    }


def rules_in_force(as_of: dt.date) -> pl.DataFrame:
    """The rules that hold on a date, numbered in the order of rules.csv: where two fit a person the first counts."""
    numbers = {name: number for number, name in enumerate(load_programmes())}
    unknown = set(load_rules()["programme"]) - set(numbers)
    if unknown:
        raise ValueError(f"rules.csv: no programme is named {sorted(unknown)}")
    return (
        load_rules()
        .with_row_index("rule_number")
        .filter(
            pl.col("effective_from") <= as_of, pl.col("effective_to").is_null() | (pl.col("effective_to") > as_of)
        )
        .with_columns(
            pl.col("rule_number").cast(pl.Int32),
            programme_number=pl.col("programme").replace_strict(numbers, return_dtype=pl.Int16),
        )
    )


def _wrong_with(row: dict[str, Any]) -> str | None:
    """What is wrong with one rule; None if nothing is."""
    missing = [name for name in NEEDED if row[name] is None]
    if missing:
        return f"{', '.join(missing)} must be stated"
    for name in AGES:
        if row[name] is not None and not _AGE.fullmatch(row[name]) and (name, row[name]) != ("inferred_from", NEVER):
            return f"{name} is {row[name]!r}: expected a number with its unit, such as 24y6mo or 8w"
    for name in LENGTHS:
        if row[name] is not None and not _LENGTH.fullmatch(row[name]):
            return f"{name} is {row[name]!r}: expected days or weeks with the unit, such as 365d"
    torn = {
        "needs names more than two groups, or comes with a sex": (row["needs"] or "").count("+") > 1
        or (row["needs"] and row["sex"]),
        "due_on says when everybody falls due, so offered_from must not": row["due_on"] and row["offered_from"],
        "effective_to is not after effective_from": row["effective_to"]
        and row["effective_to"] <= row["effective_from"],
    }
    return next((said for said, is_so in torn.items() if is_so), None)


def _programmes(rules: pl.DataFrame) -> pl.DataFrame:
    """One row per programme: its number and what holds whatever the rule."""
    dosed = set(rules.drop_nulls("dose")["programme"])
    rows = [
        (
            number,
            name,
            entry.called_by == "practice",
            entry.harm,
            _days(entry.dose_gap),
            _days(entry.invitation_gap),
            name in dosed,
        )
        for number, (name, entry) in enumerate(load_programmes().items())
    ]
    schema = {
        "programme_number": pl.Int16,
        "programme": pl.String,
        "is_called_by_practice": pl.Boolean,
        "harm": pl.Int16,
        "dose_gap_days": pl.Int32,
        "invitation_gap_days": pl.Int32,
        "is_dosed": pl.Boolean,
    }
    return pl.DataFrame(rows, schema=schema, orient="row")


def _cut_offs(rules: pl.DataFrame, as_of: dt.date) -> pl.DataFrame:
    """One row per rule in force: ages as birth dates, durations as months and days."""
    age_on = pl.col("age_on").fill_null(as_of)
    day_before = pl.col("born_before").dt.offset_by("-1d")
    return rules.select(
        "rule_number",
        "programme_number",
        "event",
        "sex",
        "dose",
        "due_on",
        "offered_from",
        "clear_since",
        has_sex_override=pl.col("sex_override").eq_missing("done_on_record"),
        needed_groups=pl.col("needs").str.split("+").list.len().fill_null(0).cast(pl.Int32),
        born_by=pl.min_horizontal(_earlier(age_on, "age_from"), day_before),
        born_from=pl.coalesce(
            pl.max_horizontal(_earlier(age_on, "age_to").dt.offset_by("1d"), pl.col("born_from")), pl.lit(_NO_OLDEST)
        ),
        is_inferred=pl.col("inferred_from").ne_missing(NEVER),
        **_months_and_days("due", pl.coalesce("due_at", "age_from")),
        is_due_at_age=pl.col("due_at").is_not_null() | pl.col("needs").is_null(),
        **_months_and_days("reached", pl.col("inferred_from").replace(NEVER, None)),
        **{f"{name}_days": _in_days(pl.col(name)) for name in LENGTHS},
    ).sort("rule_number")


def _codes(rules: pl.DataFrame, codes: pl.DataFrame) -> pl.DataFrame:
    """One row per programme and code: what the code says, and the youngest age at which being done counts."""
    youngest = rules.group_by("programme", "programme_number").agg(
        valid_months=_months(pl.col("valid_from")).fill_null(0).min()
    )
    return (
        codes.drop_nulls("concept_id")
        .join(youngest, on="programme", how="inner", validate="m:1")
        .select(
            "programme_number",
            "role",
            "result",
            "channel",
            "concept_id",
            valid_months=pl.when(pl.col("role").is_in(["done", "done_elsewhere"])).then("valid_months").otherwise(0),
        )
        .unique()
        .sort("programme_number", "role", "concept_id", "channel")
    )


def _measures() -> pl.DataFrame:
    """One row per programme and measure, with how many together count as done."""
    rows = [
        (number, measure, len(entry.done_by))
        for number, entry in enumerate(load_programmes().values())
        for measure in entry.done_by
    ]
    schema = {"programme_number": pl.Int16, "measure": pl.String, "measures_needed": pl.Int32}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _members(rules: pl.DataFrame, as_of: dt.date, kind: Literal["condition", "feature"]) -> pl.DataFrame:
    """One row per rule, part and condition or feature: who the rule needs (part 1, 2) or excludes (part 0)."""
    needs = rules.drop_nulls("needs").select("rule_number", group=pl.col("needs").str.split("+"))
    needs = needs.with_columns(part=pl.int_ranges(1, pl.col("group").list.len() + 1, dtype=pl.Int32))
    excludes = rules.drop_nulls("excludes").select("rule_number", group="excludes", part=pl.lit(0, dtype=pl.Int32))
    wanted = pl.concat([needs.explode("group", "part"), excludes])
    unknown = set(wanted["group"]) - set(load_groups()["group"])
    if unknown:
        raise ValueError(f"rules.csv: no group is named {sorted(unknown)}")
    members = wanted.join(load_groups().filter(kind=kind), on="group", how="inner", validate="m:m")
    within = pl.lit(as_of).dt.offset_by(pl.format("-{}d", _in_days(pl.col("within"))))
    if kind == "condition":
        made = members.select(
            "rule_number",
            "part",
            condition="key",
            since=within,
        )
        return made.sort("rule_number", "part", "condition")
    since = {name: months_before(as_of, feature.months or 0) for name, feature in load_features().items()}
    made = members.select(
        "rule_number",
        "part",
        "at_least",
        feature="key",
        since=pl.col("key").replace_strict(since, return_dtype=pl.Date),
    )
    return made.sort("rule_number", "part", "feature")


def _earlier(day: pl.Expr, age: str) -> pl.Expr:
    """The day some age earlier, the age in a column; null where that is null."""
    return day.dt.offset_by(pl.format("-{}", age))


def _in_days(length: pl.Expr) -> pl.Expr:
    """Days or weeks as a number of days."""
    number = length.str.extract(r"(\d+)").cast(pl.Int32)
    return pl.when(length.str.ends_with("w")).then(number * 7).otherwise(number)


def _days(length: str) -> int:
    """Days or weeks as a number of days."""
    return int(pl.select(_in_days(pl.lit(length))).item())


def _months(age: pl.Expr) -> pl.Expr:
    """The whole months of an age, its years among them; null where it is null."""
    years = age.str.extract(r"(\d+)y").cast(pl.Int32).fill_null(0)
    months = age.str.extract(r"(\d+)mo").cast(pl.Int32).fill_null(0)
    return pl.when(age.is_not_null()).then(years * 12 + months)


def _months_and_days(name: str, age: pl.Expr) -> dict[str, pl.Expr]:
    """An age as two columns, its whole months and the days beside them."""
    weeks = age.str.extract(r"(\d+)w").cast(pl.Int32).fill_null(0)
    days = age.str.extract(r"(\d+)d").cast(pl.Int32).fill_null(0)
    return {f"{name}_months": _months(age), f"{name}_days": pl.when(age.is_not_null()).then(weeks * 7 + days)}
