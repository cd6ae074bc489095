"""Says why a person is, or is not, on a practice's list: each rule in turn, and how many people each one keeps."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import polars as pl

from data_contracts.actions import Actions
from pipelines.steps.lists import WeeklyTables, rank_members, share_places

REGULAR = "regular"


@dataclass(frozen=True)
class Question:
    """Who is asked about, where and when, and what only the history knows of that person."""

    person_id: int
    practice_code: str
    as_of: dt.date
    registrations: pl.DataFrame
    """The person's rows of the history's registrations, any practice."""
    has_opted_out: bool
    """Whether a Type 1 opt-out is recorded, at any practice of the ICB."""
    is_practice_closed: bool = False
    """Whether the practice has closed by the as-of date."""
    left_out_by: str | None = None
    """The rule by which the week does not count the person at this practice, as in the table eligibility."""


@dataclass(frozen=True)
class Finding:
    """One rule, whether it holds for the person, and what was found in plain words."""

    rule: str
    holds: bool | None
    """None where the rule does not decide by itself."""
    says: str


def explain_person(
    question: Question, *, tables: WeeklyTables, target_lists: pl.DataFrame, rules: Actions
) -> list[Finding]:
    """Every rule from registration to the list, in the order in which they decide; the last one is the answer.

    Rules after the first that keeps the person out are not asked.
    """
    findings = []
    for finding in _registration(question):
        findings.append(finding)
        if finding.holds is False:
            return [*findings, _answer(False, "not considered for a list")]
    findings += _person_rules(question, tables=tables, rules=rules)
    return findings + _list_rules(question, tables=tables, target_lists=target_lists, rules=rules)


def count_kept(
    tables: WeeklyTables, target_lists: pl.DataFrame, *, practice_code: str, rules: Actions
) -> pl.DataFrame:
    """One row per rule, in order: how many of the practice's people it keeps."""
    here = pl.col("practice_code") == practice_code
    members = rank_members(tables, rules=rules).filter(here)
    rows = [("registered here, alive, not opted out", tables.people.filter(here).collect().height)]
    for cohort in rules.cohorts:
        rows.append((f"in the cohort {cohort.title}", members.filter(pl.col("cohort") == cohort.name).height))
    rows.append(("in any cohort", members["person_id"].n_unique()))
    rows.append(("on this week's list", target_lists.filter(here).height))
    return pl.DataFrame(rows, schema={"rule": pl.String, "people": pl.Int64}, orient="row")


def _registration(question: Question) -> Iterator[Finding]:
    """Whether the person is a current regular patient here, alive and not opted out."""
    here = question.registrations.filter(pl.col("practice_code") == question.practice_code)
    yield Finding("has a registration at this practice", here.height > 0, f"{here.height} registrations here")
    closed = "it has closed" if question.is_practice_closed else "it has not closed"
    yield Finding("the practice is open", not question.is_practice_closed, closed)
    regular = here.filter(pl.col("registration_type") == REGULAR)
    kinds = ", ".join(sorted(set(here["registration_type"])))
    yield Finding("is a regular patient", regular.height > 0, f"registration type: {kinds}")
    began = regular.filter(pl.col("registered_date") < question.as_of)
    still = began.filter(pl.col("deregistered_date").is_null() | (pl.col("deregistered_date") >= question.as_of))
    yield Finding("is registered on the as-of date", still.height > 0, _spell(regular))
    died = question.registrations.filter(pl.col("death_date") < question.as_of).height > 0
    yield Finding("is alive", not died, "a death is recorded" if died else "no death is recorded")
    says = "a Type 1 opt-out is recorded" if question.has_opted_out else "no Type 1 opt-out is recorded"
    yield Finding("has not opted out", not question.has_opted_out, says)
    if question.left_out_by in OTHER_RULES:
        yield Finding("is counted at this practice", False, OTHER_RULES[question.left_out_by])


OTHER_RULES = {
    "registered_elsewhere": "a later regular registration is open at another practice",
    "sharing_paused": "the practice's sharing agreement is paused or withdrawn",
    "opt_out_unknown": "no coded entry of the practice has arrived, so nobody can tell who opted out",
}


def _spell(regular: pl.DataFrame) -> str:
    """The latest regular registration in words."""
    if regular.is_empty():
        return "never"
    latest = regular.sort("registered_date").row(-1, named=True)
    ended = latest["deregistered_date"]
    return f"registered {_day(latest['registered_date'])}, {f'left {_day(ended)}' if ended else 'has not left'}"


def _person_rules(question: Question, *, tables: WeeklyTables, rules: Actions) -> list[Finding]:
    """What each cohort knows of the person."""
    rows = {name: _rows_of(question, getattr(tables, name)) for name in COHORT_TABLES}
    return [
        _risk(rows["risk_scores"]),
        _complex_care(rows["complex_care"], tables=tables),
        *_programmes(rows["programme_states"], rules=rules),
        _lifestyle(rows["lifestyle_flags"], rules=rules),
    ]


