"""What ingestion does with whole deliveries: good, changed, replayed, refused."""

import contextlib
import datetime as dt
import stat
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from data_contracts.registry import CONTRACTS
from pipelines.io.history import HistoryError, Switch, recover, write_lock
from pipelines.io.identity import IdentityError, load_key, opt_out_path, people_path, person_ids
from pipelines.io.landing import ingest as ingestion
from pipelines.io.landing.emis import FEED, load_delivery
from pipelines.io.landing.errors import LandingError
from pipelines.io.landing.ingest import IngestReport, ingest
from pipelines.io.landing.protocol import Bench, Delivery, Loaded
from pipelines.io.landing.quarantine import quarantine_path
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
    assert report.refused == ()
    assert snapshot(settings) == before


def test_a_copy_under_another_name_is_entered_as_unchanged(settings: Settings) -> None:
    extract = emis.whole_extract()
    extract.write(settings.landing)
    ingest(settings)
    history = table(settings, "events")
    replayed = emis.whole_extract(moment=emis.SECOND)
    replayed.write(settings.landing)
    report = ingest(settings)
    assert set(report.files["status"]) == {"unchanged"}
    assert table(settings, "events").equals(history)


def test_a_delta_replaces_and_deletes_by_key(settings: Settings) -> None:
    emis.whole_extract().write(settings.landing)
    ingest(settings)
    delta = emis.Extract(moment=emis.SECOND)
    delta.add_observation(1001, 1, CodeId="2", Value="150")
    delta.add_deletion("CareRecord_Observation", "ObservationGuid", emis.guid("observation", 2), 2)
    delta.write(settings.landing)
    report = ingest(settings)
    events = table(settings, "events")
    assert counts(report, "CareRecord_Observation") == {"loaded": 1, "deleted": 1}
    assert events.height == 5
    assert events.filter(pl.col("person_id") == person(settings, 1))["value"].drop_nulls().to_list() == [150.0]
    assert person(settings, 2) not in events.filter(pl.col("value").is_null())["person_id"]


def test_deliveries_give_the_same_history_together_or_one_by_one(tmp_path: Path) -> None:
    histories = []
    for name, stops in (("together", False), ("apart", True)):
        settings = emis.workspace(tmp_path / name)
        settings.key_file.write_text("ab" * 32, "ascii")
        for moment, value in ((emis.FIRST, "120"), (emis.SECOND, "130"), (emis.THIRD, "140")):
            extract = emis.whole_extract(moment=moment) if moment == emis.FIRST else emis.Extract(moment=moment)
            extract.add_observation(5, 1, CodeId="2", Value=value)
            extract.write(settings.landing)
            if stops:
                ingest(settings)
        ingest(settings)
        histories.append(
            {path.parent.name: path.read_bytes() for path in sorted(settings.history.glob("*/*.parquet"))}
        )
    assert histories[0] == histories[1]


def test_the_later_processing_order_wins_within_a_file(settings: Settings) -> None:
    extract = emis.whole_extract()
    extract.add_observation(7, 1, CodeId="2", Value="200", ProcessingId="9")
    extract.add_observation(7, 1, CodeId="2", Value="100", ProcessingId="8")
    extract.write(settings.landing)
    report = ingest(settings)
    assert counts(report, "CareRecord_Observation") == {"loaded": 7, "superseded": 1}
    assert 200.0 in table(settings, "events")["value"]
    assert 100.0 not in table(settings, "events")["value"]


