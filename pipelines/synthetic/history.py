"""Writes made-up people straight to history: Parquet in the project's own contracts, no identifiers."""

import datetime as dt
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from data_contracts.tables.history import CONTACT_KINDS
from pipelines.synthetic.diagnoses import spell_codes
from pipelines.synthetic.gp_records import NO_VALUE, Entries
from pipelines.synthetic.places import Plan
from pipelines.synthetic.population import Memberships, Population, at_practices, memberships
from pipelines.synthetic.world import NEVER, Days, Flags, Ints, stream

ROW_GROUP = 200_000
IMD_EDITION = "2025"


def history_tables(population: Population) -> Iterator[tuple[str, pa.Table]]:
    """The history tables of one chunk, by name, sorted, with everything entered before the anchor."""
    members = memberships(population)
    yield "registrations", _registrations(population, members)
    yield "events", _events(population, members)
    yield "medications", _medications(population, members)
    yield "contacts", _contacts(population, members)
    yield "spells", _spells(population)
    yield "emergency_attendances", _attendances(population)


def _days(values: Days | Ints, missing: Flags | None = None) -> pa.Array:
    """Day numbers as dates."""
    return pa.array(np.asarray(values, dtype=np.int32), mask=missing).cast(pa.date32())


def _coded(rows: Ints, words: list[str | None]) -> pa.Array:
    """Texts by their place in a list; a place of nought is null where the first word is."""
    rows = rows.astype(np.int32)
    if words[0] is None:
        return pa.DictionaryArray.from_arrays(pa.array(rows - 1, mask=rows == 0), pa.array(words[1:]))
    return pa.DictionaryArray.from_arrays(pa.array(rows), pa.array(words))


def _practice(population: Population, practice: Ints) -> pa.Array:
    """Practice codes."""
    chunk = population.chunk
    codes = population.plan.practices["practice_code"][chunk.first_practice : chunk.last_practice].to_list()
    return _coded(practice - chunk.first_practice, codes)


def _numbered(columns: dict[str, pa.Array], rows: int) -> pa.Table:
    """A table with a running record_id as its last column, to be moved on by the writer."""
    return pa.table({**columns, "record_id": pa.array(np.arange(rows, dtype=np.int64))})


def _registrations(population: Population, members: Memberships) -> pa.Table:
    people = population.people
    who, anchor = members.person, population.plan.anchor_day
    death = population.lives.death_day[who]
    lsoas = population.plan.lsoas["lsoa_code"]
    area = people.lsoa[who]
    unknown = people.person_id[who] % 1000 < 1000 * population.world.number("registration.unknown_postcode")
    columns = {
        "practice_code": _practice(population, members.practice),
        "person_id": pa.array(people.person_id[who]),
        "registered_date": _days(members.registered_day),
        "deregistered_date": _days(members.deregistered_day, members.deregistered_day == NEVER),
        "registration_type": _coded(members.is_temporary.astype(np.int64), ["regular", "temporary"]),
        "birth_date": _days(people.birth_day[who]),
        "death_date": _days(death, death >= anchor),
        "sex": _coded(people.is_male[who].astype(np.int64), ["female", "male"]),
        "lsoa_code": _coded(np.where(unknown, 0, area - area.min() + 1), [None, *lsoas[area.min() : area.max() + 1]]),
    }
    return _numbered(columns, members.count)


def _events(population: Population, members: Memberships) -> pa.Table:
    record, found = at_practices(population, members, population.events)
    draw = stream(population.plan.seed, population.chunk.number, "undated")
    undated = draw.random(len(record)) < population.world.number("recording.undated")
    columns = {
        "practice_code": _practice(population, members.practice[record]),
        "person_id": pa.array(population.people.person_id[members.person[record]]),
        "event_date": _days(found.day, undated),
        "entered_date": _days(found.day + found.delay.astype(np.int32)),
        "concept_id": pa.array(population.coding.concept_ids[found.code]),
        "value": pa.array(found.value, from_pandas=True),
        "unit": _unit(population, found),
    }
    return _numbered(columns, len(record))


