"""Compares made-up people with published figures: the generator's acceptance check."""

import datetime as dt
from collections.abc import Iterator

import numpy as np
import polars as pl

from pipelines.synthetic.gp_records import Entries
from pipelines.synthetic.places import list_sizes, plan
from pipelines.synthetic.population import Population, make_population
from pipelines.synthetic.prevention import season_starts
from pipelines.synthetic.world import NEVER, YEAR, Days, Flags, Floats, Ints, World, load_world, read_table

RELATIVE = 0.05
POINTS = 0.5
PRACTICES_IN_ENGLAND = 6_669
Found = Iterator[tuple[str, Flags, Flags]]
"""Name of a marginal, who or what is counted, out of whom or what."""


def marginals(
    *, people: int, seed: int, as_of: dt.date, practices: int | None = None, slack: float = 1.0
) -> pl.DataFrame:
    """One row per marginal: published and made figures, their source, and whether they agree.

    They agree within 5% or half a point, whichever is wider, times ``slack`` (for fewer people than 200,000).
    """
    world = load_world()
    made = plan(world, people=people, practices=practices, seed=seed, anchor=as_of)
    counts: dict[str, tuple[float, float]] = {}
    for chunk in made.chunks:
        population = make_population(world, made, chunk)
        for name, hits, asked in _counted(population):
            before = counts.get(name, (0.0, 0.0))
            counts[name] = (before[0] + float((hits & asked).sum()), before[1] + float(asked.sum()))
    figures = {name: 100 * hits / max(asked, 1) for name, (hits, asked) in counts.items()} | _list_sizes(world, seed)
    return _compared(published_figures(), figures, slack)


def published_figures() -> pl.DataFrame:
    """One row per marginal: name, published figure, unit, source."""
    bands = read_table("age_sex").select(
        pl.format("{} to {}", "age_from", "age_to").alias("band"), "percent", "percent_female"
    )
    source = pl.lit("ONS mid-2023 England").alias("source")
    percent = pl.lit("%").alias("unit")
    age = bands.select(
        pl.format("age: {}", "band").alias("marginal"), pl.col("percent").alias("published"), percent, source
    )
    sex = bands.select(
        pl.format("female: {}", "band").alias("marginal"),
        pl.col("percent_female").alias("published"),
        percent,
        source,
    )
    registers = (
        read_table("conditions")
        .filter(~pl.col("source").str.starts_with("assumption"))
        .select(
            pl.format("register: {}", "condition").alias("marginal"),
            pl.col("published_percent").alias("published"),
            percent,
            "source",
        )
    )
    rest = read_table("marginals").with_columns(pl.col("published").cast(pl.Float64))
    return pl.concat([age, sex, registers, rest])


def _compared(published: pl.DataFrame, figures: dict[str, float], slack: float) -> pl.DataFrame:
    """Published beside made, and whether they agree."""
    made = pl.DataFrame({"marginal": list(figures), "made": list(figures.values())})
    both = published.join(made, on="marginal", how="left", validate="1:1", maintain_order="left")
    room = pl.max_horizontal(
        pl.col("published") * RELATIVE, pl.when(pl.col("unit") == "%").then(POINTS).otherwise(0.0)
    )
    return both.with_columns(
        holds=((pl.col("made") - pl.col("published")).abs() <= room * slack).fill_null(value=False)
    ).select("marginal", "published", "made", "unit", "source", "holds")


def _list_sizes(world: World, seed: int) -> dict[str, float]:
    """Percentiles and mean of the list sizes of England."""
    sizes = list_sizes(world, practices=PRACTICES_IN_ENGLAND, people=None, seed=seed)
    found = {f"list size: percentile {at}": float(np.percentile(sizes, at)) for at in (5, 25, 50, 75, 95, 99)}
    return found | {"list size: mean": float(sizes.mean())}


def _counted(population: Population) -> Found:
    """Every marginal of one chunk."""
    people, day = population.people, population.plan.anchor_day
    listed = (people.registered_day < day) & (people.left_day >= day) & (population.lives.death_day >= day)
    yield from _who(population, listed)
    yield from _registers(population, listed)
    yield from _admissions(population)
    yield from _screening(population, listed)
    yield from _vaccinations(population, listed)


