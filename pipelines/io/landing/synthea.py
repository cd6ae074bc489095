"""Synthea's tables, as CSV, Parquet or a zip of CSV: one practice's delivery, from its files to staged history rows.

Each delivery adds rows or replaces those with the same key; Synthea has no deletions. Everybody in it is made up.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pandera.polars as pa
import polars as pl

from data_contracts.registry import HISTORY
from data_contracts.tables import staging as contracts
from pipelines.io.landing import synthea_rows
from pipelines.io.landing.errors import LandingError
from pipelines.io.landing.feeds import load_feed
from pipelines.io.landing.files import LandedFile
from pipelines.io.landing.practice_loading import Convert, PracticeLoading, columns_of, renamed
from pipelines.io.landing.practices import PracticeFeed
from pipelines.io.landing.protocol import Bench, Delivery, Landing, Loaded, Practice
from pipelines.io.landing.reading import TextTable, open_landed, read_text
from pipelines.io.landing.staging import Decided
from pipelines.io.landing.synthea_mappings import load_mappings, mappings_digest

NAME = "synthea"
LONGEST_LINE = 1 << 20


@dataclass(frozen=True)
class _Source:
    """One history table's share of a Synthea table: its contract and how its rows are typed."""

    table: str
    history: str
    convert: Callable[..., pl.DataFrame]


SOURCES = (
    _Source("conditions", "events", synthea_rows.type_findings),
    _Source("procedures", "events", synthea_rows.type_findings),
    _Source("observations", "events", synthea_rows.type_observations),
    _Source("immunizations", "events", synthea_rows.type_immunisations),
    _Source("medications", "medications", synthea_rows.type_medications),
)
ENCOUNTERS = {"contact": "contacts", "attendance": "emergency_attendances", "spell": "spells"}


def load_delivery(delivery: Delivery, bench: Bench) -> Loaded:
    """All that is new of one practice (nothing to try held rows again), staged as Parquet.

    Raises:
        LandingError: a file is empty, unreadable or lacks a required column; nothing of the delivery may be used.
    """
    practice = bench.practice(delivery.source, delivery)
    if practice is None:
        raise LandingError(expected="a practice of the national list", found=delivery.source, where="epraccur.csv")
    texts = [_read(file, bench) for file in delivery.files]
    return _Loading(texts=texts, practice=practice, bench=bench).run()


def check_numbers(landing: Landing, loaded: Loaded) -> None:
    """Passes if nobody at another practice has a made-up NHS number of this one: they would become one person.

    Raises:
        LandingError: somebody has.
    """
    (practice,) = loaded.practices
    shared = landing.people_elsewhere(practice).join(practice.people, on="nhs_number", how="semi").height
    if shared:
        raise LandingError(
            expected="made-up NHS numbers that nobody else has",
            found=f"{shared} that people of other practices have",
            where=f"landing/{NAME}/{practice.practice_code}: give the practice another code",
        )


FEED = PracticeFeed(name=NAME, load=load_delivery, mappings=lambda places: mappings_digest(), check=check_numbers)


def _read(file: LandedFile, bench: Bench) -> TextTable:
    if file.path.suffix == ".parquet":
        return read_text(file, con=bench.con, work=bench.work)
    with _fitting(file, bench.work) as fitting:
        return read_text(fitting, con=bench.con, work=bench.work)


@contextmanager
def _fitting(file: LandedFile, work: Path) -> Iterator[LandedFile]:
    """A CSV file whose header fits its rows: the file itself, or a copy while it is read."""
    with open_landed(file) as stream:
        header, first = stream.readline(LONGEST_LINE), stream.readline(LONGEST_LINE)
        fitting = _fitting_header(file.table, header, first)
        if fitting == header:
            yield file
            return
        copy = work / f"{file.table}.csv"
        with copy.open("wb") as target:
            target.write(fitting + first)
            shutil.copyfileobj(stream, target, LONGEST_LINE)
    try:
        yield replace(file, path=copy, member=None)
    finally:
        copy.unlink()


