"""Defects of EMIS extracts: what is changed in a record or a delivery, and the rule that must catch it."""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass

from tests.lib.defects.planting import UNDATED, Planter, Row, Sheet

CHILDREN = {
    "CareRecord_Observation": ("events", "ObservationGuid"),
    "Prescribing_IssueRecord": ("medications", "IssueRecordGuid"),
    "CareRecord_Consultation": ("contacts", "ConsultationGuid"),
    "Appointment_Slot": ("contacts", "SlotGuid"),
}
NOBODY = "{00000000-0000-0000-0000-00000000DEAD}"
LATER = "20261117023000"
EARLIER = "20261115023000"


def wrong_check_digit(number: str) -> str:
    """The number with another last digit."""
    return number[:9] + str((int(number[9]) + 1) % 10)


def days_later(day: str, days: int) -> str:
    """A day some days after another; before it if the number is negative."""
    return (dt.date.fromisoformat(day) + dt.timedelta(days=days)).isoformat()


def day_first(day: str) -> str:
    """A day as people write it, which the format does not allow."""
    return dt.date.fromisoformat(day).strftime("%d/%m/%Y")


@dataclass(frozen=True)
class RowKind:
    """A kind of defect in one record: the fields that it changes and the rule that must catch it."""

    kind: str
    change: Callable[[Row], Row]
    rule: str
    suits: Callable[[Row], bool] = lambda row: True


def _fixed(**values: str) -> Callable[[Row], Row]:
    return lambda row: values


PATIENTS = [
    RowKind(
        "NHS number with a wrong check digit",
        lambda row: {"NhsNumber": wrong_check_digit(row["NhsNumber"])},
        "nhs_number_not_valid",
    ),
    RowKind("no NHS number", _fixed(NhsNumber=""), "nhs_number_not_valid"),
    RowKind("NHS number cut short", lambda row: {"NhsNumber": row["NhsNumber"][:9]}, "nhs_number_not_valid"),
    RowKind("birth after the extract", _fixed(DateOfBirth="2031-02-03"), "birth_date_after_extract"),
    RowKind("masked birth date", _fixed(DateOfBirth="1900-01-01"), "birth_date_missing"),
    RowKind(
        "birth date with the day first",
        lambda row: {"DateOfBirth": day_first(row["DateOfBirth"])},
        "date_not_readable",
    ),
    RowKind(
        "registered before birth",
        lambda row: {"DateOfRegistration": days_later(row["DateOfBirth"], -400)},
        "registered_date_before_birth",
    ),
    RowKind("registered after the extract", _fixed(DateOfRegistration="2027-05-01"), "registered_date_after_extract"),
    RowKind(
        "death before birth",
        lambda row: {"DateOfDeath": days_later(row["DateOfBirth"], -1)},
        "death_date_before_birth",
    ),
    RowKind("death after the extract", _fixed(DateOfDeath="2027-01-01"), "death_date_after_extract"),
    RowKind("sex that is no word of the format", _fixed(Sex="X"), "sex_not_known_word"),
    RowKind("patient of another organisation", _fixed(OrganisationGuid=NOBODY), "wrong_organisation"),
    RowKind("flag that is no flag, in a patient", _fixed(DummyType="perhaps"), "flag_not_readable"),
    RowKind("patient without a key", _fixed(PatientGuid=""), "key_missing"),
]
WITHHELD_PATIENTS = [
    RowKind("dummy patient", _fixed(DummyType="true"), "dummy_patient"),
    RowKind("sensitive patient", _fixed(SpineSensitive="true"), "spine_sensitive"),
    RowKind("confidential patient", _fixed(IsConfidential="true"), "confidential"),
]
ENTRIES = {
    "CareRecord_Observation": [
        RowKind("entry dated after the extract", _fixed(EffectiveDate="2027-03-01"), UNDATED),
        RowKind("entry dated before birth", _fixed(EffectiveDate="1901-03-01"), UNDATED),
        RowKind("day that no calendar has", _fixed(EffectiveDate="2024-02-31"), "date_not_readable"),
        RowKind("entered after the extract", _fixed(EnteredDate="2027-03-01"), "entered_date_after_extract"),
        RowKind("no entry date", _fixed(EnteredDate=""), "entered_date_missing"),
        RowKind("masked entry date", _fixed(EnteredDate="1900-01-01"), "entered_date_missing"),
        RowKind("code that no code table has", _fixed(CodeId="987654321"), "code_not_known"),
        RowKind(
            "number with a letter in it",
            lambda row: {"Value": "1O" + row["Value"]},
            "number_not_readable",
            lambda row: row["Value"] != "",
        ),
        RowKind(
            "number that is not finite", _fixed(Value="NaN"), "number_not_readable", lambda row: row["Value"] != ""
        ),
        RowKind("entry of a patient on no list", _fixed(PatientGuid=NOBODY), "person_not_held"),
        RowKind("entry of another organisation", _fixed(OrganisationGuid=NOBODY), "wrong_organisation"),
        RowKind("entry without a key", _fixed(ObservationGuid=""), "key_missing"),
        RowKind("flag that is no flag", _fixed(Deleted="maybe"), "flag_not_readable"),
        RowKind("confidential entry", _fixed(IsConfidential="true"), "confidential"),
    ],
    "Prescribing_IssueRecord": [
        RowKind("issue without a date", _fixed(EffectiveDate=""), "date_missing"),
        RowKind("issue dated after the extract", _fixed(EffectiveDate="2027-03-01"), "date_after_extract"),
        RowKind("medicine that no code table has", _fixed(CodeId="987654321"), "code_not_known"),
        RowKind("quantity in words", _fixed(Quantity="two boxes"), "number_not_readable"),
    ],
    "CareRecord_Consultation": [
        RowKind("consultation without a date", _fixed(EffectiveDate=""), "date_missing"),
        RowKind("consultation after the extract", _fixed(EffectiveDate="2027-03-01"), "date_after_extract"),
        RowKind("consultation of nobody", _fixed(PatientGuid=NOBODY), "person_not_held"),
    ],
    "Appointment_Slot": [
        RowKind("slot with an unreadable date", _fixed(AppointmentDate="next Tuesday"), "date_not_readable"),
        RowKind("slot with a flag that is no flag", _fixed(DidNotAttend="sometimes"), "flag_not_readable"),
    ],
}
GARBLES: list[tuple[str, Callable[[bytes], bytes], str]] = [
    ("NUL byte in a record", lambda line: line.replace(b'","', b'\0","', 1), "nul_byte"),
    ("byte of another encoding", lambda line: line.replace(b'","', b'\x92","', 1), "bad_encoding"),
    ("unclosed quote", lambda line: line.replace(b'","', b',"', 1), "broken_quotes"),
    ("delimiter too many", lambda line: line.replace(b'"\r\n', b'","more"\r\n'), "too_wide"),
    ("record cut in two", lambda line: b'","'.join(line.split(b'","')[:9]) + b'"\r\n', "too_narrow"),
]


