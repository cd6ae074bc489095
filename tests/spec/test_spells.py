"""What one stay is: one row whatever it came in - HES, SUS, both, sent again, corrected, deleted, late."""

import datetime as dt
from pathlib import Path

import polars as pl
import pytest

from data_contracts.registry import CONTRACTS
from pipelines.io.landing.ingest import IngestReport, ingest
from pipelines.io.ledger import OUTCOMES
from pipelines.settings import Settings
from tests.lib import emis, hospital
from tests.lib.emis import episode
from tests.lib.hospital import Sus

LATER = "20261117"
DIED = {"spell.discharge.method": "4"}
OPEN = {"spell.discharge.date": "", "spell.discharge.method": ""}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = emis.workspace(tmp_path / "workspace")
    emis.whole_extract().write(settings.landing)
    return settings


def load(settings: Settings) -> IngestReport:
    """Ingests, and counts every landed file apart from the loader."""
    report = ingest(settings)
    assert report.refused == ()
    for row in report.files.filter(pl.col("feed") == "hospital").iter_rows(named=True):
        path = settings.landing / row["file"]
        lines = [line for line in path.read_bytes().split(b"\n")[1:] if line.strip()]
        assert len(lines) == row["records"] == sum(row[name] for name in OUTCOMES), row["table"]
    return report


def table(settings: Settings, name: str) -> list[dict[str, object]]:
    path = settings.history / name / f"{emis.ICB}.parquet"
    if not path.exists():
        return []
    frame = pl.read_parquet(path)
    CONTRACTS[name].validate(frame)
    assert frame["record_id"].is_unique().all()
    return frame.to_dicts()


def spells(settings: Settings) -> list[dict[str, object]]:
    load(settings)
    return table(settings, "spells")


def outcomes(report: IngestReport, name: str) -> dict[str, int]:
    (row,) = report.files.filter(pl.col("table") == name).select(OUTCOMES).to_dicts()
    return {outcome: count for outcome, count in row.items() if count}


def test_a_stay_in_several_tables_is_one_spell_with_its_codes_in_order(settings: Settings) -> None:
    delivery = Sus().add_stay(1, "11", ["J44.0", "E119"], ["I500", "J440"], procedures=("E852", "-", "X90"))
    delivery.tables[hospital.ICD].reverse()
    delivery.write(settings.landing)
    report = load(settings)
    (spell,) = table(settings, "spells")
    assert spell["diagnosis_codes"] == "J440|E119|I500"
    assert spell["procedure_codes"] == "E852|X90"
    assert (spell["admission_method"], spell["discharge_method"]) == ("21", "1")
    assert spell["discharged_date"] == dt.date(2025, 2, 5)
    assert outcomes(report, hospital.OPCS) == {"loaded": 2, "blank": 1}


def test_episodes_are_ordered_by_their_number(settings: Settings) -> None:
    delivery = Sus().add_stay(1, "11", ["J440"], ["I500"])
    delivery.tables[hospital.EPISODES][0]["number"] = "2"
    delivery.tables[hospital.EPISODES][1]["number"] = "1"
    delivery.write(settings.landing)
    (spell,) = spells(settings)
    assert spell["diagnosis_codes"] == "I500|J440"


@pytest.mark.parametrize("unknown", ["&", "R69X"])
def test_an_unknown_primary_diagnosis_keeps_its_place(settings: Settings, unknown: str) -> None:
    Sus().add_stay(1, "11", [unknown, "J440"]).add_stay(2, "12", [unknown]).write(settings.landing)
    emis.write_hospital(settings.landing, [episode(3, "1", DIAG_01=unknown, DIAG_02="J440")])
    found = {str(spell["diagnosis_codes"]) for spell in spells(settings)}
    assert found == {"R69X|J440", "None"}


def test_the_same_stay_from_hes_and_sus_is_one_row_as_sus_tells_it(settings: Settings) -> None:
    Sus().add_stay(1, "11", ["J441"], **DIED).write(settings.landing)
    emis.write_hospital(settings.landing, [episode(1, "1")])
    (spell,) = spells(settings)
    assert (spell["diagnosis_codes"], spell["discharge_method"]) == ("J441", "4")


def test_a_source_that_knows_the_end_or_the_codes_is_believed_first(settings: Settings) -> None:
    Sus().add_stay(1, "11", ["J441"], **OPEN).add_stay(2, "12").write(settings.landing)
    emis.write_hospital(settings.landing, [episode(1, "1"), episode(2, "2")])
    found = [(spell["discharged_date"], spell["diagnosis_codes"]) for spell in spells(settings)]
    assert found == [(dt.date(2025, 2, 5), "J440")] * 2


