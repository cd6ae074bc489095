"""What a feed is, and what it is handed: the one protocol that every feed module meets. No format is known here."""

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar

import duckdb
import polars as pl

from pipelines.io.history import Change, merge
from pipelines.io.identity import PEOPLE, SUPERSEDED, WITHHELD, person_ids, renamed_people
from pipelines.io.landing.files import LandedFile
from pipelines.io.landing.places import Places
from pipelines.io.landing.quarantine import QUARANTINE
from pipelines.io.landing.reading import FileCount
from pipelines.io.landing.register import Register
from pipelines.io.landing.roster import ROSTER, current_practices
from pipelines.io.landing.staging import OUTCOME
from pipelines.io.landing.store import Store

if TYPE_CHECKING:
    from pipelines.io.landing.workshop import Begun, Workshop

Argument = TypeVar("Argument")
Result = TypeVar("Result")
Stage = Literal["places", "practices", "people", "replies"]
STAGES: tuple[Stage, ...] = ("places", "practices", "people", "replies")
"""The order of feeds: who the practices are, their extracts, records that follow people, replies of services.

After each stage what its feeds changed is merged into history; feeds of people are handed the roster as it is then.
"""
Tell = Callable[[str], None]
APPLIED = {
    "practice_code": pl.String,
    "icb_code": pl.String,
    "source": pl.String,
    "organisation_id": pl.String,
    "applied_moment": pl.String,
    "tried_with": pl.String,
    "paused_from": pl.Date,
}
"""What is remembered of each practice of a feed, beside its roster and its quarantine."""


class Feed(Protocol):
    """One feed. ``name`` is that of its contract; ``take`` loads or refuses all that is new of it."""

    @property
    def name(self) -> str:
        """The name of its contract, in data_contracts/clinical/feeds."""

    @property
    def stage(self) -> Stage:
        """When its turn is."""

    def take(self, landing: "Landing") -> None:
        """Loads what has landed of this feed, delivery by delivery, and writes aside what is held of it."""


@dataclass(frozen=True)
class Practice:
    """What is held of one practice by one feed: its roster, its withheld records, its quarantine, where it stands.

    ``organisation_id`` is the supplier's own id of the practice; ``tried_with`` says with which codes and mappings
    its held rows were tried last; ``kept`` are tables that only the feed knows the meaning of; ``paused_from`` is the
    day since which its sharing agreement is not in force.
    """

    practice_code: str
    icb_code: str
    source: str = ""
    organisation_id: str | None = None
    applied_moment: str | None = None
    tried_with: str | None = None
    paused_from: dt.date | None = None
    people: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=PEOPLE))
    withheld: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=WITHHELD))
    pending: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=QUARANTINE))
    kept: Mapping[str, pl.DataFrame] = field(default_factory=dict)


@dataclass(frozen=True)
class Delivery:
    """All files of one source and moment, with what is held; no files if held rows are to be tried again.

    ``source`` is a practice's code, the name of a drop, or the feed. ``practices`` are those held from this source,
    ``pending`` the held rows that belong to no practice, ``shared`` what the feed knows whatever the practice.
    """

    feed: str
    source: str
    moment: str
    files: tuple[LandedFile, ...] = ()
    practices: Mapping[str, Practice] = field(default_factory=dict)
    pending: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=QUARANTINE))
    shared: Mapping[str, pl.DataFrame] = field(default_factory=dict)


