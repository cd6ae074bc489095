"""Writes a practice's target list as an Excel workbook and as CSV: text cells that can never run as a formula."""

import csv
import datetime as dt
import io
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import xlsxwriter
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from data_contracts.actions import Actions

RISKY_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What a spreadsheet may take for a formula at the start of a cell, full-width forms included."""
BLUE = "#005EB8"
SPARE_ROWS = 15
WARNINGS = {"Not for", "Mind"}


@dataclass(frozen=True)
class Column:
    """One column of the list: heading, source, width in characters."""

    heading: str
    source: str | None
    width: float


COLUMNS = [
    Column("Rank", "rank", 6),
    Column("NHS number", "nhs_number", 14),
    Column("Age", "age_years", 5),
    Column("Sex", "sex", 8),
    Column("Cohorts", "cohorts", 16),
    Column("Why now", "reasons", 50),
    Column("What to do", "suggested_action", 38),
    Column("Who", "role", 12),
    Column("Since last list", "change", 10),
    Column("Decision", None, 14),
    Column("Decided on", None, 10),
    Column("Note", None, 16),
    Column("Records known up to", "data_as_of", 12),
]


@dataclass(frozen=True)
class PracticeList:
    """Everything that a practice's file says, ready to write."""

    practice_code: str
    practice_name: str
    as_of: dt.date
    data_until: dt.date | None
    data_as_of: dt.date | None
    """Day of the last delivery that was loaded."""
    notices: tuple[str, ...]
    """What the practice should know of the state of its records, a sentence each."""
    registered: int
    places: int
    states_capacity: bool
    """Whether the places are what the practice stated; else they are the default."""
    rows: pl.DataFrame
    """One row per person in rank order, columns as the sources in COLUMNS, all text but rank and age."""
    left: pl.DataFrame
    """One row per person who left the list and is still registered here: nhs_number, weeks, reason."""
    gone: int
    """How many left the list as they are no longer registered here, or no longer counted."""


def in_three_parts(nhs_number: pl.Expr) -> pl.Expr:
    """An NHS number as people read it: 999 123 4567."""
    return pl.concat_str(
        nhs_number.str.slice(0, 3), pl.lit(" "), nhs_number.str.slice(3, 3), pl.lit(" "), nhs_number.str.slice(6, 4)
    )


def printable_rows(rows: pl.DataFrame, *, rules: Actions) -> pl.DataFrame:
    """The rows of a list with cohorts by title and every reason on its own line."""
    titles = {cohort.name: cohort.title for cohort in rules.cohorts}
    return rows.sort("rank").select(
        "rank",
        in_three_parts(pl.col("nhs_number")).alias("nhs_number"),
        "age_years",
        "sex",
        pl.col("cohorts").str.split("|").list.eval(pl.element().replace(titles)).list.join("\n").alias("cohorts"),
        pl.col("reasons").str.split("|").list.eval(pl.lit("• ") + pl.element()).list.join("\n").alias("reasons"),
        "suggested_action",
        "role",
        change=pl.when(pl.col("weeks_listed") == 1)
        .then(pl.lit("new"))
        .otherwise(pl.concat_str(pl.lit("week "), "weeks_listed", pl.lit(", no answer yet"))),
        data_as_of=pl.col("data_as_of").dt.to_string("iso").fill_null("not known"),
    )


def printable_leavers(rows: pl.DataFrame) -> pl.DataFrame:
    """The people who left a list, in the order of the NHS number."""
    return rows.sort("nhs_number").select(
        in_three_parts(pl.col("nhs_number")).alias("nhs_number"), weeks="weeks_listed", reason="reason"
    )


