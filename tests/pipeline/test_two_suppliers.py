"""The same made-up people, once from EMIS and once from SystmOne: one history, up to record ids."""

import polars as pl
import pytest

from pipelines.io.identity import people_path
from pipelines.io.landing.ingest import ingest
from pipelines.io.ledger import prove, read_ledger
from pipelines.settings import Settings
from pipelines.synthetic.world import load_world
from tests.lib.workspaces import land

TABLES = ("registrations", "events", "medications", "contacts")


@pytest.fixture(scope="module")
def workspaces(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Settings]:
    home = tmp_path_factory.mktemp("suppliers")
    emis = land(home / "emis", people=200, practices=2, formats=("emis", "reference"))
    systmone = land(home / "systmone", people=200, practices=2, formats=("systmone", "reference"), key=emis.key_file)
    for settings in (emis, systmone):
        report = ingest(settings)
        assert not report.refused
        prove(read_ledger(settings.home))
    return {"emis": emis, "systmone": systmone}


def told(settings: Settings, table: str) -> pl.DataFrame:
    """A history table without record ids, in a fixed order; an EMIS reading of pressures has a row above the two."""
    path = next((settings.history / table).glob("*.parquet"))
    frame = pl.read_parquet(path).drop("record_id")
    if "concept_id" in frame.columns:
        parent = load_world().entry("parent_of_pressures")["code"]
        frame = frame.filter(pl.col("concept_id") != parent)
    return frame.sort(frame.columns)


@pytest.mark.parametrize("table", TABLES)
def test_both_suppliers_give_the_same_history(workspaces: dict[str, Settings], table: str) -> None:
    emis, systmone = (told(settings, table) for settings in workspaces.values())
    assert emis.height > 100
    assert systmone.equals(emis)


def test_both_suppliers_give_the_same_people(workspaces: dict[str, Settings]) -> None:
    found = [
        pl.read_parquet(next(people_path(settings, "x").parent.glob("*.parquet"))).drop("record_id")
        for settings in workspaces.values()
    ]
    emis, systmone = (frame.sort("practice_code", "nhs_number", "registered_date") for frame in found)
    assert systmone.equals(emis)


def test_what_systmone_alone_holds_is_told(workspaces: dict[str, Settings]) -> None:
    ledger = read_ledger(workspaces["systmone"].home).filter(pl.col("feed") == "systmone")
    blank = dict(ledger.group_by("table").agg(pl.col("blank").sum()).iter_rows())
    for table in ("SRCode", "SREvent", "SRPrimaryCareMedication", "SRVisit", "SRPatientAddressHistory"):
        assert blank[table] > 0, table