def _fitting_header(table: str, header: bytes, first: bytes) -> bytes:
    """The header, or the one declared for this table if its rows are known to be of another width."""
    ending = header[len(header.rstrip(b"\r\n")) :]
    for drift in load_feed(NAME).words["width_drift"]:
        is_same = drift["table"] == table and header.rstrip(b"\r\n") == drift["header"].encode()
        if is_same and first.count(b",") == drift["rows_hold"].count(","):
            return str(drift["rows_hold"]).encode() + ending
    return header


class _Loading(PracticeLoading):
    """One delivery while it is being loaded: people first, then what is about them."""

    def __init__(self, *, texts: list[TextTable], practice: Practice, bench: Bench) -> None:
        super().__init__(feed=NAME, practice=practice, bench=bench)
        self.texts = texts
        self.parts: dict[str, list[pl.DataFrame]] = {name: [] for name in HISTORY}

    def run(self) -> Loaded:
        """Loads the tables in order."""
        self._patients()
        setting = self._setting()
        for source in SOURCES:
            good = self._about_people(
                source.table, contracts.StagedMadeUpEntries, partial(source.convert, setting=setting)
            )
            self.parts[source.history].append(good)
        conditions = self._conditions()
        good = self._about_people(
            "encounters",
            contracts.StagedMadeUpEncounters,
            partial(synthea_rows.type_encounters, setting=setting, conditions=conditions),
        )
        for kind, history in ENCOUNTERS.items():
            self.parts[history].append(good.filter(pl.col("kind") == kind))
        for table, frames in self.parts.items():
            self.write(
                table, [frame.rename(renamed(table, frame.columns)).select(columns_of(table)) for frame in frames]
            )
        return Loaded(
            outcomes=pl.concat(self.outcomes),
            files=tuple(text.count for text in self.texts),
            changes=(self.change(),),
            practices=(replace(self.practice, pending=pl.concat(self.pending)),),
        )

    def _setting(self) -> synthea_rows.Setting:
        return synthea_rows.Setting(
            practice_code=self.practice.practice_code,
            words=load_feed(NAME).words,
            mappings=load_mappings(),
            roster=self.roster,
        )

    def _decide(self, table: str, contract: type[pa.DataFrameModel], convert: Convert) -> Decided:
        """What becomes of one table's records, each known by the pseudonym of its key."""
        message = synthea_rows.record_message(table, self.practice.practice_code)
        read = [text for text in self.texts if text.file.table == table]

        def keyed(rows: pl.DataFrame) -> pl.DataFrame:
            return convert(rows.with_columns(self.pseudonyms(rows, message).alias("record_id")))

        return self.decide(table, contract, keyed, read=read)

    def _patients(self) -> None:
        """Brings the roster and the registrations up to this delivery, with an event for each ethnic group."""

        def convert(rows: pl.DataFrame) -> pl.DataFrame:
            typed = synthea_rows.type_patients(rows, self._setting())
            numbered = synthea_rows.add_numbers(
                typed, practice_code=self.practice.practice_code, people=self.practice.people
            )
            return self.bench.with_people(numbered)

        decided = self._decide("patients", contracts.StagedMadeUpPeople, convert)
        self.parts["registrations"].append(decided.good)
        self.parts["events"].append(synthea_rows.ethnic_group_events(decided.good))
        self.keep_people(decided)

    def _about_people(self, table: str, contract: type[pa.DataFrameModel], convert: Convert) -> pl.DataFrame:
        message = synthea_rows.record_message("patients", self.practice.practice_code)

        def with_people(rows: pl.DataFrame) -> pl.DataFrame:
            patient = self.patient_pseudonyms(rows, ["text_patient"], message)
            return convert(rows.with_columns(patient_record_id=patient))

        return self._decide(table, contract, with_people).good

    def _conditions(self) -> pl.DataFrame:
        """Encounter, start and code of each condition in this delivery: what inpatients may have."""
        tables = [text.rows for text in self.texts if text.file.table == "conditions"]
        empty = pl.DataFrame(schema=dict.fromkeys(("encounter", "start", "code"), pl.String))
        return pl.concat([empty, *(rows.select("encounter", "start", "code") for rows in tables)])
