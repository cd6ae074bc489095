"""EMIS Web bulk extract: one delivery of one practice, from files to staged history rows. No ledger, no merge."""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandera.polars as pa
import polars as pl

from data_contracts.registry import HISTORY
from data_contracts.tables import staging as contracts
from pipelines.io.history import CHILDREN, GONE_KEYS, GONE_PEOPLE, MOVED_PEOPLE, RENEWED, Change
from pipelines.io.identity import PEOPLE, person_ids, record_ids
from pipelines.io.landing import emis_checks, emis_rows
from pipelines.io.landing.errors import LandingError
from pipelines.io.landing.feeds import load_feed
from pipelines.io.landing.practices import PracticeFeed
from pipelines.io.landing.protocol import Bench, Delivery, Loaded, Practice
from pipelines.io.landing.quarantine import QUARANTINE
from pipelines.io.landing.reading import FileCount, TextTable, read_text
from pipelines.io.landing.staging import OUTCOME, Decided, decide, gather, tally

CODES = {"code_id": pl.Int64, "target_id": pl.Int64}
Texts = emis_checks.Texts
Convert = Callable[[pl.DataFrame], pl.DataFrame]


@dataclass(frozen=True)
class Codes:
    """What the supplier's code ids mean: one row per code, ``target_id`` null for a local code."""

    clinical: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=CODES))
    drug: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=CODES))


def load_delivery(delivery: Delivery, bench: Bench) -> Loaded:
    """One delivery of one practice (all files of one moment; none to try held rows again), staged as Parquet.

    Raises:
        LandingError: the delivery as a whole cannot be trusted; nothing of it may be used.
    """
    practice = bench.practice(delivery.source, delivery)
    if practice is None:
        raise LandingError(expected="a practice of the national list", found=delivery.source, where="epraccur.csv")
    texts = _read_all(delivery, bench)
    emis_checks.check_files(texts)
    organisation = emis_checks.organisation_of(texts, practice)
    practice = replace(practice, organisation_id=organisation, applied_moment=delivery.moment)
    if emis_checks.is_paused(texts, practice):
        return _pause(texts, practice, day=_day(delivery.moment), shared=delivery.shared)
    if texts:
        practice = replace(practice, paused_from=None)
    codes = Codes(clinical=delivery.shared["clinical_codes"], drug=delivery.shared["drug_codes"])
    loading = _Loading(texts=texts, practice=practice, codes=codes, bench=bench)
    loading.run()
    return loading.result()


FEED = PracticeFeed(
    name="emis",
    load=load_delivery,
    shared={"clinical_codes": CODES, "drug_codes": CODES},
    check=emis_checks.check_beside_history,
)


def _pause(texts: Texts, practice: Practice, *, day: dt.date, shared: Mapping[str, pl.DataFrame]) -> Loaded:
    """Nothing is taken from the delivery of a practice that has paused or withdrawn its sharing agreement."""
    told = "the practice's sharing agreement is paused or withdrawn: nothing was taken"
    counts = [replace(text.count, is_used=False, note=told) for text in texts.values()]
    paused = replace(practice, paused_from=practice.paused_from or day)
    return Loaded(files=tuple(counts), practices=(paused,), shared=shared)


def _day(moment: str) -> dt.date:
    """The day in a moment of 14 digits."""
    return dt.datetime.strptime(moment[:8], "%Y%m%d").date()


def _read_all(delivery: Delivery, bench: Bench) -> Texts:
    texts: dict[str, TextTable] = {}
    for file in delivery.files:
        if file.table in texts:
            raise LandingError(expected="one file a table and moment", found="two", where=file.name)
        texts[file.table] = read_text(file, con=bench.con, work=bench.work)
    return texts


