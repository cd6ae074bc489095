"""What practices send back, and how it changes the next list."""

import datetime as dt
from pathlib import Path

import openpyxl
import pytest

from data_contracts.actions import load_actions
from pipelines.io.feedback import read_answers
from pipelines.io.identity import load_key, person_id
from pipelines.io.landing.ingest import IngestReport, ingest
from pipelines.io.ledger import prove, read_ledger
from pipelines.io.releases import write_release
from pipelines.settings import Settings
from pipelines.steps.lists import build_target_lists
from tests.lib.counting import uncounted_files
from tests.lib.release_frames import AS_OF, nhs_numbers, weekly_rows, weekly_tables, write_workspace

RULES = load_actions()
ROWS = weekly_rows(2000)
LISTS = build_target_lists(weekly_tables(ROWS), rules=RULES, previous=None)
NEXT_WEEK = AS_OF + dt.timedelta(days=7)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    settings = write_workspace(tmp_path_factory.mktemp("answered"), ROWS, LISTS)
    write_release(settings, AS_OF)
    return settings


def answer(settings: Settings, cells: dict[str, object], *, add: str | None = None) -> IngestReport:
    """An ingest after a practice filled in the cells of its workbook and sent it back, alone in landing."""
    book = openpyxl.load_workbook(settings.releases / "latest" / "practices" / "A81001" / "target_list.xlsx")
    for place, value in cells.items():
        book["Target list"][place] = value
    book["Add a person"]["A2"] = add
    folder = settings.landing / "feedback" / "A81001"
    folder.mkdir(parents=True, exist_ok=True)
    back = folder / f"target_list ({len(list(folder.iterdir()))}).xlsx"
    book.save(back)
    report = ingest(settings)
    prove(read_ledger(settings.home))
    assert uncounted_files(settings.home) == []
    return report


def rows(settings: Settings) -> list[tuple[object, ...]]:
    return read_answers(settings, as_of=NEXT_WEEK).rows()


def number_in(settings: Settings, row: int) -> str:
    book = openpyxl.load_workbook(settings.releases / "latest" / "practices" / "A81001" / "target_list.xlsx")
    return str(book["Target list"][f"B{row}"].value).replace(" ", "")


def test_decisions_come_back_with_person_and_day(workspace: Settings) -> None:
    report = answer(workspace, {"J2": "booked", "K2": dt.date(2026, 11, 18), "J3": "declined"})
    key = load_key(workspace)
    people = [person_id(number_in(workspace, row), key) for row in (2, 3)]
    assert set(rows(workspace)) >= {
        ("A81001", people[0], "booked", dt.date(2026, 11, 18)),
        ("A81001", people[1], "declined", AS_OF),
    }
    assert report.totals | {"quarantined": 0} == report.totals
    assert (report.totals["records"], report.totals["loaded"]) == (2, 2)


def test_people_can_be_added(workspace: Settings) -> None:
    number = nhs_numbers(1)[0]
    answer(workspace, {}, add=f"{number[:3]} {number[3:6]} {number[6:]}")
    assert ("A81001", person_id(number, load_key(workspace)), "add this person", AS_OF) in rows(workspace)


def test_the_same_workbook_again_changes_nothing(workspace: Settings) -> None:
    answer(workspace, {"J4": "contacted"})
    before = rows(workspace)
    assert not ingest(workspace).changed
    assert rows(workspace) == before


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ({"J2": "maybe"}, "decision_not_known"),
        ({"J2": "booked", "B2": "999 000 0000"}, "nhs_number_not_valid"),
    ],
    ids=["unknown decision", "wrong number"],
)
def test_answers_that_cannot_be_used_are_held(workspace: Settings, cells: dict[str, object], reason: str) -> None:
    before = rows(workspace)
    report = answer(workspace, cells)
    assert (report.totals["loaded"], report.totals["quarantined"]) == (0, 1)
    assert reason in report.quarantine.filter(feed="feedback")["rule"].to_list()
    assert rows(workspace) == before


def test_an_answer_of_a_later_day_waits_for_that_week(workspace: Settings) -> None:
    before = rows(workspace)
    answer(workspace, {"J3": "booked", "K3": NEXT_WEEK})
    assert rows(workspace) == before
    assert len(read_answers(workspace, as_of=NEXT_WEEK + dt.timedelta(days=1))) > len(before)


def test_a_day_beyond_the_calendar_refuses_that_workbook_only(workspace: Settings) -> None:
    before = rows(workspace)
    report = answer(workspace, {"J2": "booked", "K2": 99_999_999})
    assert "a target list as a practice received it" in str(report.refused[0].reason)
    assert rows(workspace) == before


def test_a_file_that_is_no_workbook_is_refused_and_stops_nothing(tmp_path: Path) -> None:
    settings = write_workspace(tmp_path, weekly_rows(20), LISTS.clear())
    folder = settings.landing / "feedback" / "A81001"
    folder.mkdir(parents=True)
    (folder / "note.xlsx").write_text("see you on Monday", encoding="utf-8")
    assert [refusal.feed for refusal in ingest(settings).refused] == ["feedback"]
    assert rows(settings) == []


def test_nothing_sent_back_is_nothing_read(tmp_path: Path) -> None:
    assert rows(Settings(home=tmp_path)) == []
