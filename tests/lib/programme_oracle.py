"""Decides one person's programmes in plain Python, date by date: the independent check of the SQL state machine.

It shares the data files with the SQL and nothing else: durations, birthdays, doses, runs of results, invitations and
the order in which facts decide are worked out here again, for one person at a time.
"""

import calendar
import datetime as dt
import re
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from data_contracts.clinical.definitions import load_features, resolutions
from data_contracts.clinical.programmes.definition import load_codes, load_groups, load_programmes, load_rules

Day = dt.date
LONG_AGO = dt.date(1900, 1, 1)


@dataclass
class Person:
    """One made-up person: who they are and everything on record."""

    birth: Day
    sex: str
    registered: Day
    entries: list[tuple[int, Day]] = field(default_factory=list)
    """Concept or product and day, known on the day itself."""
    conditions: dict[str, tuple[Day, Day]] = field(default_factory=dict)
    measures: dict[str, Day] = field(default_factory=dict)
    features: dict[str, float] = field(default_factory=dict)


def decide(person: Person, as_of: Day) -> dict[str, dict[str, Any]]:
    """Where a person stands in each programme that concerns them on one date, by programme."""
    found = {}
    for name, rules in _rules(as_of).items():
        facts = _Facts(person, name, rules, as_of)
        fitting = [rule for rule in rules if _fits(rule, facts)]
        if fitting:
            found[name] = _judge(_choose(fitting, facts.doses), facts)
    return found


