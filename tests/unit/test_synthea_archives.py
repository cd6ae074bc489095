"""Archives are opened only if everything in them is safe."""

import stat
import zipfile
from pathlib import Path

import pytest

from pipelines.io.landing.archives import ArchiveLimits, hash_member, list_members, open_member
from pipelines.io.landing.errors import LandingError

LIMITS = ArchiveLimits(largest_bytes=50_000_000, largest_ratio=200, most_members=5)


def _archive(folder: Path, members: dict[str, bytes], *, mode: int = 0) -> Path:
    path = folder / "drop.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = mode << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
    return path


def test_members_in_one_folder_are_listed_in_order(tmp_path: Path) -> None:
    archive = _archive(tmp_path, {"csv/": b"", "csv/patients.csv": b"Id\n1\n", "csv/encounters.csv": b"Id\n"})
    members = list_members(archive, LIMITS)
    assert [(member.base_name, member.size) for member in members] == [("encounters.csv", 3), ("patients.csv", 5)]
    with open_member(archive, members[1].name) as stream:
        assert stream.read() == b"Id\n1\n"


def test_hash_is_that_of_the_content(tmp_path: Path) -> None:
    archive = _archive(tmp_path, {"patients.csv": b"abc"})
    (member,) = list_members(archive, LIMITS)
    assert hash_member(archive, member) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.parametrize(
    ("names", "why"),
    [
        (["../patients.csv"], "plain relative names"),
        (["csv/../../patients.csv"], "plain relative names"),
        (["/etc/patients.csv"], "plain relative names"),
        (["C:patients.csv"], "plain relative names"),
        (["csv\\patients.csv\n"], "plain relative names"),
        (["one/patients.csv", "two/encounters.csv"], "one folder"),
        (["one/two/patients.csv"], "one folder"),
        (["patients.csv", "csv/encounters.csv"], "one folder"),
        (["patients.csv", "PATIENTS.csv"], "once"),
        ([f"{letter}.csv" for letter in "abcdef"], "at most 5 members"),
    ],
)
def test_unsafe_names_are_refused(tmp_path: Path, names: list[str], why: str) -> None:
    archive = _archive(tmp_path, dict.fromkeys(names, b"Id\n"))
    with pytest.raises(LandingError, match=why):
        list_members(archive, LIMITS)


def test_link_is_refused(tmp_path: Path) -> None:
    archive = _archive(tmp_path, {"patients.csv": b"/etc/passwd"}, mode=stat.S_IFLNK | 0o777)
    with pytest.raises(LandingError, match="link"):
        list_members(archive, LIMITS)


def test_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    archive = _archive(tmp_path, {"patients.csv": b"\0" * 5_000_000})
    with pytest.raises(LandingError, match="200 bytes out"):
        list_members(archive, LIMITS)


def test_archive_over_the_size_limit_is_refused(tmp_path: Path) -> None:
    archive = _archive(tmp_path, {"patients.csv": b"ab" * 400})
    with pytest.raises(LandingError, match="bytes unpacked"):
        list_members(archive, LIMITS.model_copy(update={"largest_bytes": 100}))


@pytest.mark.parametrize("content", [b"", b"not a zip archive", b"PK\x03\x04 cut off"])
def test_broken_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "drop.zip"
    path.write_bytes(content)
    with pytest.raises(LandingError, match="zip archive that can be read"):
        list_members(path, LIMITS)


def test_broken_member_is_refused(tmp_path: Path) -> None:
    archive = _archive(tmp_path, {"patients.csv": b"Id,BIRTHDATE\n1,2000-01-01\n"})
    content = bytearray(archive.read_bytes())
    content[content.index(b"patients.csv") + 14] ^= 0xFF
    archive.write_bytes(bytes(content))
    (member,) = list_members(archive, LIMITS)
    with pytest.raises(LandingError, match="zip archive that can be read"):
        hash_member(archive, member)
