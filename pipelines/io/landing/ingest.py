"""Ingests what has landed: every file into the ledger, every record into history or quarantine, all of it or none."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import duckdb
import polars as pl

from pipelines.io import identity
from pipelines.io.history import Switch, open_switch
from pipelines.io.landing.archives import Member
from pipelines.io.landing.confinement import Limits, code_folders
from pipelines.io.landing.digests import DIGESTS, Digests
from pipelines.io.landing.feeds import Archive, load_feed
from pipelines.io.landing.files import LandedFile, find_files, look_inside
from pipelines.io.landing.holding import read_accepted
from pipelines.io.landing.places import Places
from pipelines.io.landing.protocol import APPLIED, STAGES, Bench, Landing
from pipelines.io.landing.quarantine import count_quarantine
from pipelines.io.landing.register import Refusal, Register
from pipelines.io.landing.registry import FEEDS
from pipelines.io.landing.roster import follow_people
from pipelines.io.landing.states import write_states
from pipelines.io.landing.store import Store
from pipelines.io.landing.workshop import Room, Workshop
from pipelines.io.ledger import OUTCOMES, ledger_path, read_ledger
from pipelines.settings import Settings

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class IngestReport:
    """What one ingest did. ``files`` are its ledger rows; ``quarantine`` counts all that is held, by rule."""

    ingest: int
    files: pl.DataFrame
    changed: dict[str, list[str]]
    refused: tuple[Refusal, ...]
    quarantine: pl.DataFrame

    @property
    def totals(self) -> dict[str, int]:
        """Records by outcome, over the files of this ingest."""
        return {name: int(self.files[name].sum()) for name in ("records", *OUTCOMES)}


def ingest(settings: Settings, on_progress: Progress | None = None) -> IngestReport:
    """Loads all that has landed since the last ingest; what was loaded before changes nothing.

    ``on_progress`` is called with what is being done, how many steps are done, and how many there are.

    Raises:
        LandingError: there is nothing in the landing folder.
        IdentityError: there is no sound key.
        HistoryError: another ingest is running.
        LedgerError: the records of a file are not all accounted for; nothing was changed.
    """
    key = identity.load_key(settings)
    with open_switch(settings) as switch:
        register = Register(read_ledger(settings.home))
        with (
            duckdb.connect(config=_engine(settings, switch)) as con,
            closing(Workshop(_room(settings, switch, key))) as workshop,
        ):
            con.execute("set enable_progress_bar = false")
            store = Store(settings=settings, switch=switch, con=con, key=key)
            changed = _load(store, register, workshop, on_progress)
            ledger = register.result()
            write_states(store, ledger, register.files(), read_accepted(settings))
        store.write(ledger, ledger_path(settings.home))
        switch.commit()
    return IngestReport(
        ingest=register.number,
        files=register.files(),
        changed=changed,
        refused=tuple(register.refused),
        quarantine=count_quarantine(settings),
    )


def _engine(settings: Settings, switch: Switch) -> dict[str, str | bool | int | float | list[str]]:
    return {
        "threads": settings.threads,
        "memory_limit": settings.memory_limit,
        "temp_directory": str(switch.folder / "spill"),
    }


def _room(settings: Settings, switch: Switch, key: bytes) -> Room:
    """What a child that opens landed files may do."""
    work = switch.folder / "work"
    spill = work / "spill"
    spill.mkdir(parents=True)
    folders = [str(settings.landing.resolve()), str(work.resolve())]
    engine = _engine(settings, switch) | {
        "enable_progress_bar": False,
        "temp_directory": str(spill.resolve()),
        "allowed_directories": folders,
        "enable_external_access": False,
        "lock_configuration": True,
    }
    limits = Limits(
        memory_bytes=settings.extract_gib << 30,
        seconds=settings.extract_seconds,
        file_bytes=settings.extract_file_gib << 30,
    )
    readable = frozenset({settings.landing.resolve(), *code_folders()})
    return Room(readable=readable, work=work, engine=engine, limits=limits, key=key, batch=settings.extract_batch)


def _load(store: Store, register: Register, workshop: Workshop, on_progress: Progress | None) -> dict[str, list[str]]:
    """Takes feed by feed, stage by stage; returns which ICBs changed, by history table."""
    places = store.read_places()
    known = _find(store, register, workshop, places)
    new = register.unseen(known, _held(store, known))
    teller = _Teller(on_progress, steps=len({(file.feed, file.source, file.moment) for file in new}) + len(STAGES))
    landing = Landing(
        store=store,
        register=register,
        workshop=workshop,
        known=known,
        new=new,
        places=places,
        tell=teller.tell,
    )
    for stage in STAGES:
        if stage == "people" and landing.has_new_people:
            landing.changes += follow_people(store, landing.roster)
        for feed in FEEDS:
            if feed.stage == stage:
                feed.take(landing)
        teller.tell(f"history, {stage}")
        landing.merge()
    return landing.changed


def _find(store: Store, register: Register, workshop: Workshop, places: Places) -> list[LandedFile]:
    """The landed files that a contract knows; archives are looked into by the child, the others are refused."""

    def look(path: Path, archive: Archive) -> list[tuple[Member, str]]:
        work, facts = store.settings.landing, {"places": places}
        return workshop.run(_look, (path, archive), work=work, facts=facts, where=path.name)

    landing, digests_path = store.settings.landing, store.state_path("digests")
    digests = Digests(landing, store.read(digests_path, DIGESTS))
    remembered = partial(digests.inside, look=look)
    known, unknown = find_files(landing, [load_feed(feed.name) for feed in FEEDS], remembered, digests.of)
    store.write(digests.result(), digests_path)
    for file in unknown:
        register.refuse_unknown(file)
    return known


def _held(store: Store, known: list[LandedFile]) -> set[tuple[str, str | None]]:
    """Feed and practice of all that is held; of feeds without practices, whatever landed."""
    staged = {feed.name for feed in FEEDS if feed.stage == "practices"}
    states = {name: store.read(store.state_path(f"{name}_practices"), APPLIED) for name in staged}
    held = {(name, code) for name, state in states.items() for code in state["practice_code"]}
    return held | {(file.feed, file.practice_code) for file in known if file.feed not in staged}


def _look(archive: tuple[Path, Archive], bench: Bench) -> list[tuple[Member, str]]:
    return look_inside(*archive)


@dataclass
class _Teller:
    """Says what is being done, and how many of the steps are done."""

    on_progress: Progress | None
    steps: int
    done: int = 0

    def tell(self, what: str) -> None:
        """One step more has begun."""
        if self.on_progress:
            self.on_progress(what, self.done, self.steps)
        self.done = min(self.done + 1, self.steps)
