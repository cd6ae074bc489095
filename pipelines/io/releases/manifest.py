"""Writes a release's manifest: what each file holds, which versions made it, how old the data are; no clock."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import polars as pl

from data_contracts.actions import load_actions
from data_contracts.tables.history import Contract
from data_contracts.tables.release import RELEASED

FORMAT = 1
MANIFEST = "manifest.json"


@dataclass(frozen=True)
class FileEntry:
    """One file of a release."""

    path: str
    sha256: str
    bytes: int
    rows: int | None
    """Rows of data, without a heading; None for a page."""


@dataclass(frozen=True)
class ReleaseFacts:
    """What a manifest says beside its files."""

    as_of_date: str
    code_version: str
    model_versions: list[str]
    pseudonym_scheme: str
    national_opt_out: str
    approvals: dict[str, str]
    """ICB code to the reference of the approval that covers its files."""
    data_until: dict[str, str | None]
    """ICB code to the day of the latest record entered before the as-of date."""
    smallest_group: dict[str, int | None]
    """ICB code to the fewest people who share what is shown of their quasi-identifiers."""
    left_out: dict[str, int | None]
    """Rule to how many people it kept out of the files, hidden (null) below 8 and rounded to 5."""
    practices_with_a_warning: dict[str, dict[str, str | None]]
    """Practice code to its verdict, the measures past a limit and the day up to which its data are known."""


def describe_file(root: Path, path: Path, *, rows: int | None) -> FileEntry:
    """The manifest's entry of one written file."""
    content = path.read_bytes()
    return FileEntry(
        path=path.relative_to(root).as_posix(),
        sha256=hashlib.sha256(content).hexdigest(),
        bytes=len(content),
        rows=rows,
    )


def write_manifest(root: Path, files: list[FileEntry], facts: ReleaseFacts) -> Path:
    """Writes manifest.json, the last file of a release, and returns its path."""
    content = {
        "format": FORMAT,
        **asdict(facts),
        "actions_version": load_actions().version,
        "contracts": {name: contract_fingerprint(contract) for name, contract in RELEASED.items()},
        "files": [asdict(entry) for entry in sorted(files, key=lambda entry: entry.path)],
    }
    path = root / MANIFEST
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8", newline="\n")
    return path


def contract_fingerprint(contract: type[Contract]) -> str:
    """Sixteen hex digits that change when a column's name, type, place or nullability changes."""
    columns = contract.to_schema().columns
    shape = [[name, str(column.dtype), column.nullable] for name, column in columns.items()]
    return hashlib.sha256(json.dumps(shape).encode()).hexdigest()[:16]


def data_dictionary() -> pl.DataFrame:
    """One row per column of each ICB file: file, column, type, whether it may be null, what it means."""
    return pl.DataFrame(
        [
            {
                "file": f"{name}.parquet",
                "column": column,
                "type": str(field.dtype),
                "may_be_null": "yes" if field.nullable else "no",
                "meaning": field.description,
            }
            for name, contract in RELEASED.items()
            for column, field in contract.to_schema().columns.items()
        ]
    )
