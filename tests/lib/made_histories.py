"""Makes histories that trip a state machine: days at rules' edges, entries that repeat, lapse, contradict."""

import datetime as dt
import random
from functools import cache
from typing import Any

import polars as pl

from data_contracts.clinical.definitions import resolutions
from data_contracts.clinical.programmes.definition import load_codes, load_groups, load_programmes, rules_in_force
from data_contracts.codelists import CODELISTS, load_provenance
from tests.lib.programme_oracle import Person, decide
from tests.lib.release_frames import frame
from tests.lib.tables import PRACTICE, answer

Day = dt.date
EDGES = [
    0,
    1,
    6,
    7,
    8,
    20,
    21,
    27,
    28,
    30,
    42,
    60,
    90,
    182,
    183,
    184,
    275,
    364,
    365,
    366,
    456,
    457,
    730,
    731,
    913,
    914,
]
EDGES += [1095, 1096, 1277, 1278, 1826, 1827, 2007, 2008]
WEIGHTS = {"done": 4, "invited": 4}
COMPARED = ["state", "grade", "event", "due_date", "days_overdue", "last_done_date", "declined_until", "invitations"]
COMPARED += ["last_invited_date", "last_invited_by", "is_covered", "is_gap"]


def disagreements(count: int, *, seed: int, as_of: Day) -> tuple[int, list[str]]:
    """How many rows were compared for this many histories, and what differs between SQL and oracle, by person."""
    people = [make_person(random.Random(f"{seed}/{number}"), as_of) for number in range(count)]
    found = _from_sql(people, as_of)
    rows, wrong = 0, []
    for number, person in enumerate(people):
        expected = decide(person, as_of)
        got = found.get(number, {})
        rows += len(expected.keys() | got.keys())
        for programme in sorted(expected.keys() | got.keys()):
            difference = _difference(expected.get(programme), got.get(programme))
            if difference:
                wrong.append(f"history {number} of seed {seed}, {programme}: {difference}")
    return rows, wrong


def _difference(expected: dict[str, Any] | None, got: dict[str, Any] | None) -> str:
    """The columns that differ, SQL first."""
    if expected is None or got is None:
        return "" if expected == got else f"only the {'SQL' if expected is None else 'oracle'} has a row"
    parts = [f"{name} {got[name]} not {expected[name]}" for name in COMPARED if got[name] != expected[name]]
    return "; ".join(parts)


def make_person(chance: random.Random, as_of: Day) -> Person:
    """One person with a history around one to three rules in force."""
    rules = chance.sample(_rules(as_of), chance.choice([1, 2, 3]))
    birth = _birth(chance, rules[0], as_of)
    registered = max(birth, as_of - dt.timedelta(days=chance.choice([1, 182, 183, 184, 400, 4000, 4000, 4000])))
    sex = chance.choice([rules[0]["sex"] or "female", "female", "male", "unknown"])
    person = Person(birth, sex, registered)
    for rule in rules:
        _add_membership(chance, person, rule, as_of)
        _add_entries(chance, person, rule, as_of)
        for measure in load_programmes()[rule["programme"]].done_by:
            if chance.random() < 0.85:
                person.measures[measure] = _some_day(chance, person, rule, as_of)
    return person


@cache
def _rules(as_of: Day) -> list[dict[str, Any]]:
    return rules_in_force(as_of).rows(named=True)


@cache
def _codes(programme: str) -> dict[str, list[int]]:
    """The codes of a programme by what they say."""
    rows = load_codes().filter(programme=programme).drop_nulls("concept_id")
    return {str(role): part["concept_id"].to_list() for (role,), part in rows.group_by("role", maintain_order=True)}


def _birth(chance: random.Random, rule: dict[str, Any], as_of: Day) -> Day:
    """A birth date at one of the rule's ages, give or take some days, or anywhere in a life."""
    ages = [rule[name] for name in ("age_from", "age_to", "due_at", "inferred_from") if rule[name]]
    age = chance.choice([age for age in ages if age != "never"])
    at = pl.select(pl.lit(rule["age_on"] or as_of).dt.offset_by(f"-{age}")).item()
    near = [at + dt.timedelta(days=chance.randint(-3, 3)), at - dt.timedelta(days=chance.choice(EDGES))]
    born = [day for day in (rule["born_from"], rule["born_before"]) if day]
    near += [day + dt.timedelta(days=chance.randint(-1, 1)) for day in born]
    inside = at - dt.timedelta(days=chance.randint(0, 3000))
    return min(chance.choice([*near, inside, inside]), as_of - dt.timedelta(days=1))