def test_a_stay_sent_again_is_one_row_that_was_known_when_first_told(settings: Settings) -> None:
    received = {"system.interchange.received_date": "2025-02-20"}
    Sus().add_stay(1, "11", ["J440"], **received).write(settings.landing)
    (before,) = spells(settings)
    again = received | {
        "spell.hospital_provider_spell_number": "changed",
        "system.interchange.received_date": "2026-11-15",
    }
    Sus(LATER, 200).add_stay(1, "99", ["J440"], **again).write(settings.landing)
    assert spells(settings) == [before]
    assert before["entered_date"] == dt.date(2025, 2, 20)


def test_a_corrected_stay_was_known_when_the_correction_reached_us(settings: Settings) -> None:
    Sus().add_stay(1, "11", ["J440"]).write(settings.landing)
    assert [spell["entered_date"] for spell in spells(settings)] == [dt.date(2025, 3, 22)]
    Sus(LATER, 200).add_stay(1, "11", ["I500"]).write(settings.landing)
    (spell,) = spells(settings)
    assert (spell["diagnosis_codes"], spell["entered_date"]) == ("I500", dt.date(2026, 11, 17))


def test_a_corrected_admission_date_leaves_no_second_spell(settings: Settings) -> None:
    Sus().add_stay(1, "11", ["J440"]).write(settings.landing)
    spells(settings)
    Sus(LATER, 200).add_stay(1, "11", ["J440"], **{"spell.admission.date": "2025-02-02"}).write(settings.landing)
    (spell,) = spells(settings)
    assert spell["admitted_date"] == dt.date(2025, 2, 2)


def test_a_late_record_of_a_year_told_before_reached_us_with_its_extract(settings: Settings) -> None:
    Sus().add_stay(1, "11", ["J440"]).write(settings.landing)
    spells(settings)
    late = Sus(LATER, 200).add_stay(2, "12", **{"system.interchange.received_date": "2025-03-01"})
    late.add_stay(3, "13", **{"spell.admission.date": "2024-03-31", "spell.discharge.date": "2024-04-02"})
    late.write(settings.landing)
    entered = {(str(spell["admitted_date"]), str(spell["entered_date"])) for spell in spells(settings)}
    assert entered == {("2025-02-01", "2025-03-22"), ("2025-02-01", "2026-11-17"), ("2024-03-31", "2024-05-17")}


def test_an_open_stay_that_ends_is_one_spell(settings: Settings) -> None:
    Sus().add_stay(1, "11", **OPEN).write(settings.landing)
    assert [spell["discharged_date"] for spell in spells(settings)] == [None]
    Sus(LATER, 200).add_stay(1, "12", ["J440"]).write(settings.landing)
    (spell,) = spells(settings)
    assert (spell["discharged_date"], spell["diagnosis_codes"]) == (dt.date(2025, 2, 5), "J440")


DELETIONS = [
    (99, "1", 1, "the import before the record's"),
    (100, "1", 0, "the record's own import"),
    (101, "true", 0, "a later import"),
    (101, "0", 1, "an entry that tells of an insert"),
]


@pytest.mark.parametrize(
    ("up_to", "flag", "left"), [case[:3] for case in DELETIONS], ids=[case[3] for case in DELETIONS]
)
def test_the_log_deletes_a_record_up_to_an_import(settings: Settings, up_to: int, flag: str, left: int) -> None:
    Sus().add_stay(1, "11", ["J440"]).add_stay(2, "12").write(settings.landing)
    assert len(spells(settings)) == 2
    Sus(LATER, 200).add_deletion("11", up_to=up_to, flag=flag).write(settings.landing)
    report = load(settings)
    assert len(table(settings, "spells")) == 1 + left
    assert outcomes(report, hospital.LOG) == ({"blank": 1} if flag == "0" else {"deleted": 1})


def test_a_deletion_that_came_first_still_deletes(settings: Settings) -> None:
    Sus("20261103", 200).add_deletion("11", up_to=150).write(settings.landing)
    assert spells(settings) == []
    Sus().add_stay(1, "11", ["J440", "E119"]).write(settings.landing)
    report = load(settings)
    assert table(settings, "spells") == []
    assert outcomes(report, hospital.SPELL) == {"deleted": 1}
    assert outcomes(report, hospital.ICD) == {"deleted": 2}


