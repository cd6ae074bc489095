"""Builds small SystmOne sets by hand for the tests: manifest, archive and tables of a few made-up people."""

import csv
import io
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.io.landing.feeds import load_feed
from tests.lib.emis import AMLODIPINE, DISSENT, HYPERTENSION, PRACTICE, SYSTOLIC, Row, nhs_number

FIRST, SECOND, THIRD = "20261101_0300", "20261108_0300", "20261115_0300"
BESIDE = ("SRManifest", "SRMapping")
FINISHED, MISSED = "71", "72"


def headers() -> dict[str, list[str]]:
    """The columns that are read of each table, by the supplier's names."""
    tables = load_feed("systmone").tables
    return {name: [*table.columns.values(), *table.optional.values()] for name, table in tables.items()}


def table_bytes(names: list[str], rows: list[Row], encoding: str = "cp1252") -> bytes:
    """One file as the supplier writes it: every field quoted, Windows line ends, code page 1252."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, names, restval="", quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode(encoding)


@dataclass
class Extract:
    """One set of one source, table by table, to be changed by a test before it is written."""

    source: str = PRACTICE
    moment: str = FIRST
    starts: str = ""
    practice_code: str = ""
    headers: dict[str, list[str]] = field(default_factory=headers)
    tables: dict[str, list[Row]] = field(default_factory=lambda: {name: [] for name in headers()})
    deltas: set[str] = field(default_factory=set)
    left_out: set[str] = field(default_factory=set)
    unlisted: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.practice_code = self.practice_code or self.source
        if self.starts:
            self.deltas = set(self.tables)

    def add(self, table: str, **values: str) -> "Extract":
        usual = {
            "RowIdentifier": str(len(self.tables[table]) + 1),
            "IDOrganisationVisibleTo": self.practice_code,
            "IDOrganisation": self.practice_code,
            "IDOrganisationRegisteredAt": self.practice_code,
            "RemovedData": "0",
        }
        row = {name: text for name, text in (usual | values).items() if name in self.headers[table]}
        self.tables[table].append(row)
        return self

    def add_words(self) -> "Extract":
        self.add("SRMapping", RowIdentifier=FINISHED, Mapping="Finished")
        self.add("SRMapping", RowIdentifier=MISSED, Mapping="Did Not Attend")
        return self.add("SRCtv3ToSnomed", Ctv3Code="zz001", SnomedCode=HYPERTENSION)

    def add_patient(self, number: int, **values: str) -> "Extract":
        """A patient with a regular registration and a home."""
        usual = {
            "RowIdentifier": str(number),
            "NHSNumber": nhs_number(number),
            "DateBirth": "01 May 1960 00:00",
            "Gender": "F",
            "TestPatient": "FALSE",
            "FirstName": f"Renée{number}",
            "Surname": f"Surname{number}",
        }
        self.add("SRPatient", **(usual | values))
        self.add_registration(number, number)
        home = {"DateEvent": "01 Apr 2010 09:00:00", "FullPostCode": "ZZ1 1AA", "AddressType": "0"}
        return self.add("SRPatientAddressHistory", RowIdentifier=str(number), IDPatient=str(number), **home)

    def add_registration(self, number: int, patient: int, **values: str) -> "Extract":
        usual = {
            "RowIdentifier": str(number),
            "IDPatient": str(patient),
            "DateRegistration": "01 Apr 2010 00:00:00",
            "RegistrationStatus": "GMS,Contraception",
        }
        return self.add("SRPatientRegistration", **(usual | values))

    def add_code(self, number: int, patient: int, **values: str) -> "Extract":
        usual = self._entry(number, patient) | {"CTV3Code": "zz001", "SNOMEDCode": HYPERTENSION, "IsNumeric": "FALSE"}
        return self.add("SRCode", **(usual | {"NumericValue": "0"} | values))

    def add_dissent(self, number: int, patient: int, **values: str) -> "Extract":
        return self.add_code(number, patient, CTV3Code="XaZ89", SNOMEDCode="-1", **values)

    def add_immunisation(self, number: int, patient: int, **values: str) -> "Extract":
        return self.add(
            "SRImmunisation", **(self._entry(number, patient) | {"ImmsSNOMEDCode": HYPERTENSION} | values)
        )

    def add_issue(self, number: int, patient: int, **values: str) -> "Extract":
        usual = {
            "DateMedicationStart": "02 Mar 2024 10:15:00",
            "IDMultiLexDMD": AMLODIPINE,
            "MedicationQuantity": "28 tablet(s)",
        }
        return self.add("SRPrimaryCareMedication", **(self._entry(number, patient) | usual | values))

    def add_event(self, number: int, patient: int, **values: str) -> "Extract":
        return self.add("SREvent", **(self._entry(number, patient) | {"ClinicalEvent": "TRUE"} | values))

    def add_appointment(self, number: int, patient: int, **values: str) -> "Extract":
        usual = {"DateStart": "01 Jun 2026 09:00:00", "AppointmentStatus": FINISHED}
        return self.add("SRAppointment", **(self._entry(number, patient) | usual | values))

    def add_visit(self, number: int, patient: int, **values: str) -> "Extract":
        usual = {"DateBooked": "02 Jun 2026 09:00:00", "CurrentStatus": "Visited"}
        return self.add("SRVisit", **(self._entry(number, patient) | usual | values))

    def add_removal(self, table: str, number: int) -> "Extract":
        """A removal: its key, whose it was, and nothing else."""
        keys = {"RowIdentifier": str(number), "IDOrganisationVisibleTo": self.practice_code, "RemovedData": "1"}
        self.tables[table].append(keys)
        return self

    def _entry(self, number: int, patient: int) -> Row:
        dates = {"DateEvent": "02 Mar 2024 10:15:00", "DateEventRecorded": "03 Mar 2024 10:15:00"}
        return {"RowIdentifier": str(number), "IDPatient": str(patient)} | dates

    @property
    def listed(self) -> list[str]:
        """The tables that the manifest names."""
        return [name for name in self.tables if name not in {*BESIDE, *self.unlisted}]

    def folder(self, landing: Path) -> Path:
        return landing / "systmone" / self.source / self.moment

    def content(self, table: str) -> bytes:
        if table == "SRManifest" and not self.tables[table]:
            rows = [
                {
                    "FileName": name,
                    "IsDelta": "Y" if name in self.deltas else "N",
                    "DateExtractFrom": self.starts if name in self.deltas else "",
                    "DateExtractTo": self.moment,
                }
                for name in self.listed
            ]
            return table_bytes(self.headers[table], rows)
        return table_bytes(self.headers[table], self.tables[table])

    def write(self, landing: Path, *, zipped: bool = True) -> Path:
        """The set as it is delivered, or with its archive unpacked."""
        folder = self.folder(landing)
        folder.mkdir(parents=True, exist_ok=True)
        inside = [name for name in self.tables if name not in {*BESIDE, *self.left_out}]
        if zipped:
            with zipfile.ZipFile(folder / "SRExtract.zip", "w", zipfile.ZIP_DEFLATED) as archive:
                for name in inside:
                    archive.writestr(f"{name}.csv", self.content(name))
        outside = [name for name in BESIDE if name not in self.left_out]
        for name in outside if zipped else [*outside, *inside]:
            (folder / f"{name}.csv").write_bytes(self.content(name))
        return landing


def whole_extract(source: str = PRACTICE, moment: str = FIRST, *, first_patient: int = 1) -> Extract:
    """Three people with something in every table."""
    extract = Extract(source, moment).add_words()
    for number in range(first_patient, first_patient + 3):
        extract.add_patient(number).add_code(number, number).add_issue(number, number)
        extract.add_code(
            1000 + number, number, SNOMEDCode=SYSTOLIC, IsNumeric="TRUE", NumericValue="132.5", NumericUnit="mmHg"
        )
        extract.add_immunisation(number, number).add_event(number, number)
        extract.add_appointment(number, number).add_visit(number, number)
    return extract


def delta(source: str = PRACTICE, moment: str = SECOND, *, starts: str = FIRST) -> Extract:
    """A set in which every table is a delta."""
    return Extract(source, moment, starts=starts)


__all__ = ["DISSENT", "Extract", "delta", "whole_extract"]
