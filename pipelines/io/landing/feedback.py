"""The workbooks that practices send back: what they decided about each person, and whom they want added."""

import datetime as dt
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import polars as pl

from data_contracts.actions import load_actions
from pipelines.io.feedback import ANSWERS, answers_path
from pipelines.io.identity import valid_nhs_numbers
from pipelines.io.landing.errors import LandingError
from pipelines.io.landing.feeds import load_feed
from pipelines.io.landing.files import LandedFile
from pipelines.io.landing.protocol import Bench, Landing, Stage
from pipelines.io.landing.quarantine import QUARANTINE, quarantine_path
from pipelines.io.landing.reading import FileCount

NAME, TABLE = "feedback", "answers"
_MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_RELATION = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
_CREATED = "{http://purl.org/dc/terms/}created"
_EXCEL_DAY_0 = dt.date(1899, 12, 30)
_ROWS = {"line": pl.UInt32, "nhs_number": pl.String, "decision": pl.String, "decided_date": pl.Date}
NO_WORKBOOK = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    ElementTree.ParseError,
    KeyError,
    IndexError,
    ValueError,
    OverflowError,
    StopIteration,
    RuntimeError,
)
"""What reading a file raises that is no list of ours."""


@dataclass(frozen=True)
class Answers:
    """What one workbook says: the answers that can be used, those that are held, and the file as counted."""

    good: pl.DataFrame
    held: pl.DataFrame
    count: FileCount


@dataclass(frozen=True)
class FeedbackFeed:
    """Practices' answers: each workbook adds to what is held, and the latest answer about a person decides."""

    name: str = NAME
    stage: Stage = "replies"

    def take(self, landing: Landing) -> None:
        """Loads or refuses every new workbook; an answer that cannot be used is held in quarantine."""
        store = landing.store
        for file in [file for file in landing.new if file.feed == self.name]:
            landing.tell(f"answers of {file.source}")
            try:
                answers = landing.run(load_answers, file, work=store.work(self.name, file.sha256))
            except LandingError as error:
                landing.register.refuse([file], source=file.source, reason=str(error))
                continue
            counts = {"loaded": answers.good.height, "quarantined": answers.held.height}
            outcomes = pl.DataFrame(
                [(file.sha256, file.moment, outcome, records) for outcome, records in counts.items()],
                schema=["sha256", "moment", "outcome", "records"],
                orient="row",
            )
            landing.register.account([answers.count], outcomes, practice_code=file.source)
            path = answers_path(store.settings)
            both = pl.concat([store.read(path, ANSWERS), answers.good]).unique().sort(list(ANSWERS))
            store.write(both, path)
            held = quarantine_path(store.settings, self.name, file.source)
            store.write(pl.concat([store.read(held, QUARANTINE), answers.held]), held)


FEED = FeedbackFeed()


def load_answers(file: LandedFile, bench: Bench) -> Answers:
    """The answers of one workbook. An answer without a day counts from the day of the list it answers.

    Raises:
        LandingError: it is no target list.
    """
    try:
        rows = list(_answers(file.path))
    except NO_WORKBOOK:
        raise LandingError(
            expected="a target list as a practice received it, with decisions filled in",
            found="a file that is none, or one whose sheets, headings or dates were changed",
            where=file.name,
        ) from None
    answers = pl.DataFrame(rows, schema=_ROWS, orient="row")
    known = [*(decision.name for decision in load_actions().decisions), load_feed(NAME).words["add"]]
    checked = answers.with_columns(number=valid_nhs_numbers(answers["nhs_number"])).with_columns(
        reasons=pl.concat_list(
            pl.when(pl.col("number").is_null()).then(pl.lit("nhs_number_not_valid")),
            pl.when(~pl.col("decision").is_in(known)).then(pl.lit("decision_not_known")),
        )
        .list.drop_nulls()
        .list.join("|")
    )
    good, bad = checked.filter(reasons=""), checked.filter(pl.col("reasons") != "")
    return Answers(
        good=bench.with_people(good.drop("nhs_number").rename({"number": "nhs_number"}))
        .with_columns(practice_code=pl.lit(file.source))
        .select(list(ANSWERS)),
        held=bad.select(
            "line",
            "reasons",
            feed=pl.lit(NAME),
            practice_code=pl.lit(file.source),
            table=pl.lit(TABLE),
            sha256=pl.lit(file.sha256),
            moment=pl.lit(file.moment),
            record_id=pl.lit(None, dtype=pl.Int64),
            raw=pl.struct("nhs_number", "decision", pl.col("decided_date").cast(pl.String)).struct.json_encode(),
        ).select(list(QUARANTINE)),
        count=FileCount(file=file, records=answers.height, blank=0),
    )


def _answers(path: Path) -> Iterator[tuple[int, str, str, dt.date]]:
    """Number, NHS number, decision and day of every row that was answered."""
    words = load_feed(NAME).words
    with zipfile.ZipFile(path) as book:
        if sum(member.file_size for member in book.infolist()) > words["most_bytes"]:
            raise ValueError("larger than any target list")
        made = _made(book)
        listed, added = _sheet(book, "Target list"), _sheet(book, "Add a person")
    heading = {text: place for place, text in listed[0].items()}
    number, decision, day = heading["NHS number"], heading["Decision"], heading["Decided on"]
    line = 0
    for row in listed[1:]:
        if row.get(decision):
            line += 1
            yield line, row.get(number, ""), row[decision], _day(row.get(day, ""), made)
    for row in added[1:]:
        if row.get("A"):
            line += 1
            yield line, row["A"], words["add"], made


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
