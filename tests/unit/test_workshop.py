"""A child that loads an extract is held to its room: what it may open, take and last; and its end is told."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import polars as pl
import pytest

from pipelines.io.landing.confinement import Limits, code_folders
from pipelines.io.landing.errors import LandingError
from pipelines.io.landing.places import Places
from pipelines.io.landing.protocol import Bench
from pipelines.io.landing.workshop import Room, Workshop

PLACES = Places(practices=pl.DataFrame(), lsoas=pl.DataFrame())
ONLY_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="Linux confines what a process may open")


@pytest.fixture
def workshop(tmp_path: Path) -> Iterator[Workshop]:
    for name in ("landing", "work", "identity"):
        (tmp_path / name).mkdir()
    (tmp_path / "landing" / "extract.csv").write_text("a,b\n1,2\n", "utf-8")
    (tmp_path / "identity" / "people.csv").write_text("a,b\n1,2\n", "utf-8")
    readable = frozenset({tmp_path / "landing", *code_folders()})
    engine = {
        "temp_directory": str(tmp_path / "work"),
        "allowed_directories": [str(tmp_path / "landing"), str(tmp_path / "work")],
        "enable_external_access": False,
        "lock_configuration": True,
    }
    limits = Limits(memory_bytes=1 << 30, seconds=2, file_bytes=1 << 20)
    room = Room(readable=readable, work=tmp_path / "work", engine=engine, limits=limits, key=b"k" * 32, batch=9)
    with closing(Workshop(room)) as made:
        yield made


def run(workshop: Workshop, task: Callable[[Path, Bench], object], home: Path) -> object:
    return workshop.run(task, home, work=home / "work", facts={"places": PLACES}, where="landing/here")


def loads(home: Path, bench: Bench) -> int:
    rows = bench.con.read_csv(str(home / "landing" / "extract.csv")).pl()
    rows.write_parquet(bench.work / "rows.parquet")
    return rows.height


def crashes(home: Path, bench: Bench) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def hangs(home: Path, bench: Bench) -> None:
    time.sleep(60)


def computes_for_ever(home: Path, bench: Bench) -> None:
    while True:
        pass


def eats_memory(home: Path, bench: Bench) -> None:
    kept = []
    while True:
        kept.append(bytearray(256 << 20))


def fills_the_disk(home: Path, bench: Bench) -> None:
    with (bench.work / "bomb").open("wb") as file:
        while True:
            file.write(b"\0" * (1 << 16))


def quotes_a_value(home: Path, bench: Bench) -> None:
    raise ValueError("999 000 0018")


def panics_and_quotes_a_value(home: Path, bench: Bench) -> None:
    os.write(2, b"999 000 0018")  # as Rust tells of a panic
    raise pl.exceptions.PanicException("999 000 0018")


def refuses(home: Path, bench: Bench) -> None:
    raise LandingError(expected="a file", found="none", where="landing")


def opens_identity(home: Path, bench: Bench) -> str:
    return (home / "identity" / "people.csv").read_text("utf-8")


def opens_identity_by_polars(home: Path, bench: Bench) -> int:
    return pl.read_csv(home / "identity" / "people.csv").height


def opens_identity_by_sql(home: Path, bench: Bench) -> int:
    return bench.con.read_csv(str(home / "identity" / "people.csv")).pl().height


def changes_landing(home: Path, bench: Bench) -> None:
    (home / "landing" / "extract.csv").write_text("changed", "utf-8")


def writes_beside(home: Path, bench: Bench) -> None:
    (home / "left_behind").write_text("x", "utf-8")


def connects(home: Path, bench: Bench) -> None:
    with socket.socket() as client:
        client.settimeout(1)
        client.connect(("127.0.0.1", 9))


def test_a_child_reads_landing_and_writes_its_work_folder(workshop: Workshop, tmp_path: Path) -> None:
    assert run(workshop, loads, tmp_path) == 1
    assert pl.read_parquet(tmp_path / "work" / "rows.parquet").height == 1


@pytest.mark.parametrize(
    ("task", "found"),
    [
        (crashes, "ended the process"),
        (hangs, "over 2 seconds"),
        (computes_for_ever, "ended the process|over 2 seconds"),
        (eats_memory, "MemoryError|ended the process"),
        (fills_the_disk, "OSError|ended the process"),
        (quotes_a_value, "ValueError at "),
        (panics_and_quotes_a_value, "PanicException at "),
        pytest.param(opens_identity, "PermissionError", marks=ONLY_LINUX),
        pytest.param(opens_identity_by_polars, "PermissionError|ComputeError", marks=ONLY_LINUX),
        (opens_identity_by_sql, "PermissionException|IOException"),
        pytest.param(changes_landing, "PermissionError", marks=ONLY_LINUX),
        pytest.param(writes_beside, "PermissionError", marks=ONLY_LINUX),
        pytest.param(connects, "PermissionError", marks=ONLY_LINUX),
    ],
)
def test_what_a_child_may_not_do_ends_as_a_refusal_and_the_next_task_runs(
    workshop: Workshop,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    task: Callable[[Path, Bench], object],
    found: str,
) -> None:
    with pytest.raises(LandingError, match=found) as refusal:
        run(workshop, task, tmp_path)
    assert "999" not in str(refusal.value)
    assert "999" not in capfd.readouterr().err
    assert not (tmp_path / "left_behind").exists()
    assert run(workshop, loads, tmp_path) == 1


def test_a_refusal_keeps_its_words_and_its_child(workshop: Workshop, tmp_path: Path) -> None:
    run(workshop, loads, tmp_path)
    children = list(workshop.idle)
    with pytest.raises(LandingError, match="expected a file; found none; look at landing"):
        run(workshop, refuses, tmp_path)
    assert workshop.idle == children


def test_two_tasks_go_on_beside_each_other_and_one_that_is_dropped_costs_the_other_nothing(
    workshop: Workshop, tmp_path: Path
) -> None:
    facts = {"places": PLACES}
    hanging = workshop.start(hangs, tmp_path, work=tmp_path / "work", facts=facts, where="landing/here")
    assert run(workshop, loads, tmp_path) == 1
    hanging.drop()
    assert run(workshop, loads, tmp_path) == 1
    assert (len(workshop.idle), len(workshop.busy)) == (1, 0)


def test_the_process_that_children_are_forked_from_has_no_threads_of_the_libraries() -> None:
    """A child forked beside a thread pool waits for ever for threads that it does not have."""
    code = (
        "from pathlib import Path; import pipelines.io.landing.registry; "
        "names = [path.read_text().strip() for path in Path('/proc/self/task').glob('*/comm')]; "
        "print([name for name in names if name.startswith(('polars-0', 'async', 'tokio'))])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"
