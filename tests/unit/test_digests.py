"""A landed file is hashed once: again only if it, or the file in its place, is another one."""

import hashlib
import os
import time
from pathlib import Path

import polars as pl
import pytest

from pipelines.io.landing.archives import Member
from pipelines.io.landing.digests import DIGESTS, Digests
from pipelines.io.landing.errors import LandingError
from pipelines.io.landing.feeds import Archive


@pytest.fixture
def landed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that has been left alone for a while: the clock of the test runs an hour ahead."""
    path = tmp_path / "extract.csv"
    path.write_bytes(b"a,b\n1,2\n")
    now = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: now() + 3_600_000_000_000)
    return path


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def later(digests: Digests) -> Digests:
    return Digests(digests.landing, digests.result())


def test_a_file_left_as_it_was_is_not_opened_again(
    landed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Digests(tmp_path, pl.DataFrame(schema=DIGESTS))
    assert first.of(landed) == sha256(b"a,b\n1,2\n")
    monkeypatch.setattr(Path, "open", lambda *_: pytest.fail("the file was opened"))
    assert later(first).of(landed) == sha256(b"a,b\n1,2\n")


def test_same_size_and_time_of_writing_do_not_make_another_file_the_same(landed: Path, tmp_path: Path) -> None:
    first = Digests(tmp_path, pl.DataFrame(schema=DIGESTS))
    first.of(landed)
    times = landed.stat()
    landed.write_bytes(b"a,b\n3,4\n")
    os.utime(landed, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert later(first).of(landed) == sha256(b"a,b\n3,4\n")


def test_a_file_that_may_still_be_written_is_not_remembered(tmp_path: Path) -> None:
    path = tmp_path / "extract.csv"
    path.write_bytes(b"a,b\n")
    digests = Digests(tmp_path, pl.DataFrame(schema=DIGESTS))
    assert digests.of(path) == sha256(b"a,b\n")
    assert digests.result().is_empty()


def test_only_files_that_lie_there_now_are_remembered(landed: Path, tmp_path: Path) -> None:
    first = Digests(tmp_path, pl.DataFrame(schema=DIGESTS))
    first.of(landed)
    assert first.result()["path"].to_list() == ["extract.csv"]
    assert later(first).result().is_empty()


def test_an_archive_left_as_it_was_is_not_looked_into_again(landed: Path, tmp_path: Path) -> None:
    archive, part = tmp_path / "set.zip", tmp_path / "set.z01"
    looked: list[str] = []

    def look(path: Path, rules: Archive) -> list[tuple[Member, str]]:
        looked.append(rules.file_name)
        return [(Member("folder/a.csv", "a.csv", 3), "digest of a"), (Member("folder/b.csv", "b.csv", 4), "of b")]

    def rules(name: str) -> Archive:
        return Archive(file_name=name, largest_bytes=9, largest_ratio=9, most_members=9)

    for path in (archive, part):
        path.write_bytes(b"one")
    first = Digests(tmp_path, pl.DataFrame(schema=DIGESTS))
    found = first.inside(archive, rules("one"), look)
    assert later(first).inside(archive, rules("one"), look) == found
    assert looked == ["one"]
    assert later(first).inside(archive, rules("two"), look) == found
    assert looked == ["one", "two"]
    part.write_bytes(b"two")
    later(first).inside(archive, rules("one"), look)
    assert looked == ["one", "two", "one"]


def test_an_archive_that_is_refused_is_looked_into_each_time(landed: Path, tmp_path: Path) -> None:
    def refuse(path: Path, rules: Archive) -> list[tuple[Member, str]]:
        raise LandingError(expected="a sound archive", found="another", where="here")

    digests = Digests(tmp_path, pl.DataFrame(schema=DIGESTS))
    with pytest.raises(LandingError):
        digests.inside(landed, Archive(file_name="a", largest_bytes=9, largest_ratio=9, most_members=9), refuse)
    assert digests.result().is_empty()


def test_a_file_that_cannot_be_read_has_no_digest(tmp_path: Path) -> None:
    assert Digests(tmp_path, pl.DataFrame(schema=DIGESTS)).of(tmp_path / "nothing.csv") is None