class _Loading:
    """One delivery while it is being loaded: table after table, each with what the ones before it settled."""

    def __init__(self, *, texts: Texts, practice: Practice, codes: Codes, bench: Bench) -> None:
        self.texts, self.practice, self.codes, self.bench = texts, practice, codes, bench
        self.people_before = practice.people
        self.outcomes: list[pl.DataFrame] = [pl.DataFrame(schema=OUTCOME)]
        self.pending: list[pl.DataFrame] = [pl.DataFrame(schema=QUARANTINE)]
        self.gone: list[pl.DataFrame] = [pl.DataFrame(schema=GONE_KEYS)]
        self.staged: dict[str, Path] = {}
        self.kept: list[pl.DataFrame] = [pl.DataFrame(schema=GONE_KEYS)]
        self.is_whole = emis_checks.sends_all_again(texts, practice)
        self.where = f"landing/emis/{practice.practice_code}"
        self.setting = self._setting()

    def run(self) -> None:
        """Loads the tables: codes first, then patients, then what is about them."""
        self._look_at("Admin_Organisation")
        self._look_at("Agreements_SharingOrganisation")
        self.codes = Codes(
            clinical=self._codes("Coding_ClinicalCode", self.codes.clinical, is_snomed=True),
            drug=self._codes("Coding_DrugCode", self.codes.drug, is_snomed=False),
        )
        if self.texts:
            emis_checks.check_dissent_code(self.codes.clinical, where=self.where)
        self._patients()
        self.setting = self._setting()
        self._entries()

    def result(self) -> Loaded:
        """What all the tables led to."""
        change = Change(
            icb_code=self.practice.icb_code,
            staged=self.staged,
            gone_keys=pl.concat(self.gone),
            gone_people=_gone_people(self.people_before, self.practice),
            moved_people=_moved_people(self.people_before, self.practice),
            renewed=self._renewed(),
            spared=pl.concat(self.kept).unique().sort("table", "record_id"),
        )
        practice = replace(self.practice, pending=pl.concat(self.pending))
        return Loaded(
            outcomes=pl.concat(self.outcomes),
            files=tuple(self._counts()),
            changes=(change,),
            practices=(practice,),
            shared={"clinical_codes": self.codes.clinical, "drug_codes": self.codes.drug},
        )

    def _renewed(self) -> pl.DataFrame:
        """The history tables that a delivery of everything makes anew: what it lacks goes."""
        tables = ("registrations", *CHILDREN) if self.is_whole else ()
        whole = {"practice_code": self.practice.practice_code, "part": 0, "parts": 1}
        return pl.DataFrame([{"table": table} | whole for table in tables], schema=RENEWED)

    def _counts(self) -> Iterator[FileCount]:
        """The files as counted, with what the ledger should tell of the delivery."""
        changed = emis_checks.changed_code(self.texts, self.practice)
        notes = {
            "Admin_Organisation": f"the organisation's ODS code is now {changed}" if changed else None,
            "Admin_Patient": "all of the practice was sent again: what it lacks went" if self.is_whole else None,
        }
        for table, text in self.texts.items():
            yield replace(text.count, note=notes.get(table))

    def _setting(self) -> emis_rows.Setting:
        held = self.practice.people.select(
            "person_id", "birth_date", patient_record_id="record_id", person_state=pl.lit("held")
        )
        kept_out = self.practice.withheld.select(patient_record_id="record_id", person_state="reason")
        return emis_rows.Setting(
            practice_code=self.practice.practice_code,
            organisation_guid=self.practice.organisation_id,
            extract_date=_day(self.practice.applied_moment or ""),
            words=load_feed("emis").words,
            postcodes=self.bench.places.postcodes,
            roster=pl.concat([held, kept_out], how="diagonal"),
        )

    def _decide(self, table: str, contract: type[pa.DataFrameModel], convert: Convert) -> Decided:
        columns = load_feed("emis").tables[table].names
        held = self.practice.pending.filter(pl.col("table") == table)
        if self.is_whole and table in self.texts:
            self.outcomes.append(tally(held, "superseded"))
            held = held.clear()
        read = [self.texts[table]] if table in self.texts else []
        gathered = gather(read, pending=held, columns=columns)
        rows = convert(gathered.rows)
        missing = [name for name in ("is_deleted", "is_blank") if name not in rows.columns]
        rows = rows.with_columns(pl.lit(False).alias(name) for name in missing)
        decided = decide(rows, gathered, contract=contract, columns=columns)
        if table in self.texts:
            emis_checks.check_decided(table, decided.pending["reasons"], rows.height, where=self.where)
        self.outcomes.append(decided.outcomes)
        names = {"feed": "emis", "practice_code": self.practice.practice_code, "table": table}
        self.pending.append(
            decided.pending.with_columns(pl.lit(value).alias(name) for name, value in names.items()).select(
                list(QUARANTINE)
            )
        )
        return decided

    def _look_at(self, table: str) -> None:
        """Counts a table that was read for what it says about the delivery."""
        self._decide(
            table, contracts.StagedNotices, lambda rows: rows.with_columns(record_id=pl.lit(None, dtype=pl.Int64))
        )

    def _codes(self, table: str, held: pl.DataFrame, *, is_snomed: bool) -> pl.DataFrame:
        """The code table after this delivery: codes added or replaced, none forgotten."""

        def convert(rows: pl.DataFrame) -> pl.DataFrame:
            return emis_rows.type_codes(rows, held=held, is_snomed=is_snomed)

        good = self._decide(table, contracts.StagedCodes, convert).good
        new = good.select("code_id", target_id="target")
        return pl.concat([held.join(new, on="code_id", how="anti"), new]).sort("code_id")

    def _patients(self) -> None:
        """Brings the roster and the registrations up to this delivery."""

        def convert(rows: pl.DataFrame) -> pl.DataFrame:
            typed = emis_rows.type_patients(rows, self.setting)
            return typed.with_columns(
                self._pseudonyms(typed, "patient_guid").alias("record_id"),
                person_ids(typed["nhs_number"], self.bench.key),
            )

        decided = self._decide("Admin_Patient", contracts.StagedPatients, convert)
        self._stage("registrations", [decided])
        kept_out = decided.withheld.drop_nulls("record_id").select(
            "record_id",
            practice_code=pl.lit(self.practice.practice_code),
            reason=pl.col("reasons").str.extract(f"({'|'.join(contracts.WITHHELD)})"),
        )
        touched = pl.concat([decided.good["record_id"], decided.gone, kept_out["record_id"]]).implode()
        is_untouched = ~pl.col("record_id").is_in(touched)
        if self.is_whole:
            is_untouched &= pl.col("record_id").is_in(decided.pending["record_id"].drop_nulls().implode())
        people = [self.practice.people.filter(is_untouched), decided.good.select(list(PEOPLE))]
        withheld = [self.practice.withheld.filter(is_untouched), kept_out]
        self.practice = replace(
            self.practice, people=pl.concat(people).sort("record_id"), withheld=pl.concat(withheld).sort("record_id")
        )

    def _entries(self) -> None:
        """Stages what is about patients."""
        rows, codes, setting = emis_rows, self.codes, self.setting
        self._stage(
            "events",
            [self._about_patients("CareRecord_Observation", contracts.StagedEvents, self._type_events)],
        )
        self._stage(
            "medications",
            [
                self._about_patients(
                    "Prescribing_IssueRecord",
                    contracts.StagedMedications,
                    lambda frame: rows.type_medications(frame, setting, codes.drug),
                )
            ],
        )
        consultations = self._about_patients(
            "CareRecord_Consultation", contracts.StagedContacts, lambda frame: rows.type_consultations(frame, setting)
        )
        slots = self._about_patients(
            "Appointment_Slot", contracts.StagedContacts, lambda frame: rows.type_slots(frame, setting)
        )
        self._stage("contacts", [consultations, slots])

    def _type_events(self, rows: pl.DataFrame) -> pl.DataFrame:
        typed = emis_rows.type_events(rows, self.setting, self.codes.clinical)
        emis_checks.check_dates_in_order("CareRecord_Observation", typed, where=self.where)
        return typed

    def _about_patients(self, table: str, contract: type[pa.DataFrameModel], convert: Convert) -> Decided:
        def with_keys(rows: pl.DataFrame) -> pl.DataFrame:
            return convert(
                rows.with_columns(
                    self._pseudonyms(rows, "record_guid").alias("record_id"),
                    self._patient_pseudonyms(rows).alias("patient_record_id"),
                )
            )

        return self._decide(table, contract, with_keys)

    def _pseudonyms(self, rows: pl.DataFrame, guid: str) -> pl.Series:
        return record_ids(self.bench.con, rows.select(emis_rows.record_message(guid)).to_series(), self.bench.key)

    def _patient_pseudonyms(self, rows: pl.DataFrame) -> pl.Series:
        """Pseudonyms of the patients' records; each distinct patient is hashed once."""
        keys = ["text_organisation_guid", "text_patient_guid"]
        distinct = rows.select(keys).unique(maintain_order=True)
        named = distinct.with_columns(self._pseudonyms(distinct, "patient_guid").alias("patient"))
        joined = rows.select(keys).join(named, on=keys, how="left", nulls_equal=True, maintain_order="left")
        return joined["patient"]

    def _stage(self, table: str, parts: list[Decided]) -> None:
        """Writes a history table's new rows, and notes those that go: deleted, blanked or withheld from now on."""
        gone = [part.gone for part in parts] + [part.withheld["record_id"].drop_nulls() for part in parts]
        self.gone.append(
            pl.DataFrame({"record_id": pl.concat(gone)}).select(table=pl.lit(table), record_id="record_id")
        )
        kept = pl.concat([part.pending["record_id"].drop_nulls() for part in parts])
        if self.is_whole:
            self.kept.append(pl.DataFrame({"record_id": kept}).select(table=pl.lit(table), record_id="record_id"))
        good = [part.good.rename(_renamed(table, part.good)).select(_columns(table)) for part in parts]
        if sum(frame.height for frame in good):
            self.staged[table] = self.bench.work / f"{table}.parquet"
            pl.concat(good).write_parquet(self.staged[table], compression="lz4")


