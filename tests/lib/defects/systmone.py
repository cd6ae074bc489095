"""Defects of SystmOne extracts: what is changed in a record or a set, and the rule that must catch it."""

import csv
import shutil
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.lib import systmone as sets
from tests.lib.defects.emis import RowKind, wrong_check_digit
from tests.lib.defects.planting import UNDATED, Defect, Planter, Row, Sheet

FIRST, LATER, BEFORE_LATER = "20261116_0230", "20261117_0230", "20261116_2330"
CHILDREN = {
    "SRCode": "events",
    "SRImmunisation": "events",
    "SRPrimaryCareMedication": "medications",
    "SREvent": "contacts",
    "SRAppointment": "contacts",
    "SRVisit": "contacts",
}
NOBODY = "99999999"
AHEAD, LONG_AGO, NO_DAY = "01 Mar 2027 09:15:00", "01 Mar 1901 09:15:00", "31 Feb 2024 09:15:00"


def _fixed(**values: str) -> Callable[[Row], Row]:
    return lambda row: values


def _corrupted(concept: str) -> str:
    return concept[:-1] + str((int(concept[-1]) + 3) % 10)


PATIENTS = [
    RowKind(
        "NHS number with a wrong check digit",
        lambda row: {"NHSNumber": wrong_check_digit(row["NHSNumber"])},
        "nhs_number_not_valid",
    ),
    RowKind("no NHS number", _fixed(NHSNumber=""), "nhs_number_not_valid"),
    RowKind("birth after the extract", _fixed(DateBirth="03 Feb 2031 00:00"), "birth_date_after_extract"),
    RowKind("masked birth date", _fixed(DateBirth="01 Jan 1900 00:00"), "birth_date_missing"),
    RowKind("birth date of another format", _fixed(DateBirth="1955-12-20"), "date_not_readable"),
    RowKind("death before birth", _fixed(DateDeath="02 Jan 1901 00:00"), "death_date_before_birth"),
    RowKind("death after the extract", _fixed(DateDeath="01 Jan 2027 00:00"), "death_date_after_extract"),
    RowKind("gender that is no word of the format", _fixed(Gender="X"), "sex_not_known_word"),
    RowKind("flag that is no flag, in a patient", _fixed(TestPatient="perhaps"), "flag_not_readable"),
    RowKind("patient without a number", _fixed(RowIdentifier=""), "key_missing"),
]
TEST_PATIENT = RowKind("test patient", _fixed(TestPatient="TRUE"), "dummy_patient")
ENTRIES = {
    "SRCode": [
        RowKind("entry dated after the extract", _fixed(DateEvent=AHEAD), UNDATED),
        RowKind("entry dated before birth", _fixed(DateEvent=LONG_AGO), UNDATED),
        RowKind("day that no calendar has", _fixed(DateEvent=NO_DAY), "date_not_readable"),
        RowKind("month in figures", _fixed(DateEvent="02 03 2024 09:15:00"), "date_not_readable"),
        RowKind("entered after the extract", _fixed(DateEventRecorded=AHEAD), "entered_date_after_extract"),
        RowKind("no entry date", _fixed(DateEventRecorded=""), "entered_date_missing"),
        RowKind("CTV3 code that no map has", _fixed(CTV3Code="zzzzz", SNOMEDCode="-1"), "code_not_mapped"),
        RowKind(
            "SNOMED CT id with a wrong check digit",
            lambda row: {"SNOMEDCode": _corrupted(row["SNOMEDCode"])},
            "check_digit_wrong",
            lambda row: len(row["SNOMEDCode"]) > 5,
        ),
        RowKind(
            "SNOMED CT id as a spreadsheet leaves it",
            lambda row: {"SNOMEDCode": f"{int(row['SNOMEDCode']):.5E}"},
            "check_digit_wrong",
            lambda row: len(row["SNOMEDCode"]) > 5,
        ),
        RowKind(
            "number with a letter in it",
            lambda row: {"NumericValue": "1O" + row["NumericValue"]},
            "number_not_readable",
            lambda row: row["IsNumeric"] == "TRUE",
        ),
        RowKind("entry of a patient on no list", _fixed(IDPatient=NOBODY), "person_not_held"),
        RowKind("entry without a number", _fixed(RowIdentifier=""), "key_missing"),
        RowKind("number that is no number", _fixed(RowIdentifier="12.5"), "key_missing"),
        RowKind("flag that is no flag", _fixed(RemovedData="maybe"), "flag_not_readable"),
        RowKind(
            "entry visible to a practice that is not in the set",
            _fixed(IDOrganisationVisibleTo="Z99999"),
            "wrong_organisation",
        ),
    ],
    "SRImmunisation": [
        RowKind("immunisation dated after the extract", _fixed(DateEvent=AHEAD), UNDATED),
        RowKind("immunisation of a patient on no list", _fixed(IDPatient=NOBODY), "person_not_held"),
    ],
    "SRPrimaryCareMedication": [
        RowKind("issue without a date", _fixed(DateEvent="", DateMedicationStart=""), "date_missing"),
        RowKind("medicine without a dm+d code", _fixed(IDMultiLexDMD="-1"), "code_not_mapped"),
    ],
    "SREvent": [
        RowKind("consultation without a date", _fixed(DateEvent=""), "date_missing"),
        RowKind("consultation after the extract", _fixed(DateEvent=AHEAD), "date_after_extract"),
        RowKind("consultation of nobody on the list", _fixed(IDPatient=NOBODY), "person_not_held"),
    ],
    "SRAppointment": [
        RowKind("appointment with an unreadable date", _fixed(DateStart="next Tuesday"), "date_not_readable"),
        RowKind("status whose word no mapping has", _fixed(AppointmentStatus="88888"), "code_not_known"),
    ],
}
REGISTRATIONS = [
    RowKind("registered before birth", _fixed(DateRegistration=LONG_AGO), "registered_date_before_birth"),
    RowKind("registered after the extract", _fixed(DateRegistration=AHEAD), "registered_date_after_extract"),
    RowKind("no registration date", _fixed(DateRegistration=""), "registered_date_missing"),
    RowKind(
        "registration at no organisation",
        _fixed(IDOrganisation="", IDOrganisationRegisteredAt=""),
        "organisation_missing",
    ),
]
GARBLES: list[tuple[str, Callable[[bytes], bytes], str]] = [
    ("NUL byte in a record", lambda line: line.replace(b'","', b'\0","', 1), "nul_byte"),
    ("byte that the code page lacks", lambda line: line.replace(b'","', b'\x81","', 1), "bad_encoding"),
    ("unclosed quote", lambda line: line.replace(b'","', b',"', 1), "broken_quotes"),
    ("delimiter too many", lambda line: line.replace(b'"\r\n', b'","more"\r\n'), "too_wide"),
    ("record cut in two", lambda line: b'","'.join(line.split(b'","')[:9]) + b'"\r\n', "too_narrow"),
]


