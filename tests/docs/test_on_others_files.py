"""The page about files that others made says what comes of them today, with every record accounted for."""

import os
from pathlib import Path

import pytest

from tests.prove.prove_others import PAGE, report_on

SHARED = Path(os.environ.get("CASEFINDER_SHARED_DATA", "/nowhere"))
pytestmark = [
    pytest.mark.slow,
    pytest.mark.shared_data,
    pytest.mark.skipif(not (SHARED / "omop").is_dir(), reason="needs the files: set CASEFINDER_SHARED_DATA"),
]


def test_page_is_current_and_every_file_balances(tmp_path: Path) -> None:
    findings, page = report_on(SHARED, tmp_path)
    assert [finding.claim for finding in findings if not finding.holds] == []
    assert PAGE.read_text("utf-8") == page, "run `make prove ONLY=ingest`"
