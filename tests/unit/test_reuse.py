"""What a run leaves as it is: parts of weekly tables of which nothing that they are made from has changed."""

import datetime as dt
import sys
from pathlib import Path

import duckdb
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.io import reuse
from pipelines.io.warehouse import Warehouse
from pipelines.io.weekly_build import build_tables
from pipelines.settings import Settings
from tests.lib.tables import AS_OF, table

ICBS = ("QE1", "QF7")
CODELISTS = ("hypertension", "copd", "asthma")


def write_events(home: Path, icb: str, rows: list[tuple[int, str]]) -> None:
    entries = "\n".join(f"{person} | P{icb} | {codelist} | 2020-01-01" for person, codelist in rows)
    heading = "person_id | practice_code | codelist | event_date"
    Warehouse(Settings(home=home)).write("events", AS_OF, icb, table("events", f"{heading}\n{entries}"))


def write_registrations(home: Path, icb: str, people: range) -> None:
    rows = "\n".join(f"{person} | P{icb}" for person in people)
    registrations = table("registrations", f"person_id | practice_code\n{rows}")
    Warehouse(Settings(home=home)).write("registrations", AS_OF, icb, registrations)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Two ICBs of three people each, all with an entry."""
    for icb, first in zip(ICBS, (1, 11), strict=True):
        write_registrations(tmp_path, icb, range(first, first + 3))
        write_events(tmp_path, icb, [(person, "hypertension") for person in range(first, first + 3)])
    return tmp_path


def reused(home: Path, upto: str = "conditions", as_of: dt.date = AS_OF, **chosen: float) -> dict[str, int]:
    """Parts left as they were, by table, where there are any."""
    warehouse = Warehouse(Settings(home=home, **chosen), reuses=True)
    reports = build_tables(warehouse, as_of, upto=upto)
    return {name: report.reused for name, report in reports.items() if report.reused}


def test_what_has_not_changed_is_left_as_it_is(home: Path) -> None:
    assert reused(home) == {}
    before = {path: path.stat().st_mtime_ns for path in (home / "tables").rglob("*.parquet")}
    assert reused(home) == dict.fromkeys(("closed_practices", "dissents", "eligibility", "people", "conditions"), 2)
    assert before == {path: path.stat().st_mtime_ns for path in (home / "tables").rglob("*.parquet")}


def test_only_the_icb_whose_records_changed_is_made_again(home: Path) -> None:
    reused(home)
    write_events(home, "QF7", [(11, "copd")])
    assert reused(home) == {"closed_practices": 2, "dissents": 1, "eligibility": 1, "people": 1, "conditions": 1}
    found = Warehouse(Settings(home=home)).read("conditions", AS_OF).select("person_id", "condition").collect()
    assert found.rows() == [(1, "hypertension"), (2, "hypertension"), (3, "hypertension"), (11, "copd")]


def test_a_table_that_comes_out_the_same_changes_nothing_made_from_it(home: Path) -> None:
    reused(home, upto="register_counts")
    write_events(home, "QF7", [(person, "hypertension") for person in (11, 12, 13, 13)])
    found = reused(home, upto="register_counts")
    assert {name: found[name] for name in ("conditions", "registers", "register_counts")} == {
        "conditions": 1,
        "registers": 1,
        "register_counts": 2,
    }


def test_a_part_that_was_changed_by_hand_is_made_again(home: Path) -> None:
    reused(home)
    path = Warehouse(Settings(home=home)).path("conditions", AS_OF, "QE1")
    right = path.read_bytes()
    pl.read_parquet(path).head(1).write_parquet(path)
    assert reused(home)["conditions"] == 1
    assert path.read_bytes() == right


def test_another_date_is_another_table(home: Path) -> None:
    reused(home)
    assert reused(home, as_of=AS_OF + dt.timedelta(days=7)) == {}


def test_other_code_or_another_choice_makes_all_anew(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reused(home)
    assert reused(home, places_in_england=7) == {}
    reused(home)
    monkeypatch.setattr(reuse, "code_digest", lambda: "another version")
    assert reused(home) == {}


def test_a_signed_exception_to_sensitive_codes_makes_all_anew(home: Path) -> None:
    reused(home)
    (home / "sensitive_sets.yaml").write_text(
        "gender:\n  reviewer: A Reviewer\n  reason: A reason\n  decided_on: 2026-01-01\n  expires_on: 2027-01-01\n"
    )
    assert "conditions" not in reused(home)


def test_a_run_that_stopped_goes_on_where_it_stopped(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Warehouse, "_write_part", _all_but("conditions", fail))
        with pytest.raises(OSError, match="No space left"):
            reused(home)
    assert reused(home) == dict.fromkeys(("closed_practices", "dissents", "eligibility", "people"), 2)
    assert not list((home / "tables").rglob(".*"))


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on a file's size there")
def test_a_disk_that_is_full_leaves_the_tables_whole(home: Path) -> None:
    import resource

    reused(home)
    before = {path: path.read_bytes() for path in (home / "tables").rglob("*.parquet")}
    write_events(home, "QE1", [(1, "asthma"), (2, "copd")])
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, limits[1]))
    try:
        with pytest.raises((OSError, duckdb.Error)):
            reused(home)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert before == {path: path.read_bytes() for path in (home / "tables").rglob("*") if path.is_file()}
    assert reused(home)["conditions"] == 1


def _all_but(table_name: str, instead):
    write = Warehouse._write_part

    def write_part(self: Warehouse, answer: object, name: str, *place: object) -> None:
        return instead() if name == table_name else write(self, answer, name, *place)  # type: ignore[arg-type]

    return write_part


def test_no_reuse_where_nobody_asks_for_it(home: Path) -> None:
    reused(home)
    reports = build_tables(Warehouse(Settings(home=home)), AS_OF, upto="conditions")
    assert {report.reused for report in reports.values()} == {0}


CHANGES = st.lists(
    st.tuples(st.sampled_from(ICBS), st.lists(st.tuples(st.integers(1, 14), st.sampled_from(CODELISTS)), max_size=4)),
    min_size=1,
    max_size=3,
)


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(changes=CHANGES)
def test_what_is_reused_is_what_would_be_made(
    changes: list[tuple[str, list[tuple[int, str]]]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = tmp_path_factory.mktemp("changed")
    for icb, first in zip(ICBS, (1, 11), strict=True):
        write_registrations(home, icb, range(first, first + 3))
        write_events(home, icb, [(first, "asthma")])
    reused(home, upto="registers")
    for icb, rows in changes:
        write_events(home, icb, rows)
        reused(home, upto="registers")
    kept = {path: path.read_bytes() for path in sorted((home / "tables").rglob("*.parquet"))}
    build_tables(Warehouse(Settings(home=home)), AS_OF, upto="registers")
    assert kept == {path: path.read_bytes() for path in sorted((home / "tables").rglob("*.parquet"))}