def _some_day(chance: random.Random, person: Person, rule: dict[str, Any], as_of: Day) -> Day:
    """A day at an edge of a rule, close to an earlier entry, or anywhere."""
    yesterday = as_of - dt.timedelta(days=1)
    anywhere = yesterday - dt.timedelta(days=chance.randint(0, min((yesterday - person.birth).days, 4000)))
    days = [anywhere, as_of - dt.timedelta(days=chance.choice(EDGES) + chance.randint(-1, 1))]
    if rule["due_on"]:
        days.append(rule["due_on"] + dt.timedelta(days=chance.randint(-2, 40)))
    if rule["due_at"]:
        due = pl.select(pl.lit(person.birth).dt.offset_by(rule["due_at"])).item()
        days.append(due + dt.timedelta(days=chance.choice([-43, -42, -1, 0, 1, 30])))
    if person.entries:
        days.append(chance.choice(person.entries)[1] + dt.timedelta(days=chance.choice([-1, 0, 0, 1, 6, 7, 27, 28])))
    return max(person.birth - dt.timedelta(days=1), min(chance.choice(days), as_of))


def _add_entries(chance: random.Random, person: Person, rule: dict[str, Any], as_of: Day) -> None:
    codes = _codes(rule["programme"])
    roles = [role for role in codes for _ in range(WEIGHTS.get(role, 1))]
    for _ in range(chance.choice([0, 1, 1, 2, 3, 4, 6]) if roles else 0):
        code = chance.choice(codes[chance.choice(roles)])
        person.entries.append((code, _some_day(chance, person, rule, as_of)))


def _add_membership(chance: random.Random, person: Person, rule: dict[str, Any], as_of: Day) -> None:
    """Conditions and features that a rule needs or excludes, most of the time, and what resolves them."""
    wanted = [group for group in [*(rule["needs"] or "").split("+"), rule["excludes"]] if group]
    for group in wanted:
        row = chance.choice(load_groups().filter(group=group).rows(named=True))
        if chance.random() < (0.15 if group == rule["excludes"] else 0.85):
            if row["kind"] == "feature":
                person.features[row["key"]] = row["at_least"] + chance.choice([-1, 0, 0, 1])
                continue
            days = sorted(min(_some_day(chance, person, rule, as_of), as_of - dt.timedelta(days=1)) for _ in range(2))
            person.conditions[row["key"]] = (days[0], days[1])
            if chance.random() < 0.2:
                ended = days[1] + dt.timedelta(days=chance.choice([-1, 0, 1]))
                for name in (f"{row['key']}_resolved", f"{row['key']}_ended"):
                    person.conditions[name] = (ended, ended)


def _from_sql(people: list[Person], as_of: Day) -> dict[int, dict[str, dict[str, Any]]]:
    """The rows of programme_states by person and programme."""
    products = _products()
    events, medicines, conditions, measures, features = [], [], [], [], []
    for number, person in enumerate(people):
        who = {"person_id": number, "practice_code": PRACTICE}
        for code, day in person.entries:
            if code in products:
                medicines.append(who | {"issued_date": day, "entered_date": day, "product_id": code})
            else:
                events.append(who | {"event_date": day, "entered_date": day, "concept_id": code})
        for name, (first, latest) in person.conditions.items():
            ended = person.conditions.get(resolutions().get(name) or "")
            dates = {"first_date": first, "latest_date": latest, "is_unresolved": not ended or ended[1] < latest}
            conditions.append(who | {"condition": name} | dates)
        for name, day in person.measures.items():
            measures.append(who | {"measure": name, "value": 1.0, "measured_date": day})
        features += [who | {"feature": name, "value": value} for name, value in person.features.items()]
    rows = [
        {
            "person_id": number,
            "practice_code": PRACTICE,
            "registered_date": person.registered,
            "birth_date": person.birth,
            "sex": person.sex,
        }
        for number, person in enumerate(people)
    ]
    states = answer(
        "programme_states",
        as_of=as_of,
        people=frame("people", rows),
        events=frame("events", events),
        medications=frame("medications", medicines),
        conditions=frame("conditions", conditions),
        measurements=frame("measurements", measures),
        person_features=frame("person_features", features),
    )
    found: dict[int, dict[str, dict[str, Any]]] = {}
    for row in states.iter_rows(named=True):
        found.setdefault(row["person_id"], {})[row["programme"]] = row
    return found


@cache
def _products() -> set[int]:
    """The codes that records hold among the medicines."""
    files = [entry for entry in load_provenance() if entry.system == "dm+d"]
    return {int(code) for entry in files for code in pl.read_csv(_text(entry.file), infer_schema=False)["code"]}


def _text(file: str) -> bytes:
    return (CODELISTS / file).read_text("utf-8").encode()