def write_csv(sheet: PracticeList, path: Path) -> None:
    """Writes the list as CSV that Excel opens: UTF-8 with a mark, CRLF, all quoted, risky starts escaped."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow(["As of", *[column.heading for column in COLUMNS]])
    for row in sheet.rows.rows(named=True):
        cells = [row[column.source] if column.source else "" for column in COLUMNS]
        writer.writerow([sheet.as_of.isoformat(), *[escape_cell(cell) for cell in cells]])
    path.write_bytes(text.getvalue().encode("utf-8-sig"))


def escape_cell(value: str | int) -> str:
    """The value as CSV text; an apostrophe before anything that a spreadsheet may run."""
    text = str(value)
    return f"'{text}" if text.lstrip(" \u00a0\u3000").startswith(RISKY_STARTS) else text


def write_workbook(sheet: PracticeList, path: Path, *, rules: Actions) -> None:
    """Writes the list as a workbook: a cover, the list, a sheet on which to add people, and who left the list."""
    options = {
        "in_memory": True,
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "strings_to_numbers": False,
        "default_date_format": "d mmm yyyy",
    }
    with xlsxwriter.Workbook(path, options) as book:
        book.set_properties(_properties(sheet))
        look = _Look(book)
        _write_cover(book.add_worksheet("About this list"), sheet, look, rules=rules)
        _write_list(book.add_worksheet("Target list"), sheet, look, rules=rules)
        _write_additions(book.add_worksheet("Add a person"), sheet, look)
        _write_left(book.add_worksheet("Left the list"), sheet, look)
        book.worksheets()[1].activate()


def _properties(sheet: PracticeList) -> dict[str, object]:
    """File properties; the creation time is the as-of date, so that the same list gives the same bytes."""
    return {
        "title": f"Target list of {sheet.practice_code}, {long_date(sheet.as_of)}",
        "author": "Casefinder",
        "created": dt.datetime.combine(sheet.as_of, dt.time(), tzinfo=dt.UTC),
    }


class _Look:
    """The cell formats of one workbook."""

    def __init__(self, book: xlsxwriter.Workbook) -> None:
        base = {"font_name": "Arial", "font_size": 10, "valign": "top", "text_wrap": True}
        grid = base | {"border": 1, "border_color": "#AEB7BD"}
        self.title: Format = book.add_format(
            {"font_name": "Arial", "font_size": 18, "bold": True, "font_color": BLUE}
        )
        self.text: Format = book.add_format(base)
        self.label: Format = book.add_format(base | {"bold": True})
        self.warning: Format = book.add_format(base | {"bold": True, "font_color": "#8A1538"})
        self.head: Format = book.add_format(grid | {"bold": True, "bg_color": BLUE, "font_color": "white"})
        self.cell: Format = book.add_format(grid)
        self.number: Format = book.add_format(grid | {"num_format": "0", "align": "center"})
        self.entry: Format = book.add_format(grid | {"bg_color": "#FFFDE7"})
        self.day: Format = book.add_format(grid | {"bg_color": "#FFFDE7", "num_format": "d mmm yyyy"})
        self.new: Format = book.add_format(grid | {"bold": True, "font_color": BLUE})


def _write_cover(page: Worksheet, sheet: PracticeList, look: _Look, *, rules: Actions) -> None:
    """The first sheet: what this is, who it is for, who must not use it, how many and how old."""
    page.hide_gridlines(2)
    page.set_column(0, 0, 26, look.text)
    page.set_column(1, 1, 78, look.text)
    page.write_string(0, 0, "Who to contact first this week", look.title)
    page.set_row(0, 30)
    for row, (label, text) in enumerate(cover_lines(sheet, rules=rules), start=2):
        page.write_string(row, 0, label, look.label)
        page.write_string(row, 1, text, look.warning if label in WARNINGS else look.text)
        page.set_row(row, _height(text, 78))
    _paper(page, sheet, landscape=False)


def cover_lines(sheet: PracticeList, *, rules: Actions) -> list[tuple[str, str]]:
    """Label and text of each line of the cover."""
    changes = sheet.rows["change"]
    until = long_date(sheet.data_until) if sheet.data_until else "not known"
    counts = f"{sheet.rows.height} people on this list; {(changes == 'new').sum()} new since the last one"
    left = (
        f"{sheet.left.height}, named with the reason in the workbook; {sheet.gone} more are not registered here now"
    )
    why = "as capacity.csv states" if sheet.states_capacity else f"the default: {_per_thousand(rules)}"
    sizes = f"{sheet.places} places this week for {sheet.registered:,} registered people ({why})"
    steps = (
        "Look at the record, decide, and pick a decision from the drop-down. Add people whom the list missed on the "
        "sheet for it. Send the workbook back as your ICB asked: decisions change next week's list."
    )
    return [
        ("Practice", f"{sheet.practice_name} ({sheet.practice_code})"),
        ("As of", f"{long_date(sheet.as_of)}: nothing recorded on or after this day is used"),
        ("Records known up to", long_date(sheet.data_as_of) if sheet.data_as_of else "not known"),
        ("Records entered up to", until),
        *[("Mind", notice) for notice in sheet.notices],
        ("People", counts),
        ("Left since then", left),
        ("Places", sizes),
        ("What it is for", rules.intended_use),
        ("Not for", "\n".join(f"• {use}" for use in rules.not_for)),
        ("How to use it", steps),
        ("Order", rules.tie_rule),
        ("QRISK3", rules.score_notice),
        ("Keep it safe", "Holds NHS numbers: for this practice alone. Delete it once it has been worked."),
        ("Questions", rules.contact),
    ]


def _per_thousand(rules: Actions) -> str:
    total = sum(cohort.slots_per_thousand for cohort in rules.cohorts)
    return f"{total:g} places per 1,000 people"


def _write_list(page: Worksheet, sheet: PracticeList, look: _Look, *, rules: Actions) -> None:
    """The list: frozen, filtered heading; typed text cells; drop-down decisions; prints on A4 landscape."""
    _write_heading(page, COLUMNS, look)
    for number, row in enumerate(sheet.rows.rows(named=True), start=1):
        _write_person(page, number, row, look)
    last = max(sheet.rows.height, 1)
    page.autofilter(0, 0, last, len(COLUMNS) - 1)
    page.freeze_panes(1, 2)
    choices = {
        "validate": "list",
        "source": [decision.name for decision in rules.decisions],
        "error_title": "Decision",
        "error_message": CHOOSE,
    }
    decision, decided = ([column.heading for column in COLUMNS].index(name) for name in ("Decision", "Decided on"))
    page.data_validation(1, decision, last, decision, choices)
    page.data_validation(1, decided, last, decided, _on_or_after(sheet.as_of))
    page.print_area(0, 0, last, len(COLUMNS) - 1)
    page.repeat_rows(0)
    _paper(page, sheet, landscape=True)


CHOOSE = "Choose one of the decisions in the drop-down; put anything else in the note."


def _write_heading(page: Worksheet, columns: list[Column], look: _Look) -> None:
    for place, column in enumerate(columns):
        page.set_column(place, place, column.width)
        page.write_string(0, place, column.heading, look.head)
    page.set_row(0, 30)


def _write_person(page: Worksheet, number: int, row: dict[str, str | int], look: _Look) -> None:
    """One person's cells: numbers as numbers, everything else as text."""
    page.set_row(number, max(_height(str(row[column.source]), column.width) for column in COLUMNS if column.source))
    for place, column in enumerate(COLUMNS):
        value = row[column.source] if column.source else None
        if value is None:
            page.write_blank(number, place, None, look.day if column.heading == "Decided on" else look.entry)
        elif isinstance(value, int):
            page.write_number(number, place, value, look.number)
        else:
            page.write_string(number, place, value, look.new if value == "new" else look.cell)