@dataclass
class EmisPlanter:
    """Plants in the EMIS extracts of a landing folder. ``rows`` are practices for defects of records."""

    planter: Planter
    rows: list[str]
    single: set[str]
    """NHS numbers with a record at one practice only."""
    settled: set[str]
    """Those of them without a hospital record."""
    counted: set[str]
    """NHS numbers of the people of the week."""

    def plant(self, each: int) -> None:
        """Every kind of defect of records, some times each, over the practices in turn."""
        for number in range(each):
            for place, kind in enumerate(PATIENTS + WITHHELD_PATIENTS):
                self._patient(kind, number * 7 + place)
        for number in range(each + 2):
            for table, kinds in ENTRIES.items():
                for place, kind in enumerate(kinds):
                    self._entry(table, kind, self._practice(number * 5 + place))
            for place, (kind, garble, rule) in enumerate(GARBLES):
                self._garble(kind, garble, rule, self._practice(number * 3 + place))
        for number in range(each):
            self._code(self._practice(number))
            self._twice(self._practice(number + 1))
            self._masked(self._practice(number + 2))
            self._blank(self._practice(number + 3))
            self._second_record(self._practice(number + 4))

    def _practice(self, number: int) -> str:
        return self.rows[number % len(self.rows)]

    def table(self, practice: str, table: str) -> Sheet:
        """One file of a practice's first delivery."""
        folder = self.planter.landing / "emis" / practice
        (path,) = folder.glob(f"*_{table}_20261116*.csv")
        return self.planter.sheet(path)

    def record(self, row: Row, guid: str) -> str:
        """The supplier's record as its pseudonym's message spells it."""
        return f"{row['OrganisationGuid']}|{row[guid]}".replace("{", "").replace("}", "").upper()

    def is_plain(self, patient: Row) -> bool:
        """A current, settled patient whom no rule keeps out."""
        flags = (patient["DummyType"], patient["SpineSensitive"], patient["IsConfidential"])
        is_current = not (patient["DateOfDeath"] or patient["DateOfDeactivation"])
        is_regular = patient["PatientTypeDescription"].strip() == "Regular"
        return set(flags) == {"false"} and is_current and is_regular and patient["NhsNumber"] in self.single

    def _free(self, practice: str) -> list[Row]:
        """Patients that no defect has."""
        sheet = self.table(practice, "Admin_Patient")
        return [row for line, row in enumerate(sheet.rows, start=1) if line not in sheet.used]

    def plain_patients(self, practice: str) -> dict[str, Row]:
        """Patients whom neither a rule nor a defect touches, by guid."""
        return {row["PatientGuid"]: row for row in self._free(practice) if self.is_plain(row)}

    def _patient(self, kind: RowKind, number: int) -> None:
        """A defect in a patient takes the patient's entries along."""
        turns = [self._practice(number + turn) for turn in range(len(self.rows))]
        practice = next(code for code in turns if any(self._is_settled(code, row) for row in self._free(code)))
        sheet = self.table(practice, "Admin_Patient")
        line = self.planter.pick(sheet, lambda row: self._is_settled(practice, row))
        row = dict(sheet.row(line))
        is_withheld = kind in WITHHELD_PATIENTS
        self.planter.key.lost.add(("registrations", self.record(row, "PatientGuid")))
        self.planter.key.lost_people.add(row["NhsNumber"])
        sheet.change(line, kind.change(row))
        self.planter.note(kind.kind, sheet, line, rule=kind.rule)
        for table, (history, guid) in CHILDREN.items():
            child = self.table(practice, table)
            for number, entry in enumerate(child.rows, start=1):
                if entry["PatientGuid"] == row["PatientGuid"] and not self.is_blank(table, entry):
                    child.use(number)
                    self.planter.key.follows[child.name, number] = kind.rule if is_withheld else "person_not_held"
                    self.planter.key.lost.add((history, self.record(entry, guid)))

    def _is_settled(self, practice: str, patient: Row) -> bool:
        """A patient whose loss takes along only what this practice holds, and whose entries have no defect."""
        if not (self.is_plain(patient) and patient["NhsNumber"] in self.settled):
            return False
        sheets = [self.table(practice, table) for table in CHILDREN]
        return not any(
            sheet.rows[line - 1]["PatientGuid"] == patient["PatientGuid"] for sheet in sheets for line in sheet.used
        )

    def is_blank(self, table: str, row: Row) -> bool:
        empty = {"Slot Available", "Booked", "Cancelled", "Unavailable", "Blocked"}
        return table == "Appointment_Slot" and (not row["PatientGuid"] or row["SlotStatus"] in empty)

    def _entry_line(self, practice: str, table: str, suits: Callable[[Row], bool] = lambda row: True) -> int:
        """A record of a patient whom no rule keeps out; the patient's measurements may differ from now on."""
        patients, sheet = self.plain_patients(practice), self.table(practice, table)
        line = self.planter.pick(
            sheet, lambda row: row["PatientGuid"] in patients and not self.is_blank(table, row) and suits(row)
        )
        self.planter.key.marred_people.add(patients[sheet.row(line)["PatientGuid"]]["NhsNumber"])
        return line

    def _entry(self, table: str, kind: RowKind, practice: str) -> None:
        sheet, (history, guid) = self.table(practice, table), CHILDREN[table]
        line = self._entry_line(practice, table, kind.suits)
        record = self.record(sheet.row(line), guid)
        sheet.change(line, kind.change(sheet.row(line)))
        self.planter.note_entry(kind.kind, sheet, line, rule=kind.rule, about=(history, record))

    def _garble(self, kind: str, garble: Callable[[bytes], bytes], rule: str, practice: str) -> None:
        sheet = self.table(practice, "CareRecord_Observation")
        line = self._entry_line(practice, "CareRecord_Observation")
        sheet.use(line)
        sheet.garbled[line] = garble
        self.planter.key.lost.add(("events", self.record(sheet.row(line), "ObservationGuid")))
        self.planter.note(kind, sheet, line, rule=rule)

    def _code(self, practice: str) -> None:
        """Codes that nothing uses: corrupted ids and a code without a key."""
        sheet = self.table(practice, "Coding_ClinicalCode")
        concept = self.planter.chance.choice(
            [row["SnomedCTConceptId"] for row in sheet.rows[:200] if row["SnomedCTConceptId"]]
        )
        unused = 9_000_000 + self.planter.chance.randrange(900_000)
        corrupted = concept[:-1] + str((int(concept[-1]) + 3) % 10)
        for kind, code_id, target, rule in (
            ("SNOMED CT id with a wrong check digit", str(unused), corrupted, "check_digit_wrong"),
            ("SNOMED CT id as a spreadsheet leaves it", str(unused + 1), f"{int(concept):.5E}", "code_not_a_number"),
            ("code without a key", "", concept, "key_missing"),
        ):
            line = sheet.append({"CodeId": code_id, "SnomedCTConceptId": target, "ProcessingId": "1"})
            self.planter.note(kind, sheet, line, rule=rule)

    def _twice(self, practice: str) -> None:
        """The same record again, and an older one of the same key."""
        sheet = self.table(practice, "CareRecord_Observation")
        for kind, values in (
            ("same record twice", {}),
            ("older state of a record after the newer", {"ProcessingId": "0", "EffectiveDate": "2001-01-01"}),
        ):
            line = self._entry_line(practice, "CareRecord_Observation")
            sheet.use(line)
            if values:
                again = sheet.append(sheet.row(line) | values)
                self.planter.note(kind, sheet, again, outcome="superseded")
            else:
                sheet.append(dict(sheet.row(line)))
                self.planter.note(kind, sheet, line, outcome="superseded")

    def _masked(self, practice: str) -> None:
        """A default that stands for no date, and one stated to be unknown: loaded without a date."""
        sheet = self.table(practice, "CareRecord_Observation")
        for kind, values in (
            ("masked clinical date", {"EffectiveDate": "1900-01-01"}),
            ("date of unknown precision", {"EffectiveDatePrecision": "U"}),
        ):
            line = self._entry_line(practice, "CareRecord_Observation", lambda row: row["Value"] == "")
            record = self.record(sheet.row(line), "ObservationGuid")
            self.planter.key.changed.add(("events", record))
            sheet.change(line, values)
            self.planter.note(kind, sheet, line, outcome="mended", rule=UNDATED, about=record)

    def _blank(self, practice: str) -> None:
        """A blank line between records, and a record of empty fields at the end."""
        sheet = self.table(practice, "CareRecord_Consultation")
        line = self._entry_line(practice, "CareRecord_Consultation")
        sheet.use(line)
        sheet.blank_after.add(line)
        self.planter.note("blank line between records", sheet, line, outcome="blank")
        empty = sheet.append({})
        self.planter.note("record of empty fields", sheet, empty, rule="key_missing")

    def _second_record(self, practice: str) -> None:
        """The same person on another record: here again, at another practice before, as a temporary resident."""
        patients = self.plain_patients(practice)
        elsewhere = next(code for code in self.rows if code != practice)
        for kind, home, values in (
            ("person on two records of a practice", practice, {"DateOfRegistration": "2000-01-01"}),
            ("person registered at two practices", elsewhere, {"DateOfRegistration": "2000-01-01"}),
            (
                "registration that ended before it began",
                practice,
                {"DateOfRegistration": "2020-05-05", "DateOfDeactivation": "2019-01-01"},
            ),
            ("temporary resident elsewhere", elsewhere, {"PatientTypeDescription": " Temporary"}),
        ):
            born_before = [
                guid
                for guid, row in patients.items()
                if row["DateOfBirth"] < "2000-01-01" < row["DateOfRegistration"] and row["NhsNumber"] in self.counted
            ]
            guid = self.planter.chance.choice(born_before)
            own = self.table(practice, "Admin_Patient")
            own.use(own.rows.index(patients[guid]) + 1)
            sheet = self.table(home, "Admin_Patient")
            organisation = next(row["OrganisationGuid"] for row in sheet.rows if row["OrganisationGuid"] != NOBODY)
            new = "{" + f"{len(sheet.rows):08X}-0000-0000-0000-{self.planter.chance.randrange(16**12):012X}" + "}"
            line = sheet.append(patients.pop(guid) | values | {"PatientGuid": new, "OrganisationGuid": organisation})
            self.planter.key.added.add(("registrations", self.record(sheet.row(line), "PatientGuid")))
            number = sheet.row(line)["NhsNumber"]
            self.planter.note(kind, sheet, line, outcome="mended", rule="the person counts once", about=number)
