"""Makes the people of one chunk: who they are, where they live and register, what is hidden about them."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from pipelines.synthetic.places import Chunk, Plan
from pipelines.synthetic.world import NEVER, YEAR, Days, Flags, Floats, Ints, World, load_world, logistic, stream

Small = NDArray[np.int16]


@dataclass(frozen=True)
class People:
    """One entry of each array a person, in order of practice and person_id; days are days since 1970."""

    index: Ints
    person_id: Ints
    practice: Ints
    birth_day: Days
    is_male: Flags
    ethnic_group: Small
    ethnic_group_recorded: Flags
    lsoa: Ints
    deprivation_tenth: Small
    frailty: Floats
    leaning: Floats
    engagement: Floats
    smoking: Small
    is_ghost: Flags
    registered_day: Days
    left_day: Days
    previous_practice: Ints
    previous_registered_day: Days
    temporary_practice: Ints
    temporary_day: Days
    type_1_day: Days
    has_national_opt_out: Flags

    @property
    def count(self) -> int:
        """How many people."""
        return len(self.index)

    @property
    def deprivation(self) -> Floats:
        """Deprivation as a normal score; higher is more deprived."""
        return np.asarray(norm.ppf(1 - (np.arange(10) + 0.5) / 10)[self.deprivation_tenth - 1])

    def age(self, day: int) -> Floats:
        """Age in years at a day, never under nought."""
        return np.maximum(0.0, (day - self.birth_day) / YEAR)


def made_per_practice(world: World, plan: Plan) -> Ints:
    """How many people are made for each practice so that its list, less deaths and leavers, comes out."""
    survival = _survival_of()[1]
    inflation = 1 / (survival * (1 - world.number("registration.leavers_share")))
    return np.maximum(1, np.round(plan.practices["list_size"].to_numpy() * inflation)).astype(np.int64)


def make_people(world: World, plan: Plan, chunk: Chunk) -> People:
    """The people of one chunk."""
    draw = stream(plan.seed, chunk.number, "people")
    made = made_per_practice(world, plan)
    first = int(made[: chunk.first_practice].sum())
    local = made[chunk.first_practice : chunk.last_practice]
    practice = np.repeat(np.arange(chunk.first_practice, chunk.last_practice), local)
    index = first + np.arange(len(practice))
    person_id = _mixed(index, plan.seed)
    order = np.lexsort((person_id, practice))
    index, person_id = index[order], person_id[order]
    lsoa = _areas(plan, practice, draw)
    tenth = plan.lsoas["imd_decile"].to_numpy().astype(np.int16)[lsoa]
    age, is_male = _ages(world, plan.practices["deprivation_fifth"].to_numpy()[practice], draw)
    birth_day = (plan.anchor_day - np.floor(age * YEAR) - 1).astype(np.int32)
    ethnic_group = _choice(world.column("ethnic_groups", "percent"), len(index), draw)
    parts: dict[str, Any] = {
        "ethnic_group_recorded": draw.random(len(index)) < world.number("ethnic_group.recorded"),
        "frailty": draw.standard_normal(len(index)),
        "leaning": draw.standard_normal(len(index)),
        "engagement": _engagement(world, len(index), draw),
        "smoking": _smoking(world, age, is_male, tenth, draw),
    }
    stays = _registrations(world, plan, chunk, practice, age, birth_day, is_male, draw)
    opted = _opt_outs(world, plan, practice, age, is_male, stays["registered_day"], draw)
    return People(
        index=index,
        person_id=person_id,
        practice=practice,
        birth_day=birth_day,
        is_male=is_male,
        ethnic_group=ethnic_group,
        lsoa=lsoa,
        deprivation_tenth=tenth,
        **parts,
        **stays,
        **opted,
    )


def _mixed(index: Ints, seed: int) -> Ints:
    """A pseudonym of each index: a bijective 64-bit mix, kept not negative."""
    with np.errstate(over="ignore"):
        value = index.astype(np.uint64) + np.uint64((seed * 0x9E3779B97F4A7C15 + 0x632BE59BD9B4E019) % 2**64)
        value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((value ^ (value >> np.uint64(31))) >> np.uint64(1)).astype(np.int64)


def _areas(plan: Plan, practice: Ints, draw: np.random.Generator) -> Ints:
    """Each person's area, evenly among the practice's areas."""
    first = plan.practices["first_lsoa"].to_numpy()[practice]
    count = plan.practices["lsoa_count"].to_numpy()[practice]
    return np.asarray(first + np.floor(draw.random(len(practice)) * count).astype(np.int64))


@cache
def _age_cells() -> tuple[Floats, Floats]:
    """For each cell of sex (men after women) and age: the age; and by practice fifth the running share."""
    world = load_world()
    ages, share = _single_years(world)
    survival, _ = _survival_of()
    lean = np.outer(world.entry("places.older_by_fifth"), np.clip((ages - 40) / 25, -1.2, 1.6))
    cells = np.exp(lean) * share
    for _ in range(30):
        cells = cells / cells.sum(axis=1, keepdims=True)
        cells = cells * (share / cells.mean(axis=0))
    cells = cells / survival
    return ages, np.cumsum(cells / cells.sum(axis=1, keepdims=True), axis=1)


def _single_years(world: World) -> tuple[Floats, Floats]:
    """For each cell of sex and age: the age in whole years, and the people asked for there per person listed."""
    bands = world.tables["age_sex"].to_dicts()
    ages, share, female = [], [], []
    for band in bands:
        years = np.arange(band["age_from"], band["age_to"] + 1)
        fall = world.number("people.fall_a_year_after_90") if band["age_from"] >= 90 else 0.0
        weight = np.exp(-fall * (years - band["age_from"]))
        ages.append(years)
        share.append(band["asked_percent"] * weight / weight.sum())
        female.append(np.full(len(years), band["asked_percent_female"] / 100))
    total, women = np.concatenate(share), np.concatenate(female)
    cells = np.concatenate([total * women, total * (1 - women)])
    return np.tile(np.concatenate(ages).astype(np.float64), 2), cells / 100


@cache
def _survival_of() -> tuple[Floats, float]:
    """For each cell the chance of living through the made years, and the share of those made who do."""
    world = load_world()
    ages, share = _single_years(world)
    years = np.minimum(world.number("time.years_before"), ages + 0.5)
    slope = world.number("death.all_per_year_of_age")
    is_male = np.arange(len(ages)) >= len(ages) // 2
    log_rate = world.number("death.all_log_rate_at_60") + slope * (ages + 0.5 - 60)
    log_rate = log_rate + world.number("death.all_male") * (is_male - 0.5)
    survival = np.exp(-np.exp(log_rate) * (1 - np.exp(-slope * years)) / slope)
    return survival, float(1 / (share / survival).sum())


def _ages(world: World, fifth: Ints, draw: np.random.Generator) -> tuple[Floats, Flags]:
    """Age at the anchor if still alive then, and sex, by the practice's deprivation fifth."""
    ages, running = _age_cells()
    place = draw.random(len(fifth))
    cell = np.empty(len(fifth), dtype=np.int64)
    for row in range(len(running)):
        asked = fifth == row
        cell[asked] = np.searchsorted(running[row], place[asked])
    cell = np.minimum(cell, len(ages) - 1)
    return ages[cell] + draw.random(len(fifth)), cell >= len(ages) // 2


