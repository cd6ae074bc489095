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
from pipelines.io.history import Change
from pipelines.io.identity import PEOPLE, record_ids
from pipelines.io.landing import synthea_rows
from pipelines.io.landing.errors import LandingError
from pipelines.io.landing.feeds import load_feed
from pipelines.io.landing.files import LandedFile
from pipelines.io.landing.practices import PracticeFeed
from pipelines.io.landing.protocol import Bench, Delivery, Landing, Loaded, Practice
from pipelines.io.landing.quarantine import QUARANTINE
from pipelines.io.landing.reading import TextTable, open_landed, read_text
from pipelines.io.landing.staging import OUTCOME, decide, gather
from pipelines.io.landing.synthea_mappings import load_mappings, mappings_digest

NAME = "synthea"
LONGEST_LINE = 1 << 20
Convert = Callable[[pl.DataFrame], pl.DataFrame]


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
DATES = {
    "events": "event_date",
    "medications": "issued_date",
    "contacts": "contact_date",
    "spells": "admitted_date",
    "emergency_attendances": "arrived_date",
}


def load_delivery(delivery: Delivery, bench: Bench) -> Loaded:
    """All that is new of one practice (nothing to try held rows again), staged as Parquet.

    Raises:
        LandingError: a file is empty, unreadable or lacks a required column; nothing of the delivery may be used.
    """
    practice = bench.practice(delivery.source, delivery)
    if practice is None:
        raise LandingError(expected="a practice of the national list", found=delivery.source, where="epraccur.csv")
    texts = [_read(file, bench) for file in delivery.files]
    loading = _Loading(texts=texts, practice=practice, bench=bench)
    loading.run()
    return loading.result()


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


class _Loading:
    """One delivery while it is being loaded: people first, then what is about them."""

    def __init__(self, *, texts: list[TextTable], practice: Practice, bench: Bench) -> None:
        self.texts, self.practice, self.bench = texts, practice, bench
        self.outcomes: list[pl.DataFrame] = [pl.DataFrame(schema=OUTCOME)]
        self.pending: list[pl.DataFrame] = []
        self.parts: dict[str, list[pl.DataFrame]] = {name: [] for name in HISTORY}

    def run(self) -> None:
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

    def result(self) -> Loaded:
        """What all the tables led to."""
        staged = {name: path for name in HISTORY if (path := self._stage(name)) is not None}
        change = Change(icb_code=self.practice.icb_code, staged=staged)
        practice = replace(self.practice, pending=pl.concat([self.practice.pending.clear(), *self.pending]))
        return Loaded(
            outcomes=pl.concat(self.outcomes),
            files=tuple(text.count for text in self.texts),
            changes=(change,),
            practices=(practice,),
        )

    def _setting(self) -> synthea_rows.Setting:
        people = self.practice.people.select(
            "person_id", "birth_date", patient_record_id="record_id", person_state=pl.lit("held")
        )
        return synthea_rows.Setting(
            practice_code=self.practice.practice_code,
            words=load_feed(NAME).words,
            mappings=load_mappings(),
            roster=people,
        )

    def _decide(self, table: str, contract: type[pa.DataFrameModel], convert: Convert) -> pl.DataFrame:
        """The good rows of one table; its outcomes and what is held are noted."""
        columns = load_feed(NAME).tables[table].names
        held = self.practice.pending.filter(pl.col("table") == table)
        read = [text for text in self.texts if text.file.table == table]
        gathered = gather(read, pending=held, columns=columns)
        rows = gathered.rows.with_columns(self._pseudonyms(gathered.rows, table).alias("record_id"))
        rows = convert(rows).with_columns(is_deleted=pl.lit(False), is_blank=pl.lit(False))
        decided = decide(rows, gathered, contract=contract, columns=columns)
        self.outcomes.append(decided.outcomes)
        names = {"feed": NAME, "practice_code": self.practice.practice_code, "table": table}
        named = decided.pending.with_columns(pl.lit(value).alias(name) for name, value in names.items())
        self.pending.append(named.select(list(QUARANTINE)))
        return decided.good

    def _patients(self) -> None:
        """Brings the roster and the registrations up to this delivery, with an event for each ethnic group."""

        def convert(rows: pl.DataFrame) -> pl.DataFrame:
            typed = synthea_rows.type_patients(rows, self._setting())
            numbered = synthea_rows.add_numbers(
                typed, practice_code=self.practice.practice_code, people=self.practice.people
            )
            return self.bench.with_people(numbered)

        good = self._decide("patients", contracts.StagedMadeUpPeople, convert)
        self.parts["registrations"].append(good)
        self.parts["events"].append(synthea_rows.ethnic_group_events(good))
        kept = self.practice.people.join(good, on="record_id", how="anti")
        self.practice = replace(self.practice, people=pl.concat([kept, good.select(list(PEOPLE))]).sort("record_id"))

    def _about_people(self, table: str, contract: type[pa.DataFrameModel], convert: Convert) -> pl.DataFrame:
        def with_people(rows: pl.DataFrame) -> pl.DataFrame:
            people = rows.select("text_patient").unique(maintain_order=True).drop_nulls()
            keyed = people.with_columns(self._pseudonyms(people, "patients").alias("patient_record_id"))
            return convert(rows.join(keyed, on="text_patient", how="left", validate="m:1", maintain_order="left"))

        return self._decide(table, contract, with_people)

    def _conditions(self) -> pl.DataFrame:
        """Encounter, start and code of each condition in this delivery: what inpatients may have."""
        tables = [text.rows for text in self.texts if text.file.table == "conditions"]
        empty = pl.DataFrame(schema=dict.fromkeys(("encounter", "start", "code"), pl.String))
        return pl.concat([empty, *(rows.select("encounter", "start", "code") for rows in tables)])

    def _pseudonyms(self, rows: pl.DataFrame, table: str) -> pl.Series:
        messages = rows.select(synthea_rows.record_message(table, self.practice.practice_code)).to_series()
        return record_ids(self.bench.con, messages, self.bench.key)

    def _stage(self, table: str) -> Path | None:
        """Writes a history table's new rows; None if there are none."""
        columns = list(HISTORY[table].to_schema().columns)
        named = [frame.rename(_renamed(table, frame.columns)).select(columns) for frame in self.parts[table]]
        rows = pl.concat(named) if named else pl.DataFrame()
        if rows.is_empty():
            return None
        path = self.bench.work / f"{table}.parquet"
        rows.write_parquet(path, compression="lz4")
        return path


def _renamed(table: str, columns: list[str]) -> dict[str, str]:
    """The staged columns whose history name differs."""
    names = {"clinical_date": DATES.get(table, "")} if "clinical_date" in columns else {}
    return {**names, "concept_id": "product_id"} if table == "medications" else names
