"""The history of registrations that EMIS makes on request: earlier registrations, and nothing about today's."""

import datetime as dt
from pathlib import Path

import polars as pl
import pytest

from pipelines.io.landing.emis_custom import STATUSES, earlier_registrations
from pipelines.io.landing.ingest import IngestReport, ingest
from pipelines.io.landing.quarantine import count_quarantine
from pipelines.io.ledger import prove, read_ledger
from pipelines.settings import Settings
from tests.lib import emis
from tests.lib.counting import uncounted_files
from tests.lib.emis import StatusChange, write_statuses

LEFT_AND_CAME_BACK: list[StatusChange] = [
    (1, "03/02/2001", "1", "4"),
    (1, "05/02/2001 09:30:00", "8", "4"),
    (1, "01/09/2004 00:00:00", "24", "4"),
    (1, "01/04/2010", "8", "4"),
]


def sound(settings: Settings) -> IngestReport:
    report = ingest(settings)
    prove(read_ledger(settings.home))
    assert uncounted_files(settings.home) == []
    return report


def registrations(settings: Settings) -> pl.DataFrame:
    paths = (settings.history / "registrations").glob("*.parquet")
    return pl.concat([pl.read_parquet(path) for path in paths])


def intervals(settings: Settings) -> list[tuple[str, str | None, str]]:
    """First and last day and type of each registration that is not the three patients' usual one."""
    rows = registrations(settings).filter(pl.col("registered_date") != dt.date(2010, 4, 1))
    found = rows.sort("registered_date", "record_id").select(
        "registered_date", "deregistered_date", "registration_type"
    )
    return [(str(first), str(last), kind) for first, last, kind in found.iter_rows()]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    made = emis.workspace(tmp_path)
    emis.whole_extract().write(made.landing)
    return made


@pytest.mark.parametrize("width", [5, 6])
def test_an_earlier_registration_is_a_row_of_its_own(settings: Settings, width: int) -> None:
    write_statuses(settings.landing, LEFT_AND_CAME_BACK, width=width)
    report = sound(settings)
    assert not report.refused
    assert intervals(settings) == [("2001-02-05", "2004-09-01", "regular")]
    rows = registrations(settings)
    assert rows.height == 4
    assert rows["record_id"].n_unique() == 4
    row = read_ledger(settings.home).filter(feed="emis_custom").row(0, named=True)
    assert (row["records"], row["loaded"]) == (4, 4)


def test_the_extract_alone_tells_who_is_registered_now(settings: Settings) -> None:
    """Patient 2 has left by this file, 3 joins only now by it, 1's type differs: none of that is taken."""
    write_statuses(
        settings.landing,
        [
            (1, "01/04/2010", "8", "5"),
            (2, "01/04/2010", "8", "4"),
            (2, "01/05/2026", "21", "4"),
            (3, "02/05/2026", "8", "4"),
        ],
    )
    sound(settings)
    assert intervals(settings) == []
    assert registrations(settings).filter(pl.col("deregistered_date").is_null()).height == 3


def test_each_file_replaces_the_one_before_and_a_deleted_patient_takes_all_along(settings: Settings) -> None:
    write_statuses(settings.landing, [*LEFT_AND_CAME_BACK, (2, "01/01/1990", "8", "5"), (2, "09/01/1990", "37", "5")])
    sound(settings)
    both = [("1990-01-01", "1990-01-09", "temporary"), ("2001-02-05", "2004-09-01", "regular")]
    assert intervals(settings) == both
    write_statuses(
        settings.landing,
        [*LEFT_AND_CAME_BACK, (2, "01/01/1991", "8", "4"), (2, "09/01/1991", "37", "4")],
        day="20261117",
    )
    sound(settings)
    assert intervals(settings) == [("1991-01-01", "1991-01-09", "regular"), both[1]]
    gone = emis.Extract(moment=emis.THIRD).add_deletion("Admin_Patient", "PatientGuid", emis.guid("patient", 1), 1)
    gone.write(settings.landing)
    sound(settings)
    assert intervals(settings) == [("1991-01-01", "1991-01-09", "regular")]


def test_a_file_that_came_before_the_extract_is_used_when_the_extract_comes(
    tmp_path: Path, settings: Settings
) -> None:
    write_statuses(settings.landing, LEFT_AND_CAME_BACK)
    sound(settings)
    early = emis.workspace(tmp_path / "early")
    early.key_file.write_bytes(settings.key_file.read_bytes())
    write_statuses(early.landing, LEFT_AND_CAME_BACK)
    report = sound(early)
    assert report.quarantine["rule"].to_list() == ["person_not_held"]
    emis.whole_extract().write(early.landing)
    sound(early)
    assert registrations(early).equals(registrations(settings))
    assert count_quarantine(early).is_empty()


def test_nothing_is_remembered_of_a_patient_who_is_kept_out_from_now_on(settings: Settings) -> None:
    write_statuses(settings.landing, [*LEFT_AND_CAME_BACK, (2, "01/01/1990", "8", "4")])
    sound(settings)
    emis.Extract(moment=emis.THIRD).add_patient(1, SpineSensitive="true").write(settings.landing)
    sound(settings)
    assert intervals(settings) == []
    kept = pl.read_parquet(settings.identity / "feeds" / "emis_custom_statuses.parquet")
    assert kept["patient_record_id"].n_unique() == kept.height == 1


