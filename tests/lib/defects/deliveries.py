"""Defects of whole EMIS deliveries, landed a week after the first, and what they must lead to."""

import csv
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.lib.defects.emis import CHILDREN, EARLIER, LATER, EmisPlanter
from tests.lib.defects.planting import Defect, Row

FIRST = "20261116023000"
PATIENTS, OBSERVATIONS, ORGANISATIONS = "Admin_Patient", "CareRecord_Observation", "Admin_Organisation"
Rows = list[list[str]]


@dataclass
class DeliveryPlanter:
    """Lands deliveries of practices whose records have no defect. ``practices`` come largest first."""

    emis: EmisPlanter
    practices: list[str]

    def plant(self) -> None:
        """One delivery of each kind, each at a practice of its own."""
        large, *others = self.practices
        path = self._delta(large, PATIENTS, self._half_deleted)
        self._note("half of the patients deleted", path, "held", "registered people against last week")
        swapped, *others = others
        self._swap_names(swapped)
        kinds: list[tuple[str, Callable[[Rows], Rows], str]] = [
            ("required column missing", lambda rows: [row[1:] for row in rows], "each required column"),
            (
                "required column misspelt",
                lambda rows: [["ObservatonGuid", *rows[0][1:]], *rows[1:]],
                "each required column",
            ),
            ("header line missing", lambda rows: rows[1:], "each required column"),
            ("required column twice", lambda rows: [[*row, row[0]] for row in rows], "twice"),
        ]
        for kind, garble, says in kinds:
            practice, *others = others
            path = self._delta(practice, OBSERVATIONS, garble)
            self._note(kind, path, "refused", says)
        for plant in (
            self._replayed,
            self._older,
            self._of_another,
            self._two_files,
            self._empty,
            self._cut,
            self._ods_flip,
        ):
            practice, *others = others
            plant(practice)
        practice, *others = others
        self._harmless(practice)
        self._late_delete(others[0])
        self._unknown_practice()
        self._links_and_names(others[0])

    def _folder(self, practice: str) -> Path:
        return self.emis.planter.landing / "emis" / practice

    def _first(self, practice: str, table: str) -> Path:
        (path,) = self._folder(practice).glob(f"*_{table}_{FIRST}*.csv")
        return path

    def _note(self, kind: str, path: Path, outcome: str, rule: str, about: str = "") -> None:
        name = path.relative_to(self.emis.planter.landing).as_posix()
        self.emis.planter.key.defects.append(Defect(kind, name, 0, outcome, rule, about))

    def _delta(self, practice: str, table: str, garble: Callable[[Rows], Rows], moment: str = LATER) -> Path:
        """A delivery of one table: the first few records of the first, garbled."""
        first = self._first(practice, table)
        with first.open(encoding="utf-8", newline="") as lines:
            rows = list(csv.reader(lines))
        path = first.with_name(first.name.replace(FIRST, moment))
        with path.open("w", encoding="utf-8", newline="") as lines:
            csv.writer(lines, quoting=csv.QUOTE_ALL, lineterminator="\r\n").writerows(garble(rows))
        return path

    def _half_deleted(self, rows: Rows) -> Rows:
        keys = [rows[0].index(name) for name in ("PatientGuid", "OrganisationGuid")]
        deleted = rows[0].index("Deleted")
        tombs = [
            ["true" if n == deleted else cell if n in keys else "" for n, cell in enumerate(row)]
            for row in rows[1::2]
        ]
        return [rows[0], *tombs]

    def _swap_names(self, practice: str) -> None:
        """Values land under the wrong name."""
        swap = {"NhsNumber": "Surname", "Surname": "NhsNumber"}
        path = self._delta(practice, PATIENTS, lambda rows: [[swap.get(name, name) for name in rows[0]], *rows[1:]])
        self._note("header names swapped", path, "refused", "swapped headers")

    def _replayed(self, practice: str) -> None:
        """Last week's files under this week's name."""
        for path in self._folder(practice).glob(f"*{FIRST}*"):
            shutil.copyfile(path, path.with_name(path.name.replace(FIRST, LATER)))
        again = self._first(practice, PATIENTS)
        self._note(
            "last week's files again", again.with_name(again.name.replace(FIRST, LATER)), "unchanged", "same content"
        )

    def _older(self, practice: str) -> None:
        path = self._delta(practice, OBSERVATIONS, lambda rows: rows[:6], EARLIER)
        self._note("delivery older than the last", path, "refused", "expected a delivery later than")

    def _of_another(self, practice: str) -> None:
        """Another practice's whole delivery in this practice's folder."""
        for path in self._folder(self.emis.rows[0]).glob(f"*{FIRST}*"):
            target = self._folder(practice) / path.name.replace(FIRST, LATER)
            shutil.copyfile(path, target)
            name = target.relative_to(self.emis.planter.landing).as_posix()
            self.emis.planter.key.waits.add(name)
            if f"_{PATIENTS}_" in name:
                self._note("another practice's files", target, "refused", "Admin_Organisation names")

    def _two_files(self, practice: str) -> None:
        path = self._delta(practice, OBSERVATIONS, lambda rows: rows[:6])
        again = path.with_name("9" + path.name)
        again.write_bytes(path.read_bytes() + path.read_bytes().split(b"\r\n")[1] + b"\r\n")
        self.emis.planter.key.waits.add(again.relative_to(self.emis.planter.landing).as_posix())
        self._note("two files of a table", path, "refused", "one file a table and moment")

    def _empty(self, practice: str) -> None:
        path = self._delta(practice, OBSERVATIONS, lambda rows: rows[:6])
        path.write_bytes(b"")
        self._note("file without a byte", path, "refused", "no bytes")

    def _cut(self, practice: str) -> None:
        """The transfer stopped in the middle of a record."""
        path = self._delta(practice, OBSERVATIONS, lambda rows: rows[:6])
        path.write_bytes(path.read_bytes()[:-150])
        self._note("file cut in the middle of a record", path, "refused", "a partial transfer")

    def _ods_flip(self, practice: str) -> None:
        """The organisation keeps its guid and carries another ODS code for a day."""
        ods = self._header(practice, ORGANISATIONS).index("ODSCode")
        path = self._delta(
            practice,
            ORGANISATIONS,
            lambda rows: [rows[0], *([*row[:ods], "X99999", *row[ods + 1 :]] for row in rows[1:])],
        )
        self._note("ODS code that flips", path, "mended", "told: ODS code is now X99999")

    def _harmless(self, practice: str) -> None:
        """Columns moved, and a column that is new: read by name, nothing else changes."""
        path = self._delta(practice, OBSERVATIONS, lambda rows: [row[::-1] for row in rows])
        self._note("columns in another order", path, "mended", "read by name")
        path = self._delta(
            practice,
            "CareRecord_Consultation",
            lambda rows: [["BrandNew", *rows[0]], *(["1", *row] for row in rows[1:])],
        )
        self._note("column that is new", path, "mended", "read by name")

    def _late_delete(self, practice: str) -> None:
        """A patient deleted by keys alone in a later delivery: all that is about them goes."""
        patients = {
            guid: row
            for guid, row in self.emis.plain_patients(practice).items()
            if row["NhsNumber"] in self.emis.settled
        }
        guid = self.emis.planter.chance.choice(sorted(patients))
        path = self._delta(practice, PATIENTS, lambda rows: [rows[0], *self._tombs(rows, guid)])
        self._lose(practice, patients[guid])
        self._note("patient deleted late", path, "mended", "all of the patient goes", patients[guid]["NhsNumber"])

    def _tombs(self, rows: Rows, guid: str) -> Rows:
        keys = [rows[0].index(name) for name in ("PatientGuid", "OrganisationGuid")]
        deleted = rows[0].index("Deleted")
        return [
            ["true" if n == deleted else cell if n in keys else "" for n, cell in enumerate(row)]
            for row in rows[1:]
            if row[keys[0]] == guid
        ]

    def _lose(self, practice: str, patient: Row) -> None:
        key = self.emis.planter.key
        key.lost.add(("registrations", self.emis.record(patient, "PatientGuid")))
        key.lost_people.add(patient["NhsNumber"])
        for table, (history, guid) in CHILDREN.items():
            for entry in self.emis.table(practice, table).rows:
                if entry["PatientGuid"] == patient["PatientGuid"] and not self.emis.is_blank(table, entry):
                    key.lost.add((history, self.emis.record(entry, guid)))

    def _unknown_practice(self) -> None:
        path = self._first(self.emis.rows[0], OBSERVATIONS)
        target = self.emis.planter.landing / "emis" / "Q99999" / path.name.replace(FIRST, LATER)
        target.parent.mkdir()
        target.write_bytes(path.read_bytes() + b"\r\n")
        self._note("practice that no list has", target, "refused", "expected a practice of the national list")

    def _links_and_names(self, practice: str) -> None:
        folder = self._folder(practice)
        link = folder / self._first(practice, OBSERVATIONS).name.replace(FIRST, "20261118023000")
        link.symlink_to(self._first(self.emis.rows[0], OBSERVATIONS))
        self._note("link in place of a file", link, "refused", "a link or special file")
        odd = folder / "1_CareRecord_Observation_20261332023000_no-agreement.csv"
        odd.write_text("x\n", "utf-8")
        self._note("name that no contract knows", odd, "refused", "the name does not meet the emis contract")

    def _header(self, practice: str, table: str) -> list[str]:
        with self._first(practice, table).open(encoding="utf-8", newline="") as lines:
            return next(csv.reader(lines))