def test_a_deleted_stay_that_another_source_tells_of_stays(settings: Settings) -> None:
    Sus().add_stay(1, "11", ["J441"]).write(settings.landing)
    emis.write_hospital(settings.landing, [episode(1, "1")])
    spells(settings)
    Sus(LATER, 200).add_deletion("11", up_to=100).write(settings.landing)
    (spell,) = spells(settings)
    assert spell["diagnosis_codes"] == "J440"


def test_an_older_import_in_the_same_file_is_superseded_with_its_codes(settings: Settings) -> None:
    delivery = Sus().add_stay(1, "11", ["J440", "E119"])
    delivery.batch = 101
    delivery.add_stay(1, "11", ["I500"]).write(settings.landing)
    report = load(settings)
    (spell,) = table(settings, "spells")
    assert spell["diagnosis_codes"] == "I500"
    assert outcomes(report, hospital.SPELL) == {"loaded": 1, "superseded": 1}
    assert outcomes(report, hospital.ICD) == {"loaded": 1, "superseded": 2}


def test_an_older_delivery_that_comes_late_changes_nothing(settings: Settings) -> None:
    Sus(LATER, 200).add_stay(1, "11", ["I500"]).write(settings.landing)
    told = spells(settings)
    Sus().add_stay(1, "11", ["J440"]).write(settings.landing)
    report = load(settings)
    assert table(settings, "spells") == told
    assert outcomes(report, hospital.SPELL) == outcomes(report, hospital.ICD) == {"superseded": 1}


def test_a_refresh_that_comes_late_changes_nothing(settings: Settings) -> None:
    header = [*emis.EPISODE_COLUMNS.split("|"), "FYEAR"]
    folder = settings.landing / "hospital"
    hospital.write_csv(folder / f"HES_APC_{LATER}.csv", header, [episode(1, "1", FYEAR="2425")])
    told = spells(settings)
    late = [episode(1, "1", FYEAR="2425"), episode(2, "2", FYEAR="2425"), episode(3, "3", FYEAR="2324")]
    hospital.write_csv(folder / "HES_APC_20261110.csv", header, late)
    report = load(settings)
    assert len(table(settings, "spells")) == len(told) + 1
    (row,) = report.files.filter(pl.col("file").str.contains("20261110")).to_dicts()
    assert (row["loaded"], row["superseded"]) == (1, 2)


def test_codes_that_come_after_their_stay_join_it(settings: Settings) -> None:
    Sus().add_stay(1, "11").write(settings.landing)
    assert [spell["diagnosis_codes"] for spell in spells(settings)] == [None]
    own = {"PRIMARYKEY_ID": "11", "EPISODES_ID": "1", "ICD_ID": "1"}
    Sus(LATER, 200).add(hospital.ICD, **own, code="J440").write(settings.landing)
    assert [spell["diagnosis_codes"] for spell in spells(settings)] == ["J440"]


def test_codes_wait_for_a_stay_whose_person_is_not_held(settings: Settings) -> None:
    Sus().add_stay(50, "11", ["J440", "E119"]).write(settings.landing)
    report = load(settings)
    assert outcomes(report, hospital.ICD) == {"quarantined": 2}
    assert set(report.quarantine["rule"]) == {"person_not_held", "stay_not_held"}
    emis.Extract(moment=emis.SECOND).add_practice().add_patient(50).write(settings.landing)
    ingest(settings)
    (spell,) = table(settings, "spells")
    assert spell["diagnosis_codes"] == "J440|E119"


def test_a_pseudonym_needs_a_key_table(settings: Settings) -> None:
    Sus().add_stay(1, "11", ["J440"], **{hospital.PERSON: "DSCRO-7f3a"}).write(settings.landing)
    report = load(settings)
    assert outcomes(report, hospital.SPELL) == {"quarantined": 1}
    hospital.write_person_keys(settings.landing, {"DSCRO-7f3a": 1}, day=LATER)
    (spell,) = spells(settings)
    assert spell["diagnosis_codes"] == "J440"