def _choice(weights: Floats, count: int, draw: np.random.Generator) -> Small:
    """One draw per person among weighted alternatives."""
    running = np.cumsum(weights) / np.sum(weights)
    return np.searchsorted(running, draw.random(count)).clip(0, len(weights) - 1).astype(np.int16)


def _engagement(world: World, count: int, draw: np.random.Generator) -> Floats:
    """How readily people come: a gamma with mean one."""
    shape = world.number("contacts.engagement_shape")
    return draw.standard_gamma(shape, count) / shape


def _smoking(world: World, age: Floats, is_male: Flags, tenth: Small, draw: np.random.Generator) -> Small:
    """True smoking status: 0 never, 1 ex, 2 light, 3 moderate, 4 heavy."""
    shares = np.array([world.number(f"smoking.{name}") for name in ("never", "ex", "light", "moderate", "heavy")])
    current = shares[2:].sum()
    odds = np.log(current / (1 - current)) + world.number("smoking.deprivation_per_tenth") * (5.5 - tenth)
    odds = odds + world.number("smoking.male") * (is_male - 0.5)
    odds = odds + np.where(age > world.number("smoking.old_age"), np.log(world.number("smoking.old_factor")), 0.05)
    smokes = draw.random(len(age)) < logistic(odds)
    depth = 2 + _choice(shares[2:], len(age), draw)
    past = draw.random(len(age)) < shares[1] / (shares[0] + shares[1]) * np.clip((age - 15) / 35, 0, 1.25)
    status = np.where(smokes, depth, np.where(past, 1, 0))
    return np.where(age < world.number("smoking.age_from"), 0, status).astype(np.int16)