@cache
def _rules(as_of: Day) -> dict[str, list[dict[str, Any]]]:
    """The rules in force by programme, in the file's order."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in load_programmes()}
    for row in load_rules().with_row_index("place").rows(named=True):
        if row["effective_from"] <= as_of and (not row["effective_to"] or as_of < row["effective_to"]):
            found[row["programme"]].append(row)
    return found


class _Facts:
    """What is on record of one person for one programme."""

    def __init__(self, person: Person, programme: str, rules: list[dict[str, Any]], as_of: Day) -> None:
        self.person, self.as_of, self.entry = person, as_of, load_programmes()[programme]
        youngest = [_plus(person.birth, rule["valid_from"]) if rule["valid_from"] else person.birth for rule in rules]
        valid = min(youngest, default=person.birth)
        self.days: dict[str, set[Day]] = {}
        self.results: dict[str, set[Day]] = {"clear": set(), "not_clear": set()}
        self.channels: dict[Day, set[str]] = {}
        for concept, day in person.entries:
            for role, result, channel in _meanings(programme).get(concept, ()):
                earliest = valid if role in ("done", "done_elsewhere") else person.birth
                if not max(earliest, person.birth) <= day < as_of:
                    continue
                self.days.setdefault(role, set()).add(day)
                if result:
                    self.results[result].add(day)
                if role == "invited":
                    self.channels.setdefault(day, set()).update([channel] if channel else [])
        measured = [person.measures.get(measure) for measure in self.entry.done_by]
        if measured and all(measured):
            self.days.setdefault("done", set()).add(min(day for day in measured if day))

    def last(self, role: str) -> Day | None:
        return max(self.days.get(role, ()), default=None)

    @property
    def last_done(self) -> Day | None:
        return max(self.days.get("done", set()) | self.days.get("done_elsewhere", set()), default=None)

    @property
    def is_elsewhere(self) -> bool:
        here, there = self.last("done"), self.last("done_elsewhere")
        return there is not None and (here is None or there > here)

    @property
    def doses(self) -> int:
        given = self.days.get("done", set()) | self.days.get("done_elsewhere", set())
        return len(_spaced(given, _number(self.entry.dose_gap)))

    def clear_run(self) -> tuple[Day, Day] | None:
        """First and last day of the run of clear results, if the last result was clear."""
        spoilt = max(self.results["not_clear"], default=LONG_AGO)
        run = sorted(day for day in self.results["clear"] if day > spoilt)
        return (run[0], run[-1]) if run else None


@cache
def _meanings(programme: str) -> dict[int, list[tuple[str, str | None, str | None]]]:
    rows = load_codes().filter(programme=programme).drop_nulls("concept_id").rows(named=True)
    codes: dict[int, list[tuple[str, str | None, str | None]]] = {}
    for row in rows:
        codes.setdefault(row["concept_id"], []).append((row["role"], row["result"], row["channel"]))
    return codes


@cache
def _group(name: str) -> list[dict[str, Any]]:
    """The rows that say who is in a group."""
    return load_groups().filter(group=name).rows(named=True)


def _fits(rule: dict[str, Any], facts: _Facts) -> bool:
    person, day = facts.person, rule["age_on"] or facts.as_of
    if person.birth > _minus(day, rule["age_from"]) or person.birth < (rule["born_from"] or LONG_AGO):
        return False
    if rule["age_to"] and person.birth <= _minus(day, rule["age_to"]):
        return False
    if rule["born_before"] and person.birth >= rule["born_before"]:
        return False
    if rule["needs"]:
        return all(_since(group, person, facts.as_of) for group in rule["needs"].split("+"))
    if rule["sex"] in (None, person.sex):
        return True
    return bool(rule["sex_override"] and facts.last_done)


def _since(group: str, person: Person, as_of: Day) -> Day | None:
    """Since when a person is in a group; None if not."""
    days = []
    for row in _group(group):
        if row["kind"] == "feature":
            if person.features.get(row["key"], 0) >= row["at_least"]:
                days.append(_minus(as_of, f"{load_features()[row['key']].months}mo"))
            continue
        first, latest = person.conditions.get(row["key"], (None, None))
        resolved = person.conditions.get(resolutions()[row["key"]] or "")
        if first is None or latest is None or (resolved and resolved[1] >= latest):
            continue
        oldest = as_of - dt.timedelta(days=_number(row["within"])) if row["within"] else LONG_AGO
        if latest >= oldest:
            days.append(first if first >= oldest else latest)
    return min(days, default=None)


def _choose(rules: list[dict[str, Any]], doses: int) -> dict[str, Any]:
    """The rule whose event counts now."""
    missing = [rule for rule in rules if rule["dose"] and rule["dose"] > doses]
    given = [rule for rule in rules if rule["dose"] and rule["dose"] <= doses]
    plain = [rule for rule in rules if not rule["dose"]]
    if plain:
        return plain[0]
    if missing:
        return min(missing, key=lambda rule: (rule["dose"], rule["place"]))
    return min(given, key=lambda rule: (-rule["dose"], rule["place"]))


def _judge(rule: dict[str, Any], facts: _Facts) -> dict[str, Any]:
    """The row of one person and programme, once the rule is chosen."""
    as_of, last = facts.as_of, facts.last_done
    interval, window = _number(rule["interval"]), _number(rule["window"])
    if _is_clear(rule, facts):
        interval, window = _number(rule["clear_interval"]), _number(rule["clear_window"])
    due, covered = _due(rule, facts, interval), _covered(rule, facts, window)
    repeated = rule["interval"] is not None
    overdue_from = due + _span(rule["grace"])
    if repeated and last is not None and window is not None:
        overdue_from = last + dt.timedelta(days=window)
    told: dict[str, Any] = {
        "event": rule["event"],
        "due_date": due,
        "last_done_date": last,
        "is_covered": covered,
        "declined_until": _declined_until(rule, facts),
        "invitations": 0,
        "last_invited_date": None,
        "last_invited_by": None,
    }
    answer = None
    if repeated or not covered:
        start = due - _span(rule["lead"])
        answer = _answer(facts, max(start, last + dt.timedelta(days=1)) if last else start, told)
    coded = _coded_state(rule, facts, told["declined_until"], answer, covered)
    told["state"], told["grade"] = (coded, "coded") if coded else _silent_state(rule, facts, due, overdue_from)
    told["days_overdue"] = max((as_of - due).days, 0) if told["state"] in OPEN else None
    waiting = told["state"].startswith("invited_") and overdue_from < as_of
    told["is_gap"] = told["state"] in UNANSWERED or waiting
    return told


def _coded_state(
    rule: dict[str, Any], facts: _Facts, declined_until: Day | None, answer: str | None, covered: bool
) -> str | None:
    """The state that something on record decides; None if nothing does."""
    excluded = bool(rule["excludes"] and _since(rule["excludes"], facts.person, facts.as_of))
    too_early = bool(rule["dose"] and rule["dose"] > facts.doses + 1)
    covered_as = "done_elsewhere" if facts.is_elsewhere else "up_to_date"
    in_order = [
        (excluded or too_early, "not_eligible"),
        (_unsuitable(rule, facts), "unsuitable"),
        (declined_until is not None, "declined"),
        (answer is not None, answer),
        (covered, covered_as),
    ]
    return next((state for holds, state in in_order if holds), None)


def _silent_state(rule: dict[str, Any], facts: _Facts, due: Day, overdue_from: Day) -> tuple[str, str]:
    """State and grade where nothing on record decides."""
    person, as_of = facts.person, facts.as_of
    settled = person.registered + _span(rule["settled"]) <= as_of or person.registered <= due
    reached = rule["inferred_from"] != "never"
    if reached and rule["inferred_from"]:
        reached = _plus(person.birth, rule["inferred_from"]) <= as_of
    grade = "inferred" if settled and reached else "unknown"
    if due > as_of and rule["dose"] is not None and facts.doses > 0:
        return "up_to_date", grade
    if due > as_of or not reached:
        return "not_yet_due", grade
    if not settled or overdue_from >= as_of:
        return "due", grade
    return ("overdue_never_invited" if facts.entry.called_by == "practice" else "did_not_respond"), grade


UNANSWERED = {"did_not_attend", "did_not_respond", "overdue_never_invited"}
OPEN = UNANSWERED | {"due", "booked", "invited_once", "invited_twice", "invited_three_times"}


def _is_clear(rule: dict[str, Any], facts: _Facts) -> bool:
    run = facts.clear_run()
    if not run or not rule["clear_since"]:
        return False
    first, last = run
    return (
        facts.last_done == last
        and last >= rule["clear_since"]
        and (last - first).days >= (_number(rule["clear_gap"]) or 0)
    )


def _due(rule: dict[str, Any], facts: _Facts, interval: int | None) -> Day:
    birth = facts.person.birth
    after = _number(rule["due_after"])
    if rule["due_on"]:
        due = rule["due_on"]
    elif rule["due_at"] or not rule["needs"]:
        due = _plus(birth, rule["due_at"] or rule["age_from"])
    else:
        days = [_since(group, facts.person, facts.as_of) for group in rule["needs"].split("+")]
        joined = min(day for day in days if day) + dt.timedelta(days=after or 0)
        due = max(_plus(birth, rule["age_from"]), joined)
    if facts.last_done is None:
        return max(due, rule["offered_from"] or due)
    if rule["interval"]:
        return max(due, facts.last_done + dt.timedelta(days=interval or 0))
    if (rule["dose"] or 0) > 1 and after is not None:
        return max(due, facts.last_done + dt.timedelta(days=after))
    return due


def _covered(rule: dict[str, Any], facts: _Facts, window: int | None) -> bool:
    last = facts.last_done
    if rule["dose"]:
        return facts.doses >= rule["dose"]
    if last is None:
        return False
    if rule["due_on"]:
        return last >= rule["due_on"]
    return window is None or last + dt.timedelta(days=window) >= facts.as_of


def _answer(facts: _Facts, start: Day, told: dict[str, Any]) -> str | None:
    """What the latest of booking, missed appointment, missing reply and invitation says; fills in the invitations."""
    latest = {role: day for role in ("booked", "did_not_attend", "no_response") if (day := facts.last(role))}
    latest = {role: day for role, day in latest.items() if day >= start}
    invited = facts.days.get("invited", set())
    asked = {day for day in invited if day >= start}
    if asked:
        kept = sorted(_spaced(invited, _number(facts.entry.invitation_gap)))[-3:]
        told["invitations"] = max(1, sum(day >= start for day in kept))
        told["last_invited_date"] = max(asked)
        told["last_invited_by"] = min(facts.channels[max(asked)], default=None)
    last_asked = max(asked, default=LONG_AGO)
    booked, missed, silent = (latest.get(role) for role in ("booked", "did_not_attend", "no_response"))
    if booked and booked >= last_asked and booked > (missed or LONG_AGO) and booked > (silent or LONG_AGO):
        return "booked"
    if silent and silent >= last_asked and silent >= (missed or LONG_AGO):
        return "did_not_respond"
    if missed and missed >= last_asked:
        return "did_not_attend"
    return {0: None, 1: "invited_once", 2: "invited_twice", 3: "invited_three_times"}[told["invitations"]]


def _declined_until(rule: dict[str, Any], facts: _Facts) -> Day | None:
    declined = facts.last("declined")
    if declined is None or (facts.last_done and declined <= facts.last_done):
        return None
    if rule["due_on"] and declined < rule["due_on"]:
        return None
    until = declined + _span(rule["decline_lasts"])
    return until if until >= facts.as_of else None


def _unsuitable(rule: dict[str, Any], facts: _Facts) -> bool:
    day = facts.last("unsuitable")
    if day is None or (facts.last_done and facts.last_done > day):
        return False
    return rule["unsuitable_lasts"] is None or day + _span(rule["unsuitable_lasts"]) >= facts.as_of


def _spaced(days: set[Day], gap: int | None) -> set[Day]:
    """The days that have none in the ``gap`` days before them."""
    ordered = sorted(days)
    return {day for place, day in enumerate(ordered) if place == 0 or (day - ordered[place - 1]).days >= (gap or 0)}


def _number(length: str | None) -> int | None:
    if length is None:
        return None
    return int(length[:-1]) * (7 if length.endswith("w") else 1)


def _span(length: str) -> dt.timedelta:
    return dt.timedelta(days=_number(length) or 0)


def _plus(day: Day, age: str) -> Day:
    months, days = _age(age)
    return _shift(day, months) + dt.timedelta(days=days)


def _minus(day: Day, age: str) -> Day:
    months, days = _age(age)
    return _shift(day, -months) - dt.timedelta(days=days)


def _age(age: str) -> tuple[int, int]:
    parts = {unit: int(number) for number, unit in _PART.findall(age)}
    return parts.get("y", 0) * 12 + parts.get("mo", 0), parts.get("w", 0) * 7 + parts.get("d", 0)


_PART = re.compile(r"(\d+)(y|mo|w|d)")


def _shift(day: Day, months: int) -> Day:
    """The same day of the month some months on, or the month's last day if it is shorter."""
    place = day.year * 12 + day.month - 1 + months
    year, month = place // 12, place % 12 + 1
    return day.replace(year=year, month=month, day=min(day.day, calendar.monthrange(year, month)[1]))
