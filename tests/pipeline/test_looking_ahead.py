"""While one practice's delivery is loaded the next is begun beside it: what comes out is as if it had waited."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.io.landing.ingest import ingest
from pipelines.io.landing.workshop import Workshop
from pipelines.settings import Settings
from tests.lib import emis
from tests.lib.workspaces import digests

PRACTICES = ("Z00001", "Z00002", "Z00003", "Z00004", "Z00005")
HELD = ("history", "identity", "quarantine", "ledger.parquet")


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A workspace with five practices' whole extracts ingested and a week's news landed.

    The third practice brings a code that the others use without bringing it; the second's delivery is refused.
    """
    settings = emis.workspace(tmp_path_factory.mktemp("ahead") / "workspace")
    emis.write_reference(settings.landing, PRACTICES)
    for number, practice in enumerate(PRACTICES):
        emis.whole_extract(practice, first_patient=1 + 10 * number).write(settings.landing)
    assert not ingest(settings).refused
    for number, practice in enumerate(PRACTICES):
        news = emis.Extract(practice, emis.SECOND)
        if practice == "Z00003":
            news.add("Coding_ClinicalCode", CodeId="77", Term="Term", SnomedCTConceptId=emis.HYPERTENSION)
        news.add("Admin_Organisation", OrganisationName="Made-up surgery", ODSCode=practice)
        news.add("Agreements_SharingOrganisation", IsActivated="true", Disabled="false", Deleted="false")
        first = 1 + 10 * number
        news.add_observation(5000 + first, first, CodeId="77").write(settings.landing)
        if practice == "Z00002":
            news.path(settings.landing, "CareRecord_Observation").write_bytes(b"")
    return settings


@pytest.fixture
def begun_early(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many children were busy each time that one was given a task."""
    seen: list[int] = []
    start: Callable[..., object] = Workshop.start

    def noting(self: Workshop, *arguments: object, **named: object) -> object:
        seen.append(len(self.busy))
        return start(self, *arguments, **named)

    monkeypatch.setattr(Workshop, "start", noting)
    return seen


def ingested(settings: Settings, home: Path, *, threads: int) -> dict[str, str]:
    """Digests of all that is held after an ingest of a copy of the workspace."""
    shutil.copytree(settings.home, home)
    report = ingest(settings.model_copy(update={"home": home, "threads": threads}))
    assert [refusal.source for refusal in report.refused] == ["Z00002"]
    held = digests(home)
    return {name: digest for name, digest in held.items() if name.startswith(HELD) and "digests" not in name}


def test_what_was_begun_early_changes_nothing(settings: Settings, tmp_path: Path, begun_early: list[int]) -> None:
    waited = ingested(settings, tmp_path / "waited", threads=1)
    assert max(begun_early) == 0
    assert ingested(settings, tmp_path / "ahead", threads=2) == waited
    # One was begun in vain: what it was begun with did not hold any more.
    assert sum(begun_early) >= 2


def test_what_was_begun_too_early_would_be_seen(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited = ingested(settings, tmp_path / "waited", threads=1)
    monkeypatch.setattr("pipelines.io.landing.practices._is_as_begun", lambda *_: True)
    assert ingested(settings, tmp_path / "ahead", threads=2) != waited
