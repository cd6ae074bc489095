"""Defects of hospital extracts: what is changed in an episode or attendance, and the rule that must catch it."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from tests.lib.defects.emis import RowKind, day_first, days_later, wrong_check_digit
from tests.lib.defects.planting import Planter, Row, Sheet

STRANGER = "9990000018"
"""A made-up number with a right check digit that no made-up person has."""
DAY = {"HES_APC": "ADMIDATE", "HES_AE": "ARRIVALDATE"}


def _fixed(**values: str) -> Callable[[Row], Row]:
    return lambda row: values


def _number(row: Row) -> Row:
    return {"NEWNHSNO": wrong_check_digit(row["NEWNHSNO"])}


KINDS = {
    "HES_APC": [
        RowKind("episode with a wrong NHS number", _number, "nhs_number_not_valid"),
        RowKind("episode of a person on no list", _fixed(NEWNHSNO=STRANGER), "person_not_held"),
        RowKind("admission date missing by its sentinel", _fixed(ADMIDATE="1800-01-01"), "date_missing"),
        RowKind("admission date invalid by its sentinel", _fixed(ADMIDATE="1801-01-01"), "date_missing"),
        RowKind("admitted before records began", _fixed(ADMIDATE="1985-05-05"), "date_too_early"),
        RowKind(
            "admitted after the extract", _fixed(ADMIDATE="2027-05-05", DISDATE="2027-05-06"), "date_after_extract"
        ),
        RowKind(
            "discharged before admission",
            lambda row: {"DISDATE": days_later(row["ADMIDATE"], -3)},
            "discharged_before_admission",
        ),
        RowKind(
            "admission date with the day first",
            lambda row: {"ADMIDATE": day_first(row["ADMIDATE"])},
            "date_not_readable",
        ),
        RowKind("no admission method", _fixed(ADMIMETH=""), "admission_method_missing"),
        RowKind("provider unknown by its sentinel", _fixed(PROCODE="&"), "provider_missing"),
        RowKind("episode without a key", _fixed(EPIKEY=""), "key_missing"),
    ],
    "HES_AE": [
        RowKind("attendance with a wrong NHS number", _number, "nhs_number_not_valid"),
        RowKind("attendance of a person on no list", _fixed(NEWNHSNO=STRANGER), "person_not_held"),
        RowKind("arrival invalid by its sentinel", _fixed(ARRIVALDATE="1801-01-01"), "date_missing"),
        RowKind("arrived after the extract", _fixed(ARRIVALDATE="2027-05-05"), "date_after_extract"),
        RowKind("attendance without a key", _fixed(AEKEY=""), "key_missing"),
    ],
}
GARBLES: list[tuple[str, Callable[[bytes], bytes], str]] = [
    ("NUL byte in an episode", lambda line: line.replace(b"|", b"\0|", 1), "nul_byte"),
    ("byte of another encoding in an episode", lambda line: line.replace(b"|", b"\x92|", 1), "bad_encoding"),
    ("delimiter too many in an episode", lambda line: line.replace(b"\n", b"|\n"), "too_wide"),
    ("episode cut in two", lambda line: line[: len(line) // 2] + b"\n", "too_narrow"),
]


@dataclass
class HospitalPlanter:
    """Plants in the hospital files of a landing folder."""

    planter: Planter
    listed: set[str]
    """NHS numbers of people whom a practice holds and no rule keeps out."""

    def plant(self, each: int) -> None:
        """Every kind of defect, some times each."""
        for table, kinds in KINDS.items():
            sheet = self._table(table)
            for kind in kinds:
                for line in self._lone(sheet, DAY[table], each):
                    self._lose(table, sheet.row(line))
                    sheet.change(line, kind.change(sheet.row(line)))
                    self.planter.note(kind.kind, sheet, line, rule=kind.rule)
        sheet = self._table("HES_APC")
        for kind_name, garble, rule in GARBLES:
            for line in self._lone(sheet, "ADMIDATE", each):
                self._lose("HES_APC", sheet.row(line))
                sheet.use(line)
                sheet.garbled[line] = garble
                self.planter.note(kind_name, sheet, line, rule=rule)
        for line in self._lone(sheet, "ADMIDATE", each):
            sheet.use(line)
            sheet.append(dict(sheet.row(line)))
            self.planter.note("same episode twice", sheet, line, outcome="superseded")
        cut = sheet.append(dict(sheet.row(1)) | {"EPIKEY": "1"})
        sheet.garbled[cut] = lambda text: text[: len(text) // 2]
        self.planter.note("hospital file cut in the middle of a record", sheet, cut, rule="truncated")

    def _table(self, table: str) -> Sheet:
        (path,) = (self.planter.landing / "hospital").glob(f"{table}_*.txt")
        return self.planter.sheet(path)

    def _lone(self, sheet: Sheet, day: str, each: int) -> list[int]:
        """Records that are the only one of their person on their day, so that what they lose is one row."""
        days = Counter((row["NEWNHSNO"], row[day]) for row in sheet.rows)
        lost = self.planter.key.lost_people
        lines = [
            line
            for line, row in enumerate(sheet.rows, start=1)
            if line not in sheet.used
            and days[row["NEWNHSNO"], row[day]] == 1
            and row["NEWNHSNO"] in self.listed - lost
        ]
        return self.planter.chance.sample(lines, each)

    def _lose(self, table: str, row: Row) -> None:
        self.planter.key.lost_stays.add((table, row["NEWNHSNO"], row[DAY[table]]))