@dataclass(frozen=True)
class Bench:
    """What a delivery is loaded with: engine, key, where to write, places, the current practice of each person.

    ``superseded`` has one row per NHS number that another has taken the place of. Of a large table ``batch`` records
    are decided at once.
    """

    con: duckdb.DuckDBPyConnection
    key: bytes
    work: Path
    places: Places
    batch: int
    roster: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=ROSTER))
    superseded: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=SUPERSEDED))

    def with_people(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows with the person of each ``nhs_number``; a superseded one gives way to the one that holds."""
        return renamed_people(rows.with_columns(person_ids(rows["nhs_number"], self.key)), self.superseded)

    def practice(self, practice_code: str, delivery: Delivery) -> Practice | None:
        """What is held of a practice, or a new one if the national list has it, else None."""
        held = delivery.practices.get(practice_code)
        listed = self.places.practices.filter(pl.col("practice_code") == practice_code)["icb_code"]
        if held is not None or listed.is_empty():
            return held
        return Practice(practice_code=practice_code, icb_code=listed[0], source=delivery.source)


@dataclass(frozen=True)
class Loaded:
    """What one delivery led to: practices and shared knowledge as they are now, changes of history in order.

    ``outcomes`` counts records by file; ``files`` are the files as counted while they were read.
    """

    outcomes: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=OUTCOME))
    files: tuple[FileCount, ...] = ()
    changes: tuple[Change, ...] = ()
    practices: tuple[Practice, ...] = ()
    pending: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=QUARANTINE))
    shared: Mapping[str, pl.DataFrame] = field(default_factory=dict)


Load = Callable[[Delivery, Bench], Loaded]
"""Loads one delivery. Pure but for files: reads the landed ones, writes staged rows below ``bench.work``.

It raises LandingError if the delivery as a whole cannot be trusted; nothing of it is used then.
"""


@dataclass
class Landing:
    """One ingest as its feeds see it. ``changes`` wait to be merged; ``changed`` names ICBs by history table.

    ``touched`` are the practices whose state this ingest has changed, by code; ``superseded`` the NHS numbers that
    others have taken the place of.
    """

    store: Store
    register: Register
    workshop: "Workshop"
    known: list[LandedFile]
    new: list[LandedFile]
    places: Places
    tell: Tell
    changes: list[Change] = field(default_factory=list)
    changed: dict[str, list[str]] = field(default_factory=dict)
    touched: dict[str, Practice] = field(default_factory=dict)
    has_new_people: bool = False
    superseded: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=SUPERSEDED))

    def deliveries(self, feed: str) -> list[tuple[str, str, list[LandedFile]]]:
        """The new files of one feed by source and moment, each source's in order."""
        own = sorted((file for file in self.new if file.feed == feed), key=_place)
        return [(*place, list(files)) for place, files in groupby(own, key=_place)]

    def start(
        self, task: Callable[[Argument, Bench], Result], argument: Argument, *, work: Path, has_roster: bool = False
    ) -> "Begun[Result]":
        """Begins a task that opens landed files, in a child process that may write to ``work``."""
        facts = {"places": self.places, "superseded": self.superseded} | (
            {"roster": self.roster} if has_roster else {}
        )
        where = "/".join(("landing", *work.parts[-2:]))
        return self.workshop.start(task, argument, work=work, facts=facts, where=where)

    def run(
        self, task: Callable[[Argument, Bench], Result], argument: Argument, *, work: Path, has_roster: bool = False
    ) -> Result:
        """What a task that opens landed files makes of its argument, in a child process that may write to ``work``.

        Raises:
            LandingError: the task raised one, or the child did not live to answer.
        """
        return self.start(task, argument, work=work, has_roster=has_roster).result()

    def people_elsewhere(self, practice: Practice) -> pl.DataFrame:
        """The roster of all practices but one, as this ingest has left it so far."""
        paths = self.store.switch.finals(self.store.settings.identity / "people")
        others = [other for code, other in self.touched.items() if code != practice.practice_code]
        is_left = ~pl.col("practice_code").is_in([practice.practice_code, *self.touched])
        stored = pl.concat([pl.DataFrame(schema=PEOPLE), *(self.store.read(path, PEOPLE) for path in paths)])
        return pl.concat([stored.filter(is_left), *(other.people for other in others)])

    def feeds_of(self, practice_codes: Iterable[str]) -> set[str]:
        """The feeds that hold any of these practices, as written so far."""
        paths = self.store.switch.finals(self.store.settings.identity / "feeds")
        states = {path.stem.removesuffix("_practices"): path for path in paths if path.stem.endswith("_practices")}
        wanted = pl.col("practice_code").is_in(sorted(practice_codes))
        return {feed for feed, path in states.items() if self.store.read(path, APPLIED).filter(wanted).height}

    def merge(self) -> None:
        """Merges what waits into history, aside."""
        for table, icb_codes in merge(self.store.con, self.store.settings, self.store.switch, self.changes).items():
            self.changed[table] = sorted({*self.changed.get(table, []), *icb_codes})
        self.changes = []

    @cached_property
    def roster(self) -> pl.DataFrame:
        """The practice and ICB of each person; ask for it only after practices have been merged."""
        return current_practices(self.store, self.places)


def _place(file: LandedFile) -> tuple[str, str]:
    return file.source, file.moment
