"""The true rates behind a person's admissions and death at a day: what the simulation and the truth both use."""

from dataclasses import dataclass

import numpy as np

from pipelines.synthetic.conditions import Onsets
from pipelines.synthetic.people import People
from pipelines.synthetic.places import Plan
from pipelines.synthetic.world import Flags, Floats, World, logistic


@dataclass(frozen=True)
class Hazards:
    """Yearly rates and chances, one entry a person."""

    emergency: Floats
    avoidable: Floats
    death: Floats
    fatality: Floats


def hazards(world: World, plan: Plan, people: People, onsets: Onsets, day: int) -> Hazards:
    """The rates in force from a day, given all that is true then, recorded or not."""
    present = onsets.onset_day <= day
    return hazards_given(world, plan, people, _weigh(world, present), people.frailty, day)


def hazards_given(world: World, plan: Plan, people: People, effects: Floats, frailty: Floats, day: int) -> Hazards:
    """The rates in force from a day, for stated condition effects and frailty (either may be a hypothesis)."""
    age = people.age(day + 183)
    practice = plan.practices["log_emergency"].to_numpy()[people.practice]
    base, avoidable = _base(world, people, age)
    emergency = base + effects[:, 0] + world.number("emergency.frailty") * frailty + practice
    odds = avoidable + effects[:, 1] + world.number("emergency.avoidable_frailty") * frailty
    death, fatality = _dying(world, people, age, effects[:, 2], frailty)
    return Hazards(
        emergency=np.minimum(np.exp(emergency), world.number("emergency.rate_ceiling")),
        avoidable=logistic(odds),
        death=death,
        fatality=fatality,
    )


def _weigh(world: World, present: Flags) -> Floats:
    """Effects on the logs of emergency, avoidable and death rates, summed over the conditions present."""
    return np.asarray(present.astype(np.float32) @ world.conditions.effects.astype(np.float32)).astype(np.float64)


def _base(world: World, people: People, age: Floats) -> tuple[Floats, Floats]:
    """Log emergency rate and log odds of avoidable from all that a record could show but conditions."""
    ages = world.column("emergency_by_age", "age")
    poorer = world.number("emergency.deprivation_centre") - people.deprivation_tenth
    poorer = np.minimum(poorer, world.number("emergency.deprivation_most"))
    slope = np.interp(age, ages, world.column("emergency_by_age", "deprivation_per_tenth"))
    rate = np.interp(age, ages, world.column("emergency_by_age", "log_rate")) + slope * poorer
    rate = rate + world.number("emergency.male") * people.is_male
    rate = rate + world.column("ethnic_groups", "log_emergency")[people.ethnic_group]
    rate = rate + np.array(world.entry("smoking.log_emergency"))[people.smoking]
    share = np.interp(age, ages, world.column("emergency_by_age", "percent_avoidable")) / 100
    odds = np.log(share / (1 - share)) + world.number("emergency.avoidable_deprivation_per_tenth") * poorer
    return rate, odds + np.array(world.entry("smoking.log_avoidable"))[people.smoking]


def _dying(world: World, people: People, age: Floats, effect: Floats, frailty: Floats) -> tuple[Floats, Floats]:
    """Yearly death rate outside admissions, and the chance that an emergency admission is fatal."""
    past = age - 60
    log_rate = world.number("death.log_rate_at_60") + world.number("death.per_year_of_age") * past
    log_rate = log_rate + world.number("death.male") * people.is_male + world.number("death.frailty") * frailty
    poorer = world.number("emergency.deprivation_centre") - people.deprivation_tenth
    log_rate = log_rate + world.number("death.deprivation_per_tenth") * poorer + effect
    rate = np.exp(log_rate) + np.where(age < 1, world.number("death.infant"), 0.0)
    odds = world.number("death.after_admission_at_60") + world.number("death.after_admission_per_year") * past
    return np.minimum(rate, 3.0), logistic(
        odds + world.number("death.after_admission_frailty") * frailty + 0.5 * effect
    )