def _unit(population: Population, found: Entries) -> pa.Array:
    """The unit of each value."""
    units = population.coding.units
    words = sorted({unit for unit in units if unit})
    place = np.array([words.index(unit) + 1 if unit else 0 for unit in units])
    return _coded(np.where(found.tenths == NO_VALUE, 0, place[found.code]), [None, *words])


def _medications(population: Population, members: Memberships) -> pa.Table:
    record, found = at_practices(population, members, population.medications)
    columns = {
        "practice_code": _practice(population, members.practice[record]),
        "person_id": pa.array(population.people.person_id[members.person[record]]),
        "issued_date": _days(found.day),
        "entered_date": _days(found.day),
        "product_id": pa.array(population.coding.concept_ids[found.code]),
        "quantity": pa.array(found.value),
    }
    return _numbered(columns, len(record))


def _contacts(population: Population, members: Memberships) -> pa.Table:
    record, found = at_practices(population, members, population.contacts)
    columns = {
        "practice_code": _practice(population, members.practice[record]),
        "person_id": pa.array(population.people.person_id[members.person[record]]),
        "contact_date": _days(found.day),
        "contact_kind": _coded(found.code, list(CONTACT_KINDS)),
    }
    return _numbered(columns, len(record))


@dataclass(frozen=True)
class HospitalView:
    """Which spells the hospital feed holds, when each record arrived, and where the person was registered."""

    rows: Ints
    entered_day: Days
    practice: Ints


def hospital_view(population: Population) -> HospitalView:
    """The spells whose record reached us before the anchor, of people the practices know."""
    spells, world = population.lives.spells, population.world
    draw = stream(population.plan.seed, population.chunk.number, "arrival")
    wait = draw.integers(
        int(world.number("stay.coding_days_from")), int(world.number("stay.coding_days_to")), len(spells.person)
    )
    entered = spells.discharged_day + wait.astype(np.int32)
    left = population.people.left_day[spells.person]
    rows = np.flatnonzero((entered < population.plan.anchor_day) & (spells.admitted_day < left))
    return HospitalView(rows, entered[rows], population.people.practice[spells.person[rows]])


def _spells(population: Population) -> pa.Table:
    view, codes = hospital_view(population), spell_codes(population)
    spells = population.lives.spells.take(view.rows)
    columns = {
        "practice_code": _practice(population, view.practice),
        "person_id": pa.array(population.people.person_id[spells.person]),
        "admitted_date": _days(spells.admitted_day),
        "discharged_date": _days(spells.discharged_day),
        "entered_date": _days(view.entered_day),
        "admission_method": pa.array(codes.admission_method[view.rows], pa.string()).dictionary_encode(),
        "diagnosis_codes": pa.array(codes.diagnosis_codes[view.rows], pa.string()).dictionary_encode(),
        "procedure_codes": pa.nulls(len(view.rows), pa.string()),
        "discharge_method": pa.array(codes.discharge_method[view.rows], pa.string()).dictionary_encode(),
    }
    return _numbered(columns, len(view.rows))


def attendance_rows(population: Population) -> tuple[Ints, Days]:
    """Attendances that the feed holds, and when each record arrived."""
    day, person = population.lives.attendance_day, population.lives.attendance_person
    draw = stream(population.plan.seed, population.chunk.number, "attendance arrival")
    entered = day + draw.integers(5, 15, len(day)).astype(np.int32)
    left = population.people.left_day[person]
    rows = np.flatnonzero((entered < population.plan.anchor_day) & (day < left))
    return rows, entered[rows]


def department_types(population: Population, count: int) -> Ints:
    """1 for a major department, 3 for a minor one, in the order of ``attendance_rows``."""
    draw = stream(population.plan.seed, population.chunk.number, "departments")
    return np.where(draw.random(count) < population.world.number("attendance.type_01"), 0, 1)


