"""Lives through the made years: emergency admissions that breed more, other admissions, attendances, death."""

from dataclasses import dataclass, fields
from itertools import pairwise

import numpy as np

from pipelines.synthetic.conditions import Onsets
from pipelines.synthetic.hazards import Hazards, hazards
from pipelines.synthetic.people import People
from pipelines.synthetic.places import Plan
from pipelines.synthetic.world import NEVER, YEAR, Days, Flags, Floats, Ints, World, stream


@dataclass(frozen=True)
class Spells:
    """One entry of each array a hospital spell, in order of person and day."""

    person: Ints
    admitted_day: Days
    discharged_day: Days
    is_emergency: Flags
    is_avoidable: Flags
    is_fatal: Flags

    def take(self, rows: Ints | Flags) -> "Spells":
        """The spells of these rows."""
        return Spells(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})


@dataclass(frozen=True)
class Lives:
    """Spells and attendances of a chunk's people, and the day each person dies."""

    spells: Spells
    attendance_person: Ints
    attendance_day: Days
    death_day: Days


def segments(world: World, plan: Plan) -> list[int]:
    """Days on which rates are set anew: the anchor's anniversaries, to a year past the anchor."""
    before = int(world.number("time.years_before"))
    return [round(plan.anchor_day + k * YEAR) for k in range(-before, 2)]


def boost_sum(world: World, after: Floats) -> Floats:
    """Days of ordinary risk lived in this many days after a discharge, the raised rate counted in."""
    peak, full = world.number("emergency.after_discharge"), world.number("emergency.full_days")
    fade = world.number("emergency.fade_days") - full
    inside = np.clip(after - full, 0, fade)
    falling = peak * inside - (peak - 1) / (2 * fade) * inside**2
    return np.asarray(peak * np.minimum(after, full) + falling + np.maximum(after - full - fade, 0))


def boost_days(world: World, lived: Floats) -> Floats:
    """The inverse of ``boost_sum``: days after discharge by which this much risk has been lived."""
    peak, full = world.number("emergency.after_discharge"), world.number("emergency.full_days")
    fade = world.number("emergency.fade_days") - full
    first, second = peak * full, peak * full + (peak + 1) / 2 * fade
    curve = (peak - 1) / (2 * fade)
    inside = np.clip(lived - first, 0, second - first)
    middle = (peak - np.sqrt(np.maximum(peak**2 - 4 * curve * inside, 0))) / (2 * curve)
    return np.where(
        lived < first, lived / peak, np.where(lived < second, full + middle, full + fade + lived - second)
    )


def live(world: World, plan: Plan, people: People, onsets: Onsets, chunk: int) -> Lives:
    """Everybody's spells, attendances and death, segment by segment."""
    draw = stream(plan.seed, chunk, "admissions")
    state = _State.fresh(people)
    found: list[Spells] = []
    starts = segments(world, plan)
    for start, end in pairwise(starts):
        rates = hazards(world, plan, people, onsets, start)
        found.extend(_segment(world, people, rates, state, start, end, draw))
    elective = _elective(world, plan, people, state.death_day, starts, draw)
    spells = _joined([*found, elective])
    person, day = _attendances(world, people, state.death_day, spells, starts, draw)
    return Lives(spells=spells, attendance_person=person, attendance_day=day, death_day=state.death_day)


@dataclass
class _State:
    """Where each person stands while the years go by."""

    discharged: Floats
    death_day: Days

    @classmethod
    def fresh(cls, people: People) -> "_State":
        return cls(np.full(people.count, -1e7), np.full(people.count, NEVER, dtype=np.int32))


def _segment(
    world: World, people: People, rates: Hazards, state: _State, start: int, end: int, draw: np.random.Generator
) -> list[Spells]:
    """The emergency spells of one segment, and in ``state`` the deaths and latest discharges."""
    here = (people.birth_day < end) & (state.death_day == NEVER) & ~people.is_ghost
    clock = np.maximum(np.maximum(people.birth_day, start), state.discharged + 1)
    dies = clock + draw.standard_exponential(people.count) / rates.death * YEAR
    active = np.flatnonzero(here & (clock < np.minimum(dies, end)))
    found: list[Spells] = []
    while len(active):
        at = _next(world, rates, state, clock, active, draw)
        hit = at < np.minimum(dies[active], end)
        active, at = active[hit], at[hit]
        clock[active] = at
        top = 1 + world.number("emergency.season_amplitude")
        taken = draw.random(len(active)) * top < _season(world, at)
        spells = _admit(world, people, rates, active[taken], np.floor(at[taken]), dies, draw)
        state.discharged[spells.person] = spells.discharged_day
        clock[spells.person] = spells.discharged_day + 1
        found.append(spells)
        active = active[clock[active] < np.minimum(dies[active], end)]
    gone = here & (dies < end)
    state.death_day[gone] = np.maximum(dies[gone], people.birth_day[gone] + 1).astype(np.int32)
    return found


def _next(
    world: World, rates: Hazards, state: _State, clock: Floats, active: Ints, draw: np.random.Generator
) -> Floats:
    """The day of each person's next candidate admission, the raised rate after discharge counted in."""
    top = 1 + world.number("emergency.season_amplitude")
    discharged = state.discharged[active]
    need = draw.standard_exponential(len(active)) / (rates.emergency[active] * top) * YEAR
    return discharged + boost_days(world, boost_sum(world, np.maximum(clock[active] - discharged, 0)) + need)