def _height(text: str, width: float) -> float:
    """About how high a row must be, in points, to show a text in a column of this width."""
    lines = sum(1 + int(len(line) / (width * 1.12)) for line in text.split("\n"))
    return min(13.5 * lines + 4, 400)


def _on_or_after(as_of: dt.date) -> dict[str, object]:
    """A rule that a decision's date is on or after the as-of date."""
    message = f"Enter the day of the decision, {long_date(as_of)} or later."
    return {"validate": "date", "criteria": ">=", "value": as_of, "error_title": "Date", "error_message": message}


def _write_additions(page: Worksheet, sheet: PracticeList, look: _Look) -> None:
    """A sheet of empty rows for people whom the practice wants on next week's list."""
    columns = [Column("NHS number", None, 18), Column("Why add this person", None, 60)]
    _write_heading(page, columns, look)
    text = look.entry
    text.set_num_format("@")
    for row in range(1, SPARE_ROWS + 1):
        for place in range(len(columns)):
            page.write_blank(row, place, None, text)
    page.freeze_panes(1, 0)
    _paper(page, sheet, landscape=True)


LEFT = [
    Column("NHS number", "nhs_number", 18),
    Column("Lists without an answer", "weeks", 14),
    Column("Why the person left the list", "reason", 60),
]


def _write_left(page: Worksheet, sheet: PracticeList, look: _Look) -> None:
    """The people of the last list who are not on this one, and why."""
    _write_heading(page, LEFT, look)
    for number, row in enumerate(sheet.left.rows(named=True), start=1):
        for place, column in enumerate(LEFT):
            value = row[str(column.source)]
            if isinstance(value, int):
                page.write_number(number, place, value, look.number)
            else:
                page.write_string(number, place, value, look.cell)
    page.freeze_panes(1, 0)
    _paper(page, sheet, landscape=True)


def _paper(page: Worksheet, sheet: PracticeList, *, landscape: bool) -> None:
    """A4, one page wide, with practice, date and page number at the foot."""
    page.set_paper(9)
    if landscape:
        page.set_landscape()
    page.set_margins(left=0.4, right=0.4, top=0.5, bottom=0.6)
    page.fit_to_pages(1, 0)
    page.set_footer(f"&L&8{sheet.practice_code}, as of {long_date(sheet.as_of)}&C&8Confidential&R&8Page &P of &N")


def long_date(date: dt.date) -> str:
    """A date as people write it: 3 May 2026."""
    return f"{date.day} {date:%B %Y}"
