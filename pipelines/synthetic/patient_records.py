"""What every writer of GP extracts tells the same way: who is on the books, what is undated, which slots lapsed."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from pipelines.synthetic.identifiers import postcodes
from pipelines.synthetic.population import Memberships, Population
from pipelines.synthetic.world import NEVER, Days, Flags, Ints, World, stream

CANCELLED_SHARE = 0.03


@dataclass(frozen=True)
class PatientDetails:
    """Who the patient records of a chunk are about, one entry each: made-up names and homes, and who is kept out."""

    given: pl.Series
    surname: pl.Series
    street: pl.Series
    postcode: pl.Series
    is_dummy: Flags
    is_sensitive: Flags
    is_confidential: Flags
    death_day: Days


def patient_details(population: Population, members: Memberships) -> PatientDetails:
    """The details of each patient record, with dummies and sensitive patients among them."""
    people, world, plan = population.people, population.world, population.plan
    who = members.person
    draw = stream(plan.seed, population.chunk.number, "patient rows")
    place = draw.random(members.count)
    given, surname, street = (_names(world, kind, members.count, draw) for kind in ("given", "surname", "street"))
    unknown = people.person_id[who] % 1000 < 1000 * world.number("registration.unknown_postcode")
    home = pl.Series(postcodes(people.lsoa[who], draw.integers(0, 20, members.count)))
    death = population.lives.death_day[who]
    return PatientDetails(
        given=given,
        surname=surname,
        street=street,
        postcode=home.set(pl.Series(unknown), ""),
        is_dummy=place < world.number("registration.dummies"),
        is_sensitive=(place > 0.5) & (place < 0.5 + world.number("registration.sensitive")),
        is_confidential=(place > 0.8) & (place < 0.8 + world.number("registration.confidential")),
        death_day=np.where(death < plan.anchor_day, death, NEVER),
    )


def _names(world: World, kind: str, count: int, draw: np.random.Generator) -> pl.Series:
    words = world.entry(f"names.{kind}")
    return pl.Series(words).gather(draw.integers(0, len(words), count))


def patient_numbers(population: Population, members: Memberships) -> Ints:
    """A number that is each record's own: the person and the place it has among the person's records."""
    kind = members.is_former.astype(np.int64) + 2 * members.is_temporary
    return population.people.index[members.person] * 4 + kind


def undated(population: Population, count: int) -> Flags:
    """Which of the coded entries at practices carry no date."""
    draw = stream(population.plan.seed, population.chunk.number, "undated")
    return draw.random(count) < population.world.number("recording.undated")


def cancelled(population: Population, is_missed: pl.Series) -> pl.Series:
    """Which of the appointments were cancelled: none that was missed."""
    draw = stream(population.plan.seed, population.chunk.number, "slots")
    return pl.Series(draw.random(len(is_missed)) < CANCELLED_SHARE) & ~is_missed


def dates(values: Ints) -> pl.Series:
    """Day numbers as dates; NEVER is null."""
    days = np.asarray(values).astype(np.int64)
    return (
        pl.Series(np.where(days >= NEVER, 0, days).astype(np.int32)).cast(pl.Date).set(pl.Series(days >= NEVER), None)
    )
