"""The national reference files, as published, load with every record accounted for."""

import os
from pathlib import Path

import polars as pl
import pytest

from data_contracts.registry import CONTRACTS
from pipelines.io.identity import make_key
from pipelines.io.landing.ingest import ingest
from pipelines.settings import Settings

SHARED = os.environ.get("CASEFINDER_SHARED_DATA")


@pytest.mark.shared_data
@pytest.mark.skipif(SHARED is None, reason="CASEFINDER_SHARED_DATA is not set: the published files are not here")
def test_published_practices_and_areas_load(tmp_path: Path) -> None:
    data = Path(str(SHARED))
    settings = Settings(home=tmp_path)
    make_key(settings.key_file)
    folder = settings.landing / "reference"
    folder.mkdir(parents=True)
    (folder / "epraccur.csv").write_bytes((data / "ods" / "epraccur.csv").read_bytes())
    partners = (data / "ods" / "ePCN_2022_PCN_Core_Partner_Details.csv").read_bytes()
    (folder / "epcncorepartnerdetails.csv").write_bytes(partners)
    report = ingest(settings)
    assert not report.refused
    practices = pl.read_parquet(settings.history / "practices.parquet")
    CONTRACTS["practices"].validate(practices)
    counts = {row["table"]: row for row in report.files.to_dicts()}
    assert counts["epraccur"]["records"] == 15_971
    assert practices.height == counts["epraccur"]["loaded"] > 6_000
    partners = counts["epcncorepartnerdetails"]
    assert (partners["records"], partners["quarantined"]) == (7_455, 0)
    assert practices["pcn_code"].count() > 6_000