def unpack(landing: Path) -> None:
    """Takes the tables out of each set's archive, which is another form in which sets come."""
    for archive in sorted((landing / "systmone").glob("*/*/SRExtract.zip")):
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(archive.parent)
        archive.unlink()


@dataclass
class SystmonePlanter:
    """Plants in the SystmOne sets of a landing folder. ``rows`` are practices for defects of records."""

    planter: Planter
    rows: list[str]
    single: set[str]
    """NHS numbers with a record at one practice only."""
    settled: set[str]
    """Those of them without a hospital record."""
    loaded: dict[str, set[str]]
    """What the clean sets led to: the supplier's records by history table, as their pseudonyms' messages spell it."""
    held: set[tuple[str, int]]
    """What the clean sets hold back already: file and line."""
    chosen: set[str] = field(default_factory=set)
    """Patients that a defect has."""

    def plant(self, each: int) -> None:
        """Every kind of defect of records, some times each, over the practices in turn."""
        for number in range(each):
            for place, kind in enumerate([*PATIENTS, TEST_PATIENT]):
                self._patient(kind, number * 3 + place)
            for place, kind in enumerate(REGISTRATIONS):
                self._registration(kind, number * 5 + place)
        for number in range(each):
            for table, kinds in ENTRIES.items():
                for place, kind in enumerate(kinds):
                    self._entry(table, kind, self._practice(number * 2 + place))
            for place, (kind_name, garble, rule) in enumerate(GARBLES):
                self._garble(kind_name, garble, rule, self._practice(number + place))
            self._code_map(self._practice(number))
            self._twice(self._practice(number))
            self._masked(self._practice(number))

    def _practice(self, number: int) -> str:
        return self.rows[number % len(self.rows)]

    def table(self, practice: str, table: str) -> Sheet:
        """One table of a practice's first set."""
        return self.planter.sheet(self.planter.landing / "systmone" / practice / FIRST / f"{table}.csv")

    def record(self, practice: str, table: str, row: Row) -> str:
        """The supplier's record as its pseudonym's message spells it."""
        return f"{practice}|{table}|{row['RowIdentifier']}"

    def plain_patients(self, practice: str) -> dict[str, Row]:
        """Current regular patients of one practice alone whom neither a rule nor a defect touches, by number."""
        numbers = {row["RowIdentifier"]: row for row in self.table(practice, "SRPatient").rows}
        stays = {
            row["IDPatient"]
            for row in self.table(practice, "SRPatientRegistration").rows
            if not row["DateDeRegistration"] and "GMS" in row["RegistrationStatus"]
        }
        return {
            number: row
            for number, row in numbers.items()
            if number in stays
            and number not in self.chosen
            and row["NHSNumber"] in self.single
            and (row["TestPatient"], row["RemovedData"], row["DateDeath"]) == ("FALSE", "0", "")
        }

    def _about(self, practice: str, table: str, patient: str) -> Iterator[tuple[Sheet, int]]:
        """The records of one table about one patient that are loaded or held back."""
        sheet = self.table(practice, table)
        for line, row in enumerate(sheet.rows, start=1):
            is_taken = self._is_loaded(practice, table, row) or (sheet.name, line) in self.held
            if row.get("IDPatient") == patient and is_taken:
                yield sheet, line

    def _is_loaded(self, practice: str, table: str, row: Row) -> bool:
        if table == "SRPatientAddressHistory":
            return row["AddressType"] != "3"
        history = "registrations" if table == "SRPatientRegistration" else CHILDREN[table]
        return self.record(practice, table, row) in self.loaded[history]

    def _choose(self, number: int) -> tuple[str, Row]:
        """A practice, and a patient of it whose loss takes along only what this practice holds."""
        for turn in range(len(self.rows)):
            practice = self._practice(number + turn)
            plain = self.plain_patients(practice)
            settled = sorted(key for key, row in plain.items() if row["NHSNumber"] in self.settled)
            if settled:
                patient = self.planter.chance.choice(settled)
                self.chosen.add(patient)
                return practice, dict(plain[patient])
        raise ValueError("no patient is left for this kind")

    def _lose(self, practice: str, patient: str, tables: list[str], rule: str | None) -> None:
        """Records that go with a patient, each held by ``rule`` if there is one."""
        for table in tables:
            for sheet, line in self._about(practice, table, patient):
                sheet.use(line)
                if rule:
                    self.planter.key.follows[sheet.name, line] = rule
                if table != "SRPatientAddressHistory" and (sheet.name, line) not in self.held:
                    history = "registrations" if table == "SRPatientRegistration" else CHILDREN[table]
                    self.planter.key.lost.add((history, self.record(practice, table, sheet.row(line))))

    def _patient(self, kind: RowKind, number: int) -> None:
        """A defect in a patient takes the patient's records along."""
        practice, row = self._choose(number)
        sheet = self.table(practice, "SRPatient")
        line = sheet.rows.index(row) + 1
        self.planter.key.lost_people.add(row["NHSNumber"])
        changed = kind.change(row)
        sheet.change(line, changed)
        self.planter.note(kind.kind, sheet, line, rule=kind.rule)
        # A flag that cannot be read keeps out like one that is set.
        rule = "dummy_patient" if "TestPatient" in changed else "person_not_held"
        tables = ["SRPatientRegistration", "SRPatientAddressHistory", *CHILDREN]
        self._lose(practice, row["RowIdentifier"], tables, rule)

    def _registration(self, kind: RowKind, number: int) -> None:
        """A defect in a patient's only registration: the person does not count, the record stays."""
        practice, row = self._choose(number)
        ((sheet, line),) = self._about(practice, "SRPatientRegistration", row["RowIdentifier"])
        self.planter.key.lost_people.add(row["NHSNumber"])
        record = self.record(practice, "SRPatientRegistration", sheet.row(line))
        self.planter.key.lost.add(("registrations", record))
        sheet.change(line, kind.change(sheet.row(line)))
        self.planter.note(kind.kind, sheet, line, rule=kind.rule)

    def _entry_line(self, practice: str, table: str, suits: Callable[[Row], bool] = lambda row: True) -> int:
        """A loaded record of a plain patient; the patient's measurements may differ from now on."""
        patients, sheet = self.plain_patients(practice), self.table(practice, table)
        line = self.planter.pick(
            sheet,
            lambda row: row["IDPatient"] in patients and self._is_loaded(practice, table, row) and suits(row),
        )
        self.planter.key.marred_people.add(patients[sheet.row(line)["IDPatient"]]["NHSNumber"])
        return line

    def _entry(self, table: str, kind: RowKind, practice: str) -> None:
        sheet, line = self.table(practice, table), self._entry_line(practice, table, kind.suits)
        row = dict(sheet.row(line))
        record = self.record(practice, table, row)
        sheet.change(line, kind.change(row))
        self.planter.note_entry(kind.kind, sheet, line, rule=kind.rule, about=(CHILDREN[table], record))

    def _garble(self, kind: str, garble: Callable[[bytes], bytes], rule: str, practice: str) -> None:
        sheet, line = self.table(practice, "SRCode"), self._entry_line(practice, "SRCode")
        sheet.use(line)
        sheet.garbled[line] = garble
        self.planter.key.lost.add(("events", self.record(practice, "SRCode", sheet.row(line))))
        self.planter.note(kind, sheet, line, rule=rule)

    def _code_map(self, practice: str) -> None:
        """Rows of the extract's own map that nothing uses."""
        sheet = self.table(practice, "SRCtv3ToSnomed")
        concept = self.planter.chance.choice([row["SnomedCode"] for row in sheet.rows[:200]])
        for kind, values, rule in (
            ("map to an id with a wrong check digit", {"SnomedCode": _corrupted(concept)}, "check_digit_wrong"),
            ("map to an id as a spreadsheet leaves it", {"SnomedCode": f"{int(concept):.5E}"}, "code_not_a_number"),
            ("map without a CTV3 code", {"Ctv3Code": "", "SnomedCode": concept}, "key_missing"),
        ):
            number = str(900_000 + len(sheet.rows))
            line = sheet.append(
                {"RowIdentifier": number, "Ctv3Code": f"yy{number[-3:]}", "RemovedData": "0"} | values
            )
            self.planter.note(kind, sheet, line, rule=rule)

    def _twice(self, practice: str) -> None:
        sheet, line = self.table(practice, "SRCode"), self._entry_line(practice, "SRCode")
        sheet.use(line)
        sheet.append(dict(sheet.row(line)))
        self.planter.note("same record twice", sheet, line, outcome="superseded")

    def _masked(self, practice: str) -> None:
        """A default that stands for no date: loaded without a date."""
        sheet = self.table(practice, "SRCode")
        line = self._entry_line(practice, "SRCode", lambda row: row["IsNumeric"] == "FALSE")
        record = self.record(practice, "SRCode", sheet.row(line))
        self.planter.key.changed.add(("events", record))
        sheet.change(line, {"DateEvent": "01 Jan 1900 00:00:00"})
        self.planter.note("masked clinical date", sheet, line, outcome="mended", rule=UNDATED, about=record)


