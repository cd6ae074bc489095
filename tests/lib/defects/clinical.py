"""Defects that only their clinical meaning shows: units, scales, impossible values, records of childhood."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from data_contracts.codelists import codes_of
from tests.lib.defects.emis import EmisPlanter, days_later
from tests.lib.defects.planting import Row, Sheet

SAME, NONE = "the same value", "no value"
TABLE = "CareRecord_Observation"


@dataclass(frozen=True)
class ReadingKind:
    """A kind of defect in a person's only reading of a measure, and what the weekly table must say of it."""

    kind: str
    measure: str
    change: Callable[[Row], Row]
    says: str


def _scaled(multiply: float, add: float, unit: str) -> Callable[[Row], Row]:
    """The reading in another unit, so that the rule of that unit gives the value back."""
    return lambda row: {"Value": f"{(float(row['Value']) - add) / multiply:.5f}", "NumericUnit": unit}


def _fixed(value: str, unit: str | None = None) -> Callable[[Row], Row]:
    return lambda row: {"Value": value, "NumericUnit": row["NumericUnit"] if unit is None else unit}


READINGS = [
    ReadingKind("HbA1c in per cent", "hba1c", _scaled(10.929, -23.5, "%"), SAME),
    ReadingKind("HbA1c in per cent without a unit", "hba1c", _scaled(10.929, -23.5, ""), SAME),
    ReadingKind("HbA1c without a unit that could be either", "hba1c", _fixed("22", ""), NONE),
    ReadingKind("cholesterol in mg/dL", "cholesterol_total", _scaled(0.02586, 0, "mg/dL"), SAME),
    ReadingKind("unit of another quantity", "cholesterol_total", _fixed("41", "%"), NONE),
    ReadingKind("BMI that nobody has", "bmi", _fixed("251"), NONE),
    ReadingKind("blood pressure that nobody has", "systolic_bp", _fixed("901"), NONE),
    ReadingKind("eGFR that nobody has", "egfr", _fixed("3000"), NONE),
]
CHILDHOOD = [("BMI of childhood in an adult", "bmi", "16.2", 9)]
SCALES = [("FEV1/FVC in per cent", "62", "%", "0.62"), ("FEV1/FVC in per cent without a unit", "71", "", "0.71")]


@dataclass
class ClinicalPlanter:
    """Plants in the observations of practices whose records have defects too."""

    emis: EmisPlanter

    def plant(self, each: int) -> None:
        """Every kind, some times each, over the practices in turn."""
        for number in range(each):
            for place, kind in enumerate(READINGS):
                self._reading(kind, number * 3 + place)
            practice = self.emis.rows[number % len(self.emis.rows)]
            for kind_name, measure, value, age in CHILDHOOD:
                self._new(kind_name, practice, measure, value=value, age=age, says=NONE)
            self._new("smoking status of a small child", practice, "smoking_current", value="", age=8, says=NONE)
            for kind_name, value, unit, says in SCALES:
                self._new(kind_name, practice, "fev1_fvc_ratio", value=value, unit=unit, says=says)

    def _codes(self, practice: str, measure: str) -> list[str]:
        """The practice's own ids of the codes of a measure, or of a codelist."""
        wanted = {str(code) for code in codes_of(measure)}
        rows = [row for row in self.emis.table(practice, "Coding_ClinicalCode").rows if row["CodeId"]]
        return [row["CodeId"] for row in rows if row["SnomedCTConceptId"] in wanted]

    def _reading(self, kind: ReadingKind, number: int) -> None:
        """The defect at the first practice from here on with someone who has one reading only."""
        turns = [self.emis.rows[(number + turn) % len(self.emis.rows)] for turn in range(len(self.emis.rows))]
        self._change(kind, next(practice for practice in turns if self._lone_readings(kind, practice)))

    def _lone_readings(self, kind: ReadingKind, practice: str) -> list[int]:
        """The lines of readings that are the only one of their patient."""
        sheet, codes = self.emis.table(practice, TABLE), set(self._codes(practice, kind.measure))
        numbers = Counter(row["PatientGuid"] for row in sheet.rows if row["CodeId"] in codes)
        patients = self._untouched(practice, sheet)
        return [
            line
            for line, row in enumerate(sheet.rows, start=1)
            if row["CodeId"] in codes and numbers[row["PatientGuid"]] == 1 and row["PatientGuid"] in patients
        ]

    def _change(self, kind: ReadingKind, practice: str) -> None:
        sheet = self.emis.table(practice, TABLE)
        line = self.emis.planter.chance.choice(self._lone_readings(kind, practice))
        patients = self._untouched(practice, sheet)
        row = sheet.row(line)
        self.emis.planter.key.changed.add(("events", self.emis.record(row, "ObservationGuid")))
        sheet.change(line, kind.change(row))
        self._expect(kind.kind, sheet, line, patients[row["PatientGuid"]], f"{kind.measure}: {kind.says}")

    def _new(
        self, kind: str, practice: str, measure: str, *, value: str, says: str, unit: str = "", age: int | None = None
    ) -> None:
        """A reading of someone who has none."""
        sheet, codes = self.emis.table(practice, TABLE), self._codes(practice, measure)
        code_id = codes[0] if codes else self._add_code(practice, measure)
        have = {row["PatientGuid"] for row in sheet.rows if row["CodeId"] in codes}
        patients = {
            guid: row
            for guid, row in self._untouched(practice, sheet).items()
            if guid not in have and row["DateOfBirth"] < "2005-01-01"
        }
        patient = patients[self.emis.planter.chance.choice(sorted(patients))]
        day = days_later(patient["DateOfBirth"], round(365.25 * age)) if age else "2026-03-02"
        guid = "{" + f"{len(sheet.rows):08X}-1111-1111-1111-{self.emis.planter.chance.randrange(16**12):012X}" + "}"
        fixed = {"Deleted": "false", "IsConfidential": "false", "EffectiveDatePrecision": "YMD", "ProcessingId": "1"}
        line = sheet.append(
            fixed
            | {name: patient[name] for name in ("PatientGuid", "OrganisationGuid")}
            | {"ObservationGuid": guid, "EffectiveDate": day, "EnteredDate": "2026-03-02"}
            | {"CodeId": code_id, "Value": value, "NumericUnit": unit}
        )
        self.emis.planter.key.added.add(("events", self.emis.record(sheet.row(line), "ObservationGuid")))
        self._expect(kind, sheet, line, patient, f"{measure}: {says}")

    def _add_code(self, practice: str, measure: str) -> str:
        sheet = self.emis.table(practice, "Coding_ClinicalCode")
        code_id = str(9_990_000 + len(sheet.rows))
        sheet.append({"CodeId": code_id, "SnomedCTConceptId": str(codes_of(measure)[0]), "ProcessingId": "1"})
        return code_id

    def _expect(self, kind: str, sheet: Sheet, line: int, patient: Row, rule: str) -> None:
        self.emis.planter.key.marred_people.add(patient["NhsNumber"])
        self.emis.planter.note(kind, sheet, line, outcome="mended", rule=rule, about=patient["NhsNumber"])

    def _untouched(self, practice: str, sheet: Sheet) -> dict[str, Row]:
        """Patients of the week none of whose observations has a defect."""
        marred = {sheet.rows[line - 1]["PatientGuid"] for line in sheet.used}
        plain = self.emis.plain_patients(practice)
        return {
            guid: row for guid, row in plain.items() if guid not in marred and row["NhsNumber"] in self.emis.counted
        }
