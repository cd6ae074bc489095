"""When each person's long-term conditions start and when the practice records them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.synthetic.people import People
from pipelines.synthetic.places import Plan
from pipelines.synthetic.world import NEVER, YEAR, Floats, World, logistic, stream


@dataclass(frozen=True)
class Onsets:
    """Days of onset and of record, one row a person, one column a condition; NEVER where there is none."""

    onset_day: NDArray[np.int32]
    recorded_day: NDArray[np.int32]


def make_onsets(world: World, plan: Plan, people: People, chunk: int) -> Onsets:
    """Onset and record days of all conditions of all people."""
    draw = stream(plan.seed, chunk, "conditions")
    count, shape = people.count, world.conditions
    onset = np.empty((count, len(shape.names)), dtype=np.int32, order="F")
    recorded = np.empty_like(onset)
    lean = _recording_lean(world, plan, people)
    delay = world.number("recording.diagnosis_delay_days")
    deprivation = people.deprivation
    for row in range(len(shape.names)):
        age = onset_age(world, row, people, deprivation, draw.random(count))
        day = people.birth_day + age * YEAR
        onset[:, row] = np.where(day < NEVER, day, NEVER)
        seen = shape.sensitivity[row]
        is_recorded = draw.random(count) < logistic(np.log(seen / (1 - seen)) + lean)
        later = day + draw.standard_exponential(count) * delay
        recorded[:, row] = np.where(is_recorded & (day < NEVER), np.minimum(later, NEVER), NEVER)
    return Onsets(onset_day=onset, recorded_day=recorded)


def onset_age(world: World, row: int, people: People, deprivation: Floats, place: Floats) -> Floats:
    """Age at onset of one condition from a uniform draw; beyond any life where the condition never starts."""
    shape = world.conditions
    lean = shape.level[row] + shape.male[row] * people.is_male
    lean = lean + shape.deprivation[row] * deprivation + shape.frailty[row] * people.frailty
    odds = np.log(place / (1 - place))
    if shape.is_rising[row]:
        age = shape.midpoint[row] + shape.scale[row] * (odds - lean)
        return np.where(age < 120, np.maximum(age, 0.0), 1e8)
    level = logistic(lean)
    within = np.clip(place / level, 1e-9, 1 - 1e-9)
    age = shape.midpoint[row] + shape.scale[row] * np.log(within / (1 - within))
    return np.where(place < level, np.clip(age, 0.0, 119.0), 1e8)


def _recording_lean(world: World, plan: Plan, people: People) -> Floats:
    """Log odds by which a person's practice and group record more or less than usual."""
    practice = plan.practices["recording"].to_numpy()[people.practice]
    is_white = people.ethnic_group < 3
    return practice + np.where(is_white, 0.0, world.number("recording.least_recorded_group"))