@dataclass
class SetPlanter:
    """Lands a later set at practices whose records have no defect, each with something wrong in it as a whole."""

    planter: Planter
    practices: list[str]
    names: dict[str, list[str]] = field(default_factory=dict)

    def plant(self) -> None:
        """One set of each kind, each at a practice of its own."""
        whole, last = self._copied, self.practices[-1]
        kinds: list[tuple[str, Callable[[str], Path], Callable[[Path], None], str]] = [
            ("set without its manifest", whole, _without("SRManifest"), "SRManifest.csv"),
            ("table that the manifest names is missing", whole, _without("SREvent"), "no SREvent"),
            ("table that the manifest does not name", whole, _unlisted, "which it does not name"),
            ("half of the patients missing from a whole set", whole, _halved, "patients in a whole SRPatient"),
            ("another practice's set", lambda code: whole(code, of=last), _as_it_is, "as its folder says"),
            ("required column missing", whole, _without_column, "each required column"),
            ("windows with two ends", whole, _two_ends, "one end of all tables' windows"),
            ("gap between two windows", self._delta, _as_it_is, "a window that starts by"),
            ("last week's set again", self._replayed, _as_it_is, "a window that ends after"),
        ]
        for (kind, make, spoil, says), practice in zip(kinds, self.practices, strict=False):
            folder = make(practice)
            spoil(folder)
            self._note(kind, folder, says)

    def _note(self, kind: str, folder: Path, says: str) -> None:
        names = [path.relative_to(self.planter.landing).as_posix() for path in sorted(folder.iterdir())]
        self.planter.key.defects.append(Defect(kind, names[0], 0, "refused", says))
        self.planter.key.waits.update(names)

    def _folder(self, practice: str, moment: str) -> Path:
        return self.planter.landing / "systmone" / practice / moment

    def _copied(self, practice: str, of: str = "") -> Path:
        """The first set once more, as a later one."""
        folder = self._replayed(practice, of=of)
        path = folder / "SRManifest.csv"
        path.write_bytes(path.read_bytes().replace(FIRST.encode(), LATER.encode()))
        return folder

    def _replayed(self, practice: str, of: str = "") -> Path:
        return Path(shutil.copytree(self._folder(of or practice, FIRST), self._folder(practice, LATER)))

    def _delta(self, practice: str) -> Path:
        sets.delta(practice, LATER, starts=BEFORE_LATER).write(self.planter.landing, zipped=False)
        return self._folder(practice, LATER)


def _rewrite(path: Path, change: Callable[[list[list[str]]], list[list[str]]]) -> None:
    with path.open(encoding="cp1252", newline="") as file:
        rows = list(csv.reader(file))
    with path.open("w", encoding="cp1252", newline="") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\r\n").writerows(change(rows))


def _as_it_is(folder: Path) -> None:
    """The set is wrong as it was made."""


def _without(table: str) -> Callable[[Path], None]:
    return lambda folder: (folder / f"{table}.csv").unlink()


def _unlisted(folder: Path) -> None:
    _rewrite(folder / "SRManifest.csv", lambda rows: [row for row in rows if row[0] != "SREvent"])


def _halved(folder: Path) -> None:
    _rewrite(folder / "SRPatient.csv", lambda rows: [rows[0], *rows[1::2]])


def _without_column(folder: Path) -> None:
    _rewrite(folder / "SRPatient.csv", lambda rows: [row[1:] for row in rows])


def _two_ends(folder: Path) -> None:
    _rewrite(folder / "SRManifest.csv", lambda rows: [*rows[:-1], [*rows[-1][:-1], FIRST]])
