"""Reads the workbooks that practices send back: what they decided about each person, and whom they want added."""

import datetime as dt
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import polars as pl

from data_contracts.actions import Actions
from pipelines.io.identity import load_key, person_ids, valid_nhs_numbers
from pipelines.settings import Settings

ADD = "add this person"
MOST_BYTES = 20_000_000
_MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_RELATION = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
_CREATED = "{http://purl.org/dc/terms/}created"
_EXCEL_DAY_0 = dt.date(1899, 12, 30)
_ROWS = {"practice_code": pl.String, "nhs_number": pl.String, "decision": pl.String, "decided_date": pl.Date}


@dataclass(frozen=True)
class Feedback:
    """What came back: decisions that can be used, and how many cannot."""

    decisions: pl.DataFrame
    """One row per answer: practice_code, person_id, decision, decided_date."""
    files: int
    refused_files: int
    refused_rows: int
    """Rows with a decision but no valid NHS number, an unknown decision, or a date that lies ahead."""


def read_feedback(settings: Settings, *, as_of: dt.date, rules: Actions) -> Feedback | None:
    """The answers in landing/feedback/<practice code>/*.xlsx made before the as-of date; None if there are none.

    An answer without a day counts from the day of the list it answers.
    """
    paths = sorted((settings.landing / "feedback").glob("*/*.xlsx"))
    if not paths:
        return None
    rows, refused = [], 0
    for path in paths:
        try:
            rows += list(_answers(path))
        except (
            zipfile.BadZipFile,
            ElementTree.ParseError,
            KeyError,
            IndexError,
            ValueError,
            OverflowError,
            StopIteration,
        ):
            refused += 1
    answers = pl.DataFrame(rows, schema=_ROWS, orient="row").unique(maintain_order=True)
    known = [*(decision.name for decision in rules.decisions), ADD]
    good = (
        answers.with_columns(nhs_number=valid_nhs_numbers(answers["nhs_number"]))
        .filter(pl.col("nhs_number").is_not_null() & pl.col("decision").is_in(known))
        .filter(pl.col("decided_date") < as_of)
    )
    ids = person_ids(good["nhs_number"], load_key(settings)).alias("person_id")
    decisions = good.with_columns(ids).select("practice_code", "person_id", "decision", "decided_date")
    return Feedback(decisions, len(paths), refused, answers.height - good.height)


def _answers(path: Path) -> Iterator[tuple[str, str, str, dt.date]]:
    """Practice code, NHS number, decision and day of every row that was answered."""
    with zipfile.ZipFile(path) as book:
        if sum(member.file_size for member in book.infolist()) > MOST_BYTES:
            raise ValueError("larger than any target list")
        made = _made(book)
        listed, added = _sheet(book, "Target list"), _sheet(book, "Add a person")
    heading = {text: place for place, text in listed[0].items()}
    number, decision, day = heading["NHS number"], heading["Decision"], heading["Decided on"]
    for row in listed[1:]:
        if row.get(decision):
            yield path.parent.name, row.get(number, ""), row[decision], _day(row.get(day, ""), made)
    for row in added[1:]:
        if row.get("A"):
            yield path.parent.name, row["A"], ADD, made


def _made(book: zipfile.ZipFile) -> dt.date:
    """The as-of date of the list, which its writer put down as the day the file was created."""
    created = ElementTree.fromstring(book.read("docProps/core.xml")).find(_CREATED)  # noqa: S314 - size is bounded
    return dt.date.fromisoformat((created.text or "")[:10] if created is not None else "")


def _day(text: str, made: dt.date) -> dt.date:
    """A date cell's day; the day of the list if the cell is empty."""
    return _EXCEL_DAY_0 + dt.timedelta(days=int(float(text))) if text else made


def _sheet(book: zipfile.ZipFile, name: str) -> list[dict[str, str]]:
    """The rows of one sheet: column letter to text."""
    sheets = ElementTree.fromstring(book.read("xl/workbook.xml")).iter(f"{_MAIN}sheet")  # noqa: S314 - size is bounded
    relation = next(sheet.get(_RELATION) for sheet in sheets if sheet.get("name") == name)
    links = ElementTree.fromstring(book.read("xl/_rels/workbook.xml.rels"))  # noqa: S314 - size is bounded
    target = next(link.get("Target", "") for link in links if link.get("Id") == relation)
    shared = _shared(book)
    rows = ElementTree.fromstring(book.read(f"xl/{target.removeprefix('/xl/')}")).iter(f"{_MAIN}row")  # noqa: S314 - size is bounded
    return [{_letters(cell): _text(cell, shared) for cell in row} for row in rows]


def _shared(book: zipfile.ZipFile) -> list[str]:
    """The texts that cells point at; some programs write none and keep every text in its cell."""
    if "xl/sharedStrings.xml" not in book.namelist():
        return []
    items = ElementTree.fromstring(book.read("xl/sharedStrings.xml"))  # noqa: S314 - size is bounded
    return ["".join(part.text or "" for part in item.iter(f"{_MAIN}t")) for item in items]


def _letters(cell: ElementTree.Element) -> str:
    return cell.get("r", "").rstrip("0123456789")


def _text(cell: ElementTree.Element, shared: list[str]) -> str:
    if cell.get("t") == "inlineStr":
        return "".join(part.text or "" for part in cell.iter(f"{_MAIN}t"))
    value = cell.findtext(f"{_MAIN}v") or ""
    return shared[int(value)] if cell.get("t") == "s" and value else value
