"""Counts the records of landed files with Python's csv module and plain queries, sharing nothing with the loader."""

import csv
import io
import zipfile
from pathlib import Path
from typing import TextIO

import duckdb

WITHOUT_HEADER = {"epraccur.csv", "epcncorepartnerdetails.csv", "nhs_postcodes.csv"}
OPTIONAL_HEADER = "Partner Organisation Code"


def records_of(landing: Path, name: str) -> int:
    """How many records a file of the ledger holds, whether it lies in landing or in an archive or database there."""
    path = landing / name
    if path.exists():
        return physical_records(path)
    container = next(parent for parent in path.parents if parent.is_file())
    member = path.relative_to(container).as_posix()
    if container.suffix == ".duckdb":
        return _records_of_table(container, Path(member).stem)
    with zipfile.ZipFile(container) as zipped, zipped.open(member) as raw:
        return _records(io.TextIOWrapper(raw, encoding="utf-8-sig", newline=""), delimiter=",", has_header=True)


def physical_records(path: Path) -> int:
    """How many records a file holds, its header left out."""
    if path.suffix == ".parquet":
        return int(
            duckdb.sql("select count(*) from read_parquet($path)", params={"path": str(path)}).fetchall()[0][0]
        )
    if path.suffix == ".dat":
        return sum(1 for line in path.read_text("utf-8").splitlines() if line.strip())
    with path.open(encoding="utf-8-sig", newline="") as file:
        delimiter = "|" if path.suffix == ".txt" else ","
        return _records(file, delimiter=delimiter, has_header=path.name not in WITHOUT_HEADER)


def _records(file: TextIO, *, delimiter: str, has_header: bool) -> int:
    rows = [row[0] for row in csv.reader(file, delimiter=delimiter) if row]
    return len(rows) - (has_header or rows[:1] == [OPTIONAL_HEADER])


def _records_of_table(database: Path, table: str) -> int:
    """The rows of a table; one whose columns have no names of their own holds its header in the first row."""
    with duckdb.connect(str(database), read_only=True) as con:
        rows = con.sql(f'select * from main."{table}"')
        is_nameless = all(name.startswith("column") for name in rows.columns)
        return len(rows.fetchall()) - is_nameless
