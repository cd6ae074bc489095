"""Ingests what has landed: every file into the ledger, every record into history or quarantine, all of it or none."""

from collections.abc import Callable
from dataclasses import dataclass

import duckdb
import polars as pl

from pipelines.io import identity
from pipelines.io.history import Switch, open_switch
from pipelines.io.landing.feeds import load_feed
from pipelines.io.landing.files import LandedFile, find_files
from pipelines.io.landing.holding import read_accepted
from pipelines.io.landing.protocol import STAGES, Landing
from pipelines.io.landing.quarantine import count_quarantine
from pipelines.io.landing.register import Refusal, Register
from pipelines.io.landing.registry import FEEDS
from pipelines.io.landing.roster import follow_people
from pipelines.io.landing.states import write_states
from pipelines.io.landing.store import Store
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
        known, unknown = find_files(settings.landing, [load_feed(feed.name) for feed in FEEDS])
        register = Register(read_ledger(settings.home))
        for file in unknown:
            register.refuse_unknown(file)
        with duckdb.connect(config=_engine(settings, switch)) as con:
            con.execute("set enable_progress_bar = false")
            store = Store(settings=settings, switch=switch, con=con, key=key)
            changed = _load(store, register, known, on_progress)
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


def _load(
    store: Store, register: Register, known: list[LandedFile], on_progress: Progress | None
) -> dict[str, list[str]]:
    """Takes feed by feed, stage by stage; returns which ICBs changed, by history table."""
    new = register.unseen(known)
    teller = _Teller(on_progress, steps=len({(file.feed, file.source, file.moment) for file in new}) + len(STAGES))
    landing = Landing(
        store=store, register=register, known=known, new=new, places=store.read_places(), tell=teller.tell
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
