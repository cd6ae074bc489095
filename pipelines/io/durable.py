"""Forces files to disk, switches to new ones whole and keeps two writers apart; no format is known here."""

import filecmp
import os
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def write_aside(target: Path, *, keeps_same: bool = False) -> Iterator[Path]:
    """A path beside the target to write to; synced and renamed over the target when the block ends well.

    With ``keeps_same`` a target that holds the same bytes stays the file that it is.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    try:
        yield draft.resolve()
        if keeps_same and target.exists() and filecmp.cmp(draft, target, shallow=False):
            return
        sync(draft)
        draft.replace(target)
        sync(target.parent)
    finally:
        draft.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Returns once a file, or the entries of a folder, are on disk."""
    if sys.platform == "win32" and path.is_dir():
        return
    # Windows syncs only what is open for writing.
    handle = os.open(path, os.O_RDWR if path.is_file() else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def hold_lock(lock: Path, refusal: Exception) -> Iterator[None]:
    """Holds a lock file, or raises the refusal; the system lets it go when the process ends, however it ends."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a+", encoding="utf-8") as file:
        if not _try_lock(file):
            raise refusal
        yield


def _try_lock(file: IO[str]) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
