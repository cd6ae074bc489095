"""Finds landed files by contract, never trusting a name: no links, nothing outside landing, no odd names."""

import datetime as dt
import os
import re
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipelines.io.landing import databases
from pipelines.io.landing.archives import Member, hash_member, list_members
from pipelines.io.landing.errors import LandingError
from pipelines.io.landing.feeds import Archive, FeedContract, is_ods_code

Look = Callable[[Path, Archive], list[tuple[Member, str]]]
Digest = Callable[[Path], str | None]


@dataclass(frozen=True)
class LandedFile:
    """One file whose name meets its feed's contract. ``moment`` and ``rank`` order the deliveries of a source.

    ``source`` is the practice, the drop or the feed; ``member`` the name inside the archive at ``path``, None if the
    file is no part of an archive.
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
    source: str = ""


@dataclass(frozen=True)
class UnknownFile:
    """One file that no contract knows; it is not opened. Control characters in its name are escaped."""

    name: str
    reason: str


@dataclass(frozen=True)
class _Place:
    """Where a file stands: its feed, its path and name to show, its source, the moment that its folder states."""

    contract: FeedContract
    path: Path
    shown: str
    source: str
    moment: str = ""

    def unknown(self) -> UnknownFile:
        return UnknownFile(self.shown, f"the name does not meet the {self.contract.feed} contract")


def find_files(
    landing: Path, contracts: Sequence[FeedContract], look: Look, digest: Digest
) -> tuple[list[LandedFile], list[UnknownFile]]:
    """Every file under landing in a fixed order, split into those that a contract knows and the others.

    ``look`` is what opens archives, ``digest`` what gives the SHA-256 of any other file, None if it cannot be read.

    Raises:
        LandingError: there is no landing folder, or nothing in it.
    """
    if not landing.is_dir():
        raise LandingError(expected="a landing folder", found="none", where=str(landing))
    known: list[LandedFile] = []
    unknown: list[UnknownFile] = []
    paths = _walk(landing)
    home = landing.resolve()
    outside = {folder for folder in {path.parent for path in paths} if not folder.resolve().is_relative_to(home)}
    for path in paths:
        if path.parent in outside:
            unknown.append(UnknownFile(_shown(path, landing), "lies outside the landing folder"))
            continue
        for found in _identify(path, landing, contracts, look, digest):
            if isinstance(found, LandedFile):
                known.append(found)
            else:
                unknown.append(found)
    if not known and not unknown:
        raise LandingError(expected="extract files", found="an empty landing folder", where=str(landing))
    return known, unknown


def _walk(folder: Path) -> list[Path]:
    """All that is not a folder, links unfollowed, sorted."""
    paths = []
    for root, folders, names in os.walk(folder, followlinks=False):
        linked = [name for name in folders if (Path(root) / name).is_symlink()]
        paths += [Path(root) / name for name in [*names, *linked]]
    return sorted(path for path in paths if not path.name.startswith("."))


def _shown(path: Path, landing: Path) -> str:
    """A path below landing as it may be shown: control characters escaped, not too long."""
    return path.relative_to(landing).as_posix().encode("unicode_escape", errors="backslashreplace").decode()[:200]


def _identify(
    path: Path, landing: Path, contracts: Sequence[FeedContract], look: Look, digest: Digest
) -> list[LandedFile | UnknownFile]:
    shown, found = _shown(path, landing), path.lstat()
    if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
        return [UnknownFile(shown, "a link or special file is never opened")]
    parts = path.relative_to(landing).parts
    contract = next((contract for contract in contracts if contract.folder == parts[0]), None)
    if contract is None or len(parts) < 2:
        names = ", ".join(contract.feed for contract in contracts)
        return [UnknownFile(shown, f"no feed reads this folder: expected one of {names}")]
    place = _place(_Place(contract, path, shown, source=contract.feed), parts)
    if place is None:
        return [_Place(contract, path, shown, source="").unknown()]
    archive = contract.archive
    if archive is not None and (named := re.fullmatch(archive.file_name, parts[-1], flags=re.ASCII)):
        return _open_archive(place, archive, look, moment=named.groupdict().get("moment") or place.moment)
    if archive is not None and re.fullmatch(archive.part_name or "", parts[-1], flags=re.ASCII):
        has_last = path.with_suffix(".zip").is_file()
        return [] if has_last else [UnknownFile(shown, "a part of an archive whose last part (.zip) is missing")]
    return [_file(place, digest)]


def _place(place: _Place, parts: tuple[str, ...]) -> _Place | None:
    """The place with the source that its folder, or the archive of a whole drop, names; None if none may be there."""
    contract = place.contract
    if contract.split_by is None:
        return place if len(parts) == 2 else None
    if contract.split_by == "practice":
        return replace(place, source=parts[1]) if len(parts) == 3 and is_ods_code(parts[1]) else None
    is_archive = len(parts) == 2 and place.path.suffix in (".zip", databases.SUFFIX)
    drop = place.path.stem if is_archive else "/".join(parts[1:-1])
    named = re.fullmatch(contract.drop_name or "", drop, flags=re.ASCII)
    if named is None or not _is_moment(named["moment"]):
        return None
    return replace(place, source=named["source"], moment=named["moment"])


def _file(place: _Place, digest: Digest) -> LandedFile | UnknownFile:
    found = _named(place, place.path.name)
    if found is None:
        return place.unknown()
    sha256 = digest(place.path)
    problem = None if sha256 else "cannot be read: check its permissions"
    return replace(found, sha256=sha256 or "", size=place.path.stat().st_size, problem=problem)


def _named(place: _Place, name: str) -> LandedFile | None:
    """What a name says of a file, if it meets the contract; its content is not looked at."""
    contract = place.contract
    named = contract.match(name)
    if named is None:
        return None
    table = contract.table_named(named.get("table") or named.get("map") or next(iter(contract.tables)))
    if table is None or not _is_moment(named.get("moment")):
        return None
    return LandedFile(
        path=place.path,
        name=place.shown,
        feed=contract.feed,
        practice_code=contract.practice_of(place.source),
        table=table,
        moment=named.get("moment") or place.moment,
        rank=int(named.get("sequence") or 0),
        sha256="",
        size=0,
        source=place.source,
    )


def look_inside(path: Path, archive: Archive) -> list[tuple[Member, str]]:
    """The members of an archive, each with its SHA-256.

    Raises:
        LandingError: something in it is broken or unsafe; nothing of it may be used.
    """
    if path.suffix == databases.SUFFIX:
        return [(member, databases.hash_table(path, member)) for member in databases.list_tables(path, archive)]
    return [(member, hash_member(path, member)) for member in list_members(path, archive, ignored=archive.ignored)]


def _open_archive(place: _Place, archive: Archive, look: Look, *, moment: str) -> list[LandedFile | UnknownFile]:
    """The members of an archive; all of it is unknown if anything in it is unsafe."""
    if not _is_moment(moment):
        return [place.unknown()]
    try:
        return [_member(replace(place, moment=moment), *member) for member in look(place.path, archive)]
    except LandingError as error:
        return [UnknownFile(place.shown, str(error))]


def _member(place: _Place, member: Member, digest: str) -> LandedFile | UnknownFile:
    inside = replace(place, shown=f"{place.shown}/{member.name}"[:200])
    found = _named(inside, member.base_name)
    return inside.unknown() if found is None else replace(found, sha256=digest, size=member.size, member=member.name)


def _is_moment(digits: str | None) -> bool:
    """True if a name holds no moment, or one whose first eight digits are a day."""
    try:
        return not digits or bool(dt.datetime.strptime(digits[:8], "%Y%m%d"))
    except ValueError:
        return False