def _attendances(population: Population) -> pa.Table:
    rows, entered = attendance_rows(population)
    person = population.lives.attendance_person[rows]
    columns = {
        "practice_code": _practice(population, population.people.practice[person]),
        "person_id": pa.array(population.people.person_id[person]),
        "arrived_date": _days(population.lives.attendance_day[rows]),
        "entered_date": _days(entered),
        "department_type": _coded(department_types(population, len(rows)), ["01", "03"]),
    }
    return _numbered(columns, len(rows))


@dataclass
class HistoryFiles:
    """The open Parquet files of one ICB, to which chunks are added in order.

    A second thread writes one table while the next is made; no more than one waits.
    """

    folder: Path
    icb_code: str
    writers: dict[str, pq.ParquetWriter] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(max_workers=1))
    waiting: Future[None] | None = None

    def add(self, name: str, table: pa.Table) -> None:
        """Append one chunk's rows, record ids running on."""
        self._wait()
        self.waiting = self.pool.submit(self._write, name, table)

    def _wait(self) -> None:
        """Let the table that waits be written, and rise with its error if it has one."""
        if self.waiting is not None:
            self.waiting.result()

    def _write(self, name: str, table: pa.Table) -> None:
        first = self.rows.get(name, 0)
        moved = pa.array(np.arange(first, first + len(table), dtype=np.int64))
        table = table.set_column(table.num_columns - 1, "record_id", moved)
        self._writer(name, table.schema).write_table(table, row_group_size=ROW_GROUP)
        self.rows[name] = first + len(table)

    def close(self) -> None:
        """Finish every file and make it visible by a rename."""
        self._wait()
        self.pool.shutdown()
        for name, writer in self.writers.items():
            writer.close()
            self._aside(name).replace(self.folder / name / f"{self.icb_code}.parquet")

    def _aside(self, name: str) -> Path:
        return self.folder / name / f"{self.icb_code}.parquet.part"

    def _writer(self, name: str, schema: pa.Schema) -> pq.ParquetWriter:
        if name not in self.writers:
            self._aside(name).parent.mkdir(parents=True, exist_ok=True)
            encodings = {column: _encoding(column) for column in schema.names}
            self.writers[name] = pq.ParquetWriter(
                self._aside(name),
                schema,
                compression="zstd",
                use_dictionary=[column for column, encoding in encodings.items() if encoding is None],
                column_encoding={column: encoding for column, encoding in encodings.items() if encoding},
                store_schema=False,
            )
        return self.writers[name]


def _encoding(column: str) -> str | None:
    """How a column packs smallest, none for a dictionary of its values."""
    if column.endswith("_date"):
        return "BYTE_STREAM_SPLIT"
    return {"record_id": "DELTA_BINARY_PACKED", "person_id": "PLAIN"}.get(column)


def write_places(plan: Plan, list_sizes: pl.DataFrame, folder: Path, *, beside: bool) -> None:
    """The reference tables of history; ``beside`` keeps the list sizes of other practices that lie there."""
    folder.mkdir(parents=True, exist_ok=True)
    practices = plan.practices.select(
        "practice_code",
        "practice_name",
        "pcn_code",
        pcn_joined_date=pl.lit(dt.date(2019, 10, 1)),
        pcn_left_date=pl.lit(None, dtype=pl.Date),
        icb_code="icb_code",
        icb_name="icb_name",
        status=pl.lit("active"),
        closed_date=pl.lit(None, dtype=pl.Date),
    )
    practices.write_parquet(folder / "practices.parquet", compression="zstd")
    lsoas = plan.lsoas.select("lsoa_code", pl.col("imd_decile").cast(pl.Int8), imd_edition=pl.lit(IMD_EDITION))
    lsoas.write_parquet(folder / "lsoas.parquet", compression="zstd")
    path, sizes = folder / "list_sizes.parquet", list_sizes.with_columns(counted_date=pl.lit(plan.anchor))
    if beside and path.exists():
        sizes = pl.concat([sizes, pl.read_parquet(path).join(sizes, on="practice_code", how="anti")])
    sizes.sort("practice_code").write_parquet(path, compression="zstd")
