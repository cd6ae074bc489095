"""Says what a part of a weekly table was made from, so that it is made again only when something of that changed."""

import hashlib
import json
from collections.abc import Iterable
from functools import cache
from importlib.metadata import version
from pathlib import Path

import polars as pl

from pipelines.io.durable import write_aside

ROOT = Path(__file__).parents[2]
CODE = ("data_contracts", "models", "pipelines", "sql")
"""The packages that decide what a table holds: code, SQL and definitions."""
LIBRARIES = ("duckdb", "numpy", "polars", "pyarrow", "scikit-learn")

Known = str | int | float | None


@cache
def code_digest() -> str:
    """A digest of everything in the packages and of the libraries' versions; another one makes every table anew."""
    digest = hashlib.sha256(json.dumps([version(library) for library in LIBRARIES]).encode())
    for package in CODE:
        for path in sorted((ROOT / package).rglob("*")):
            if path.is_file() and path.suffix != ".pyc":
                digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def frame_digest(frame: pl.DataFrame) -> str:
    """A digest of a frame's rows, in their order."""
    return hashlib.sha256(frame.write_ipc(None).getvalue()).hexdigest()


def state_of(path: Path) -> list[Known]:
    """A file's path, size, time of writing and inode: files are replaced, never changed, so they tell it from others.

    The last three are missing where no file is.
    """
    if not path.is_file():
        return [str(path)]
    stat = path.stat()
    return [str(path), stat.st_size, stat.st_mtime_ns, stat.st_ino]


def source_digest(known: dict[str, Known], paths: Iterable[Path]) -> str:
    """A digest of what a part is made from: the code, what is known by name, the files as they lie there now."""
    facts = [code_digest(), known, [state_of(path) for path in paths]]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def is_as_made(note: Path, part: Path, source: str) -> bool:
    """True if a note says that the part, as it lies there, was made from this source."""
    return note.is_file() and note.read_text("utf-8") == _note(part, source)


def write_note(note: Path, part: Path, source: str) -> None:
    """Notes what a part that has been written was made from; a crash before it means that the part is made again."""
    with write_aside(note) as draft:
        draft.write_text(_note(part, source), encoding="utf-8")


def _note(part: Path, source: str) -> str:
    return json.dumps([source, *state_of(part.resolve())])
