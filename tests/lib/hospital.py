"""Builds small hospital deliveries by hand: Unified SUS tables, keys of pseudonyms, HES files of any name."""

import csv
import io
from dataclasses import dataclass, field
from pathlib import Path

from tests.lib.emis import Row, nhs_number

APC, ECDS = "SUS_UNIFIED_APC", "SUS_UNIFIED_ECDS"
SPELL, EPISODES, LOG = f"{APC}.spell", f"{APC}.spell.episodes", f"{APC}.InsertDeleteLog"
ICD = f"{EPISODES}.clinical_coding.diagnosis.icd"
OPCS = f"{EPISODES}.clinical_coding.procedure.opcs"
VISITS, VISIT_LOG = f"{ECDS}.emergency_care", f"{ECDS}.InsertDeleteLog"
PERSON, VISITOR = "spell.patient.identity.nhs_number.value Pseudo", "patient.nhs_number.value Pseudo"
LOG_COLUMNS = ["PRIMARYKEY_ID", "dmicImportLogId", "dmicIsDeleted", "dmicDeletedImportLogId"]
COLUMNS = {
    SPELL: [
        "ROWNUMBER_ID", "PRIMARYKEY_ID", PERSON, "spell.patient.identity.birth_date",
        "spell.patient.identity.local_patient_identifier.value", "spell.patient.identity.withheld_identity_reason",
        "spell.hospital_provider_spell_number", "spell.admission.method", "spell.admission.date",
        "spell.discharge.method", "spell.discharge.date", "spell.commissioning.service_agreement.provider",
        "system.interchange.received_date", "dmicImportLogId",
    ],
    EPISODES: ["ROWNUMBER_ID", "PRIMARYKEY_ID", "EPISODES_ID", "number", "start_date", "dmicImportLogId"],
    ICD: ["ROWNUMBER_ID", "PRIMARYKEY_ID", "EPISODES_ID", "ICD_ID", "code", "dmicImportLogId"],
    OPCS: ["ROWNUMBER_ID", "PRIMARYKEY_ID", "EPISODES_ID", "OPCS_ID", "code", "date", "dmicImportLogId"],
    LOG: LOG_COLUMNS,
    VISITS: [
        "PRIMARYKEY_ID", VISITOR, "patient.withheld_identity_reason", "attendance.arrival.date",
        "attendance.arrival.time", "attendance.location.department_type", "attendance.location.hes_provider_3",
        "system.interchange.received_date", "dmicImportLogId",
    ],
    VISIT_LOG: LOG_COLUMNS,
}  # fmt: skip


@dataclass
class Sus:
    """One delivery of Unified SUS, table by table."""

    day: str = "20261110"
    batch: int = 100
    tables: dict[str, list[Row]] = field(default_factory=dict)

    def add(self, table: str, **values: str) -> "Sus":
        self.tables.setdefault(table, []).append({"dmicImportLogId": str(self.batch)} | values)
        return self

    def add_stay(
        self, patient: int, key: str, *episodes: list[str], procedures: tuple[str, ...] = (), **values: str
    ) -> "Sus":
        """One finished emergency stay; each list has the diagnoses of one episode."""
        usual = {
            PERSON: nhs_number(patient),
            "PRIMARYKEY_ID": key,
            "spell.patient.identity.local_patient_identifier.value": "LOCAL1",
            "spell.patient.identity.birth_date": "1960-05-01",
            "spell.admission.date": "2025-02-01",
            "spell.discharge.date": "2025-02-05",
            "spell.admission.method": "21",
            "spell.discharge.method": "1",
            "spell.commissioning.service_agreement.provider": "RZZ01",
        }
        self.add(SPELL, **(usual | values))
        for number, codes in enumerate(episodes, start=1):
            own = {"PRIMARYKEY_ID": key, "EPISODES_ID": str(number)}
            self.add(EPISODES, **own, number=str(number))
            for place, code in enumerate(codes, start=1):
                self.add(ICD, **own, ICD_ID=str(place), code=code)
        for place, code in enumerate(procedures, start=1):
            self.add(OPCS, PRIMARYKEY_ID=key, EPISODES_ID="1", OPCS_ID=str(place), code=code)
        return self

    def add_visit(self, patient: int, key: str, **values: str) -> "Sus":
        usual = {
            VISITOR: nhs_number(patient),
            "PRIMARYKEY_ID": key,
            "attendance.arrival.date": "2026-01-01",
            "attendance.arrival.time": "10:15:00",
            "attendance.location.department_type": "01",
            "attendance.location.hes_provider_3": "RZZ",
        }
        return self.add(VISITS, **(usual | values))

    def add_deletion(self, key: str, *, up_to: int, log: str = LOG, flag: str = "1") -> "Sus":
        return self.add(log, PRIMARYKEY_ID=key, dmicIsDeleted=flag, dmicDeletedImportLogId=str(up_to))

    def write(self, landing: Path) -> None:
        for table, rows in self.tables.items():
            write_csv(landing / "hospital" / f"{table}_{self.day}.csv", COLUMNS[table], rows)


def write_csv(path: Path, columns: list[str], rows: list[Row]) -> None:
    """One comma-separated file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    path.write_text(text.getvalue(), "utf-8")


def write_person_keys(landing: Path, keys: dict[str, int], day: str = "20261110") -> None:
    """Which made-up patient each pseudonym stands for."""
    rows = [{"pseudonym": pseudonym, "nhs_number": nhs_number(patient)} for pseudonym, patient in keys.items()]
    write_csv(landing / "hospital" / f"PERSON_KEYS_{day}.csv", ["pseudonym", "nhs_number"], rows)