@pytest.mark.parametrize("moment", [emis.SECOND, "20261124020000"])
def test_a_whole_extract_again_keeps_them(settings: Settings, moment: str) -> None:
    write_statuses(settings.landing, LEFT_AND_CAME_BACK)
    sound(settings)
    before = registrations(settings)
    emis.whole_extract(moment=moment).write(settings.landing)
    sound(settings)
    assert registrations(settings).equals(before)
    assert not sound(settings).changed


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ((1, "01/04/2027", "8", "4"), "date_after_extract"),
        ((1, "01/04/1950", "8", "4"), "date_before_birth"),
        ((1, "2001-02-05", "8", "4"), "date_not_readable"),
        ((1, "05/02/2001", "44", "4"), "registration_status_not_known"),
        ((1, "05/02/2001", "8", "17"), "registration_type_not_known"),
        ((1, "05/02/2001", "8", "7"), "dummy_patient"),
        ((99, "05/02/2001", "8", "4"), "person_not_held"),
    ],
)
def test_what_cannot_be_is_held_with_its_reason(settings: Settings, change: StatusChange, rule: str) -> None:
    write_statuses(settings.landing, [*LEFT_AND_CAME_BACK, change])
    sound(settings)
    held = count_quarantine(settings)
    assert held.select("feed", "rule", "records").rows() == [("emis_custom", rule, 1)]
    assert intervals(settings) == [("2001-02-05", "2004-09-01", "regular")]


def test_a_record_cut_short_or_said_twice_is_accounted_for(settings: Settings) -> None:
    path = write_statuses(settings.landing, [*LEFT_AND_CAME_BACK])
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines, lines[0], b"a\tb\r\n", lines[1][:40]]))
    sound(settings)
    row = read_ledger(settings.home).filter(feed="emis_custom").row(0, named=True)
    assert (row["loaded"], row["superseded"], row["quarantined"]) == (4, 1, 2)
    assert count_quarantine(settings)["rule"].to_list() == ["too_narrow", "truncated"]


def test_a_file_without_most_patients_is_refused_and_so_is_an_older_one(settings: Settings) -> None:
    several = [(number, when, status, kind) for number in (1, 2, 3) for _, when, status, kind in LEFT_AND_CAME_BACK]
    write_statuses(settings.landing, several)
    sound(settings)
    before = registrations(settings)
    write_statuses(settings.landing, LEFT_AND_CAME_BACK, day="20261117")
    write_statuses(settings.landing, several[:-1], day="20261103")
    refused = sound(settings).refused
    assert sorted(refusal.reason.split(";")[1].strip() for refusal in refused) == [
        "found one of 20261103",
        "found those of 1 of the 3 patients held: a truncated file",
    ]
    assert registrations(settings).equals(before)


def test_original_terms_are_counted_and_not_read(settings: Settings) -> None:
    folder = write_statuses(settings.landing, LEFT_AND_CAME_BACK).parent
    (folder / "EndeavourOriginalTerm.txt").write_text(f"1\t{emis.PRACTICE}\ta\tb\tFell off a horse\r\n", "utf-8")
    sound(settings)
    row = read_ledger(settings.home).filter(table="OriginalTerm").row(0, named=True)
    assert (row["records"], row["blank"], row["reason"]) == (1, 1, "nothing is taken from this table")


DAY = dt.datetime(2000, 1, 1)


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        pytest.param([(0, "registered", "regular")], [], id="left open"),
        pytest.param([(0, "applied", "regular"), (9, "ended", "regular")], [], id="never registered"),
        pytest.param([(0, "registered", "regular"), (0, "ended", "regular")], [], id="no day long"),
        pytest.param(
            [(0, "registered", "temporary"), (5, "registered", "regular"), (9, "ended", "regular")],
            [(0, 5, "temporary"), (5, 9, "regular")],
            id="type changed",
        ),
        pytest.param(
            [
                (0, "registered", "regular"),
                (3, "registered", "regular"),
                (9, "ended", "other"),
                (12, "ended", "regular"),
            ],
            [(0, 9, "regular")],
            id="said again",
        ),
        pytest.param([(90, "registered", "regular"), (101, "ended", "regular")], [], id="reaches into the extract's"),
        pytest.param(
            [(90, "registered", "regular"), (100, "ended", "regular")], [(90, 100, "regular")], id="up to it"
        ),
    ],
)
def test_a_registration_runs_from_registered_to_the_next_change(
    statuses: list[tuple[int, str, str]], expected: list[tuple[int, int, str]]
) -> None:
    rows = [
        {
            "patient_record_id": 7,
            "changed_at": DAY + dt.timedelta(days=day),
            "line": line,
            "status": status,
            "registration_type": kind,
        }
        for line, (day, status, kind) in enumerate(statuses)
    ]
    now = {"record_id": 7, "registered_date": (DAY + dt.timedelta(days=100)).date(), "registration_type": "regular"}
    schema = {
        "record_id": pl.Int64,
        "registered_date": pl.Date,
        "deregistered_date": pl.Date,
        "registration_type": pl.String,
    }
    found = earlier_registrations(pl.DataFrame(rows, schema=STATUSES), pl.DataFrame([now], schema=schema))
    days = [(pl.col(name) - DAY.date()).dt.total_days() for name in ("registered_date", "deregistered_date")]
    told = found.select(*days, "registration_type")
    assert told.rows() == expected
