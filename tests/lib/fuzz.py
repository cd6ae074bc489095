"""Fuzzes ingestion: workspaces full of garbled files, each ingested once, and what must hold of every one."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import polars as pl

from pipelines.io.landing.ingest import ingest
from pipelines.io.ledger import prove, read_ledger
from tests.lib import emis, garbling, hospital
from tests.lib.counting import uncounted_files
from tests.lib.feeds import omop_tables, synthea_tables

EMIS, SYNTHEA, DROPS = 24, 8, 4
"""Practices of EMIS, practices of Synthea and drops of OMOP in one workspace."""
STATUSES: list[emis.StatusChange] = [
    (1, "03/02/2001", "1", "4"),
    (1, "05/02/2001 09:30:00", "8", "4"),
    (1, "01/09/2004 00:00:00", "24", "4"),
]
KEYS = {"Admin_Organisation", "Agreements_SharingOrganisation", "Coding_ClinicalCode", "Coding_DrugCode"}
"""Tables of EMIS without which a delivery is refused: garbled in every fifth practice."""


@dataclass
class Fuzz:
    """One workspace of garbled files. ``bait`` lies outside it, ``mark`` is what hostile names try to write."""

    folder: Path
    seed: int
    files: int = 0
    opened: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.home, self.bait, self.mark = (self.folder / name for name in ("workspace", "bait", "mark"))
        self.bait.mkdir(parents=True)
        (self.bait / "secret.csv").write_text("nobody may read this", "utf-8")
        self.settings = emis.workspace(self.home)
        codes = [f"Z{number:05d}" for number in range(EMIS + SYNTHEA)]
        emis.write_reference(
            self.settings.landing, (*codes, *(f"Y9{drop}00{last}" for drop in range(DROPS) for last in (1, 3)))
        )
        self.practices, self.made_up = codes[:EMIS], codes[EMIS:]

    def run(self) -> list[str]:
        """What went wrong in one ingest of it all; an exception is left to rise."""
        self._write()
        with _recording(self.opened, self.bait):
            report = ingest(self.settings)
        ledger = read_ledger(self.home)
        prove(ledger)
        wrong = uncounted_files(self.home)
        held = sum(pl.read_parquet(path).height for path in self.settings.identity.glob("quarantine/*/*.parquet"))
        quarantined = int(ledger.filter(pl.col("status") == "loaded")["quarantined"].sum())
        wrong += [f"{held} rows are held, the ledger says {quarantined}"] * (held != quarantined)
        wrong += [f"opened {path}" for path in self.opened]
        wrong += ["SQL in a name ran, or a member was unpacked by its name"] * self._left_marks()
        loaded = report.files.filter(pl.col("status") == "loaded")["feed"].unique()
        wrong += [f"no file of {feed} was loaded" for feed in ("emis", "synthea", "omop") if feed not in loaded]
        return wrong

    def _left_marks(self) -> bool:
        """True if anything stands where nothing may."""
        return {path.name for path in self.folder.iterdir()} != {"workspace", "bait"} or Path("mark").exists()

    def _write(self) -> None:
        for number, practice in enumerate(self.practices):
            extract = emis.whole_extract(practice, first_patient=1 + 3 * number)
            extract.write(self.settings.landing)
            for table in [name for name in emis.HEADERS if name not in KEYS or number % 5 == 0]:
                self._garble(extract.path(self.settings.landing, table))
        for number, practice in enumerate(self.practices[::5]):
            path = emis.write_statuses(self.settings.landing, STATUSES, practice=practice, source=f"icb{number}")
            self._garble(path)
        for practice in self.made_up:
            self._write_all(self.settings.landing / "synthea" / practice, synthea_tables())
        for number in range(DROPS):
            self._write_all(self.settings.landing / "omop" / f"source{number}_20261101", omop_tables(number))
        self._write_hospital()
        self._write_hostile_names()

    def _write_hospital(self) -> None:
        landing = self.settings.landing
        emis.write_hospital(landing, [emis.episode(number, f"E{number}") for number in range(1, 9)])
        sus = hospital.Sus(day="20261111").add_visit(3, "V1").add_deletion("S9", up_to=3)
        for number in range(1, 9):
            sus.add_stay(number, f"S{number}", ["J440", "I10X"], ["E119"], procedures=("K401",))
        sus.write(landing)
        for path in sorted((landing / "hospital").iterdir()):
            self._garble(path)

    def _write_all(self, folder: Path, tables: dict[str, bytes]) -> None:
        """A folder of these tables, some garbled; or, of every third folder, a garbled archive of them."""
        folder.mkdir(parents=True)
        self.files += 1
        if (self.seed + self.files) % 3 == 0:
            data = garbling.garble_archive(tables, self.seed + self.files, mark=self.mark)
            (folder / "drop.zip").write_bytes(data)
            return
        for name, data in tables.items():
            (folder / name).write_bytes(data)
            self._garble(folder / name)

    def _write_hostile_names(self) -> None:
        folder = self.settings.landing / "emis" / self.practices[0]
        for name in garbling.HOSTILE_NAMES:
            self.files += 1
            (folder / name).write_bytes(b"x\n")
        (folder / "linked.csv").symlink_to(self.bait / "secret.csv")
        (self.settings.landing / "hospital" / "HES_APC_20261101.txt").symlink_to(self.bait / "secret.csv")
        os.link(self.bait / "secret.csv", self.settings.landing / "hospital" / "HES_AE_20261101.txt")

    def _garble(self, path: Path) -> None:
        self.files += 1
        path.write_bytes(garbling.garble(path.read_bytes(), self.seed + self.files, mark=self.mark))


def fuzz(folder: Path, *, files: int, seed: int) -> tuple[int, list[str]]:
    """How many garbled files were ingested, at least so many, and what went wrong; workspaces are made one by one."""
    done, wrong = 0, []
    while done < files:
        round_ = Fuzz(folder / f"seed_{seed + done}", seed=seed + done)
        wrong += [f"seed {seed + done}: {what}" for what in round_.run()]
        done += round_.files
    return done, wrong


_watchers: list[Callable[[str], None]] = []


@cache
def _watch_opening() -> None:
    """Python calls this hook whenever a file is opened, for as long as the process lives."""
    sys.addaudithook(lambda event, args: [watch(str(args[0])) for watch in _watchers] if event == "open" else None)


@contextmanager
def _recording(opened: list[str], bait: Path) -> Iterator[None]:
    """Notes each file below the bait that this process opens meanwhile."""
    _watch_opening()
    inside = f"{bait}{os.sep}"
    _watchers.append(lambda path: opened.append(path) if path.startswith(inside) else None)
    try:
        yield
    finally:
        _watchers.clear()
