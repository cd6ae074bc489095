"""Opens zip archives without trusting them: members are checked and read as streams, never unpacked by name."""

import hashlib
import re
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from pydantic import BaseModel, ConfigDict

from pipelines.io.landing.archive_parts import open_archive
from pipelines.io.landing.errors import LandingError

SMALLEST_BOMB = 1_000_000
"""Members smaller than this may be packed as tightly as they like."""
UNREADABLE = (zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, NotImplementedError, EOFError, OSError, KeyError)


class ArchiveLimits(BaseModel):
    """What an archive may hold at most: bytes in all, bytes out per byte in, members."""

    model_config = ConfigDict(frozen=True)

    largest_bytes: int
    largest_ratio: int
    most_members: int


@dataclass(frozen=True)
class Member:
    """One file in an archive. ``name`` is its path there, ``base_name`` the last part of it."""

    name: str
    base_name: str
    size: int


def list_members(archive: Path, limits: ArchiveLimits, *, ignored: str | None = None) -> list[Member]:
    """The files of an archive in a fixed order, all flat or all in one folder.

    Its folders are left out, and so are members whose full name matches ``ignored``.

    Raises:
        LandingError: the archive is broken, or something in it is unsafe; nothing of it may be used.
    """
    with _opened(archive) as opened:
        entries = opened.infolist()
    if len(entries) > limits.most_members:
        raise _refusal(archive, f"at most {limits.most_members} members", f"{len(entries)}")
    for entry in entries:
        _check(entry, archive, limits)
    found = [entry for entry in entries if not entry.is_dir() and not re.fullmatch(ignored or "", entry.filename)]
    total = sum(entry.file_size for entry in found)
    if total > limits.largest_bytes:
        raise _refusal(archive, f"at most {limits.largest_bytes} bytes unpacked", f"{total}")
    _check_together([PurePosixPath(entry.filename) for entry in found], archive)
    members = [Member(entry.filename, PurePosixPath(entry.filename).name, entry.file_size) for entry in found]
    return sorted(members, key=lambda member: member.name)


def _check(entry: zipfile.ZipInfo, archive: Path, limits: ArchiveLimits) -> None:
    parts = PurePosixPath(entry.filename).parts
    kind = stat.S_IFMT(entry.external_attr >> 16)
    is_outside = not parts or parts[0] == "/" or ".." in parts or "\\" in entry.filename or ":" in entry.filename
    if is_outside or not entry.filename.isprintable():
        raise _refusal(archive, "plain relative names", "an absolute, parent or unprintable one")
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise _refusal(archive, "files only", "a link or special file")
    if entry.flag_bits & 0x1:
        raise _refusal(archive, "members without a password", "an encrypted one")
    if entry.file_size > max(entry.compress_size * limits.largest_ratio, SMALLEST_BOMB):
        raise _refusal(archive, f"at most {limits.largest_ratio} bytes out for each byte in", "more")


def _check_together(paths: list[PurePosixPath], archive: Path) -> None:
    folders = {path.parent for path in paths}
    if len(folders) > 1 or any(len(path.parts) > 2 for path in paths):
        raise _refusal(archive, "members flat or in one folder", f"{len(folders)} folders")
    names = [path.name.lower() for path in paths]
    if len(set(names)) < len(names):
        raise _refusal(archive, "each member name once", "one twice")


def hash_member(archive: Path, member: Member) -> str:
    """The SHA-256 of a member's content, read as a stream.

    Raises:
        LandingError: the member is broken.
    """
    with open_member(archive, member.name) as stream:
        digest = hashlib.sha256()
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


@contextmanager
def open_member(archive: Path, name: str) -> Iterator[IO[bytes]]:
    """A member's content as a stream; it ends at the size that the archive states.

    Raises:
        LandingError: the archive or the member is broken.
    """
    with _opened(archive) as opened, opened.open(name) as stream:
        yield stream


@contextmanager
def _opened(archive: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with open_archive(archive) as file, zipfile.ZipFile(file) as opened:
            yield opened
    except UNREADABLE as error:
        raise _refusal(archive, "a zip archive that can be read", type(error).__name__) from None


def _refusal(archive: Path, expected: str, found: str) -> LandingError:
    return LandingError(expected=expected, found=found, where=archive.name)
