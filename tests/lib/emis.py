"""Builds small extracts by hand for the tests: EMIS, hospital and reference files of a few made-up people."""

import csv
import io
import uuid
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.io.identity import make_key
from pipelines.settings import Settings

Row = dict[str, str]
AGREEMENT = "11111111-2222-3333-4444-555555555555"
PRACTICE, OTHER_PRACTICE, ICB = "Z00001", "Z00002", "QZZ"
FIRST, SECOND, THIRD = "20261101030000", "20261108030000", "20261115030000"
HYPERTENSION, SYSTOLIC, DISSENT, AMLODIPINE = "38341003", "271649006", "827241000000103", "319283006"
CODES = {"1": HYPERTENSION, "2": SYSTOLIC, "3": DISSENT}

HEADERS = {
    "Admin_Organisation": "OrganisationGuid,OrganisationName,ODSCode,ProcessingId",
    "Agreements_SharingOrganisation": "OrganisationGuid,IsActivated,LastModifiedDate,Disabled,Deleted",
    "Admin_Patient": (
        "PatientGuid,OrganisationGuid,Sex,DateOfBirth,DateOfDeath,GivenName,Surname,DateOfRegistration,NhsNumber,"
        "PatientTypeDescription,DummyType,Postcode,DateofDeactivation,Deleted,SpineSensitive,IsConfidential,ProcessingId"
    ),
    "CareRecord_Observation": (
        "ObservationGuid,PatientGuid,OrganisationGuid,EffectiveDate,EffectiveDatePrecision,EnteredDate,CodeId,Value,"
        "NumericUnit,AssociatedText,Deleted,IsConfidential,ProcessingId"
    ),
    "Prescribing_IssueRecord": (
        "IssueRecordGuid,PatientGuid,OrganisationGuid,EffectiveDate,EnteredDate,CodeId,Quantity,Deleted,IsConfidential,"
        "ProcessingId"
    ),
    "CareRecord_Consultation": (
        "ConsultationGuid,PatientGuid,OrganisationGuid,EffectiveDate,EnteredDate,Deleted,IsConfidential,ProcessingId"
    ),
    "Appointment_Slot": (
        "SlotGuid,AppointmentDate,PatientGuid,OrganisationGuid,DidNotAttend,SlotStatus,Deleted,ProcessingId"
    ),
    "Coding_ClinicalCode": "CodeId,Term,SnomedCTConceptId,ProcessingId",
    "Coding_DrugCode": "CodeId,Term,DmdProductCodeId,ProcessingId",
    "Admin_Location": "LocationGuid,LocationName,Deleted,ProcessingId",
}


def nhs_number(number: int) -> str:
    """The nth made-up NHS number of the 999 range with a right check digit."""
    found = -1
    for serial in range(1_000_000):
        digits = f"999{serial:06d}"
        check = 11 - sum(int(digit) * (10 - place) for place, digit in enumerate(digits)) % 11
        if check == 10:
            continue
        found += 1
        if found == number:
            return f"{digits}{0 if check == 11 else check}"
    raise ValueError(number)


def guid(*parts: object) -> str:
    """The same guid for the same parts, in the extract's style."""
    name = uuid.uuid5(uuid.NAMESPACE_OID, "/".join(map(str, parts)))
    return f"{{{str(name).upper()}}}"