def _who(population: Population, listed: Flags) -> Found:
    """Age, sex, ethnic group, moves and opt-outs of those on the list."""
    people, day = population.people, population.plan.anchor_day
    age = people.age(day)
    for band in population.world.tables["age_sex"].iter_rows(named=True):
        name = f"{band['age_from']} to {band['age_to']}"
        inside = listed & (age >= band["age_from"]) & (age < band["age_to"] + 1)
        yield f"age: {name}", inside, listed
        yield f"female: {name}", ~people.is_male, inside
    letters = np.array(population.world.tables["ethnic_groups"]["ethnic_group"].to_list())[people.ethnic_group]
    groups = {"White": "ABC", "Asian": "HJKLR", "Black": "MNP", "Mixed": "DEFG", "Other": "S"}
    for group, members in groups.items():
        yield f"ethnic group: {group}", np.isin(letters, list(members)), listed
    for name, sex in (("women", ~people.is_male), ("men", people.is_male)):
        yield f"national opt-out: {name}", people.has_national_opt_out, listed & sex
    grown = people.birth_day < people.registered_day - 60
    yield "joined the list in 12 months", (people.registered_day >= day - 365) & grown, listed
    yield from _older(population, listed, age)


def _older(population: Population, listed: Flags, age: Floats) -> Found:
    """The share of 65 and over by fifth of practices, least deprived first."""
    people, practices = population.people, population.plan.practices
    fifth = practices["deprivation_fifth"].to_numpy()
    names = ["least deprived", "second", "third", "fourth", "most deprived"]
    for place, name in enumerate(names):
        yield f"65 and over: {name} fifth of practices", age >= 65, listed & (fifth[people.practice] == place)


def _registers(population: Population, listed: Flags) -> Found:
    """Recorded conditions, smoking and obesity."""
    people, day, coding = population.people, population.plan.anchor_day, population.coding
    age = people.age(day)
    for row in read_table("conditions").iter_rows(named=True):
        recorded = population.onsets.recorded_day[:, population.world.conditions.index(row["condition"])] < day
        name = f"register: {row['condition']}"
        yield name, recorded, listed & (age >= row["age_from"]) & (age < row["age_to"])
    names = ("smoking_current", "smoking_ex", "smoking_never")
    latest = [_latest_day(population, coding.codelists[name]) for name in names]
    smokes = (latest[0] > 0) & (latest[0] >= np.maximum(latest[1], latest[2]))
    yield "smoking: current at 15 and over", smokes, listed & (age >= 15)
    heavy = population.events.value >= 30
    obese = _latest_day(population, coding.codelists["bmi"], only=heavy) >= day - 365
    yield "obesity: adults with BMI 30 or more in 12 months", obese, listed & (age >= 18)


def _latest_day(population: Population, run: tuple[int, int], only: Flags | None = None) -> Ints:
    """The latest day with an entry of a codelist before the anchor, nought if none."""
    return _latest(population.events, population.people.count, run, NEVER, population.plan.anchor_day, only)


def _latest(
    found: Entries, people: int, run: tuple[int, int], end: Days | int, anchor: int, only: Flags | None = None
) -> Ints:
    """The latest day with an entry of a codelist before an end that may differ by person."""
    asked = (found.code >= run[0]) & (found.code < run[0] + run[1]) & (found.day < anchor)
    asked = asked & (found.day < (end[found.person] if isinstance(end, np.ndarray) else end))
    if only is not None:
        asked = asked & only
    latest = np.zeros(people, dtype=np.int64)
    np.maximum.at(latest, found.person[asked], found.day[asked].astype(np.int64))
    return latest


def _counted_before(found: Entries, people: int, run: tuple[int, int], end: Days) -> Ints:
    """How many entries of a codelist each person has before an end of their own."""
    asked = (found.code >= run[0]) & (found.code < run[0] + run[1]) & (found.day < end[found.person])
    return np.bincount(found.person[asked], minlength=people)


