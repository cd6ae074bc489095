"""What practices write down: diagnoses, readings, smoking, ethnic group, dissent, medicines, contacts."""

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from data_contracts.tables.history import CONTACT_KINDS
from pipelines.synthetic.admissions import Lives, by_age
from pipelines.synthetic.coding import Coding, ethnic_code_rows
from pipelines.synthetic.conditions import Onsets
from pipelines.synthetic.people import People
from pipelines.synthetic.places import Plan
from pipelines.synthetic.world import YEAR, Flags, Floats, Ints, World, stream

NO_VALUE = -1


@dataclass(frozen=True)
class Entries:
    """One entry of each array a coded entry; ``code`` is a row of Coding.concept_ids, ``tenths`` the value."""

    person: NDArray[np.int32]
    day: NDArray[np.int32]
    delay: NDArray[np.int16]
    code: NDArray[np.int16]
    tenths: NDArray[np.int16]

    @property
    def value(self) -> Floats:
        """Values; NaN where there is none."""
        return np.where(self.tenths == NO_VALUE, np.nan, self.tenths / 10.0)


@dataclass(frozen=True)
class Span:
    """From when to when a practice can write about each person."""

    first: Floats
    last: Floats

    @property
    def years(self) -> Floats:
        """Years in the span, nought where it is empty."""
        return np.maximum(self.last - self.first, 0.0) / YEAR


def joined(parts: list[Entries]) -> Entries:
    """All entries, one after another."""
    return Entries(**{f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Entries)})


def entries(
    person: Ints, day: Floats | Ints, code: Ints | int, *, value: Floats | None = None, delay: Ints | int = 0
) -> Entries:
    """Coded entries from their parts."""
    count = len(person)
    return Entries(
        person=person.astype(np.int32),
        day=np.asarray(day).astype(np.int32),
        delay=np.broadcast_to(np.asarray(delay), count).astype(np.int16),
        code=np.broadcast_to(np.asarray(code), count).astype(np.int16),
        tenths=np.full(count, NO_VALUE, np.int16) if value is None else np.rint(value * 10).astype(np.int16),
    )


def span(plan: Plan, people: People, lives: Lives, years: float) -> Span:
    """The span that ends at the anchor, on leaving or at death, and starts at birth or this many years before."""
    last = np.minimum(np.minimum(lives.death_day, people.left_day), plan.anchor_day).astype(np.float64)
    first = np.maximum(people.birth_day, plan.anchor_day - years * YEAR)
    return Span(first=first, last=np.where(people.is_ghost, first, last))


def happenings(rate: Floats, when: Span, draw: np.random.Generator) -> tuple[Ints, Floats]:
    """Who and on which day, for events at these yearly rates within the span."""
    number = draw.poisson(rate * when.years)
    person = np.repeat(np.arange(len(rate)), number)
    return person, np.floor(when.first[person] + draw.random(len(person)) * (when.years[person] * YEAR))


def clinical_entries(
    world: World, plan: Plan, people: People, onsets: Onsets, lives: Lives, coding: Coding, chunk: int
) -> Entries:
    """Diagnoses, readings, smoking, ethnic group and dissent of a chunk's people."""
    whole = span(plan, people, lives, world.number("time.years_before"))
    parts = [
        *_diagnoses(world, people, onsets, whole, coding, stream(plan.seed, chunk, "diagnoses")),
        *_smoking(world, people, whole, coding, stream(plan.seed, chunk, "smoking")),
        *_once(world, plan, people, whole, coding, stream(plan.seed, chunk, "once")),
        *_readings(world, plan, people, onsets, whole, coding, stream(plan.seed, chunk, "readings")),
    ]
    return joined(parts)


def _diagnoses(
    world: World, people: People, onsets: Onsets, whole: Span, coding: Coding, draw: np.random.Generator
) -> list[Entries]:
    """One entry per recorded condition, some entered late."""
    found = []
    for row, name in enumerate(world.conditions.names):
        day = onsets.recorded_day[:, row]
        person = np.flatnonzero((day < whole.last) & (day > people.birth_day))
        delay = late(world, len(person), draw)
        code = coding.draw(name, len(person), draw)
        found.append(entries(person, day[person], code, delay=delay))
    return found


def late(world: World, count: int, draw: np.random.Generator) -> Ints:
    """Days from event to entry: mostly none, for some many."""
    is_late = draw.random(count) < world.number("recording.late_entry")
    days = 1 + draw.standard_exponential(count) * world.number("recording.late_entry_days")
    return np.where(is_late, np.minimum(days, world.number("recording.latest_entry_days")), 0).astype(np.int64)


