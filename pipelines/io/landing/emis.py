"""EMIS Web bulk extract: one delivery of one practice, from files to staged history rows. No ledger, no merge."""

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import pandera.polars as pa
import polars as pl

from data_contracts.tables import staging as contracts
from pipelines.io.history import CHILDREN
from pipelines.io.landing import emis_checks, emis_rows
from pipelines.io.landing.errors import LandingError
from pipelines.io.landing.feeds import load_feed
from pipelines.io.landing.practice_loading import Convert, PracticeLoading
from pipelines.io.landing.practices import PracticeFeed
from pipelines.io.landing.protocol import Bench, Delivery, Loaded, Practice
from pipelines.io.landing.quarantine import is_retried
from pipelines.io.landing.reading import FileCount, TextTable, read_texts
from pipelines.io.landing.staging import Decided

CODES = {"code_id": pl.Int64, "target_id": pl.Int64}
Texts = dict[str, TextTable]


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
    names = [file.table for file in delivery.files]
    for file in delivery.files:
        if names.count(file.table) > 1:
            raise LandingError(expected="one file a table and moment", found="two", where=file.name)
    return {text.file.table: text for text in read_texts(delivery.files, con=bench.con, work=bench.work)}


class _Loading(PracticeLoading):
    """One EMIS delivery while it is being loaded: codes first, then patients, then what is about them."""

    def __init__(self, *, texts: Texts, practice: Practice, codes: Codes, bench: Bench) -> None:
        super().__init__(feed="emis", practice=practice, bench=bench)
        self.texts, self.codes = texts, codes
        self.is_whole = emis_checks.sends_all_again(texts, practice)
        self.where = f"landing/emis/{practice.practice_code}"
        self.setting = self._setting()

    def run(self) -> None:
        """Loads the tables in order."""
        for table in ("Admin_Organisation", "Agreements_SharingOrganisation"):
            self.look_at(table, read=self._read(table))
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
        if self.is_whole:
            for table in ("registrations", *CHILDREN):
                self.renew(table)
        return Loaded(
            outcomes=pl.concat(self.outcomes),
            files=tuple(self._counts()),
            changes=(self.change(),),
            practices=(replace(self.practice, pending=pl.concat(self.pending)),),
            shared={"clinical_codes": self.codes.clinical, "drug_codes": self.codes.drug},
        )

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
        return emis_rows.Setting(
            practice_code=self.practice.practice_code,
            organisation_guid=self.practice.organisation_id,
            extract_date=self.extract_date,
            words=load_feed("emis").words,
            postcodes=self.bench.places.postcodes,
            roster=self.roster,
        )

    def _read(self, table: str) -> list[TextTable]:
        return [self.texts[table]] if table in self.texts else []

    def _decide(
        self, table: str, contract: type[pa.DataFrameModel], convert: Convert, *, together: str | None = None
    ) -> Decided:
        read, retried = self._read(table), self._retried(table)
        is_whole = self.is_whole and table in self.texts
        decided = self.decide(table, contract, convert, read=read, is_whole=is_whole, together=together)
        if read:
            rows = read[0].rows.height + (0 if is_whole else retried)
            emis_checks.check_decided(table, decided, rows, where=self.where)
            # Its text has been decided on, and is the largest part of what a delivery takes in memory.
            self.texts[table] = replace(read[0], held=read[0].rows.clear().lazy())
        return decided

    def _retried(self, table: str) -> int:
        """How many held rows of a table are tried again."""
        return self.practice.pending.filter(pl.col("table") == table, is_retried()).height

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
            records = self.pseudonyms(typed, emis_rows.record_message("patient_guid"))
            return self.bench.with_people(typed.with_columns(records.alias("record_id")))

        decided = self._decide("Admin_Patient", contracts.StagedPatients, convert)
        self._stage("registrations", [decided])
        self.keep_people(decided, present=decided.pending["record_id"].drop_nulls() if self.is_whole else None)

    def _entries(self) -> None:
        """Stages what is about patients, the largest table last: of the others nothing is in memory then."""
        rows, codes, setting = emis_rows, self.codes, self.setting
        read = self._about_patients
        self._stage(
            "contacts",
            [
                read(
                    "CareRecord_Consultation", contracts.StagedContacts, lambda f: rows.type_consultations(f, setting)
                ),
                read("Appointment_Slot", contracts.StagedContacts, lambda f: rows.type_slots(f, setting)),
            ],
        )
        self._stage(
            "medications",
            [
                read(
                    "Prescribing_IssueRecord",
                    contracts.StagedMedications,
                    lambda f: rows.type_medications(f, setting, codes.drug),
                )
            ],
        )
        self._stage("events", [read("CareRecord_Observation", contracts.StagedEvents, self._type_events)])

    def _type_events(self, rows: pl.DataFrame) -> pl.DataFrame:
        typed = emis_rows.type_events(rows, self.setting, self.codes.clinical)
        emis_checks.check_dates_in_order("CareRecord_Observation", typed, where=self.where)
        return typed

    def _about_patients(self, table: str, contract: type[pa.DataFrameModel], convert: Convert) -> Decided:
        names = ["text_organisation_guid", "text_patient_guid"]

        def with_keys(rows: pl.DataFrame) -> pl.DataFrame:
            patients = self.patient_pseudonyms(rows, names, emis_rows.record_message("patient_guid"))
            records = self.pseudonyms(rows, emis_rows.record_message("record_guid"))
            return convert(rows.with_columns(records.alias("record_id"), patients.alias("patient_record_id")))

        return self._decide(table, contract, with_keys, together="text_patient_guid")

    def _stage(self, table: str, parts: list[Decided]) -> None:
        """Stages a history table; of a delivery of everything, rows that are held back stay as they were."""
        self.stage(table, parts)
        if self.is_whole:
            self.spare(table, pl.concat([part.pending["record_id"].drop_nulls() for part in parts]))
