"""Plants defects in made-up extracts and writes the answer key: what was planted where, and what must become of it.

Everything here is simulated. Nothing is random but for the seed.
"""

import csv
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

Row = dict[str, str]
Garble = Callable[[bytes], bytes]
UNDATED = "event_date is null"
"""The rule of records that are loaded without their date."""


@dataclass(frozen=True)
class Defect:
    """One planted defect. ``line`` counts the file's records from 1, 0 stands for the whole file.

    ``outcome``: quarantined (by ``rule``), refused or held (``rule`` is in the reason), unchanged (the file says what
    was loaded before), superseded, blank, or mended (loaded, with what ``rule`` says).
    """

    kind: str
    file: str
    line: int
    outcome: str
    rule: str
    about: str = ""
    """Of what is mended: the supplier's record, or the person's made-up NHS number."""


@dataclass
class Key:
    """The answer key, and all that may differ from a run on the clean extracts because of it.

    ``follows`` are records that a defect of another record takes along: file and line to rule. ``lost``, ``changed``
    and ``added`` are rows of history by table and supplier's record, ``lost_stays`` those of hospital records by
    file, person and day. ``lost_people`` leave a practice; measurements of ``marred_people`` may differ.
    ``waits`` are files that are turned away with another.
    """

    defects: list[Defect] = field(default_factory=list)
    follows: dict[tuple[str, int], str] = field(default_factory=dict)
    lost: set[tuple[str, str]] = field(default_factory=set)
    changed: set[tuple[str, str]] = field(default_factory=set)
    added: set[tuple[str, str]] = field(default_factory=set)
    lost_stays: set[tuple[str, str, str]] = field(default_factory=set)
    lost_people: set[str] = field(default_factory=set)
    waits: set[str] = field(default_factory=set)
    marred_people: set[str] = field(default_factory=set)

    @property
    def kinds(self) -> set[str]:
        """The kinds of defect that were planted."""
        return {defect.kind for defect in self.defects}


@dataclass
class Sheet:
    """One file as records that can be changed, appended or garbled before it is written back.

    Text is Latin 1 while it is in here, so that bytes that no defect touches are written as they were read.
    """

    path: Path
    name: str
    delimiter: str
    quote: bool
    columns: list[str]
    rows: list[Row]
    garbled: dict[int, Garble] = field(default_factory=dict)
    blank_after: set[int] = field(default_factory=set)
    used: set[int] = field(default_factory=set)

    @classmethod
    def read(cls, path: Path, landing: Path) -> "Sheet":
        """A file as it landed: quoted and comma separated, or pipe separated without quotes."""
        is_quoted = path.suffix == ".csv"
        delimiter = "," if is_quoted else "|"
        with path.open(encoding="latin-1", newline="") as lines:
            quoting = csv.QUOTE_MINIMAL if is_quoted else csv.QUOTE_NONE
            columns, *rows = csv.reader(lines, delimiter=delimiter, quoting=quoting)
        named = [dict(zip(columns, row, strict=True)) for row in rows]
        return cls(path, path.relative_to(landing).as_posix(), delimiter, is_quoted, columns, named)

    def row(self, line: int) -> Row:
        """One record, counted from 1."""
        return self.rows[line - 1]

    def change(self, line: int, values: Row) -> None:
        """Changes fields of a record, which no other defect may touch."""
        self.use(line)
        self.rows[line - 1] |= values

    def append(self, values: Row) -> int:
        """Adds a record and returns its line."""
        self.rows.append(dict.fromkeys(self.columns, "") | values)
        self.use(len(self.rows))
        return len(self.rows)

    def use(self, line: int) -> None:
        """Keeps a record for one defect."""
        if line in self.used:
            raise ValueError(f"line {line} of {self.name} has a defect already")
        self.used.add(line)

    def write(self) -> None:
        """Writes the file back, record by record, so that what was not touched has the same bytes."""
        end = b"\r\n" if self.quote else b"\n"
        text = [self._line(self.columns) + end]
        for line, row in enumerate(self.rows, start=1):
            plain = self._line([row[column] for column in self.columns]) + end
            text.append(self.garbled.get(line, bytes)(plain))
            if line in self.blank_after:
                text.append(end)
        self.path.write_bytes(b"".join(text))

    def _line(self, values: list[str]) -> bytes:
        cells = ['"' + value.replace('"', '""') + '"' for value in values] if self.quote else values
        return self.delimiter.join(cells).encode("latin-1")


@dataclass
class Planter:
    """A landing folder in which defects are planted, with the key so far."""

    landing: Path
    seed: int
    key: Key = field(default_factory=Key)
    sheets: dict[Path, Sheet] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)

    def sheet(self, path: Path) -> Sheet:
        """One file, read once."""
        if path not in self.sheets:
            self.sheets[path] = Sheet.read(path, self.landing)
        return self.sheets[path]

    def pick(self, sheet: Sheet, suits: Callable[[Row], bool] = lambda row: True) -> int:
        """A line that suits and that no defect has."""
        lines = [n for n, row in enumerate(sheet.rows, start=1) if n not in sheet.used and suits(row)]
        if not lines:
            raise ValueError(f"no record of {sheet.name} is left for this kind")
        return self.chance.choice(lines)

    def note(
        self, kind: str, sheet: Sheet, line: int, *, outcome: str = "quarantined", rule: str = "", about: str = ""
    ) -> None:
        """Enters a defect in the key."""
        self.key.defects.append(Defect(kind, sheet.name, line, outcome, rule, about))

    def note_entry(self, kind: str, sheet: Sheet, line: int, *, rule: str, about: tuple[str, str]) -> None:
        """Enters a defect in an entry: held by its rule, or loaded without its date; ``about`` is its history row."""
        if rule == UNDATED:
            self.key.changed.add(about)
            self.note(kind, sheet, line, outcome="mended", rule=rule, about=about[1])
        else:
            self.key.lost.add(about)
            self.note(kind, sheet, line, rule=rule)

    def write(self) -> Key:
        """Writes every changed file and returns the key."""
        for sheet in self.sheets.values():
            sheet.write()
        return self.key
