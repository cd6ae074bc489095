"""Garbled files: every physical record ends as a row or as a held record, and nothing else is touched."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from pipelines.io.landing.ingest import IngestReport, ingest
from pipelines.io.ledger import OUTCOMES, prove, read_ledger
from pipelines.settings import Settings
from tests.lib import emis
from tests.lib.fuzz import fuzz

TABLE = "CareRecord_Observation"
Garble = Callable[[bytes], bytes]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return emis.workspace(tmp_path / "workspace")


def load(settings: Settings, garble: Garble) -> IngestReport:
    extract = emis.whole_extract()
    extract.write(settings.landing)
    path = extract.path(settings.landing, TABLE)
    path.write_bytes(garble(path.read_bytes()))
    return ingest(settings)


def outcome(report: IngestReport) -> dict[str, int]:
    row = report.files.filter(pl.col("table") == TABLE).row(0, named=True)
    return {name: row[name] for name in ("records", *OUTCOMES) if row[name]}


def reasons(report: IngestReport) -> dict[str, int]:
    return dict(report.quarantine.filter(pl.col("table") == TABLE).select("rule", "records").iter_rows())


def line(data: bytes, number: int, change: Callable[[bytes], bytes]) -> bytes:
    lines = data.split(b"\r\n")
    lines[number] = change(lines[number])
    return b"\r\n".join(lines)


SIX = {"records": 6, "loaded": 5, "quarantined": 1}


@pytest.mark.parametrize(
    ("garble", "expected", "rule"),
    [
        (lambda data: line(data, 2, lambda row: row.replace(b'"YMD"', b'"YMD')), SIX, "broken_quotes"),
        (lambda data: line(data, 3, lambda row: row + b',"more"'), SIX, "too_wide"),
        (lambda data: line(data, 3, lambda row: row.rsplit(b",", 1)[0]), SIX, "too_narrow"),
        (lambda data: line(data, 4, lambda row: row.replace(b'"YMD"', b'"Y\0D"')), SIX, "nul_byte"),
        (lambda data: line(data, 4, lambda row: row.replace(b'"YMD"', b'"Y\xff\xfeD"')), SIX, "bad_encoding"),
        (lambda data: line(data, 2, lambda row: row.replace(b'"YMD"', b'"Y"M"D"')), SIX, "broken_quotes"),
        (lambda data: data + b"\r\n\r\n", {"records": 8, "loaded": 6, "blank": 2}, None),
        (lambda data: data.replace(b"\r\n", b"\n"), {"records": 6, "loaded": 6}, None),
        (lambda data: b"\xef\xbb\xbf" + data, {"records": 6, "loaded": 6}, None),
        (
            lambda data: line(data, 3, lambda row: row.replace(b'"YMD"', b'"Y\r\nMD"')),
            {"records": 6, "loaded": 6},
            None,
        ),
    ],
    ids=[
        "unclosed",
        "wide",
        "narrow",
        "nul",
        "encoding",
        "stray",
        "blank",
        "newlines",
        "mark",
        "embedded",
    ],
)
def test_each_fault_costs_its_own_record_only(
    settings: Settings, garble: Garble, expected: dict[str, int], rule: str | None
) -> None:
    report = load(settings, garble)
    assert not report.refused
    assert outcome(report) == expected
    assert reasons(report) == ({rule: 1} if rule else {})
    prove(read_ledger(settings.home))


@pytest.mark.parametrize("garble", [lambda data: data[:-20], lambda data: data[: data.rfind(b',"')]])
def test_a_file_cut_off_is_refused_whole(settings: Settings, garble: Garble) -> None:
    assert "the last of them cut off" in load(settings, garble).refused[0].reason


def test_a_file_without_its_header_is_refused(settings: Settings) -> None:
    report = load(settings, lambda data: data.split(b"\r\n", 1)[1])
    assert "expected each required column of CareRecord_Observation once" in report.refused[0].reason
    assert "{" not in report.refused[0].reason


def test_a_repeated_header_is_refused(settings: Settings) -> None:
    report = load(settings, lambda data: data.replace(b'"AssociatedText"', b'"codeid"'))
    assert "found twice: code_id" in report.refused[0].reason


def test_a_hospital_file_cut_in_mid_line_holds_its_last_record(settings: Settings) -> None:
    emis.whole_extract().write(settings.landing)
    emis.write_hospital(settings.landing, [emis.episode(1, "E1"), emis.episode(2, "E2")])
    path = settings.landing / "hospital" / "HES_APC_20261110.txt"
    path.write_bytes(path.read_bytes()[:-3])
    report = ingest(settings)
    row = report.files.filter(pl.col("table") == "HES_APC").row(0, named=True)
    assert (row["records"], row["loaded"], row["quarantined"]) == (2, 1, 1)
    assert report.quarantine["rule"].to_list() == ["truncated"]


def test_the_ledger_balances_whatever_the_bytes(tmp_path: Path) -> None:
    """Files, archives and names garbled by seed; see tests/lib/fuzz.py for what must hold of each workspace."""
    files, wrong = fuzz(tmp_path, files=2_000, seed=1)
    assert files >= 2_000
    assert wrong == []
