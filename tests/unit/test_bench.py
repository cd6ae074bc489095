"""The page that the performance bill is written on."""

from pathlib import Path

import polars as pl

from pipelines.bench import BILL, write_bills


def test_the_page_has_a_line_a_part_and_a_chart_beside_it(tmp_path: Path) -> None:
    rows = [
        ("made-up history", None, 700, 2.0, None, 20.0, None, None, 0.5, 3.0),
        ("people", 1000, 900, 0.5, 0.1, 5.0, 0.05, 10.0, 0.75, 1.5),
        ("release", 900, 300, 1.0, 0.2, 10.0, 0.05, 20.0, 0.5, 0.5),
    ]
    bill = pl.DataFrame(rows, schema=BILL, orient="row")
    write_bills({100_000: bill}, tmp_path / "performance.md")
    text = (tmp_path / "performance.md").read_text("utf-8")
    assert "| people | 1,000 | 900 | 0.50 | 0.10 | 5.00 | 10.0 | 0.75 | 1.5 |" in text
    assert "| 100,000 | 1.5 | 15.0 | 10.0 | 0.75 | 20.0 |" in text
    assert (tmp_path / "performance.svg").read_text("utf-8").startswith("<svg")