def _smoking(world: World, people: People, whole: Span, coding: Coding, draw: np.random.Generator) -> list[Entries]:
    """Smoking status as asked now and then from the middle teens."""
    start = np.maximum(whole.first, people.birth_day + world.number("smoking.age_from") * YEAR)
    asked = draw.random(people.count) < world.number("smoking.recorded")
    rate = np.where(asked, world.number("smoking.per_year") * (0.5 + people.engagement / 2), 0.0)
    older = asked & (start < whole.last)
    person, day = happenings(rate, Span(start, whole.last), draw)
    before = np.flatnonzero(older)
    person = np.concatenate([before, person])
    day = np.concatenate([np.floor(start[before] + draw.random(len(before)) * 300), day])
    keep = day < whole.last[person]
    person, day = person[keep], day[keep]
    names = ["smoking_never", "smoking_ex", "smoking_current"]
    kind = np.minimum(people.smoking[person], 2)
    return [
        entries(person[kind == k], day[kind == k], coding.draw(name, int((kind == k).sum()), draw))
        for k, name in enumerate(names)
    ]


def _once(
    world: World, plan: Plan, people: People, whole: Span, coding: Coding, draw: np.random.Generator
) -> list[Entries]:
    """Ethnic group and, for those who object, dissent."""
    known = people.ethnic_group_recorded & (whole.years > 0)
    person = np.flatnonzero(known)
    day = np.maximum(people.registered_day[person], people.birth_day[person] + 1)
    day = np.minimum(day, whole.last[person] - 1)
    ethnic = entries(person, day, ethnic_code_rows(world, coding, people.ethnic_group[person], draw))
    objects = np.flatnonzero((people.type_1_day < plan.anchor_day) & (whole.last > people.type_1_day))
    return [ethnic, entries(objects, people.type_1_day[objects], coding.first("type_1_opt_out"))]


def _readings(
    world: World, plan: Plan, people: People, onsets: Onsets, whole: Span, coding: Coding, draw: np.random.Generator
) -> list[Entries]:
    """Measurements over the years, more often where a condition asks for them."""
    found: list[Entries] = []
    for measure in world.tables["measures"].iter_rows(named=True):
        asks = onsets.recorded_day[:, world.conditions.indices(measure["with_conditions"])].min(axis=1)
        recalled = asks < plan.anchor_day
        rate = np.where(recalled, measure["per_year_with"], measure["per_year"]) * (0.4 + 0.6 * people.engagement)
        begin = np.maximum(whole.first, people.birth_day + measure["age_from"] * YEAR)
        level = _level(world, plan, people, onsets, measure["measure"], measure["mean"], draw)
        level = level + draw.standard_normal(people.count) * measure["person_sd"]
        rate = rate * np.where(level > measure["raised_above"], measure["raised_factor"], 1.0)
        person, day = happenings(rate, Span(begin, whole.last), draw)
        value = level[person] + draw.standard_normal(len(person)) * measure["reading_sd"]
        value = np.round(np.clip(value, measure["low"], measure["high"]), measure["decimals"])
        if measure["measure"] == "blood_pressure":
            found.append(entries(person, day, coding.first("systolic_bp"), value=value))
            below = np.round(np.clip(0.45 * value + 22 + draw.standard_normal(len(person)) * 6, 40, value - 10))
            found.append(entries(person, day, coding.first("diastolic_bp"), value=below))
        else:
            code = coding.draw(measure["measure"], len(person), draw)
            found.append(entries(person, day, code, value=value))
    return found


