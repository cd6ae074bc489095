"""Finds landed files by contract, never trusting a name: no links, nothing outside landing, no odd names."""

import datetime as dt
import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from pipelines.io.landing.archives import ArchiveLimits, Member, hash_member, list_members
from pipelines.io.landing.errors import LandingError
from pipelines.io.landing.feeds import Feed, load_feed

ANSWERS = "feedback"
"""The folder of practices' answers: workbooks that the weekly run reads itself."""
FEEDS = ("reference", "emis", "synthea", "hospital", "national_opt_out")
BY_PRACTICE = ("emis", "synthea")
"""Feeds with a folder a practice."""


@dataclass(frozen=True)
class LandedFile:
    """One file whose name meets its feed's contract. ``moment`` and ``rank`` order the deliveries of a feed.

    ``member`` is the name inside the archive at ``path``, None if the file is no part of an archive.
    """

    path: Path
    name: str
    feed: str
    practice_code: str | None
    table: str
    moment: str
    rank: int
    sha256: str
    size: int
    problem: str | None = None
    member: str | None = None


@dataclass(frozen=True)
class UnknownFile:
    """One file that no contract knows; it is not opened. Control characters in its name are escaped."""

    name: str
    reason: str


def find_files(landing: Path) -> tuple[list[LandedFile], list[UnknownFile]]:
    """Every file under landing in a fixed order, split into those that a contract knows and the others.

    Raises:
        LandingError: there is no landing folder, or nothing in it.
    """
    if not landing.is_dir():
        raise LandingError(expected="a landing folder", found="none", where=str(landing))
    known: list[LandedFile] = []
    unknown: list[UnknownFile] = []
    for path in _walk(landing):
        for found in _identify(path, landing):
            if isinstance(found, LandedFile):
                known.append(found)
            else:
                unknown.append(found)
    if not known and not unknown:
        raise LandingError(expected="extract files", found="an empty landing folder", where=str(landing))
    return known, unknown


def _walk(folder: Path) -> list[Path]:
    """All that is not a folder and not a practice's answer, links unfollowed, sorted."""
    paths = []
    for root, folders, names in os.walk(folder, followlinks=False):
        linked = [name for name in folders if (Path(root) / name).is_symlink()]
        paths += [Path(root) / name for name in [*names, *linked]]
    answers = folder / ANSWERS
    return sorted(path for path in paths if not path.name.startswith(".") and answers not in path.parents)


def _identify(path: Path, landing: Path) -> list[LandedFile | UnknownFile]:
    shown = path.relative_to(landing).as_posix().encode("unicode_escape", errors="backslashreplace").decode()[:200]
    mode = path.lstat().st_mode
    if not stat.S_ISREG(mode) or path.lstat().st_nlink > 1:
        return [UnknownFile(shown, "a link or special file is never opened")]
    if landing.resolve() not in path.resolve().parents:
        return [UnknownFile(shown, "lies outside the landing folder")]
    parts = path.relative_to(landing).parts
    feed = next((load_feed(name) for name in FEEDS if load_feed(name).folder == parts[0]), None)
    if feed is None or len(parts) < 2:
        return [UnknownFile(shown, f"no feed reads this folder: expected one of {', '.join(FEEDS)}")]
    return _match(path, feed=feed, parts=parts, shown=shown)


def _match(path: Path, *, feed: Feed, parts: tuple[str, ...], shown: str) -> list[LandedFile | UnknownFile]:
    practice = parts[1] if feed.feed in BY_PRACTICE and len(parts) == 3 else None
    depth = 3 if feed.feed in BY_PRACTICE else 2
    named = feed.match(parts[-1]) if len(parts) == depth else None
    if named is None or (practice is not None and not _is_ods_code(practice)):
        return [UnknownFile(shown, f"the name does not meet the {feed.feed} contract")]
    if named.get("archive"):
        return _open_archive(path, feed=feed, practice=practice, shown=shown)
    table = feed.table_named(named.get("table", next(iter(feed.tables))))
    if table is None or not _is_moment(named.get("moment")):
        return [UnknownFile(shown, f"the name does not meet the {feed.feed} contract")]
    digest = _digest(path)
    return [
        LandedFile(
            path=path,
            name=shown,
            feed=feed.feed,
            practice_code=practice,
            table=table,
            moment=named.get("moment", ""),
            rank=int(named.get("sequence", 0)),
            sha256=digest or "",
            size=path.stat().st_size,
            problem=None if digest else "cannot be read: check its permissions",
        )
    ]


def _open_archive(path: Path, *, feed: Feed, practice: str | None, shown: str) -> list[LandedFile | UnknownFile]:
    """The members of an archive; all of it is unknown if anything in it is unsafe."""
    try:
        members = list_members(path, ArchiveLimits.model_validate(feed.words["archive"]))
        return [_member(path, member, feed=feed, practice=practice, shown=shown) for member in members]
    except LandingError as error:
        return [UnknownFile(shown, str(error))]


def _member(path: Path, member: Member, *, feed: Feed, practice: str | None, shown: str) -> LandedFile | UnknownFile:
    name = f"{shown}/{member.name}"[:200]
    named = feed.match(member.base_name) or {}
    table = feed.table_named(named.get("table") or "") if member.base_name.endswith(".csv") else None
    if table is None:
        return UnknownFile(name, f"the name does not meet the {feed.feed} contract")
    return LandedFile(
        path=path,
        name=name,
        feed=feed.feed,
        practice_code=practice,
        table=table,
        moment="",
        rank=0,
        sha256=hash_member(path, member),
        size=member.size,
        member=member.name,
    )


def _digest(path: Path) -> str | None:
    """SHA-256 of the file's bytes, None if they cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def _is_moment(digits: str | None) -> bool:
    """True if a name holds no moment, or one whose first eight digits are a day."""
    try:
        return not digits or bool(dt.datetime.strptime(digits[:8], "%Y%m%d"))
    except ValueError:
        return False


def _is_ods_code(text: str) -> bool:
    return text.isascii() and text.isalnum() and text == text.upper() and 3 <= len(text) <= 8
