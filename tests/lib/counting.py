"""Counts the records of a landed file from its bytes by the format's own rules; shares nothing with the loader.

A record ends at a line end outside quotes. If a quote opens or closes anywhere but at a field's edge, or the last
one never closes, nothing says where records end, so every line is one. A line without anything is a blank record.
"""

import zipfile
from dataclasses import dataclass
from pathlib import Path

import duckdb
import openpyxl

from pipelines.io.landing.archives import open_member
from pipelines.io.ledger import OUTCOMES, read_ledger


@dataclass(frozen=True)
class Dialect:
    """How a kind of file is written: whether fields may be quoted, and which names stand in the first record."""

    is_quoted: bool = True
    delimiter: bytes = b","
    header: bytes | None = b""


PLAIN, PIPES, LIST = Dialect(), Dialect(is_quoted=False), Dialect(is_quoted=False, header=None)
OTHERS = {
    "epraccur.csv": Dialect(header=None),
    "epcncorepartnerdetails.csv": Dialect(header=b"Partner Organisation Code"),
    "nhs_postcodes.csv": Dialect(header=None),
    "nhg": Dialect(header=None),
    "Endeavour": Dialect(is_quoted=False, delimiter=b"\t", header=b"OrganisationGuid"),
}


def physical_records(path: Path, member: str | None = None) -> int:
    """How many records a file, or a member of an archive, holds; blank ones count, a header does not."""
    name = member or path.name
    if path.suffix == ".duckdb":
        return _count_table(path, Path(name).stem)
    if name.endswith(".xlsx"):
        return _count_answers(path)
    if name.endswith(".parquet"):
        return len(duckdb.sql("select 1 from read_parquet($path)", params={"path": str(path)}).fetchall())
    if member is None:
        return count_records(path.read_bytes(), dialect_of(name))
    if list(path.parent.glob(f"{path.stem}.z[0-9]*")):
        with open_member(path, member) as part:
            return count_records(part.read(), dialect_of(name))
    with zipfile.ZipFile(path) as archive:
        return count_records(archive.read(member), dialect_of(name))


def records_of(landing: Path, name: str) -> int:
    """How many records a file of the ledger holds, whether it lies in landing or in an archive or database there.

    Raises:
        FileNotFoundError: it does not lie there any more.
    """
    found = _find(landing, name)
    if found is None:
        raise FileNotFoundError(name)
    return physical_records(*found)


def _count_answers(workbook: Path) -> int:
    """The rows of a target list in which a decision is filled in, and the rows of the sheet of additions."""
    book = openpyxl.load_workbook(workbook, read_only=True)
    heading, *people = book["Target list"].iter_rows(values_only=True)
    decided = sum(bool(row[heading.index("Decision")]) for row in people)
    return decided + sum(bool(row[0]) for row in list(book["Add a person"].iter_rows(values_only=True))[1:])


def _count_table(database: Path, table: str) -> int:
    """The rows of a table; one whose columns have no names of their own holds its header in the first row."""
    with duckdb.connect(str(database), read_only=True) as con:
        rows = con.sql(f'select * from main."{table}"')
        is_nameless = all(name.startswith("column") for name in rows.columns)
        return len(rows.fetchall()) - is_nameless


def dialect_of(name: str) -> Dialect:
    """The dialect of a landed file, by its name."""
    other = next((dialect for start, dialect in OTHERS.items() if name.startswith(start)), None)
    return other or {".dat": LIST, ".txt": PIPES}.get(Path(name).suffix, PLAIN)


def count_records(data: bytes, dialect: Dialect) -> int:
    """The records of these bytes."""
    pieces = data.removeprefix(b"\xef\xbb\xbf").split(b'"') if dialect.is_quoted else [data]
    outside = pieces[::2] if _is_sound(pieces, dialect.delimiter + b"\r\n") else [data]
    ends = sum(piece.count(b"\n") for piece in outside)
    has_tail = bool(data) and not data.endswith(b"\n")
    return max(ends + has_tail - _has_header(data, dialect), 0)


def _is_sound(pieces: list[bytes], edges: bytes) -> bool:
    """True if every quote stands at the edge of a field or beside another quote, and the last one is closed."""
    if len(pieces) % 2 == 0:
        return False
    last = len(pieces) - 1
    for place in range(0, len(pieces), 2):
        piece = pieces[place]
        opens_well = place == last or not piece or piece[-1] in edges
        closes_well = place == 0 or not piece or piece[0] in edges
        if not (opens_well and closes_well):
            return False
    return True


def _has_header(data: bytes, dialect: Dialect) -> bool:
    """True if the first record is a header: always, never, or if it begins with these words."""
    return dialect.header is not None and data.lstrip(b'\xef\xbb\xbf"').startswith(dialect.header)


def uncounted_files(home: Path, *, ingest: int | None = None) -> list[str]:
    """Files in landing whose ledger row says another number of records than this counter, or does not add up.

    ``ingest`` restricts it to the files of one ingest. A row whose content has left landing is passed over.
    """
    wrong = []
    for row in read_ledger(home).iter_rows(named=True):
        if row["status"] not in ("loaded", "unchanged") or ingest not in (None, row["ingest"]):
            continue
        found = _find(home / "landing", row["file"])
        if found is not None:
            counted = physical_records(*found)
            if not counted == row["records"] == sum(row[name] for name in OUTCOMES):
                wrong.append(f"{row['file']}: counted {counted}, the ledger says {row['records']}")
    return wrong


def _find(landing: Path, name: str) -> tuple[Path, str | None] | None:
    """The file that a ledger row names, or the archive and the member's name."""
    whole = landing / name
    if whole.is_file():
        return whole, None
    for parent in whole.parents:
        if parent.is_file():
            return parent, whole.relative_to(parent).as_posix()
    return None