def test_a_deleted_patient_takes_all_rows_along(settings: Settings) -> None:
    emis.whole_extract().write(settings.landing)
    ingest(settings)
    delta = emis.Extract(moment=emis.SECOND)
    delta.add_deletion("Admin_Patient", "PatientGuid", emis.guid("patient", 1), 1)
    delta.write(settings.landing)
    ingest(settings)
    for name in ("registrations", "events", "medications", "contacts"):
        people = set(table(settings, name)["person_id"])
        assert people == {person(settings, 2), person(settings, 3)}, name
    assert pl.read_parquet(people_path(settings, emis.ICB)).height == 2


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        ({"DummyType": "true"}, "dummy_patient"),
        ({"PatientTypeDescription": " Dummy"}, "dummy_patient"),
        ({"SpineSensitive": "true"}, "spine_sensitive"),
        ({"IsConfidential": "true"}, "confidential"),
    ],
)
def test_a_withheld_patient_leaves_nothing_behind(settings: Settings, values: dict[str, str], rule: str) -> None:
    emis.whole_extract().write(settings.landing)
    ingest(settings)
    delta = emis.Extract(moment=emis.SECOND).add_patient(1, **values)
    delta.add_observation(77, 1).add_issue(77, 1).add_consultation(77, 1).add_slot(77, 1)
    delta.write(settings.landing)
    report = ingest(settings)
    tables = ["Admin_Patient", "CareRecord_Observation", "Prescribing_IssueRecord", "CareRecord_Consultation"]
    assert rules(report) == {(name, rule): 1 for name in [*tables, "Appointment_Slot"]}
    for name in ("registrations", "events", "medications", "contacts"):
        assert person(settings, 1) not in table(settings, name)["person_id"]
    held = pl.read_parquet(quarantine_path(settings, "emis", emis.PRACTICE))
    assert held["raw"].null_count() == held.height


def test_a_changed_nhs_number_takes_the_rows_along(settings: Settings) -> None:
    emis.whole_extract().write(settings.landing)
    ingest(settings)
    emis.Extract(moment=emis.SECOND).add_patient(1, NhsNumber=emis.nhs_number(60)).write(settings.landing)
    ingest(settings)
    for name in ("registrations", "events", "medications", "contacts"):
        people = table(settings, name)["person_id"]
        assert person(settings, 60) in people
        assert person(settings, 1) not in people


BAD_PATIENTS = [
    ({"NhsNumber": "9990000019"}, "nhs_number_not_valid"),
    ({"NhsNumber": "9999999999"}, "nhs_number_not_valid"),
    ({"NhsNumber": ""}, "nhs_number_not_valid"),
    ({"DateOfBirth": "1960-13-01"}, "birth_date_missing|date_not_readable"),
    ({"DateOfBirth": "1900-01-01"}, "birth_date_missing"),
    ({"DateOfBirth": "2027-01-01"}, "birth_date_after_extract|registered_date_before_birth"),
    ({"DateOfRegistration": "2027-01-01"}, "registered_date_after_extract"),
    ({"DateOfRegistration": ""}, "registered_date_missing"),
    ({"DateOfDeath": "1950-01-01"}, "death_date_before_birth"),
    ({"DateOfDeath": "2027-01-01"}, "death_date_after_extract"),
    ({"Sex": "Q"}, "sex_not_known_word"),
    ({"SpineSensitive": "maybe"}, "flag_not_readable|spine_sensitive"),
    ({"OrganisationGuid": emis.guid("organisation", "another")}, "wrong_organisation"),
    ({"PatientGuid": ""}, "key_missing"),
]


def held_reasons(settings: Settings, name: str) -> list[str]:
    """The reasons of a table's held rows in the file's order, each row's own sorted."""
    held = pl.read_parquet(quarantine_path(settings, "emis", emis.PRACTICE)).filter(pl.col("table") == name)
    return ["|".join(sorted(reasons.split("|"))) for reasons in held.sort("line")["reasons"]]


def test_each_patient_that_breaks_a_rule_is_held_for_it(settings: Settings) -> None:
    extract = emis.whole_extract()
    for number, (values, _) in enumerate(BAD_PATIENTS, start=20):
        extract.add_patient(number, **values)
    extract.write(settings.landing)
    report = ingest(settings)
    assert held_reasons(settings, "Admin_Patient") == [rule for _, rule in BAD_PATIENTS]
    assert counts(report, "Admin_Patient") == {"loaded": 3, "quarantined": len(BAD_PATIENTS)}


