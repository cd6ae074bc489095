"""The true 12-month risks of made-up people, and the best that could be said of them from what is recorded."""

import datetime as dt
from dataclasses import dataclass
from functools import cache
from itertools import product

import numpy as np
import polars as pl

from pipelines.synthetic.admissions import boost_sum, segments
from pipelines.synthetic.gp_records import contact_rate
from pipelines.synthetic.hazards import Hazards, hazards, hazards_given
from pipelines.synthetic.history import hospital_view
from pipelines.synthetic.identifiers import nhs_numbers
from pipelines.synthetic.population import Population
from pipelines.synthetic.world import YEAR, Days, Flags, Floats, Ints, World, day_number, load_world, logistic

WEEKS = 52
FADED = 13
NODES = 9
AXES = (
    np.linspace(np.log(0.004), np.log(6.0), 40),
    np.array([0.0, 0.05, 0.1, 0.2, 0.3, 0.45, 0.7, 1.0]),
    np.linspace(np.log(1e-5), np.log(3.0), 7),
    np.array([0.0, 0.03, 0.1, 0.25, 0.5]),
)
"""Where the risk is worked out: log emergency rate, share avoidable, log death rate, fatality of an admission."""


@dataclass(frozen=True)
class Risks:
    """Chances of at least one such admission within 12 months, one entry a person."""

    avoidable: Floats
    emergency: Floats


def true_risk(population: Population, as_of: dt.date) -> Risks:
    """Each person's true risk from a date, all that is hidden known, for those alive then."""
    day = day_number(as_of)
    rates = hazards(population.world, population.plan, population.people, population.onsets, day)
    spells = population.lives.spells
    weeks = _weeks_since(population, spells.person, spells.discharged_day, spells.is_emergency, day)
    return _risks(rates, weeks)


def observable_risk(population: Population, as_of: dt.date) -> Risks:
    """Each person's risk from a date, averaged over frailty and unrecorded disease given what is recorded.

    Quadrature over frailty: each node is weighed by the chance of the recorded conditions, admissions and
    contacts if that were the person's frailty.
    """
    day = day_number(as_of)
    nodes, prior = np.polynomial.hermite_e.hermegauss(NODES)
    record = _Record.read(population, day)
    chance, effects = _condition_evidence(population, day, nodes)
    chance += (
        np.log(prior)
        + _admission_evidence(population, record, nodes)
        + _contact_evidence(population, record, nodes, day)
    )
    weight = np.exp(chance - chance.max(axis=1, keepdims=True))
    weight /= weight.sum(axis=1, keepdims=True)
    avoidable, emergency = np.zeros(population.people.count), np.zeros(population.people.count)
    for place, node in enumerate(nodes):
        frailty = np.full(population.people.count, node)
        rates = hazards_given(population.world, population.plan, population.people, effects[:, place], frailty, day)
        risks = _risks(rates, record.weeks)
        avoidable += weight[:, place] * risks.avoidable
        emergency += weight[:, place] * risks.emergency
    return Risks(avoidable=avoidable, emergency=emergency)


def truth_frame(population: Population, as_of: dt.date, *, by_nhs_number: bool) -> pl.DataFrame:
    """One row per person registered and alive at a date: true and observable risk, and what then happened.

    What happened is null where the made years end before the 12 months do.
    """
    day, people = day_number(as_of), population.people
    here = (people.registered_day < day) & (people.left_day >= day) & (population.lives.death_day >= day)
    true, seen = true_risk(population, as_of), observable_risk(population, as_of)
    spells = population.lives.spells
    after = spells.is_emergency & (spells.admitted_day >= day) & (spells.admitted_day < day + 365)
    all_made = day + 365 <= population.plan.anchor_day + 366
    frame = pl.DataFrame(
        {
            "person_id": people.person_id,
            "practice_code": population.plan.practices["practice_code"].gather(people.practice),
            "frailty": people.frailty,
            "risk_avoidable_true": np.where(people.is_ghost, 0.0, true.avoidable),
            "risk_emergency_true": np.where(people.is_ghost, 0.0, true.emergency),
            "risk_avoidable_observable": seen.avoidable,
            "risk_emergency_observable": seen.emergency,
            "emergency_admissions_12m": _count(spells.person[after], people.count),
            "avoidable_admissions_12m": _count(spells.person[after & spells.is_avoidable], people.count),
            "died_12m": population.lives.death_day < day + 365,
        }
    )
    outcomes = ["emergency_admissions_12m", "avoidable_admissions_12m", "died_12m"]
    frame = frame.with_columns(pl.when(pl.lit(all_made)).then(pl.col(outcomes)))
    if by_nhs_number:
        frame = frame.insert_column(0, nhs_numbers(people.index, population.plan.seed).alias("nhs_number"))
    return frame.filter(pl.Series(here))