def _admissions(population: Population) -> Found:
    """Emergency admissions and deaths in the 12 months before the anchor, of those listed when they began."""
    people, spells = population.people, population.lives.spells
    end = population.plan.anchor_day
    start = round(end - YEAR)
    there = (people.registered_day < start) & (people.left_day >= end) & (population.lives.death_day >= start)
    counted = spells.is_emergency & (spells.admitted_day >= start) & (spells.admitted_day < end)
    number = np.bincount(spells.person[counted], minlength=people.count)
    age, some = people.age(start), number > 0
    yield "emergency admission: everybody", some, there
    for low in range(0, 90, 10):
        name = {0: "under 20", 80: "80 and over"}.get(low, f"{low} to {low + 9}")
        top = {0: 20, 80: 200}.get(low, low + 10)
        if low != 10:
            yield f"emergency admission: age {name}", some, there & (age >= low) & (age < top)
    for tenth in range(1, 11):
        yield f"emergency admission: deprivation tenth {tenth}", some, there & (people.deprivation_tenth == tenth)
    for times in range(1, 6):
        yield f"admissions among the admitted: {times}", number == times, there & some
    yield "admissions among the admitted: 6 or more", number >= 6, there & some
    yield "avoidable share of emergency admissions", spells.is_avoidable, counted & there[spells.person]
    died = population.lives.death_day < end
    yield "died in the year without an admission", died & ~some, there
    yield "died in the year with an admission", died & some, there


def _screening(population: Population, listed: Flags) -> Found:
    """Coverage as the programmes count it, of women where the programme is for women."""
    people, day, coding = population.people, population.plan.anchor_day, population.coding
    age = people.age(day)
    done = {
        name: _latest_day(population, coding.codelists[f"{name}_screening_done"])
        for name in ("bowel", "breast", "cervical")
    }
    unsuitable = _latest_day(population, coding.codelists["cervical_screening_unsuitable"]) > 0
    yield "bowel screening: 60 to 74", done["bowel"] >= day - 913, listed & (age >= 60) & (age < 75)
    women = listed & ~people.is_male
    yield "breast screening: 53 to 70", done["breast"] >= day - 1095, women & (age >= 53) & (age < 71)
    young = women & ~unsuitable & (age >= 25) & (age < 50)
    old = women & ~unsuitable & (age >= 50) & (age < 65)
    yield "cervical screening: 25 to 49", done["cervical"] >= day - 1277, young
    yield "cervical screening: 50 to 64", done["cervical"] >= day - 2007, old


def _vaccinations(population: Population, listed: Flags) -> Found:
    """Flu in the last whole season, MMR by 24 months and by five years."""
    people, coding, world = population.people, population.coding, population.world
    day = population.plan.anchor_day
    starts = [start for start in season_starts(world, population.plan) if start < day - 200]
    start = starts[-1]
    there = listed & (people.birth_day < start) & (people.registered_day < start)
    latest = _latest(population.events, people.count, coding.codelists["flu_vaccination_done"], start + 190, day)
    done, age = latest >= start, people.age(start)
    risk = world.conditions.indices(world.entry("flu.risk_groups"))
    at_risk = population.onsets.recorded_day[:, risk].min(axis=1) < start
    yield "flu vaccination: 65 and over", done, there & (age >= 65)
    yield "flu vaccination: at risk under 65", done, there & at_risk & (age >= 4) & (age < 65)
    yield "flu vaccination: age 2", done, there & (age >= 2) & (age < 3)
    yield "flu vaccination: age 3", done, there & (age >= 3) & (age < 4)
    now = people.age(day)
    for years, words in ((1, "12 months"), (2, "24 months")):
        by = people.birth_day + round(years * YEAR)
        doses = _counted_before(population.events, people.count, coding.codelists["six_in_one_vaccination_done"], by)
        yield f"6-in-1: three doses at {words}", doses >= 3, listed & (now >= years) & (now < years + 1)
    first, _ = coding.codelists["mmr_vaccination_done"]
    for name, place, years in (("first dose at 24 months", 1, 2), ("second dose at 5 years", 2, 5)):
        by = people.birth_day + round(years * YEAR)
        given = _latest(population.events, people.count, (first + place, 1), by, day) > 0
        yield f"MMR: {name}", given, listed & (now >= years) & (now < years + 1)
