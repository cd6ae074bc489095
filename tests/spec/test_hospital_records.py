"""What a spell is: one row per stay, whatever number of episodes, files and sentinels it came in."""

import datetime as dt
from pathlib import Path

import polars as pl
import pytest

from data_contracts.registry import CONTRACTS
from pipelines.io.landing.ingest import ingest
from pipelines.settings import Settings
from tests.lib import emis
from tests.lib.emis import Row, episode


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = emis.workspace(tmp_path / "workspace")
    emis.whole_extract().write(settings.landing)
    return settings


def spells(settings: Settings, *rows: Row, day: str = "20261110") -> list[dict[str, object]]:
    emis.write_hospital(settings.landing, list(rows), day=day)
    ingest(settings)
    path = settings.history / "spells" / f"{emis.ICB}.parquet"
    if not path.exists():
        return []
    frame = pl.read_parquet(path)
    CONTRACTS["spells"].validate(frame)
    return frame.sort("admitted_date", "admission_method", "discharged_date", nulls_last=True).to_dicts()


def rules(settings: Settings) -> list[str]:
    held = pl.read_parquet(settings.identity / "quarantine" / "hospital" / "hospital.parquet")
    return held["reasons"].to_list()


def test_episodes_of_one_stay_are_one_spell(settings: Settings) -> None:
    (spell,) = spells(
        settings,
        episode(1, "2", EPIORDER="2", EPISTART="2025-02-03", DIAG_01="I500", DIAG_02="J44.0", DISMETH="4"),
        episode(1, "1", EPIORDER="1", DIAG_01="J440", DIAG_02="E119", OPERTN_01="-   "),
    )
    assert spell["diagnosis_codes"] == "J440|E119|I500"
    assert spell["procedure_codes"] is None
    assert (spell["admission_method"], spell["discharge_method"]) == ("21", "4")
    assert spell["discharged_date"] == dt.date(2025, 2, 5)


def test_a_stay_without_a_discharge_is_open(settings: Settings) -> None:
    dates = ["", "1800-01-01", "1801-01-01"]
    rows = [episode(1, f"K{n}", DISDATE=date, EPISTAT="1", PROCODE=f"R{n}{n}") for n, date in enumerate(dates)]
    assert [spell["discharged_date"] for spell in spells(settings, *rows)] == [None] * 3


BAD_EPISODES: list[tuple[Row, str]] = [
    ({"ADMIDATE": "1801-01-01"}, "date_missing"),
    ({"ADMIDATE": "1989-12-31", "DISDATE": "1990-01-03"}, "date_too_early"),
    ({"ADMIDATE": "2026-11-11", "DISDATE": ""}, "date_after_extract"),
    ({"DISDATE": "2025-01-31"}, "discharged_before_admission"),
    ({"ADMIMETH": ""}, "admission_method_missing"),
    ({"NEWNHSNO": "9990000019"}, "nhs_number_not_valid"),
    ({"NEWNHSNO": emis.nhs_number(70)}, "person_not_held"),
    ({"EPIKEY": ""}, "key_missing"),
]


def test_each_episode_that_breaks_a_rule_is_held_for_it(settings: Settings) -> None:
    rows = [episode(1, str(number)) | values for number, (values, _) in enumerate(BAD_EPISODES)]
    assert spells(settings, *rows) == []
    assert rules(settings) == [rule for _, rule in BAD_EPISODES]


def test_an_unknown_diagnosis_is_none(settings: Settings) -> None:
    (spell,) = spells(settings, episode(1, "1", DIAG_01="R69X"))
    assert spell["diagnosis_codes"] is None


def test_the_first_known_diagnosis_is_primary(settings: Settings) -> None:
    (spell,) = spells(
        settings,
        episode(1, "1", DIAG_01="R69X"),
        episode(1, "2", EPIORDER="2", EPISTART="2025-02-02", DIAG_01="I50X"),
    )
    assert spell["diagnosis_codes"] == "I50X"