def _level(
    world: World, plan: Plan, people: People, onsets: Onsets, measure: str, mean: float, draw: np.random.Generator
) -> Floats:
    """Each person's own level of a measure, before what is left to chance."""
    age = people.age(plan.anchor_day - 1000)
    spread = draw.standard_normal(people.count)

    def has(name: str) -> Flags:
        return onsets.onset_day[:, world.conditions.index(name)] < plan.anchor_day

    def body(name: str) -> float:
        return world.number(f"body.{name}")

    def bmi() -> Floats:
        adult = body("bmi_mean") + body("bmi_deprivation_per_tenth") * (5.5 - people.deprivation_tenth)
        adult = adult + body("bmi_diabetes") * has("diabetes") + body("bmi_sd") * (spread + 0.18 * (spread**2 - 1))
        return np.where(age >= 16, adult, body("child_bmi") + body("child_sd") * spread)

    def systolic() -> Floats:
        level = body("systolic_at_40") + body("systolic_per_year") * (age - 40) + body("systolic_sd") * spread
        return level + body("systolic_hypertension") * has("hypertension")

    def egfr() -> Floats:
        level = body("egfr_at_40") + body("egfr_per_year") * (age - 40)
        return level + body("egfr_kidney_disease") * has("chronic_kidney_disease")

    def hba1c() -> Floats:
        sugar = np.maximum(body("hba1c_diabetes") + body("hba1c_diabetes_sd") * spread, 4.0)
        return mean + np.where(has("diabetes"), sugar, body("hba1c_prediabetes") * has("non_diabetic_hyperglycaemia"))

    levels: dict[str, Callable[[], Floats]] = {
        "bmi": bmi,
        "blood_pressure": systolic,
        "egfr": egfr,
        "hba1c": hba1c,
        "cholesterol_total": lambda: (
            mean + body("cholesterol_treated") * (has("diabetes") | has("coronary_heart_disease"))
        ),
        "haemoglobin": lambda: mean + body("haemoglobin_female") * ~people.is_male,
        "audit_c": lambda: mean + body("audit_c_alcohol_problems") * has("alcohol_problems"),
    }
    return levels[measure]() if measure in levels else np.full(people.count, mean)


def medicine_entries(
    world: World, plan: Plan, people: People, onsets: Onsets, lives: Lives, coding: Coding, chunk: int
) -> Entries:
    """Issues of medicines; ``value`` is the quantity."""
    draw = stream(plan.seed, chunk, "medicines")
    when = span(plan, people, lives, world.number("time.medicine_years"))
    found = []
    for medicine in world.tables["medicines"].iter_rows(named=True):
        if not coding.has(medicine["medicine"]):
            continue
        since = onsets.recorded_day[:, world.conditions.indices(medicine["conditions"])].min(axis=1)
        needs = since < when.last
        takes = draw.random(people.count) < np.where(needs, medicine["share_with"], medicine["share_without"])
        begin = np.maximum(when.first, people.birth_day + medicine["age_from"] * YEAR)
        begin = np.where(needs, np.maximum(begin, since), begin)
        interval = medicine["interval_days"]
        begin = begin + draw.random(people.count) * interval
        number = np.where(takes, np.maximum(np.ceil((when.last - begin) / interval), 0), 0).astype(np.int64)
        person = np.repeat(np.arange(people.count), number)
        step = np.arange(len(person)) - np.repeat(np.cumsum(number) - number, number)
        day = np.floor(begin[person] + step * interval + draw.random(len(person)) * 6)
        keep = day < when.last[person]
        product = coding.draw(medicine["medicine"], people.count, draw)
        quantity = np.full(int(keep.sum()), float(medicine["quantity"]))
        found.append(entries(person[keep], day[keep], product[person[keep]], value=quantity))
    return joined(found) if found else entries(np.empty(0, np.int64), np.empty(0), 0)


def contact_rate(world: World, plan: Plan, people: People, condition_count: Floats) -> Floats:
    """Yearly rate of contacts before frailty and engagement."""
    rate = by_age(world, people, "contacts.per_year", plan.anchor_day - 365)
    log_rate = world.number("contacts.female") * ~people.is_male * (people.age(plan.anchor_day) >= 15)
    return rate * np.exp(log_rate + world.number("contacts.per_condition") * np.minimum(condition_count, 8))


def contact_entries(world: World, plan: Plan, people: People, onsets: Onsets, lives: Lives, chunk: int) -> Entries:
    """Contacts; ``code`` is the place of the kind in CONTACT_KINDS."""
    draw = stream(plan.seed, chunk, "contacts")
    when = span(plan, people, lives, world.number("time.contact_years"))
    conditions = (onsets.onset_day < plan.anchor_day).sum(axis=1)
    rate = contact_rate(world, plan, people, conditions) * people.engagement
    rate = rate * np.exp(world.number("contacts.frailty") * people.frailty)
    person, day = happenings(rate, when, draw)
    place = draw.random(len(person))
    seen = world.number("contacts.consultation")
    kind = (place > seen).astype(np.int64) + (place > seen + world.number("contacts.attended"))
    return entries(person, day, np.minimum(kind, len(CONTACT_KINDS) - 1))