def _columns(table: str) -> list[str]:
    return list(HISTORY[table].to_schema().columns)


def _renamed(table: str, frame: pl.DataFrame) -> dict[str, str]:
    """The staged columns whose history name differs."""
    names = {
        "events": {"clinical_date": "event_date"},
        "medications": {"clinical_date": "issued_date", "concept_id": "product_id"},
        "contacts": {"clinical_date": "contact_date"},
    }
    return names.get(table, {})


def _gone_people(before: pl.DataFrame, after: Practice) -> pl.DataFrame:
    """People of whom the practice holds no record any more: all that is about them goes."""
    gone = before.join(after.people, on="record_id", how="anti").join(after.people, on="person_id", how="anti")
    return gone.select(list(GONE_PEOPLE)).unique().sort("person_id")


def _moved_people(before: pl.DataFrame, after: Practice) -> pl.DataFrame:
    """People whose record now carries another NHS number: all that is about them moves with it."""
    both = before.join(after.people, on="record_id", how="inner", suffix="_now", validate="1:1")
    moved = both.filter(pl.col("person_id") != pl.col("person_id_now"))
    return (
        moved.select("practice_code", "person_id", new_person_id="person_id_now")
        .unique("person_id", keep="first", maintain_order=True)
        .select(list(MOVED_PEOPLE))
    )