def _registrations(
    world: World,
    plan: Plan,
    chunk: Chunk,
    practice: Ints,
    age: Floats,
    birth_day: Days,
    is_male: Flags,
    draw: np.random.Generator,
) -> dict[str, Any]:
    """When each person joined and left the practice, and the practice before where that is in the same chunk."""
    count, anchor = len(practice), plan.anchor_day
    young = (age >= world.number("registration.young_from")) & (age <= world.number("registration.young_to"))
    rate = np.where(
        young, world.number("registration.moves_per_year_young"), world.number("registration.moves_per_year_other")
    )
    born = birth_day + 1 + np.floor(draw.random(count) * world.number("registration.newborn_days"))
    out = anchor - draw.random(count) * world.number("time.leaver_years") * YEAR
    leaves = (draw.random(count) < world.number("registration.leavers_share")) & (out > born + 1)
    left_day = np.where(leaves, out, NEVER)
    end = np.minimum(left_day, anchor)
    joined = end - draw.standard_exponential(count) / rate * YEAR
    registered_day = np.minimum(np.maximum(joined, born), end - 1)
    earlier = np.maximum(born, registered_day - draw.standard_exponential(count) / rate * YEAR)
    near = (joined > born) & (draw.random(count) < world.number("registration.from_same_area"))
    recent = registered_day > anchor - world.number("time.leaver_years") * YEAR
    moved = near & recent & (chunk.last_practice - chunk.first_practice > 1)
    other = _other_practice(plan, chunk, practice, draw)
    ghost_odds = 4 * world.number("registration.ghosts") * np.where(is_male, 1.25, 0.75)
    ghost = draw.random(count) < np.where(young, ghost_odds, ghost_odds / 5)
    away = draw.random(count) < world.number("registration.temporary")
    away = away & (chunk.last_practice - chunk.first_practice > 1)
    return {
        "registered_day": registered_day.astype(np.int32),
        "left_day": left_day.astype(np.int32),
        "previous_practice": np.where(moved, other, -1),
        "previous_registered_day": np.where(moved, np.minimum(earlier, registered_day - 1), NEVER).astype(np.int32),
        "is_ghost": ghost & ~leaves & (registered_day < anchor - world.number("registration.ghost_years") * YEAR),
        "temporary_practice": np.where(away, _other_practice(plan, chunk, practice, draw), -1),
        "temporary_day": (anchor - draw.random(count) * 700).astype(np.int32),
    }


def _other_practice(plan: Plan, chunk: Chunk, practice: Ints, draw: np.random.Generator) -> Ints:
    """Another practice of the chunk, by list size; the next one along where the draw is one's own."""
    sizes = plan.practices["list_size"].to_numpy()[chunk.first_practice : chunk.last_practice]
    drawn = chunk.first_practice + _choice(sizes, len(practice), draw).astype(np.int64)
    beside = chunk.first_practice + (practice + 1 - chunk.first_practice) % len(sizes)
    return np.where(drawn == practice, beside, drawn)


def _opt_outs(
    world: World,
    plan: Plan,
    practice: Ints,
    age: Floats,
    is_male: Flags,
    registered_day: Days,
    draw: np.random.Generator,
) -> dict[str, Any]:
    """Day of Type 1 dissent, clustered by practice, and whether a national opt-out is set."""
    lean = plan.practices["type_1"].to_numpy()[practice]
    share = world.number("opt_out.type_1")
    spread = world.number("opt_out.type_1_practice_sd") ** 2 / 2
    dissents = draw.random(len(practice)) < logistic(np.log(share / (1 - share)) - spread + lean)
    since = plan.anchor_day - draw.random(len(practice)) * world.number("time.years_before") * YEAR
    national = world.number("opt_out.national")
    odds = np.log(national / (1 - national)) - 0.09 + world.number("opt_out.national_male") * (is_male - 0.5)
    middle = (age >= 35) & (age < 55)
    odds = odds + world.number("opt_out.national_middle_age") * (middle - 0.27)
    odds = odds + world.number("opt_out.with_type_1") * dissents
    return {
        "type_1_day": np.where(dissents, np.maximum(since, registered_day), NEVER).astype(np.int32),
        "has_national_opt_out": draw.random(len(practice)) < logistic(odds),
    }