BAD_OBSERVATIONS = [
    ({"EffectiveDate": "yesterday"}, "date_not_readable"),
    ({"EnteredDate": ""}, "entered_date_missing"),
    ({"EnteredDate": "2026-12-25"}, "entered_date_after_extract"),
    ({"CodeId": "404"}, "code_not_known"),
    ({"CodeId": "x"}, "code_not_known"),
    ({"CodeId": "60"}, "code_not_mapped"),
    ({"Value": "twelve"}, "number_not_readable"),
    ({"Value": "inf"}, "number_not_readable"),
    ({"PatientGuid": emis.guid("patient", 404)}, "person_not_held"),
    ({"ObservationGuid": ""}, "key_missing"),
    ({"IsConfidential": "true"}, "confidential"),
    ({"Deleted": "perhaps"}, "flag_not_readable"),
]


def test_each_observation_that_breaks_a_rule_is_held_for_it(settings: Settings) -> None:
    extract = emis.whole_extract().add("Coding_ClinicalCode", CodeId="60", Term="Local", SnomedCTConceptId="")
    for number, (values, _) in enumerate(BAD_OBSERVATIONS, start=20):
        extract.add_observation(number, 1, **values)
    extract.write(settings.landing)
    report = ingest(settings)
    assert held_reasons(settings, "CareRecord_Observation") == [rule for _, rule in BAD_OBSERVATIONS]
    assert counts(report, "CareRecord_Observation") == {"loaded": 6, "quarantined": len(BAD_OBSERVATIONS)}


def test_an_undated_observation_is_loaded_without_a_date(settings: Settings) -> None:
    extract = emis.whole_extract().add_observation(20, 1, EffectiveDate="")
    extract.add_observation(21, 1, EffectiveDate="1900-01-01").add_observation(22, 1, EffectiveDatePrecision="U")
    extract.write(settings.landing)
    ingest(settings)
    assert table(settings, "events")["event_date"].null_count() == 3


def test_an_impossible_date_is_taken_out_and_told_and_the_entry_is_loaded(settings: Settings) -> None:
    extract = emis.whole_extract().add_observation(20, 1, EffectiveDate="2026-12-25")
    extract.add_observation(21, 1, EffectiveDate="1960-04-30").add_observation(22, 1, EffectiveDate="1960-05-01")
    extract.add_observation(23, 1, EffectiveDate="2026-12-25", CodeId="404").write(settings.landing)
    report = ingest(settings)
    events = table(settings, "events")
    undated = events.filter(pl.col("event_date").is_null())
    assert undated.select("concept_id", "entered_date").unique().height == 1
    assert (events.height, undated.height) == (9, 2)
    assert counts(report, "CareRecord_Observation") == {"loaded": 9, "quarantined": 1}
    (reason,) = report.files.filter(table="CareRecord_Observation")["reason"]
    assert reason.startswith("dates before birth or after the extract taken out: 2")


DISSENT_DATES = [
    {"EffectiveDate": ""},
    {"EffectiveDate": "2030-01-01"},
    {"EffectiveDate": "1900-01-01"},
    {"EffectiveDate": "no date"},
    {"EffectiveDate": "", "EnteredDate": ""},
    {"EffectiveDate": "", "EnteredDate": "2031-01-01"},
    {"EffectiveDate": "", "EnteredDate": "soon", "Value": "none"},
    {"EffectiveDate": "", "IsConfidential": "true"},
    {"EffectiveDate": "", "IsConfidential": "perhaps", "Deleted": "perhaps"},
]