def write_table(path: Path, header: str, rows: list[Row]) -> Path:
    """One file as the supplier writes it: every field quoted, Windows line ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = io.StringIO(newline="")
    names = header.split(",")
    writer = csv.DictWriter(text, names, restval="", quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    path.write_bytes(text.getvalue().encode())
    return path


@dataclass
class Extract:
    """One practice's delivery, table by table, to be changed by a test before it is written."""

    practice_code: str = PRACTICE
    moment: str = FIRST
    headers: dict[str, str] = field(default_factory=lambda: dict(HEADERS))
    tables: dict[str, list[Row]] = field(default_factory=lambda: {name: [] for name in HEADERS})

    @property
    def organisation(self) -> str:
        return guid("organisation", self.practice_code)

    def add(self, table: str, **values: str) -> "Extract":
        number = str(len(self.tables[table]) + 1)
        self.tables[table].append({"OrganisationGuid": self.organisation, "ProcessingId": number} | values)
        self.tables[table][-1] = {
            name: text for name, text in self.tables[table][-1].items() if name in self.headers[table].split(",")
        }
        return self

    def add_practice(self) -> "Extract":
        self.add("Admin_Organisation", OrganisationName="Made-up surgery", ODSCode=self.practice_code)
        self.add("Agreements_SharingOrganisation", IsActivated="true", Disabled="false", Deleted="false")
        self.add("Admin_Location", LocationGuid=guid("location"), Deleted="false")
        for code, concept in CODES.items():
            self.add("Coding_ClinicalCode", CodeId=code, Term="Term", SnomedCTConceptId=concept)
        return self.add("Coding_DrugCode", CodeId="9", Term="Amlodipine", DmdProductCodeId=AMLODIPINE)

    def add_patient(self, number: int, **values: str) -> "Extract":
        usual = {
            "PatientGuid": guid("patient", number),
            "Sex": "F",
            "DateOfBirth": "1960-05-01",
            "GivenName": f"Given{number}",
            "Surname": f"Surname{number}",
            "DateOfRegistration": "2010-04-01",
            "NhsNumber": nhs_number(number),
            "PatientTypeDescription": " Regular",
            "DummyType": "false",
            "Postcode": "ZZ1 1AA",
            "Deleted": "false",
            "SpineSensitive": "false",
            "IsConfidential": "false",
        }
        return self.add("Admin_Patient", **(usual | values))

    def add_observation(self, number: int, patient: int, **values: str) -> "Extract":
        usual = self._entry(patient) | {"ObservationGuid": guid("observation", number), "CodeId": "1"}
        return self.add("CareRecord_Observation", **(usual | {"EffectiveDatePrecision": "YMD"} | values))

    def add_issue(self, number: int, patient: int, **values: str) -> "Extract":
        usual = self._entry(patient) | {"IssueRecordGuid": guid("issue", number), "CodeId": "9", "Quantity": "28"}
        return self.add("Prescribing_IssueRecord", **(usual | values))

    def add_consultation(self, number: int, patient: int, **values: str) -> "Extract":
        usual = self._entry(patient) | {"ConsultationGuid": guid("consultation", number)}
        return self.add("CareRecord_Consultation", **(usual | values))

    def add_slot(self, number: int, patient: int | None, **values: str) -> "Extract":
        usual = {
            "SlotGuid": guid("slot", number),
            "AppointmentDate": "2026-06-01",
            "PatientGuid": "" if patient is None else guid("patient", patient),
            "DidNotAttend": "false",
            "SlotStatus": "Left",
            "Deleted": "false",
        }
        return self.add("Appointment_Slot", **(usual | values))

    def add_deletion(self, table: str, key: str, record: str, patient: int) -> "Extract":
        """A delete row: keys only."""
        keys = {key: record, "PatientGuid": guid("patient", patient), "Deleted": "true"}
        return self.add(table, **keys)

    def _entry(self, patient: int) -> Row:
        dates = {"EffectiveDate": "2024-03-02", "EnteredDate": "2024-03-03"}
        return {"PatientGuid": guid("patient", patient), "Deleted": "false", "IsConfidential": "false"} | dates

    def path(self, landing: Path, table: str) -> Path:
        schema, name = table.split("_")
        return landing / "emis" / self.practice_code / f"1-99_{schema}_{name}_{self.moment}_{AGREEMENT}.csv"

    def write(self, landing: Path) -> Path:
        for table, rows in self.tables.items():
            write_table(self.path(landing, table), self.headers[table], rows)
        return landing


def whole_extract(practice_code: str = PRACTICE, moment: str = FIRST, *, first_patient: int = 1) -> Extract:
    """Three people with something in every table."""
    extract = Extract(practice_code, moment).add_practice()
    for number in range(first_patient, first_patient + 3):
        extract.add_patient(number).add_observation(number, number).add_issue(number, number)
        extract.add_observation(
            1000 + number, number, CodeId="2", Value="132.5", NumericUnit="mmHg", AssociatedText='said "fine", twice'
        )
        extract.add_consultation(number, number).add_slot(number, number)
    return extract.add_slot(900 + first_patient, None, SlotStatus="Slot Available")


