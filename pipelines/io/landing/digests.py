"""SHA-256 of landed files: a file that lies there as it did when it was hashed is not read again."""

import hashlib
import time
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

DIGESTS = {
    "path": pl.String,
    "bytes": pl.Int64,
    "modified": pl.Int64,
    "changed": pl.Int64,
    "inode": pl.UInt64,
    "sha256": pl.String,
}
"""One row per file: its path in the landing folder, its state (times in nanoseconds), its digest."""
SETTLED = 2_000_000_000
"""Nanoseconds after which a file that changes has another time of change, whatever clock the disk keeps."""

State = tuple[int, int, int, int]


@dataclass
class Digests:
    """The digests of one landing folder: those ``known`` from earlier ingests, and those that this one asked for."""

    landing: Path
    known: pl.DataFrame
    asked: dict[str, tuple[State, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._before = {name: (tuple(state), digest) for name, *state, digest in self.known.iter_rows()}

    def of(self, path: Path) -> str | None:
        """SHA-256 of a file's bytes, None if they cannot be read.

        The digest is remembered only of a file that had been left alone for a while: one that is still being written
        could change once more within one tick of the disk's clock.
        """
        began = time.time_ns()
        try:
            found = path.stat()
            state = (found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)
            name = path.relative_to(self.landing).as_posix()
            before, digest = self._before.get(name, (None, ""))
            if before != state:
                with path.open("rb") as file:
                    digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError:
            return None
        if max(found.st_mtime_ns, found.st_ctime_ns) < began - SETTLED:
            self.asked[name] = (state, digest)
        return digest

    def result(self) -> pl.DataFrame:
        """One row per file that can be remembered, by path."""
        rows = [(name, *state, digest) for name, (state, digest) in sorted(self.asked.items())]
        return pl.DataFrame(rows, schema=DIGESTS, orient="row")