def _season(world: World, day: Floats) -> Floats:
    """The season's factor on emergency rates, mean one."""
    turn = 2 * np.pi * (day % YEAR - world.number("emergency.season_peak_day")) / YEAR
    return np.asarray(1 + world.number("emergency.season_amplitude") * np.cos(turn))


def _admit(
    world: World, people: People, rates: Hazards, person: Ints, day: Floats, dies: Floats, draw: np.random.Generator
) -> Spells:
    """One emergency spell for each of these people; a fatal one brings the day in ``dies`` forward."""
    leaves = day + _length(world, people, person, day, draw)
    fatal = draw.random(len(person)) < rates.fatality[person]
    inside = fatal & (draw.random(len(person)) < world.number("death.in_hospital"))
    later = leaves + np.where(
        inside, 0.5, 1 + draw.standard_exponential(len(person)) * world.number("death.soon_days")
    )
    dies[person] = np.where(fatal, np.minimum(dies[person], later), dies[person])
    discharged = np.minimum(leaves, np.floor(np.maximum(dies[person], day)))
    return Spells(
        person=person,
        admitted_day=day.astype(np.int32),
        discharged_day=discharged.astype(np.int32),
        is_emergency=np.ones(len(person), dtype=bool),
        is_avoidable=draw.random(len(person)) < rates.avoidable[person],
        is_fatal=inside | (discharged < leaves),
    )


def _length(world: World, people: People, person: Ints, day: Floats, draw: np.random.Generator) -> Floats:
    """Nights in hospital: a third none, the rest log-normal, longer in old age."""
    age = (day - people.birth_day[person]) / YEAR
    young, old = world.number("stay.median_days_young"), world.number("stay.median_days_old")
    median = np.interp(age, [20, world.number("stay.old_age")], [young, old])
    nights = np.ceil(median * np.exp(world.number("stay.log_sd") * draw.standard_normal(len(person))))
    nights = np.minimum(nights, world.number("stay.longest"))
    return np.where(draw.random(len(person)) < world.number("stay.same_day"), 0.0, nights)


def _exposed(people: People, death_day: Days, start: int, end: int) -> tuple[Floats, Floats]:
    """First day and number of days on which each person can be seen in this span."""
    first = np.maximum(people.birth_day, start).astype(np.float64)
    last = np.minimum(np.minimum(death_day, people.left_day), end)
    days = np.where(people.is_ghost, 0.0, np.maximum(last - first, 0.0))
    return first, days


def _elective(
    world: World, plan: Plan, people: People, death_day: Days, starts: list[int], draw: np.random.Generator
) -> Spells:
    """Planned spells: mostly day cases, more in old age."""
    first, days = _exposed(people, death_day, starts[0], starts[-1])
    rate = by_age(world, people, "elective.per_year", plan.anchor_day - 365 * 3)
    rate = rate * np.exp(world.number("elective.frailty") * people.frailty)
    number = draw.poisson(rate * days / YEAR)
    person = np.repeat(np.arange(people.count), number)
    day = np.floor(first[person] + draw.random(len(person)) * days[person])
    nights = np.where(draw.random(len(person)) < 0.8, 0, draw.integers(1, 5, len(person)))
    leaves = np.minimum(day + nights, np.maximum(death_day[person] - 1, day))
    none = np.zeros(len(person), dtype=bool)
    return Spells(person, day.astype(np.int32), leaves.astype(np.int32), none, none, none)


def by_age(world: World, people: People, path: str, day: int) -> Floats:
    """A figure stated for children, adults and people of 65 and over, by age at a day."""
    figures = np.array(world.entry(path), dtype=np.float64)
    return figures[np.searchsorted([18.0, 65.0], people.age(day), side="right")]


def _joined(parts: list[Spells]) -> Spells:
    """All spells in order of person and day."""
    whole = Spells(**{f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Spells)})
    return whole.take(np.lexsort((whole.is_emergency, whole.admitted_day, whole.person)))


def _attendances(
    world: World, people: People, death_day: Days, spells: Spells, starts: list[int], draw: np.random.Generator
) -> tuple[Ints, Days]:
    """Emergency department attendances, those that led to an admission among them."""
    first, days = _exposed(people, death_day, starts[0], starts[-1])
    poorer = world.number("emergency.deprivation_centre") - people.deprivation_tenth
    log_rate = world.number("attendance.frailty") * people.frailty
    log_rate = log_rate + world.number("attendance.deprivation_per_tenth") * poorer
    number = draw.poisson(world.number("attendance.per_year") * np.exp(log_rate) * days / YEAR)
    person = np.repeat(np.arange(people.count), number)
    day = np.floor(first[person] + draw.random(len(person)) * days[person]).astype(np.int32)
    led = spells.is_emergency & (draw.random(len(spells.person)) < world.number("attendance.before_admission"))
    person = np.concatenate([person, spells.person[led]])
    day = np.concatenate([day, spells.admitted_day[led]])
    order = np.lexsort((day, person))
    return person[order], day[order]