def test_a_withheld_identity_is_kept_out_for_good(settings: Settings) -> None:
    Sus().add_stay(1, "11", ["J440"]).write(settings.landing)
    assert len(spells(settings)) == 1
    withheld = {"spell.patient.identity.withheld_identity_reason": "97"}
    Sus(LATER, 200).add_stay(1, "11", ["J440"], **withheld).write(settings.landing)
    report = load(settings)
    assert table(settings, "spells") == []
    held = pl.read_parquet(settings.identity / "quarantine" / "hospital" / "hospital.parquet")
    assert held.filter(pl.col("table") == hospital.SPELL)["raw"].to_list() == [None]
    assert "identity_withheld" in report.quarantine["rule"]


def test_a_record_that_turns_out_to_be_of_somebody_else_leaves_the_first_person(settings: Settings) -> None:
    Sus().add_stay(1, "11", ["J440"]).add_stay(2, "12", ["I500"]).write(settings.landing)
    persons = [spell["person_id"] for spell in spells(settings)]
    changed = Sus(LATER, 200).add_stay(2, "11", ["J440"], **{"spell.admission.date": "2025-01-01"})
    changed.add_stay(60, "12", ["I500"]).write(settings.landing)
    (spell,) = spells(settings)
    assert spell["diagnosis_codes"] == "J440"
    assert spell["person_id"] in persons


REFRESHES = [(["1", "2"], 2), (["1"], None), (["1", "2", "3"], 3)]


@pytest.mark.parametrize(("keys", "left"), REFRESHES, ids=["as many", "half as many", "more"])
def test_a_refresh_of_a_year_replaces_it_unless_it_holds_less(
    settings: Settings, keys: list[str], left: int | None
) -> None:
    header = [*emis.EPISODE_COLUMNS.split("|"), "FYEAR"]
    for day, name, own in (("20261110", "a", ["1", "old"]), (LATER, "b", keys)):
        rows = [episode(n, key, FYEAR="2425") for n, key in enumerate(own, start=1)]
        hospital.write_csv(settings.landing / "hospital" / f"{name}_HES_APC_{day}.csv", header, rows)
        report = ingest(settings)
    assert len(table(settings, "spells")) == (2 if left is None else left)
    assert [refusal.source for refusal in report.refused] == (["hospital 20261117"] if left is None else [])


def test_a_visit_told_by_hes_and_sus_is_one_row(settings: Settings) -> None:
    Sus().add_visit(1, "1").add_visit(1, "2", **{"attendance.arrival.time": "22:40:00"}).write(settings.landing)
    columns = ["NEWNHSNO", "AEKEY", "ARRIVALDATE", "ARRIVALTIME", "AEDEPTTYPE", "PROCODE5"]
    usual = {"NEWNHSNO": emis.nhs_number(1), "ARRIVALDATE": "2026-01-01", "AEDEPTTYPE": "03", "PROCODE5": "RZZ99"}
    rows = [usual | {"AEKEY": "A1", "ARRIVALTIME": "1015"}, usual | {"AEKEY": "A2", "ARRIVALTIME": "1600"}]
    hospital.write_csv(
        settings.landing / "hospital" / "HES_AE_20261110.csv",
        columns,
        [*rows, rows[0] | {"AEKEY": "A3", "ARRIVALDATE": "2026-01-03"}],
    )
    load(settings)
    found = table(settings, "emergency_attendances")
    assert [(str(row["arrived_date"]), row["department_type"]) for row in found] == [
        ("2026-01-01", "01"),
        ("2026-01-01", "01"),
        ("2026-01-03", "03"),
    ]


def test_a_visit_sent_again_under_another_key_or_deleted_is_one_row_or_none(settings: Settings) -> None:
    Sus().add_visit(1, "1").write(settings.landing)
    load(settings)
    Sus(LATER, 200).add_visit(1, "9").write(settings.landing)
    load(settings)
    assert len(table(settings, "emergency_attendances")) == 1
    gone = Sus("20261118", 300).add_deletion("1", up_to=300, log=hospital.VISIT_LOG)
    gone.add_deletion("9", up_to=300, log=hospital.VISIT_LOG).write(settings.landing)
    load(settings)
    assert table(settings, "emergency_attendances") == []


def test_local_ids_and_birth_dates_are_dropped_at_the_door(settings: Settings) -> None:
    Sus().add_stay(1, "11", ["J440"]).add_stay(70, "12").write(settings.landing)
    load(settings)
    paths = [
        path
        for path in settings.home.rglob("*.parquet")
        if "hospital" in path.as_posix() or "spells" in path.as_posix()
    ]
    assert len(paths) > 3
    for path in paths:
        text = pl.read_parquet(path).write_ndjson()
        assert "LOCAL1" not in text
        assert "1960-05-01" not in text
