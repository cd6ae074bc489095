"""SHA-256 of what landed: what lies there as it did when it was hashed is not read again."""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from pipelines.io.landing.archive_parts import parts_of
from pipelines.io.landing.archives import Member
from pipelines.io.landing.feeds import Archive

DIGESTS = {
    "path": pl.String,
    "rules": pl.String,
    "bytes": pl.Int64,
    "modified": pl.Int64,
    "changed": pl.Int64,
    "inodes": pl.Int64,
    "member": pl.String,
    "base_name": pl.String,
    "size": pl.Int64,
    "sha256": pl.String,
}
"""One row per file or member of an archive: its file's path in the landing folder and state (times in nanoseconds; of
all parts together), for archives the rules by which it was opened, its digest."""
SETTLED = 2_000_000_000
"""Nanoseconds after which a file that changes has another time of change, whatever clock the disk keeps."""

State = tuple[str, int, int, int, int]
Content = tuple[str | None, str | None, int | None, str]


@dataclass
class Digests:
    """The digests of one landing folder: those ``known`` from earlier ingests, and those that this one asked for."""

    landing: Path
    known: pl.DataFrame
    asked: dict[str, tuple[State, list[Content]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._before: dict[str, tuple[State, list[Content]]] = {}
        for name, *said in self.known.iter_rows():
            self._before.setdefault(name, ((*said[:5],), []))[1].append((*said[5:],))

    def of(self, path: Path) -> str | None:
        """SHA-256 of a file's bytes, None if they cannot be read."""

        def read() -> list[Content]:
            with path.open("rb") as file:
                return [(None, None, None, hashlib.file_digest(file, "sha256").hexdigest())]

        try:
            return self._ask(path, [path], "", read)[0][-1]
        except OSError:
            return None

    def inside(
        self, path: Path, archive: Archive, look: Callable[[Path, Archive], list[tuple[Member, str]]]
    ) -> list[tuple[Member, str]]:
        """The members of an archive, each with its SHA-256, as ``look`` finds them.

        Raises:
            LandingError: ``look`` does; nothing is remembered then.
        """

        def read() -> list[Content]:
            return [(member.name, member.base_name, member.size, digest) for member, digest in look(path, archive)]

        rules = hashlib.sha256(archive.model_dump_json().encode()).hexdigest()
        found = self._ask(path, parts_of(path), rules, read)
        return [(Member(name or "", base or "", size or 0), digest) for name, base, size, digest in found]

    def result(self) -> pl.DataFrame:
        """One row per file or member that can be remembered, by path."""
        asked = sorted(self.asked.items())
        rows = [(name, *state, *content) for name, (state, contents) in asked for content in contents]
        return pl.DataFrame(rows, schema=DIGESTS, orient="row")

    def _ask(self, path: Path, parts: list[Path], rules: str, read: Callable[[], list[Content]]) -> list[Content]:
        """What is remembered of a file that is as it was, else what is read.

        It is remembered only of a file that had been left alone for a while: one that is still being written could
        change once more within one tick of the disk's clock.
        """
        began, found = time.time_ns(), [part.stat() for part in parts]
        modified, changed = (max(stat.st_mtime_ns for stat in found), max(stat.st_ctime_ns for stat in found))
        inodes = sum(stat.st_ino for stat in found) % 2**63
        state = (rules, sum(stat.st_size for stat in found), modified, changed, inodes)
        name = path.relative_to(self.landing).as_posix()
        before, contents = self._before.get(name, (None, []))
        if before != state:
            contents = read()
        if max(modified, changed) < began - SETTLED:
            self.asked[name] = (state, contents)
        return contents
