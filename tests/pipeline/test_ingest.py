"""What ingestion does with whole deliveries: good, changed, replayed, refused."""

from pathlib import Path

import polars as pl
import pytest

from data_contracts.registry import CONTRACTS
from pipelines.io.identity import load_key, person_ids
from pipelines.io.landing.ingest import IngestReport, ingest
from pipelines.io.ledger import OUTCOMES, prove, read_ledger
from pipelines.settings import Settings
from tests.lib import emis


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return emis.workspace(tmp_path / "workspace")


def table(settings: Settings, name: str) -> pl.DataFrame:
    frame = pl.read_parquet(settings.history / name / f"{emis.ICB}.parquet")
    CONTRACTS[name].validate(frame)
    return frame


def row_of(report: IngestReport, name: str) -> dict[str, object]:
    found = report.files.filter(pl.col("table") == name)
    assert found.height == 1
    return found.row(0, named=True)


def counts(report: IngestReport, name: str) -> dict[str, int]:
    return {outcome: row_of(report, name)[outcome] for outcome in OUTCOMES if row_of(report, name)[outcome]}


def rules(report: IngestReport) -> dict[tuple[str, str], int]:
    return {(row["table"], row["rule"]): row["records"] for row in report.quarantine.to_dicts()}


def person(settings: Settings, number: int) -> int:
    return person_ids([emis.nhs_number(number)], load_key(settings))[0]


def snapshot(settings: Settings) -> dict[str, bytes]:
    kept = [path for path in settings.home.rglob("*") if path.is_file() and settings.landing not in path.parents]
    return {str(path.relative_to(settings.home)): path.read_bytes() for path in sorted(kept)}


def test_a_whole_extract_becomes_history_that_meets_its_contracts(settings: Settings) -> None:
    emis.whole_extract().write(settings.landing)
    report = ingest(settings)
    assert not report.refused
    assert {
        name: table(settings, name).height for name in ("registrations", "events", "medications", "contacts")
    } == {
        "registrations": 3,
        "events": 6,
        "medications": 3,
        "contacts": 6,
    }
    assert table(settings, "registrations")["lsoa_code"].to_list() == ["E01000001"] * 3
    assert counts(report, "Appointment_Slot") == {"loaded": 3, "blank": 1}
    prove(read_ledger(settings.home))


def test_the_same_files_again_change_nothing(settings: Settings) -> None:
    emis.whole_extract().write(settings.landing)
    ingest(settings)
    before = snapshot(settings)
    report = ingest(settings)
    assert report.files.is_empty()
    assert snapshot(settings) == before
