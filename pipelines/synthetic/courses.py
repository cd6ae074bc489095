"""Vaccines, checks and yearly reviews that made-up people are called for: who came, and what the record says of it.

What a course is lies in courses.csv; the screening programmes, flu and MMR have code of their own in prevention.py.
"""

import datetime as dt
from collections.abc import Iterator
from typing import Any

import numpy as np

from pipelines.synthetic.coding import Coding
from pipelines.synthetic.conditions import Onsets
from pipelines.synthetic.gp_records import Entries, Span, entries, happenings
from pipelines.synthetic.people import People
from pipelines.synthetic.places import Plan
from pipelines.synthetic.world import NEVER, YEAR, Flags, Floats, Ints, World, day_number, logistic, stream

Call = tuple[Ints, Floats]
"""Who is called, and the day on which it falls due."""


def course_entries(
    world: World, plan: Plan, people: People, onsets: Onsets, whole: Span, coding: Coding, chunk: int
) -> list[Entries]:
    """The entries of every course, and of pregnancies."""
    found = _pregnancies(world, people, whole, coding, stream(plan.seed, chunk, "pregnancies"))
    # Vaccines stay in a record however long ago they were given.
    lifelong = Span(np.where(whole.years > 0, people.birth_day, whole.last).astype(np.float64), whole.last)
    for course in world.tables["courses"].iter_rows(named=True):
        draw = stream(plan.seed, chunk, f"course {course['course']}")
        lean = _leaning(world, people, course)
        last = np.full(people.count, -float(NEVER))
        when = lifelong if course["due_days"] is not None else whole
        for call in _calls(world, plan, people, onsets, course, draw):
            found += _one_call(world, course, call, last, lean, when, coding, draw)
    return found


def _leaning(world: World, people: People, course: dict[str, Any]) -> Floats:
    """Log odds of coming, by person, place and group."""
    poorer = world.number("screening.deprivation_per_tenth") * (5.5 - people.deprivation_tenth)
    response = world.column("ethnic_groups", "response")[people.ethnic_group]
    return np.asarray(course["odds"] + course["leaning"] * people.leaning + poorer + response)


def _calls(
    world: World, plan: Plan, people: People, onsets: Onsets, course: dict[str, Any], draw: np.random.Generator
) -> Iterator[Call]:
    """Each dose in turn, or each round from the earliest to the latest."""
    if course["due_days"] is not None:
        for days in str(course["due_days"]).split("|"):
            yield _of_age(plan, people, course, people.birth_day + float(days))
        return
    phase = draw.random(people.count) * course["every_days"]
    rounds = int(np.ceil(world.number("courses.years") * YEAR / course["every_days"]))
    since = np.full(people.count, -NEVER, dtype=np.int64)
    if course["conditions"]:
        columns = world.conditions.indices(course["conditions"])
        since = onsets.recorded_day[:, columns].min(axis=1).astype(np.int64) + 300
    for back in reversed(range(rounds)):
        person, due = _of_age(plan, people, course, plan.anchor_day - phase - course["every_days"] * back)
        known = due > since[person]
        yield person[known], due[known]


def _of_age(plan: Plan, people: People, course: dict[str, Any], due: Floats) -> Call:
    """Those of the course's sex who are of an age for it, now for a dose and on the day for a round."""
    starts = day_number(dt.date.fromisoformat(course["starts"])) if course["starts"] else -NEVER
    if course["every_days"]:
        age = (due - people.birth_day) / YEAR
        due = np.where(due < starts, np.nan, due)
    else:
        age = people.age(plan.anchor_day)
        due = np.maximum(due, starts + (people.index % 120))
    asked = (age >= course["age_from"]) & (age < course["age_to"] + 1) & ~np.isnan(due)
    if course["sex"]:
        asked &= people.is_male == (course["sex"] == "male")
    person = np.flatnonzero(asked)
    return person, due[person]


def _one_call(
    world: World,
    course: dict[str, Any],
    call: Call,
    last: Floats,
    lean: Floats,
    whole: Span,
    coding: Coding,
    draw: np.random.Generator,
) -> list[Entries]:
    """What the record says of one call; doses keep four weeks apart, and who misses one is called no more."""
    person, due = call
    if course["due_days"] is not None:
        due = np.maximum(due, last[person] + 28)
        person, due = person[due < NEVER], due[due < NEVER]
    comes = draw.random(len(person)) < logistic(lean[person])
    day = np.floor(due + draw.standard_exponential(len(person)) * course["late_days"])
    last[person] = np.where(comes, day, NEVER)
    happened = [_coded(course["done"], person[comes], day[comes], whole, coding, draw)]
    stays, then = person[~comes], due[~comes]
    declines = draw.random(len(stays)) < world.number("courses.declined")
    misses = ~declines & (draw.random(len(stays)) < world.number("courses.missed"))
    happened.append(_coded(course["declined"], stays[declines], then[declines] + 20, whole, coding, draw))
    happened.append(_coded(course["missed"], stays[misses], then[misses] + 70, whole, coding, draw))
    return happened + _letters(world, course, person, due, comes, whole, coding, draw)


def _letters(
    world: World,
    course: dict[str, Any],
    person: Ints,
    due: Floats,
    comes: Flags,
    whole: Span,
    coding: Coding,
    draw: np.random.Generator,
) -> list[Entries]:
    """Invitations: a first one to most, further ones to those who do not come."""
    if not course["invited"]:
        return []
    shares = [world.number("courses.first_letter"), *world.entry("courses.further_letters")]
    asked = np.full(len(person), fill_value=True)
    found = []
    for number, share in enumerate(shares):
        asked = asked & (draw.random(len(person)) < share) & (~comes | (number == 0))
        codelist = course["invited"].split("|")[number % len(course["invited"].split("|"))]
        found.append(_coded(codelist, person[asked], due[asked] + 30 * number, whole, coding, draw))
    return found


def _coded(
    codelists: str | None, person: Ints, day: Floats, whole: Span, coding: Coding, draw: np.random.Generator
) -> Entries:
    """Entries of those days that the practice could write down; of two codelists each person keeps to one."""
    seen = (
        (day > whole.first[person]) & (day < whole.last[person]) if codelists else np.zeros(len(person), dtype=bool)
    )
    person, day = person[seen], np.floor(day[seen])
    names = (codelists or "").split("|")
    if len(person) == 0:
        return entries(person, day, 0)
    code = coding.draw(names[0], len(person), draw)
    for number, name in enumerate(names[1:], start=1):
        other = person % 5 < number
        code[other] = coding.draw(name, int(other.sum()), draw)
    return entries(person, day, code)


def _pregnancies(
    world: World, people: People, whole: Span, coding: Coding, draw: np.random.Generator
) -> list[Entries]:
    """Pregnancies recorded at about eight weeks, the vaccine that most have, and births."""
    start = np.maximum(whole.first, people.birth_day + 18 * YEAR)
    end = np.minimum(whole.last, people.birth_day + 43 * YEAR)
    rate = np.where(people.is_male, 0.0, world.number("pregnancy.per_year"))
    person, day = happenings(rate, Span(start, np.maximum(start, end)), draw)
    has_vaccine = draw.random(len(person)) < world.number("pregnancy.pertussis")
    return [
        _coded("pregnancy", person, day, whole, coding, draw),
        _coded("pertussis_vaccination_done", person[has_vaccine], day[has_vaccine] + 75, whole, coding, draw),
        _coded("pregnancy_ended", person, day + 220, whole, coding, draw),
    ]
