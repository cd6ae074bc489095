"""What practices send back, and how it changes the next list."""

import datetime as dt
from pathlib import Path

import openpyxl
import pytest

from data_contracts.actions import load_actions
from pipelines.io.feedback import Feedback, read_feedback
from pipelines.io.identity import load_key, person_id
from pipelines.io.releases import write_release
from pipelines.settings import Settings
from pipelines.steps.lists import build_target_lists
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


def answer(settings: Settings, cells: dict[str, object], *, add: str | None = None) -> Feedback | None:
    """What is read after a practice filled in the cells of its workbook and sent it back."""
    book = openpyxl.load_workbook(settings.releases / "latest" / "practices" / "A81001" / "target_list.xlsx")
    for place, value in cells.items():
        book["Target list"][place] = value
    book["Add a person"]["A2"] = add
    back = settings.landing / "feedback" / "A81001" / "target_list.xlsx"
    back.parent.mkdir(parents=True, exist_ok=True)
    book.save(back)
    return read_feedback(settings, as_of=NEXT_WEEK, rules=RULES)


def number_in(settings: Settings, row: int) -> str:
    book = openpyxl.load_workbook(settings.releases / "latest" / "practices" / "A81001" / "target_list.xlsx")
    return str(book["Target list"][f"B{row}"].value).replace(" ", "")


def test_decisions_come_back_with_person_and_day(workspace: Settings) -> None:
    read = answer(workspace, {"J2": "booked", "K2": dt.date(2026, 11, 18), "J3": "declined"})
    key = load_key(workspace)
    people = [person_id(number_in(workspace, row), key) for row in (2, 3)]
    assert read is not None
    assert read.decisions.rows() == [
        ("A81001", people[0], "booked", dt.date(2026, 11, 18)),
        ("A81001", people[1], "declined", AS_OF),
    ]
    assert (read.files, read.refused_files, read.refused_rows) == (1, 0, 0)


def test_people_can_be_added(workspace: Settings) -> None:
    number = nhs_numbers(1)[0]
    read = answer(workspace, {}, add=f"{number[:3]} {number[3:6]} {number[6:]}")
    assert read is not None
    assert read.decisions.row(0)[1:3] == (person_id(number, load_key(workspace)), "add this person")


@pytest.mark.parametrize(
    "cells",
    [{"J2": "maybe"}, {"J2": "booked", "B2": "999 000 0000"}, {"J2": "booked", "K2": NEXT_WEEK}],
    ids=["unknown decision", "wrong number", "a day ahead"],
)
def test_answers_that_cannot_be_used_are_counted(workspace: Settings, cells: dict[str, object]) -> None:
    read = answer(workspace, cells)
    assert read is not None
    assert (read.decisions.height, read.refused_rows) == (0, 1)


def test_a_day_beyond_the_calendar_refuses_that_workbook_only(workspace: Settings) -> None:
    read = answer(workspace, {"J2": "booked", "K2": 99_999_999})
    assert read is not None
    assert (read.refused_files, read.decisions.height) == (1, 0)


def test_a_file_that_is_no_workbook_is_counted_and_stops_nothing(tmp_path: Path) -> None:
    settings = write_workspace(tmp_path, weekly_rows(20), LISTS.clear())
    folder = settings.landing / "feedback" / "A81001"
    folder.mkdir(parents=True)
    (folder / "note.xlsx").write_text("see you on Monday", encoding="utf-8")
    read = read_feedback(settings, as_of=NEXT_WEEK, rules=RULES)
    assert read is not None
    assert (read.files, read.refused_files, read.decisions.height) == (1, 1, 0)


def test_nothing_sent_back_is_nothing_read(tmp_path: Path) -> None:
    assert read_feedback(Settings(home=tmp_path), as_of=NEXT_WEEK, rules=RULES) is None