def write_reference(landing: Path, practices: tuple[str, ...] = (PRACTICE, OTHER_PRACTICE)) -> Path:
    """The four reference files for some practices of one ICB."""
    folder = landing / "reference"
    folder.mkdir(parents=True, exist_ok=True)
    lines = [
        ",".join(f'"{cell}"' for cell in [code, f"SURGERY {code}", "Y99", ICB, *[""] * 8, "A", "", "99Z", *[""] * 12])
        for code in practices
    ]
    (folder / "epraccur.csv").write_text("\r\n".join(lines) + "\r\n", "utf-8")
    cells = [
        [code, "SURGERY", "99Z", "NHS MADE UP ICB - 99Z", "U99999", "PCN", "99Z", "", "20190701", "", "True"]
        for code in practices
    ]
    ended = [
        [
            practices[0],
            "SURGERY",
            "99Z",
            "NHS MADE UP ICB - 99Z",
            "U11111",
            "PCN",
            "99Z",
            "",
            "20190701",
            "20200101",
            "True",
        ]
    ]
    (folder / "epcncorepartnerdetails.csv").write_text(
        "".join(",".join(row) + "\n" for row in cells + ended), "utf-8"
    )
    rank = "Index of Multiple Deprivation (IMD) Rank (where 1 is most deprived)"
    decile = "Index of Multiple Deprivation (IMD) Decile (where 1 is most deprived 10% of LSOAs)"
    (folder / "imd2025.csv").write_text(
        f'"LSOA code (2021)","LSOA name (2021)","{rank}","{decile}"\nE01000001,Made up 001A,100,3\n', "utf-8"
    )
    (folder / "postcodes.csv").write_text("pcds,lsoa21\nZZ1 1AA,E01000001\n", "utf-8")
    return landing


StatusChange = tuple[int, str, str, str]
"""Patient, day and time, status, type: as the file of registrations has them."""


def write_statuses(
    landing: Path,
    changes: list[StatusChange],
    *,
    day: str = "20261110",
    width: int = 6,
    practice: str = PRACTICE,
    source: str = "weekly",
) -> Path:
    """The history of registrations as the supplier makes it: tabs, no header, guids in lower case without braces."""
    lines = [
        [guid("organisation", practice), guid("patient", patient), when, status, kind, str(number)]
        for number, (patient, when, status, kind) in enumerate(changes, start=1)
    ]
    text = "".join("\t".join(line[:width]).lower() + "\r\n" for line in lines)
    path = landing / "emis_custom" / f"{source}_{day}" / "EndeavourRegistrationStatusHistory V2.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.replace("{", "").replace("}", "").encode())
    return path


EPISODE_COLUMNS = (
    "NEWNHSNO|EPIKEY|ADMIDATE|DISDATE|ADMIMETH|DISMETH|EPIORDER|EPISTAT|EPISTART|EPIEND|SPELBGIN|SPELEND|CLASSPAT|"
    "DIAG_01|DIAG_02|OPERTN_01|GPPRAC|PROCODE"
)
ATTENDANCE_COLUMNS = "NEWNHSNO|AEKEY|ARRIVALDATE|AEDEPTTYPE"


def episode(patient: int, key: str, **values: str) -> Row:
    """One finished emergency episode."""
    usual = {
        "NEWNHSNO": nhs_number(patient),
        "EPIKEY": key,
        "ADMIDATE": "2025-02-01",
        "DISDATE": "2025-02-05",
        "ADMIMETH": "21",
        "DISMETH": "1",
        "EPIORDER": "1",
        "EPISTAT": "3",
        "EPISTART": "2025-02-01",
        "DIAG_01": "J440",
        "GPPRAC": PRACTICE,
        "PROCODE": "RZZ",
    }
    return usual | values


def write_hospital(
    landing: Path, episodes: list[Row], attendances: list[Row] | None = None, day: str = "20261110"
) -> Path:
    """The two hospital files of one day."""
    folder = landing / "hospital"
    folder.mkdir(parents=True, exist_ok=True)
    for name, header, rows in (("APC", EPISODE_COLUMNS, episodes), ("AE", ATTENDANCE_COLUMNS, attendances or [])):
        lines = [header] + ["|".join(row.get(column, "") for column in header.split("|")) for row in rows]
        (folder / f"HES_{name}_{day}.txt").write_text("\n".join(lines) + "\n", "utf-8")
    return landing


def workspace(home: Path) -> Settings:
    """Settings of an empty workspace with a key and the reference files landed."""
    settings = Settings(home=home)
    make_key(settings.key_file)
    write_reference(settings.landing)
    return settings