def test_a_dissent_counts_whatever_its_dates_and_flags(settings: Settings) -> None:
    extract = emis.whole_extract()
    for number, values in enumerate(DISSENT_DATES, start=20):
        extract.add_observation(number, 1, CodeId="3", **values)
    extract.write(settings.landing)
    report = ingest(settings)
    dissent = table(settings, "events").filter(pl.col("concept_id") == int(emis.DISSENT))
    assert dissent["event_date"].to_list() == [None] * len(DISSENT_DATES)
    assert max(dissent["entered_date"]) < dt.date(2026, 11, 1)
    assert rules(report) == {}


def test_a_code_that_arrives_late_frees_the_rows_that_wait_for_it(settings: Settings) -> None:
    emis.whole_extract().add_observation(9, 1, CodeId="77").write(settings.landing)
    ingest(settings)
    assert table(settings, "events").height == 6
    emis.Extract(moment=emis.SECOND).add(
        "Coding_ClinicalCode", CodeId="77", Term="Late", SnomedCTConceptId="195967001"
    ).write(settings.landing)
    report = ingest(settings)
    assert rules(report) == {}
    assert 195967001 in table(settings, "events")["concept_id"]
    first = read_ledger(settings.home).filter(
        (pl.col("table") == "CareRecord_Observation") & (pl.col("window_end") == emis.FIRST)
    )
    assert first.select("loaded", "quarantined").row(0) == (7, 0)


def test_a_patient_that_arrives_late_frees_the_rows_that_wait(settings: Settings) -> None:
    emis.whole_extract().add_observation(9, 9).write(settings.landing)
    emis.write_hospital(settings.landing, [emis.episode(9, "E1")])
    report = ingest(settings)
    assert set(rules(report)) == {("CareRecord_Observation", "person_not_held"), ("HES_APC", "person_not_held")}
    emis.Extract(moment=emis.SECOND).add_patient(9).write(settings.landing)
    report = ingest(settings)
    assert rules(report) == {}
    assert person(settings, 9) in table(settings, "events")["person_id"]
    assert table(settings, "spells")["person_id"].to_list() == [person(settings, 9)]


def test_a_held_row_never_overtakes_the_row_that_replaced_it(settings: Settings) -> None:
    emis.whole_extract().add_observation(9, 1, CodeId="77", Value="1").write(settings.landing)
    ingest(settings)
    emis.Extract(moment=emis.SECOND).add_observation(9, 1, CodeId="2", Value="2").write(settings.landing)
    ingest(settings)
    emis.Extract(moment=emis.THIRD).add(
        "Coding_ClinicalCode", CodeId="77", Term="Late", SnomedCTConceptId="195967001"
    ).write(settings.landing)
    ingest(settings)
    events = table(settings, "events")
    assert 195967001 not in events["concept_id"]
    assert 2.0 in events["value"]
    ledger = read_ledger(settings.home)
    first = ledger.filter((pl.col("table") == "CareRecord_Observation") & (pl.col("window_end") == emis.FIRST))
    assert first.select("loaded", "quarantined", "superseded").row(0) == (6, 0, 1)


def test_a_wrong_check_digit_in_the_code_table_is_held(settings: Settings) -> None:
    extract = emis.whole_extract()
    extract.add("Coding_ClinicalCode", CodeId="50", Term="Bad", SnomedCTConceptId="38341004")
    extract.write(settings.landing)
    assert rules(ingest(settings)) == {("Coding_ClinicalCode", "check_digit_wrong"): 1}


def refusal(report: IngestReport) -> str:
    assert len(report.refused) == 1
    return report.refused[0].reason


def test_the_extract_of_another_practice_is_refused_whole(settings: Settings) -> None:
    emis.whole_extract(emis.OTHER_PRACTICE, first_patient=11).write(settings.landing)
    wrong = emis.whole_extract(first_patient=21)
    wrong.tables["Admin_Organisation"][0]["ODSCode"] = "Z09999"
    wrong.write(settings.landing)
    report = ingest(settings)
    assert refusal(report) == (
        "expected the extract of Z00001, as its folder says; found Admin_Organisation names Z09999; "
        "look at landing/emis/Z00001"
    )
    assert set(table(settings, "registrations")["practice_code"]) == {emis.OTHER_PRACTICE}


