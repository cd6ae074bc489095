"""Writes a practice's target list as one page to read or print: A4 landscape, nothing loaded from elsewhere."""

from pathlib import Path

from data_contracts.actions import Actions
from pipelines.io.releases.summary import write_page
from pipelines.io.releases.workbook import COLUMNS, PracticeList, cover_lines, long_date

TO_WRITE = "Decision and note"


def write_list_page(sheet: PracticeList, path: Path, *, rules: Actions) -> None:
    """Writes the page: the cover, then a row a person in rank order, with room to write."""
    write_page(
        "list.jinja",
        path,
        sheet=sheet,
        as_of=long_date(sheet.as_of),
        cover=cover_lines(sheet, rules=rules),
        headings=[column.heading for column in COLUMNS if column.source] + [TO_WRITE],
    )
