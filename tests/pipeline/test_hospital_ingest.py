"""Hospital activity in every form it comes in: the same made-up stays as HES and as SUS, and files others made."""

import csv
import datetime as dt
import os
import shutil
from pathlib import Path

import polars as pl
import pytest

from pipelines.io.landing import hospital_records, hospital_round
from pipelines.io.landing.holding import accept_delivery
from pipelines.io.landing.ingest import ingest
from pipelines.io.landing.quarantine import count_quarantine
from pipelines.io.ledger import OUTCOMES, read_ledger
from pipelines.settings import Settings
from tests.lib import emis, hospital
from tests.lib.counting import physical_records
from tests.lib.workspaces import land

SHARED = Path(os.environ.get("CASEFINDER_SHARED_DATA", "/nowhere"))
TABLES = ("spells", "emergency_attendances")


def history(settings: Settings) -> dict[str, pl.DataFrame]:
    return {
        name: pl.concat([pl.read_parquet(path) for path in sorted((settings.history / name).glob("*.parquet"))])
        for name in TABLES
    }


def prove_balance(settings: Settings) -> pl.DataFrame:
    """The hospital rows of the ledger, each checked against a count that is not the loader's."""
    ledger = read_ledger(settings.home).filter(pl.col("feed") == "hospital")
    for row in ledger.iter_rows(named=True):
        assert physical_records(settings.landing / row["file"]) == row["records"], row["table"]
        assert sum(row[name] for name in OUTCOMES) == row["records"], row["table"]
    return ledger


@pytest.fixture(scope="module")
def by_format(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Settings]:
    """The same people with hospital activity as HES, as SUS in small batches, and as both."""
    home = tmp_path_factory.mktemp("formats")
    both = land(home / "both", people=80, formats=("emis", "reference", "hospital", "sus"))
    made = {"both": both}
    for name, others in (("hes", "SUS"), ("sus", "HES")):
        shutil.copytree(both.home, home / name)
        made[name] = Settings(home=home / name)
        for path in (made[name].landing / "hospital").glob(f"{others}_*"):
            path.unlink()
    assert ingest(made["hes"]).refused == ingest(made["both"]).refused == ()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hospital_round, "BATCH", 30)
        patch.setattr(hospital_records, "SLICE", 30)
        assert ingest(made["sus"]).refused == ()
    return made


@pytest.mark.parametrize("other", ["sus", "both"])
def test_the_same_stays_make_the_same_rows_in_any_form(by_format: dict[str, Settings], other: str) -> None:
    expected, found = history(by_format["hes"]), history(by_format[other])
    for name in TABLES:
        assert expected[name].height > 10
        assert found[name].equals(expected[name]), name


def test_every_record_is_accounted_for(by_format: dict[str, Settings]) -> None:
    for settings in by_format.values():
        prove_balance(settings)
        held = count_quarantine(settings).filter(pl.col("feed") == "hospital")
        assert set(held["rule"]) <= {"person_not_held", "stay_not_held"}
    sus = prove_balance(by_format["sus"]).select("table", *OUTCOMES).rows_by_key("table", named=True)
    assert sus[hospital.SPELL][0]["deleted"] == sus[hospital.LOG][0]["deleted"] > 0


PERSON_KEYS, EXPECTED = (
    "PERSON_KEYS",
    {
        "HES_APC": {"records": 2_075, "loaded": 2_074, "quarantined": 1},
        "HES_AE": {"records": 1_000, "loaded": 1_000, "quarantined": 0},
        "HES_OP": {"records": 1_000, "loaded": 0, "quarantined": 0},
        "PERSON_KEYS": {"records": 1_666, "loaded": 1_666, "quarantined": 0},
    },
)


@pytest.mark.shared_data
@pytest.mark.slow
@pytest.mark.skipif(
    not (SHARED / "artificial-hes").is_dir(), reason="needs artificial HES: set CASEFINDER_SHARED_DATA to its folder"
)
def test_artificial_hes_is_held_until_its_pseudonyms_have_keys(tmp_path: Path) -> None:
    settings = emis.workspace(tmp_path / "workspace")
    people: dict[str, int] = {}
    (settings.landing / "hospital").mkdir()
    for path in sorted((SHARED / "artificial-hes").glob("*.csv")):
        shutil.copy(path, settings.landing / "hospital")
        if "_op_" not in path.name:
            with path.open(encoding="utf-8") as file:
                people |= dict.fromkeys(row["PSEUDO_HESID"] for row in csv.DictReader(file))
    people = {pseudonym: number for number, pseudonym in enumerate(people)}
    emis.whole_extract().write(settings.landing)
    report = ingest(settings)
    held = report.quarantine.filter(pl.col("feed") == "hospital").select("table", "rule", "records").rows()
    assert held == [
        ("HES_AE", "person_not_held", 1_000),
        ("HES_APC", "date_missing", 1),
        ("HES_APC", "person_not_held", 2_075),
    ]
    prove_balance(settings)

    extract = emis.Extract(moment=emis.SECOND).add_practice()
    for number in people.values():
        extract.add_patient(number)
    extract.add_observation(1, 1).write(settings.landing)
    hospital.write_person_keys(settings.landing, people)
    accept_delivery(
        settings,
        feed="emis",
        source=emis.PRACTICE,
        moment=emis.SECOND,
        accepted_by="A. Nalyst",
        accepted_on=dt.date(2026, 11, 9),
        reason="The practice's whole list comes a week late",
    )
    ingest(settings)
    ledger = prove_balance(settings)
    found = {row["table"]: {name: row[name] for name in EXPECTED["HES_APC"]} for row in ledger.to_dicts()}
    assert found == EXPECTED
    rows = history(settings)
    assert {name: frame.height for name, frame in rows.items()} == {"spells": 2_074, "emergency_attendances": 1_000}
    assert rows["spells"]["discharged_date"].null_count() == 80
    assert rows["spells"]["entered_date"].max() < dt.date(2002, 6, 1)