def test_a_finished_episode_replaces_the_unfinished_one(settings: Settings) -> None:
    (spell,) = spells(
        settings,
        episode(1, "1", EPISTAT="1", DISDATE="", DIAG_01="R69X"),
        episode(1, "2", EPISTAT="3", DIAG_01="J441"),
    )
    assert (spell["diagnosis_codes"], spell["discharged_date"]) == ("J441", dt.date(2025, 2, 5))


def test_admission_methods_stay_as_they_are(settings: Settings) -> None:
    methods = ["28", "2A", "2B", "2C", "81"]
    found = spells(settings, *[episode(1, method, ADMIMETH=method, PROCODE=f"R{method}") for method in methods])
    assert [spell["admission_method"] for spell in found] == methods


def test_a_transfer_to_another_provider_is_a_spell_of_its_own(settings: Settings) -> None:
    both = spells(settings, episode(1, "1"), episode(1, "2", PROCODE="RYY", ADMIMETH="2B"))
    assert [spell["admission_method"] for spell in both] == ["21", "2B"]


def test_two_stays_on_one_day_are_two_spells(settings: Settings) -> None:
    both = spells(
        settings,
        episode(1, "1", DISDATE="2025-02-01", ADMIMETH="12"),
        episode(1, "2", EPISTART="2025-02-02", ADMIMETH="21"),
    )
    assert [spell["admission_method"] for spell in both] == ["12", "21"]


def test_a_later_delivery_replaces_the_spell(settings: Settings) -> None:
    spells(settings, episode(1, "1", DISDATE="", EPISTAT="1"))
    (spell,) = spells(settings, episode(1, "1"), day="20261117")
    assert spell["discharged_date"] == dt.date(2025, 2, 5)


def test_a_spell_was_known_at_its_load_date_or_a_lag_after_discharge(settings: Settings) -> None:
    (spell,) = spells(settings, episode(1, "1"))
    assert spell["entered_date"] == dt.date(2025, 2, 5) + dt.timedelta(days=45)


def test_a_record_is_never_known_later_than_its_extract(settings: Settings) -> None:
    (spell,) = spells(settings, episode(1, "1", ADMIDATE="2026-11-01", EPISTART="2026-11-01", DISDATE="2026-11-09"))
    assert spell["entered_date"] == dt.date(2026, 11, 10)


def test_an_attendance_is_one_row(settings: Settings) -> None:
    row = {"NEWNHSNO": emis.nhs_number(2), "AEKEY": "A1", "ARRIVALDATE": "2026-01-01", "AEDEPTTYPE": "01"}
    emis.write_hospital(settings.landing, [], [row, row, row | {"AEKEY": "A2", "AEDEPTTYPE": "&"}])
    report = ingest(settings)
    frame = pl.read_parquet(settings.history / "emergency_attendances" / f"{emis.ICB}.parquet")
    assert sorted(frame["department_type"].to_list(), key=str) == ["01", None]
    assert report.files.filter(pl.col("table") == "HES_AE")["superseded"].to_list() == [1]


def test_a_record_moves_with_the_person_to_another_icb(settings: Settings) -> None:
    folder = settings.landing / "reference"
    text = (folder / "epraccur.csv").read_text("utf-8")
    (folder / "epraccur.csv").write_text(text.replace(f'Y99","{emis.ICB}', 'Y99","QYY', 1), "utf-8")
    spells(settings, episode(1, "1"))
    mover = emis.Extract(emis.OTHER_PRACTICE, emis.SECOND).add_practice()
    mover.add_patient(1, DateOfRegistration="2026-10-01").write(settings.landing)
    ingest(settings)
    spells_of = {code: pl.read_parquet(settings.history / "spells" / f"{code}.parquet") for code in ("QYY", emis.ICB)}
    assert (spells_of["QYY"].height, spells_of[emis.ICB].height) == (0, 1)
    (spell,) = spells(settings, episode(1, "1", DISMETH="4"), day="20261117")
    assert (spell["practice_code"], spell["discharge_method"]) == (emis.OTHER_PRACTICE, "4")