def test_a_missing_column_stops_that_practice_only(settings: Settings) -> None:
    emis.whole_extract(emis.OTHER_PRACTICE, first_patient=11).write(settings.landing)
    broken = emis.whole_extract()
    broken.headers["CareRecord_Observation"] = broken.headers["CareRecord_Observation"].replace("CodeId,", "")
    for row in broken.tables["CareRecord_Observation"]:
        del row["CodeId"]
    broken.write(settings.landing)
    report = ingest(settings)
    assert "found 1 missing (CodeId)" in refusal(report)
    assert set(table(settings, "registrations")["practice_code"]) == {emis.OTHER_PRACTICE}
    repaired = emis.whole_extract()
    repaired.write(settings.landing)
    assert not ingest(settings).refused
    assert table(settings, "registrations").height == 6


def test_headers_are_read_by_name_without_regard_to_case_or_order(settings: Settings) -> None:
    extract = emis.whole_extract()
    header = extract.headers["CareRecord_Observation"].split(",")
    extract.headers["CareRecord_Observation"] = ",".join(reversed(header)) + ",BrandNew"
    extract.write(settings.landing)
    path = extract.path(settings.landing, "CareRecord_Observation")
    first, rest = path.read_bytes().split(b"\r\n", 1)
    path.write_bytes(first.lower() + b"\r\n" + rest)
    report = ingest(settings)
    assert counts(report, "CareRecord_Observation") == {"loaded": 6}
    assert str(row_of(report, "CareRecord_Observation")["reason"]) == "columns not known: brandnew"


def test_an_empty_file_an_unknown_practice_and_a_paused_agreement_load_nothing(settings: Settings) -> None:
    empty = emis.whole_extract()
    empty.write(settings.landing)
    empty.path(settings.landing, "CareRecord_Consultation").write_bytes(b"")
    emis.whole_extract("Z00009", first_patient=31).write(settings.landing)
    paused = emis.whole_extract(emis.OTHER_PRACTICE, first_patient=11)
    paused.tables["Agreements_SharingOrganisation"][0]["Disabled"] = "true"
    paused.write(settings.landing)
    report = ingest(settings)
    reasons = {refused.source: refused.reason for refused in report.refused}
    assert "found no bytes" in reasons[emis.PRACTICE]
    assert "not in it" in reasons["Z00009"]
    assert emis.OTHER_PRACTICE not in reasons
    assert pl.read_parquet(settings.history / "paused_practices.parquet")["practice_code"].to_list() == [
        emis.OTHER_PRACTICE
    ]
    assert not list(settings.history.glob("events/*"))


def test_header_only_files_are_fine(settings: Settings) -> None:
    emis.whole_extract().write(settings.landing)
    ingest(settings)
    emis.Extract(moment=emis.SECOND).write(settings.landing)
    report = ingest(settings)
    assert not report.refused
    assert report.totals["records"] == 0


def test_deliveries_out_of_order_or_after_a_refused_one_wait(settings: Settings) -> None:
    emis.whole_extract(moment=emis.SECOND).write(settings.landing)
    ingest(settings)
    emis.Extract(moment=emis.FIRST).add_patient(8).write(settings.landing)
    assert "expected a delivery later than" in refusal(ingest(settings))


def test_later_deliveries_wait_for_a_refused_one(settings: Settings) -> None:
    first = emis.whole_extract()
    first.write(settings.landing)
    first.path(settings.landing, "Admin_Patient").write_bytes(b"")
    emis.Extract(moment=emis.SECOND).add_patient(8).write(settings.landing)
    report = ingest(settings)
    assert [refused.reason.split(";")[0] for refused in report.refused] == [
        "expected a readable file with records",
        "waits for an earlier delivery, which is held or was refused",
    ]


