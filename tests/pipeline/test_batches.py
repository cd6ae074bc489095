"""A large table is decided on in batches: what is held is as if all of it had been decided on at once."""

import shutil
from pathlib import Path

import pytest

from pipelines.io.landing.ingest import ingest
from pipelines.settings import Settings
from tests.lib import emis
from tests.lib.defects.answer_key import plant, plant_systmone
from tests.lib.workspaces import digests, land


def held(settings: Settings, home: Path, *, batch: int) -> dict[str, str]:
    """Digests of all that is held after an ingest of a copy of the workspace."""
    shutil.copytree(settings.home, home)
    ingest(settings.model_copy(update={"home": home, "extract_batch": batch}))
    return {name: digest for name, digest in digests(home).items() if not name.endswith("digests.parquet")}


def test_batches_change_nothing(tmp_path: Path) -> None:
    settings = land(tmp_path / "landed", people=300)
    assert held(settings, tmp_path / "small", batch=150) == held(settings, tmp_path / "whole", batch=10**9)


def test_an_entry_that_comes_under_two_patients_counts_once(tmp_path: Path) -> None:
    settings = emis.workspace(tmp_path / "landed")
    extract = emis.whole_extract()
    for patient in (1, 2, 3):
        extract.add_observation(77, patient, EffectiveDate=f"2025-0{patient}-01")
    extract.write(settings.landing)
    assert held(settings, tmp_path / "small", batch=1) == held(settings, tmp_path / "whole", batch=10**9)


@pytest.mark.slow
def test_defects_are_caught_in_batches_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CASEFINDER_EXTRACT_BATCH", "200")
    for planted in (plant(tmp_path / "emis").grade(), plant_systmone(tmp_path / "systmone").grade()):
        assert planted.missed == []
        assert planted.touched == []