COHORT_TABLES = ["risk_scores", "complex_care", "programme_states", "lifestyle_flags"]


def _rows_of(question: Question, table: pl.LazyFrame) -> list[dict[str, Any]]:
    return table.filter(pl.col("person_id") == question.person_id).collect().rows(named=True)


def _risk(rows: list[dict[str, Any]]) -> Finding:
    rule = "has a score of avoidable admission"
    if not rows or rows[0]["raw_score"] is None:
        why = rows[0]["unscored_reason"] if rows else "no score was made"
        return Finding(rule, None, f"no score: {why}")
    return Finding(rule, None, f"estimated {100 * rows[0]['risk_avoidable_admission_12m']:.0f} in 100 in 12 months")


def _complex_care(rows: list[dict[str, Any]], *, tables: WeeklyTables) -> Finding:
    """Whether the person has a place, and the last rank that got one."""
    last = tables.complex_care.select(pl.col("rank").max()).collect().item()
    rule = "has a place in complex care"
    if rows:
        chance = rows[0]["belongs_probability"]
        sure = (
            "" if chance is None else f"; chance of a place had the model learned from other practices: {chance:.2f}"
        )
        place = f"rank {rows[0]['rank']:,}; the last place in this ICB went to rank {last:,}{sure}"
        return Finding(rule, True, place)
    after = "nobody in this ICB has a place" if last is None else f"the last place in this ICB went to rank {last:,}"
    return Finding(rule, False, f"ranked after all the places; {after}")


def _programmes(rows: list[dict[str, Any]], *, rules: Actions) -> list[Finding]:
    """One finding per programme for which the person was looked at."""
    return [_programme(row, rules=rules) for row in sorted(rows, key=lambda row: str(row["programme"]))]


def _programme(row: dict[str, Any], *, rules: Actions) -> Finding:
    title = rules.programmes[row["programme"]].title
    due = f", due {_day(row['due_date'])}"
    done = f", last done {_day(row['last_done_date'])}" if row["last_done_date"] else ""
    state = str(row["state"]).replace("_", " ")
    return Finding(f"is overdue for {title}", row["is_gap"], f"{state} ({row['grade']}){due}{done}")


def _lifestyle(rows: list[dict[str, Any]], *, rules: Actions) -> Finding:
    rule = "has a lifestyle risk"
    if not rows:
        return Finding(rule, False, "not looked at: under 16, or receives palliative care")
    found = [name for name in rules.flags if rows[0][name]]
    unknown = [name for name in rules.flags if rows[0][name] is None]
    words = ", ".join(name.removeprefix("is_").removeprefix("has_").replace("_", " ") for name in found) or "none"
    return Finding(rule, bool(found), f"{words}; {len(unknown)} of {len(rules.flags)} not recorded")


def _list_rules(
    question: Question, *, tables: WeeklyTables, target_lists: pl.DataFrame, rules: Actions
) -> list[Finding]:
    """Where the person stands among the practice's candidates, and whether the places reach that far."""
    members = rank_members(tables, rules=rules).filter(pl.col("practice_code") == question.practice_code)
    places = share_places(tables.people, tables.slots, rules=rules).filter(
        pl.col("practice_code") == question.practice_code
    )
    mine = members.filter(pl.col("person_id") == question.person_id)
    if mine.is_empty():
        return [_answer(False, "in no cohort")]
    standing = [_standing(row, members=members, places=places, rules=rules) for row in mine.rows(named=True)]
    return [*standing, _on_list(question, target_lists, places=int(places["places"].sum()))]


def _standing(row: dict[str, Any], *, members: pl.DataFrame, places: pl.DataFrame, rules: Actions) -> Finding:
    """Where the person stands in one cohort at the practice."""
    title = next(cohort.title for cohort in rules.cohorts if cohort.name == row["cohort"])
    own = int(places.filter(pl.col("cohort") == row["cohort"])["places"].sum())
    size = members.filter(pl.col("cohort") == row["cohort"]).height
    says = f"number {row['position']} of {size} at the practice, {own} places of its own"
    return Finding(f"fits the places of {title}", row["position"] <= own, says)


def _on_list(question: Question, target_lists: pl.DataFrame, *, places: int) -> Finding:
    """Whether the list holds the person, with the rank and the reasons."""
    here = target_lists.filter(pl.col("practice_code") == question.practice_code)
    rows = here.filter(pl.col("person_id") == question.person_id).rows(named=True)
    if not rows:
        return _answer(False, f"others came first for this week's {places} places")
    reasons = str(rows[0]["reasons"]).replace("|", "; ")
    return _answer(
        True, f"number {rows[0]['rank']} of {here.height}, week {rows[0]['weeks_listed']} on it: {reasons}"
    )


def _answer(is_on: bool, says: str) -> Finding:
    return Finding("is on the list", is_on, says)


def _day(date: dt.date) -> str:
    return f"{date.day} {date:%B %Y}"
