"""One chunk of made-up people with everything that happened to them: what the writers and the truth start from."""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from pipelines.synthetic.admissions import Lives, live
from pipelines.synthetic.coding import Coding, load_coding
from pipelines.synthetic.conditions import Onsets, make_onsets
from pipelines.synthetic.gp_records import Entries, clinical_entries, contact_entries, joined, medicine_entries
from pipelines.synthetic.people import People, make_people
from pipelines.synthetic.places import Chunk, Plan
from pipelines.synthetic.prevention import prevention_entries
from pipelines.synthetic.world import NEVER, Days, Flags, Ints, World


@dataclass(frozen=True)
class Population:
    """The people of one chunk and their whole made-up history."""

    world: World
    plan: Plan
    chunk: Chunk
    people: People
    onsets: Onsets
    lives: Lives
    events: Entries
    medications: Entries
    contacts: Entries
    coding: Coding


@dataclass(frozen=True)
class Memberships:
    """One entry of each array a patient record at a practice, in order of practice and person_id."""

    person: Ints
    practice: Ints
    registered_day: Days
    deregistered_day: Days
    is_temporary: Flags
    is_former: Flags

    @property
    def count(self) -> int:
        """How many records."""
        return len(self.person)


def make_population(world: World, plan: Plan, chunk: Chunk) -> Population:
    """One chunk, made from its own streams alone."""
    coding = load_coding()
    people = make_people(world, plan, chunk)
    onsets = make_onsets(world, plan, people, chunk.number)
    lives = live(world, plan, people, onsets, chunk.number)
    clinical = clinical_entries(world, plan, people, onsets, lives, coding, chunk.number)
    prevention = prevention_entries(world, plan, people, onsets, lives, coding, chunk.number)
    return Population(
        world=world,
        plan=plan,
        chunk=chunk,
        people=people,
        onsets=onsets,
        lives=lives,
        events=joined([clinical, prevention]),
        medications=medicine_entries(world, plan, people, onsets, lives, coding, chunk.number),
        contacts=contact_entries(world, plan, people, onsets, lives, chunk.number),
        coding=coding,
    )


def memberships(population: Population) -> Memberships:
    """Every record that the extracts hold: current, departed, previous practice in the area, temporary."""
    people, lives, anchor = population.people, population.lives, population.plan.anchor_day
    ended = np.minimum(people.left_day, np.where(lives.death_day < anchor, lives.death_day + 3, NEVER))
    ended = np.where(ended < anchor, ended, NEVER).astype(np.int32)
    seen = people.registered_day < np.minimum(lives.death_day, people.left_day)
    now = np.flatnonzero(seen & (people.registered_day < anchor))
    before = np.flatnonzero(seen & (people.previous_practice >= 0) & (people.registered_day < anchor))
    away = np.flatnonzero(seen & (people.temporary_practice >= 0) & (people.temporary_day > people.birth_day))
    parts = [
        (now, people.practice[now], people.registered_day[now], ended[now], 0),
        (
            before,
            people.previous_practice[before],
            people.previous_registered_day[before],
            people.registered_day[before],
            1,
        ),
        (away, people.temporary_practice[away], people.temporary_day[away], people.temporary_day[away] + 90, 2),
    ]
    person, practice, start, end = (np.concatenate([part[place] for part in parts]) for place in range(4))
    sort = np.concatenate([np.full(len(part[0]), part[4]) for part in parts])
    end = np.where(end < anchor, end, NEVER).astype(np.int32)
    if len(person) >= 1 << 18:
        raise ValueError(
            f"one chunk has {len(person):,} records and can hold {1 << 18:,}; lower places.people_per_chunk"
        )
    order = np.lexsort((sort, start, people.person_id[person], practice))
    whole = Memberships(person, practice, start.astype(np.int32), end, sort == 2, sort == 1)
    return Memberships(**{field.name: getattr(whole, field.name)[order] for field in fields(Memberships)})


def at_practices(population: Population, members: Memberships, found: Entries) -> tuple[Ints, Entries]:
    """The entries each record holds, in order of record, day and code: the row of ``members`` and the entry.

    Only what was entered before the anchor. The current record holds a person's whole history, as record
    transfer leaves it; the record at an earlier practice holds what was entered before the person left.
    Each entry is packed into one number, since sorting numbers is far quicker than sorting rows.
    """
    entered = found.day + found.delay
    low = _packed(found)
    regular = ~members.is_former & ~members.is_temporary
    record = _record_of(population, members, regular)[found.person]
    held = (record >= 0) & (entered < population.plan.anchor_day)
    earlier = _record_of(population, members, members.is_former)[found.person]
    copied = np.flatnonzero(earlier >= 0)
    copied = copied[entered[copied] < members.deregistered_day[earlier[copied]]]
    keys = np.concatenate(
        [
            low[held] | (record[held].astype(np.uint64) << _RECORD),
            low[copied] | (earlier[copied].astype(np.uint64) << _RECORD),
        ]
    )
    keys.sort()
    return (keys >> _RECORD).astype(np.int64), _unpacked(keys)


_DAY_ZERO = 30_000
_RECORD, _DAY, _CODE, _TENTHS = (np.uint64(bits) for bits in (46, 30, 20, 8))


def _record_of(population: Population, members: Memberships, asked: Flags) -> Ints:
    """Each person's row of ``members`` among those asked for, -1 if none."""
    rows = np.full(population.people.count, -1, dtype=np.int64)
    rows[members.person[asked]] = np.flatnonzero(asked)
    return rows


def _packed(found: Entries) -> NDArray[np.uint64]:
    """Day, code, value and delay in the low 46 bits of one number."""
    day = (found.day.astype(np.int64) + _DAY_ZERO).astype(np.uint64) << _DAY
    code = found.code.astype(np.uint64) << _CODE
    return np.asarray(day | code | ((found.tenths + 1).astype(np.uint64) << _TENTHS) | found.delay.astype(np.uint64))


def _unpacked(keys: NDArray[np.uint64]) -> Entries:
    """The entries that were packed, the record left out: ``person`` is the row of the record."""
    return Entries(
        person=(keys >> _RECORD).astype(np.int32),
        day=((keys >> _DAY) & np.uint64(0xFFFF)).astype(np.int32) - np.int32(_DAY_ZERO),
        delay=(keys & np.uint64(0xFF)).astype(np.int16),
        code=((keys >> _CODE) & np.uint64(0x3FF)).astype(np.int16),
        tenths=((keys >> _TENTHS) & np.uint64(0xFFF)).astype(np.int16) - np.int16(1),
    )
