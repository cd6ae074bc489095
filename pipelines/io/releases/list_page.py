"""Writes a practice's target list as one page to read or print: A4 landscape, nothing loaded from elsewhere."""

from pathlib import Path

from data_contracts.actions import Actions
from pipelines.io.releases.summary import environment, style
from pipelines.io.releases.workbook import COLUMNS, PracticeList, cover_lines, long_date

TO_WRITE = "Decision and note"


def write_list_page(sheet: PracticeList, path: Path, *, rules: Actions) -> None:
    """Writes the page: the cover, then a row a person in rank order, with room to write."""
    page = (
        environment()
        .get_template("list.jinja")
        .render(
            sheet=sheet,
            as_of=long_date(sheet.as_of),
            style=style(),
            cover=cover_lines(sheet, rules=rules),
            headings=[column.heading for column in COLUMNS if column.source] + [TO_WRITE],
        )
    )
    path.write_text(page, encoding="utf-8", newline="\n")
