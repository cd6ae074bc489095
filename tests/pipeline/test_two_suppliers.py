"""The same made-up people, once from EMIS and once from SystmOne: one history, up to record ids."""

import datetime as dt
from pathlib import Path

import polars as pl
import pytest

from data_contracts.codelists import codes_of
from pipelines.io.identity import people_path
from pipelines.io.landing.dissent import DISSENTS
from pipelines.io.landing.holding import accept_delivery
from pipelines.io.landing.ingest import IngestReport, ingest
from pipelines.io.ledger import prove, read_ledger
from pipelines.settings import Settings
from pipelines.synthetic.world import load_world
from tests.lib import emis as emis_files
from tests.lib import systmone as systmone_files
from tests.lib.workspaces import digests, land

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


@pytest.fixture
def moving(tmp_path: Path) -> Settings:
    """A workspace whose practice is held from EMIS, one row of it in quarantine; its SystmOne set has landed too."""
    settings = emis_files.workspace(tmp_path / "workspace")
    emis_files.whole_extract().add_observation(91, 1, CodeId="77777").write(settings.landing)
    assert not ingest(settings).refused
    systmone_files.whole_extract().write(settings.landing)
    return settings


def accept(settings: Settings, feed: str, moment: str) -> None:
    accept_delivery(
        settings,
        feed=feed,
        source=emis_files.PRACTICE,
        moment=moment,
        accepted_by="A. Nalyst",
        accepted_on=dt.date(2026, 11, 9),
        reason="The practice moved supplier",
    )


def moment_of(report: IngestReport, feed: str) -> str:
    return str(report.files.filter(feed=feed)["window_end"].max())


def held(settings: Settings, table: str) -> pl.DataFrame:
    return pl.concat([pl.read_parquet(path) for path in (settings.history / table).glob("*.parquet")])


def test_a_practice_that_another_feed_holds_waits_and_nothing_changes(moving: Settings) -> None:
    before = digests(moving.history / "events") | digests(moving.identity / "people")
    report = ingest(moving)
    assert {refusal.status for refusal in report.refused} == {"held"}
    assert "if they moved to this supplier, casefinder accept" in report.refused[0].reason
    assert digests(moving.history / "events") | digests(moving.identity / "people") == before


def test_a_practice_that_moved_supplier_is_held_from_the_new_one_only(moving: Settings, tmp_path: Path) -> None:
    alone = emis_files.workspace(tmp_path / "alone")
    alone.key_file.write_bytes(moving.key_file.read_bytes())
    systmone_files.whole_extract().write(alone.landing)
    assert not ingest(alone).refused
    accept(moving, "systmone", moment_of(ingest(moving), "systmone"))
    assert not ingest(moving).refused
    prove(read_ledger(moving.home))
    for table in TABLES:
        assert held(moving, table).equals(held(alone, table)), table
    people = [pl.read_parquet(list(people_path(each, "x").parent.glob("*.parquet"))) for each in (moving, alone)]
    assert people[0].equals(people[1])
    counts = pl.read_parquet(moving.history / "quarantine_counts.parquet")
    assert "emis" not in set(counts["feed"])
    assert read_ledger(moving.home).filter(feed="emis")["quarantined"].sum() == 0
    states = pl.read_parquet(moving.history / "feed_states.parquet").filter(practice_code=emis_files.PRACTICE)
    assert states.drop_nulls("moment")["feed"].to_list() == ["systmone"]


@pytest.mark.parametrize("brought", [True, False])
def test_dissents_must_come_with_a_practice_that_moves(tmp_path: Path, brought: bool) -> None:
    settings = emis_files.workspace(tmp_path / "workspace")
    emis_files.whole_extract().add_observation(90, 1, CodeId="3").write(settings.landing)
    ingest(settings)
    whole = systmone_files.whole_extract()
    (whole.add_dissent(90, 1) if brought else whole).write(settings.landing)
    accept(settings, "systmone", moment_of(ingest(settings), "systmone"))
    report = ingest(settings)
    dissents = held(settings, "events").filter(pl.col("concept_id").is_in(codes_of(DISSENTS)))
    assert dissents.height == 1
    if not brought:
        assert "1 of them without one" in report.refused[0].reason
        assert held(settings, "events").height == 7


def test_dissents_are_looked_for_in_the_icb_where_the_practice_was(tmp_path: Path) -> None:
    settings = emis_files.workspace(tmp_path / "workspace")
    systmone_files.whole_extract().add_dissent(90, 1).write(settings.landing)
    ingest(settings)
    emis_files.whole_extract().write(settings.landing)
    accept(settings, "emis", moment_of(ingest(settings), "emis"))
    epraccur = settings.landing / "reference" / "epraccur.csv"
    moved = epraccur.read_text("utf-8").replace(f'Y99","{emis_files.ICB}', 'Y99","QYY', 1)
    epraccur.write_text(moved, "utf-8")
    assert "1 of them without one" in ingest(settings).refused[0].reason
    assert held(settings, "events").filter(pl.col("concept_id").is_in(codes_of(DISSENTS))).height == 1


def test_a_late_delivery_of_the_supplier_before_changes_nothing(moving: Settings) -> None:
    accept(moving, "systmone", moment_of(ingest(moving), "systmone"))
    ingest(moving)
    before = digests(moving.history / "events")
    emis_files.Extract(moment=emis_files.SECOND).add_observation(99, 1).write(moving.landing)
    report = ingest(moving)
    assert {refusal.status for refusal in report.refused} == {"refused"}
    assert digests(moving.history / "events") == before


def test_a_practice_can_move_back(moving: Settings) -> None:
    accept(moving, "systmone", moment_of(ingest(moving), "systmone"))
    ingest(moving)
    emis_files.whole_extract(moment=emis_files.SECOND).write(moving.landing)
    accept(moving, "emis", moment_of(ingest(moving), "emis"))
    assert not ingest(moving).refused
    states = pl.read_parquet(moving.history / "feed_states.parquet").filter(practice_code=emis_files.PRACTICE)
    assert states.drop_nulls("moment")["feed"].to_list() == ["emis"]
    assert held(moving, "registrations").height == held(moving, "registrations")["person_id"].n_unique()