def test_an_empty_landing_folder_and_a_missing_key_say_what_to_do(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    with pytest.raises(IdentityError, match="make one with: casefinder key"):
        ingest(settings)
    emis.make_key(settings.key_file)
    with pytest.raises(LandingError, match="expected a landing folder; found none"):
        ingest(settings)
    settings.landing.mkdir()
    with pytest.raises(LandingError, match="empty landing folder"):
        ingest(settings)


def test_a_second_ingest_meanwhile_is_told_to_wait(settings: Settings) -> None:
    emis.whole_extract().write(settings.landing)
    with write_lock(settings), pytest.raises(HistoryError, match="found another one going"):
        ingest(settings)
    assert not ingest(settings).refused


def test_links_and_odd_names_are_never_opened(settings: Settings, tmp_path: Path) -> None:
    extract = emis.whole_extract()
    extract.write(settings.landing)
    secret = tmp_path / "secret.csv"
    secret.write_text("x", "utf-8")
    folder = settings.landing / "emis" / emis.PRACTICE
    (folder / f"1-99_Admin_Patient_{emis.SECOND}_{emis.AGREEMENT}.csv").symlink_to(secret)
    (folder / "x'); drop table people--.csv").write_text("x", "utf-8")
    (settings.landing / "emis" / "linked").symlink_to(tmp_path)
    report = ingest(settings)
    assert len(report.refused) == 3
    assert report.files.filter(pl.col("status") == "refused")["sha256"].null_count() == 3
    assert table(settings, "registrations").height == 3


@pytest.mark.parametrize(
    "name",
    [
        f"emis/{emis.OTHER_PRACTICE}/1_Admin_Patient_20261399030000_{emis.AGREEMENT}.csv",
        "hospital/HES_AE_20269999.txt",
        "national_opt_out/X26MADEUP_20260230_0001.dat",
    ],
)
def test_a_name_with_an_impossible_day_stops_that_file_only(settings: Settings, name: str) -> None:
    emis.whole_extract().write(settings.landing)
    path = settings.landing / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x\n", "utf-8")
    assert "the name does not meet" in refusal(ingest(settings))
    assert table(settings, "registrations").height == 3


def test_identity_and_quarantine_are_for_the_owner_only(settings: Settings) -> None:
    emis.whole_extract().add_observation(9, 9).write(settings.landing)
    ingest(settings)
    assert stat.S_IMODE(settings.identity.stat().st_mode) == 0o700
    for path in settings.identity.rglob("*.parquet"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_no_identifier_stands_outside_the_identity_zone(settings: Settings) -> None:
    emis.whole_extract().add_observation(9, 9).write(settings.landing)
    emis.write_hospital(settings.landing, [emis.episode(1, "E1"), emis.episode(50, "E2")])
    ingest(settings)
    secrets = [emis.nhs_number(number) for number in (1, 2, 3, 50)] + ["Surname1", "ZZ1 1AA", "ZZ11AA"]
    for path in settings.home.rglob("*.parquet"):
        if settings.identity not in path.parents:
            text = pl.read_parquet(path).write_csv()
            assert not [secret for secret in secrets if secret in text], path.name


@pytest.mark.parametrize("step", [0, 2, 3, 4, 6, 9])
def test_a_crash_at_any_rename_leaves_a_history_that_the_next_ingest_completes(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    emis.whole_extract().write(settings.landing)
    ingest(settings)
    before = snapshot(settings)
    emis.Extract(moment=emis.SECOND).add_observation(8, 1).add_issue(8, 2).write(settings.landing)
    crash_at(monkeypatch, step)
    with contextlib.suppress(KeyboardInterrupt):
        ingest(settings)
    monkeypatch.undo()
    if not (settings.home / "ingest" / "intent.json").exists():
        kept = {name: data for name, data in snapshot(settings).items() if not name.startswith("ingest/")}
        assert kept == before or table(settings, "events").height == 7
    ingest(settings)
    assert table(settings, "events").height == 7
    assert table(settings, "medications").height == 4
    prove(read_ledger(settings.home))


def crash_at(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Makes the nth rename stop the process, as pulling the plug would."""
    renames = iter(range(1000))
    replace = Path.replace

    def stopping(self: Path, target: Path) -> Path:
        if next(renames) == step:
            raise KeyboardInterrupt
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", stopping)


def test_recovery_finishes_what_was_decided(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    emis.whole_extract().write(settings.landing)
    finish = Switch._finish
    monkeypatch.setattr(Switch, "_finish", lambda self, moves: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        ingest(settings)
    monkeypatch.setattr(Switch, "_finish", finish)
    assert not settings.history.exists()
    recover(settings)
    assert table(settings, "events").height == 6
    assert read_ledger(settings.home).height > 10


def test_a_reply_of_the_opt_out_service_becomes_the_allow_list(settings: Settings) -> None:
    emis.whole_extract().write(settings.landing)
    folder = settings.landing / "national_opt_out"
    folder.mkdir()
    (folder / "X26MADEUP_20261115_0001.dat").write_text(f"{emis.nhs_number(1)},\n{emis.nhs_number(2)},\n", "ascii")
    report = ingest(settings)
    assert not report.refused
    allowed = pl.read_parquet(opt_out_path(settings))
    assert set(allowed["person_id"]) == {person(settings, 1), person(settings, 2)}
    assert set(allowed["answered_date"]) == {dt.date(2026, 11, 15)}
    (folder / "X26MADEUP_20261108_0001.dat").write_text(f"{emis.nhs_number(3)},\n", "ascii")
    assert "expected a reply of 2026-11-15 or later" in refusal(ingest(settings))
    assert pl.read_parquet(opt_out_path(settings)).equals(allowed)


def test_a_refused_file_waits_until_it_is_put_right_or_taken_away(settings: Settings) -> None:
    emis.whole_extract().write(settings.landing)
    path = settings.landing / "national_opt_out" / "X26MADEUP_20261115_0001.dat"
    path.parent.mkdir()
    path.write_text("no reply", encoding="utf-8")
    stray = settings.landing / "stray.csv"
    stray.write_text("a,b\n", encoding="utf-8")

    def statuses() -> list[str]:
        ingest(settings)
        rows = read_ledger(settings.home).filter(pl.col("file").str.contains("X26|stray")).sort("file", "ingest")
        return rows["status"].to_list()

    assert statuses() == ["refused", "refused"]
    path.write_text(f"{emis.nhs_number(1)},\n", encoding="utf-8")
    stray.unlink()
    assert statuses() == ["withdrawn", "loaded", "withdrawn"]
    before = snapshot(settings)
    assert statuses() == ["withdrawn", "loaded", "withdrawn"]
    assert snapshot(settings) == before
    stray.write_text("a,b\n", encoding="utf-8")
    assert statuses() == ["withdrawn", "loaded", "refused"]


@pytest.mark.parametrize(
    "text", ["", "Job created,\n", "9990000019,\n", "invalid NHS numbers\n", "{number},\n{number}"]
)
def test_anything_but_a_sound_reply_is_refused(settings: Settings, text: str) -> None:
    emis.whole_extract().write(settings.landing)
    folder = settings.landing / "national_opt_out"
    folder.mkdir()
    path = folder / "X26MADEUP_20261115_0001.dat"
    path.write_text(text.replace("{number}", emis.nhs_number(1)), "ascii")
    report = ingest(settings)
    assert [refused.feed for refused in report.refused] == ["national_opt_out"]
    assert not opt_out_path(settings).exists()


def test_reference_files_name_practices_networks_and_icbs(settings: Settings) -> None:
    report = ingest(settings)
    practices = pl.read_parquet(settings.history / "practices.parquet")
    assert practices["pcn_code"].to_list() == ["U99999", "U99999"]
    assert practices["icb_name"].to_list() == ["NHS MADE UP ICB"] * 2
    assert counts(report, "epcncorepartnerdetails") == {"loaded": 2, "superseded": 1}


@pytest.mark.parametrize(
    ("code", "rule"),
    [
        ("../../x", "icb_code_not_a_code"),
        ("A/B", "icb_code_not_a_code"),
        ("..", "icb_code_not_a_code"),
        ("=1+1", "icb_code_not_a_code"),
        ("", "icb_missing"),
    ],
)
def test_a_code_that_could_name_another_folder_is_held(settings: Settings, code: str, rule: str) -> None:
    emis.whole_extract().write(settings.landing)
    epraccur = settings.landing / "reference" / "epraccur.csv"
    epraccur.write_text(epraccur.read_text("utf-8").replace(f'Y99","{emis.ICB}', f'Y99","{code}', 1), "utf-8")
    partners = settings.landing / "reference" / "epcncorepartnerdetails.csv"
    partners.write_text(partners.read_text("utf-8").replace("U99999", "=HYPERLINK()"), "utf-8")
    report = ingest(settings)
    held = pl.read_parquet(quarantine_path(settings, "reference", "reference"))
    assert set(held["reasons"]) == {rule, "pcn_code_not_a_code"}
    assert f"found {emis.PRACTICE}, which is not in it" in refusal(report)
    assert not (settings.history / "registrations").exists()


def test_a_practice_moves_with_its_icb(settings: Settings) -> None:
    emis.whole_extract().write(settings.landing)
    emis.whole_extract(emis.OTHER_PRACTICE, first_patient=11).write(settings.landing)
    emis.write_hospital(settings.landing, [emis.episode(1, "E1")])
    ingest(settings)
    epraccur = settings.landing / "reference" / "epraccur.csv"
    epraccur.write_text(epraccur.read_text("utf-8").replace(f'Y99","{emis.ICB}', 'Y99","QYY', 1), "utf-8")
    ingest(settings)
    for name in ("registrations", "events", "medications", "contacts", "spells"):
        here, there = (
            set(pl.read_parquet(settings.history / name / f"{code}.parquet")["practice_code"])
            for code in (emis.ICB, "QYY")
        )
        assert there == {emis.PRACTICE}, name
        assert here == ({emis.OTHER_PRACTICE} if name != "spells" else set()), name
    assert set(pl.read_parquet(people_path(settings, "QYY"))["practice_code"]) == {emis.PRACTICE}
    assert set(pl.read_parquet(people_path(settings, emis.ICB))["practice_code"]) == {emis.OTHER_PRACTICE}
    emis.Extract(moment=emis.SECOND).add_observation(50, 1).write(settings.landing)
    ingest(settings)
    assert pl.read_parquet(settings.history / "events" / "QYY.parquet").height == 7


def stopping(delivery: Delivery, bench: Bench) -> Loaded:
    """Loads an EMIS delivery, unless it is of one practice."""
    if delivery.source == emis.PRACTICE:
        raise pl.exceptions.ComputeError("a value of a patient")
    return load_delivery(delivery, bench)


def test_an_extract_that_stops_the_reader_stops_that_practice_only(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    emis.whole_extract().write(settings.landing)
    emis.whole_extract(emis.OTHER_PRACTICE, first_patient=11).write(settings.landing)
    feeds = tuple(replace(feed, load=stopping) if feed is FEED else feed for feed in ingestion.FEEDS)
    monkeypatch.setattr(ingestion, "FEEDS", feeds)
    report = ingest(settings)
    assert "one that stopped the reader (ComputeError at " in refusal(report)
    assert "patient" not in refusal(report)
    assert set(table(settings, "registrations")["practice_code"]) == {emis.OTHER_PRACTICE}