def _count(person: Ints, people: int) -> Ints:
    """How many entries each person has."""
    return np.bincount(person, minlength=people).astype(np.int32)


def _weeks_since(population: Population, person: Ints, discharged: Days, counted: Flags, day: int) -> Ints:
    """Whole weeks since each person's latest discharge of these, FADED where it no longer matters."""
    latest = np.full(population.people.count, -(10**7), dtype=np.int64)
    before = counted & (discharged < day)
    np.maximum.at(latest, person[before], discharged[before].astype(np.int64))
    return np.minimum((day - latest) // 7, FADED)


def _risks(rates: Hazards, weeks: Ints) -> Risks:
    """Risks read off the worked-out grid, avoidable and any."""
    table = _risk_table()
    log_rate, log_death = np.log(rates.emergency), np.log(rates.death)
    avoidable = _read(table, (log_rate, rates.avoidable, log_death, rates.fatality), weeks)
    emergency = _read(table[:, -1:], (log_rate, np.zeros_like(log_rate), log_death, rates.fatality), weeks)
    return Risks(avoidable=avoidable, emergency=emergency)


def _read(table: Floats, values: tuple[Floats, ...], weeks: Ints) -> Floats:
    """The table between its points, straight lines along every axis."""
    places: list[Ints] = []
    parts: list[Floats | None] = []
    for axis, value, size in zip(AXES, values, table.shape, strict=False):
        points = axis[:size]
        if size == 1:
            places.append(np.zeros(len(value), dtype=np.int64))
            parts.append(None)
            continue
        at = np.clip(np.searchsorted(points, value) - 1, 0, size - 2)
        places.append(at)
        parts.append(np.clip((value - points[at]) / (points[at + 1] - points[at]), 0.0, 1.0))
    total = np.zeros(len(weeks))
    steps = [(0, 1) if part is not None else (0,) for part in parts]
    for corner in product(*steps):
        weight = np.ones(len(weeks))
        for move, part in zip(corner, parts, strict=True):
            weight *= 1.0 if part is None else (part if move else 1 - part)
        rows = tuple(place + move for place, move in zip(places, corner, strict=True))
        total += weight * table[(*rows, weeks)]
    return total


@cache
def _risk_table() -> Floats:
    """The 12-month risk at every grid point and number of weeks since discharge, worked back week by week."""
    world = load_world()
    rate, share, death, fatality = np.meshgrid(*AXES, indexing="ij")
    edges = boost_sum(world, np.arange(FADED + 2) * 7.0)
    raised = np.diff(edges)
    raised[FADED] = 7.0
    value = np.zeros((*rate.shape, FADED + 1))
    for _ in range(WEEKS):
        later = value
        value = np.empty_like(later)
        for week in range(FADED + 1):
            comes, goes = np.exp(rate) * raised[week] / YEAR, np.exp(death) * 7 / YEAR
            event = 1 - np.exp(-(comes + goes))
            admitted = event * comes / (comes + goes)
            again = (1 - share) * (1 - fatality) * later[..., 0]
            value[..., week] = admitted * (share + again) + (1 - event) * later[..., min(week + 1, FADED)]
    return value


@dataclass(frozen=True)
class _Record:
    """What the record holds of each person at a day: admissions, exposure, contacts, weeks since discharge."""

    admissions: Ints
    exposure: Floats
    contacts: Ints
    contact_exposure: Floats
    weeks: Ints

    @classmethod
    def read(cls, population: Population, day: int) -> "_Record":
        """The record as it stood at a day."""
        world, people = population.world, population.people
        view = hospital_view(population)
        spells = population.lives.spells.take(view.rows)
        known = spells.is_emergency & (view.entered_day < day)
        start = segments(world, population.plan)[0]
        first = np.maximum(people.birth_day, start)
        admissions = _count(spells.person[known], people.count)
        contacts = population.contacts
        asked = max(day - 365, int(population.plan.anchor_day - world.number("time.contact_years") * YEAR))
        counted = (contacts.day < day) & (contacts.day >= asked)
        return cls(
            admissions=admissions,
            exposure=np.maximum(day - first, 0) / YEAR,
            contacts=_count(contacts.person[counted].astype(np.int64), people.count),
            contact_exposure=np.maximum(day - np.maximum(people.birth_day, asked), 0) / YEAR,
            weeks=_weeks_since(population, spells.person, spells.discharged_day, known, day),
        )


def _condition_evidence(population: Population, day: int, nodes: Floats) -> tuple[Floats, Floats]:
    """Log chance of the recorded conditions at each frailty, and the condition effects expected there."""
    world, people = population.world, population.people
    shape = world.conditions
    chance = np.zeros((people.count, len(nodes)))
    effects = np.zeros((people.count, len(nodes), 3))
    deprivation = people.deprivation
    delay = world.number("recording.diagnosis_delay_days")
    for row in range(len(shape.names)):
        seen_day = population.onsets.recorded_day[:, row]
        seen = seen_day < day
        lean = shape.level[row] + shape.male[row] * people.is_male + shape.deprivation[row] * deprivation
        age = (np.where(seen, seen_day - delay, day) - people.birth_day) / YEAR
        time = (np.maximum(age, 0.01) - shape.midpoint[row]) / shape.scale[row]
        leans = lean[:, None] + shape.frailty[row] * nodes
        share = logistic(leans + time[:, None]) if shape.is_rising[row] else logistic(leans) * logistic(time)[:, None]
        missed = 1 - shape.sensitivity[row] * share
        density = share * (1 - share) if shape.is_rising[row] else share
        chance += np.log(np.maximum(np.where(seen[:, None], density, missed), 1e-12))
        hidden = share * (1 - shape.sensitivity[row]) / missed
        there = np.where(seen[:, None], 1.0, hidden)
        for column, weight in enumerate(shape.effects[row]):
            if weight:
                effects[..., column] += np.log1p(there * np.expm1(weight))
    return chance, effects


def _admission_evidence(population: Population, record: _Record, nodes: Floats) -> Floats:
    """Log chance of the recorded number of emergency admissions at each frailty."""
    world, day = population.world, population.plan.anchor_day
    middle = hazards_given(
        world,
        population.plan,
        population.people,
        _recorded_effects(population, world),
        np.zeros(population.people.count),
        day - 1000,
    ).emergency
    raised = (float(boost_sum(world, np.array([90.0]))[0]) - 90) / YEAR
    expected = middle * (record.exposure + raised * record.admissions)
    lean = world.number("emergency.frailty") * nodes
    return np.asarray(record.admissions[:, None] * lean - expected[:, None] * np.exp(lean))


def _recorded_effects(population: Population, world: World) -> Floats:
    """Condition effects in the middle of the made years, from what was recorded by then."""
    middle = population.plan.anchor_day - 1000
    effects = np.zeros((population.people.count, 3))
    for row, weights in enumerate(world.conditions.effects):
        effects += (population.onsets.recorded_day[:, row] < middle)[:, None] * weights
    return effects


def _contact_evidence(population: Population, record: _Record, nodes: Floats, day: int) -> Floats:
    """Log chance of the year's contacts at each frailty: negative binomial, engagement averaged out."""
    world = population.world
    recorded = (population.onsets.recorded_day < day).sum(axis=1)
    rate = contact_rate(world, population.plan, population.people, recorded) * record.contact_exposure
    shape = world.number("contacts.engagement_shape")
    expected = rate[:, None] * np.exp(world.number("contacts.frailty") * nodes)
    number = record.contacts[:, None]
    return np.asarray(number * np.log(np.maximum(expected, 1e-9)) - (number + shape) * np.log(expected + shape))
