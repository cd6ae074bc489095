"""What ingestion does with SystmOne sets: whole, delta, incomplete, not to be believed, of several practices."""

import csv
import datetime as dt
import io
import shutil
import subprocess
import zipfile
from pathlib import Path

import polars as pl
import pytest

from data_contracts.registry import CONTRACTS
from pipelines.io.identity import load_key, people_path, person_ids
from pipelines.io.landing.ingest import IngestReport, ingest
from pipelines.io.landing.quarantine import quarantine_path
from pipelines.io.ledger import OUTCOMES, prove, read_ledger
from pipelines.settings import Settings
from tests.lib import emis, systmone

TABLES = ("registrations", "events", "medications", "contacts")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return emis.workspace(tmp_path / "workspace")


def table(settings: Settings, name: str) -> pl.DataFrame:
    frame = pl.read_parquet(settings.history / name / f"{emis.ICB}.parquet")
    CONTRACTS[name].validate(frame)
    return frame


def heights(settings: Settings) -> dict[str, int]:
    return {name: table(settings, name).height for name in TABLES}


def person(settings: Settings, number: int) -> int:
    return person_ids([emis.nhs_number(number)], load_key(settings))[0]


def load(settings: Settings, *extracts: systmone.Extract, zipped: bool = True) -> IngestReport:
    """The report of one ingest of these sets; every file is counted anew from its bytes and its ledger balances."""
    for extract in extracts:
        extract.write(settings.landing, zipped=zipped)
    report = ingest(settings)
    ledger = read_ledger(settings.home)
    prove(ledger)
    for row in ledger.filter((pl.col("feed") == "systmone") & (pl.col("status") == "loaded")).to_dicts():
        assert sum(row[name] for name in OUTCOMES) == physical_records(settings.landing, row["file"]), row["table"]
    return report


def physical_records(landing: Path, name: str) -> int:
    """The records of a file, or of a member of an archive, by Python's csv module."""
    path = landing / name
    if path.parent.suffix == ".zip":
        with zipfile.ZipFile(path.parent) as archive:
            text = archive.read(path.name).decode("cp1252")
    else:
        text = path.read_bytes().decode("cp1252")
    return sum(1 for row in csv.reader(io.StringIO(text, newline="")) if row) - 1


def counts(report: IngestReport, name: str) -> dict[str, int]:
    row = report.files.filter(pl.col("table") == name).row(0, named=True)
    return {outcome: row[outcome] for outcome in OUTCOMES if row[outcome]}


def rules(report: IngestReport) -> dict[tuple[str, str], int]:
    return {(row["table"], row["rule"]): row["records"] for row in report.quarantine.to_dicts()}


def refusals(report: IngestReport) -> str:
    return " ".join(refusal.reason for refusal in report.refused)


WHOLE = {"registrations": 3, "events": 9, "medications": 3, "contacts": 9}


@pytest.mark.parametrize("zipped", [True, False])
def test_a_whole_set_becomes_history_zipped_or_not(settings: Settings, zipped: bool) -> None:
    report = load(settings, systmone.whole_extract(), zipped=zipped)
    assert not report.refused
    assert heights(settings) == WHOLE
    assert table(settings, "registrations")["lsoa_code"].to_list() == ["E01000001"] * 3
    kinds = table(settings, "contacts")["contact_kind"].value_counts().sort("contact_kind")["count"].to_list()
    assert kinds == [6, 3]


def test_the_same_set_again_changes_nothing(settings: Settings) -> None:
    load(settings, systmone.whole_extract())
    before = {path: path.read_bytes() for path in settings.history.rglob("*.parquet")}
    report = load(settings)
    assert report.files.is_empty()
    assert {path: path.read_bytes() for path in settings.history.rglob("*.parquet")} == before


def test_names_come_out_of_the_code_page_and_a_byte_that_it_lacks_holds_its_record(settings: Settings) -> None:
    extract = systmone.whole_extract()
    extract.write(settings.landing, zipped=False)
    path = extract.folder(settings.landing) / "SRPatient.csv"
    path.write_bytes(path.read_bytes().replace(b"Surname2", b"Surn\x81me2"))
    report = ingest(settings)
    prove(read_ledger(settings.home))
    assert rules(report)[("SRPatient", "bad_encoding")] == 1
    people = pl.read_parquet(people_path(settings, emis.ICB))
    assert people["given_name"].sort().to_list() == ["Renée1", "Renée3"]


@pytest.mark.slow
def test_a_file_that_is_utf_16_stops_its_source_alone(settings: Settings) -> None:
    good = systmone.whole_extract(emis.OTHER_PRACTICE, first_patient=11)
    bad = systmone.whole_extract()
    for extract in (good, bad):
        extract.write(settings.landing, zipped=False)
    path = bad.folder(settings.landing) / "SRCode.csv"
    path.write_bytes(path.read_bytes().decode("cp1252").encode("utf-16"))
    report = ingest(settings)
    assert [refusal.source for refusal in report.refused] == [emis.PRACTICE]
    assert set(table(settings, "registrations")["practice_code"]) == {emis.OTHER_PRACTICE}


def test_a_delta_replaces_and_removes_by_key(settings: Settings) -> None:
    load(settings, systmone.whole_extract())
    delta = systmone.delta().add_code(1001, 1, SNOMEDCode=emis.SYSTOLIC, IsNumeric="TRUE", NumericValue="150")
    delta.add_removal("SRCode", 2).add_removal("SRImmunisation", 3)
    report = load(settings, delta)
    events = table(settings, "events")
    assert counts(report, "SRCode") == {"loaded": 1, "deleted": 1}
    assert events.height == 7
    assert events.filter(pl.col("person_id") == person(settings, 1))["value"].drop_nulls().to_list() == [150.0]


@pytest.mark.slow
def test_rows_with_the_same_number_in_other_tables_are_others(settings: Settings) -> None:
    load(settings, systmone.whole_extract())
    report = load(settings, systmone.delta().add_removal("SRVisit", 1))
    assert counts(report, "SRVisit") == {"deleted": 1}
    assert heights(settings) == WHOLE | {"contacts": 8}


def test_a_whole_table_retires_what_it_lacks_and_leaves_the_others(settings: Settings) -> None:
    load(settings, systmone.whole_extract())
    again = systmone.delta().add_code(1, 1, DateEvent="05 Mar 2024 09:00:00")
    again.deltas -= {"SRCode"}
    report = load(settings, again)
    events = table(settings, "events")
    assert counts(report, "SRCode") == {"loaded": 1}
    assert heights(settings) == WHOLE | {"events": 4}
    assert dt.date(2024, 3, 5) in events["event_date"]


@pytest.mark.slow
def test_a_row_that_a_whole_table_holds_but_garbles_stays_as_it_was(settings: Settings) -> None:
    load(settings, systmone.whole_extract())
    again = systmone.delta().add_code(1, 1, DateEvent="yesterday").add_code(2, 2)
    again.deltas -= {"SRCode"}
    report = load(settings, again)
    assert rules(report) == {("SRCode", "date_not_readable"): 1}
    assert heights(settings)["events"] == 5


def test_a_whole_table_takes_the_place_of_what_was_held_of_it(settings: Settings) -> None:
    first = systmone.whole_extract().add_code(50, 1, CTV3Code="Ylocal", SNOMEDCode="-1").add_code(51, 9)
    assert set(rules(load(settings, first))) == {("SRCode", "code_not_mapped"), ("SRCode", "person_not_held")}
    again = systmone.whole_extract(moment=systmone.SECOND)
    report = load(settings, again)
    assert rules(report) == {}
    old = read_ledger(settings.home).filter((pl.col("table") == "SRCode") & (pl.col("window_end") == systmone.FIRST))
    assert old.select("loaded", "quarantined", "superseded").row(0) == (6, 0, 2)


def test_people_who_leave_a_whole_set_go_with_all_that_is_about_them(settings: Settings) -> None:
    first = systmone.whole_extract()
    for number in range(10, 20):
        first.add_patient(number).add_code(number, number)
    load(settings, first)
    again = systmone.delta()
    for number in [1, 2, *range(10, 20)]:
        again.add_patient(number)
    again.deltas -= {"SRPatient", "SRPatientRegistration", "SRPatientAddressHistory"}
    load(settings, again)
    for name in TABLES:
        assert person(settings, 3) not in table(settings, name)["person_id"], name
    assert table(settings, "registrations").height == 12


def test_a_removed_patient_takes_all_rows_along(settings: Settings) -> None:
    load(settings, systmone.whole_extract())
    load(settings, systmone.delta().add_removal("SRPatient", 1))
    for name in TABLES:
        assert set(table(settings, name)["person_id"]) == {person(settings, 2), person(settings, 3)}, name
    assert pl.read_parquet(people_path(settings, emis.ICB)).height == 2


def test_a_death_or_a_move_alone_changes_the_registrations(settings: Settings) -> None:
    load(settings, systmone.whole_extract())
    delta = systmone.delta()
    patient = {"RowIdentifier": "1", "NHSNumber": emis.nhs_number(1), "DateBirth": "01 May 1960 00:00"}
    delta.add("SRPatient", **patient, DateDeath="01 Nov 2026 00:00", Gender="F", TestPatient="FALSE")
    home = {"DateEvent": "05 Nov 2026 09:00:00", "FullPostCode": "ZZ9 9ZZ", "AddressType": "0"}
    delta.add("SRPatientAddressHistory", RowIdentifier="77", IDPatient="2", **home)
    delta.add("SRPatientAddressHistory", RowIdentifier="78", IDPatient="3", **(home | {"AddressType": "3"}))
    report = load(settings, delta)
    assert counts(report, "SRPatientAddressHistory") == {"loaded": 1, "blank": 1}
    found = {row["person_id"]: row for row in table(settings, "registrations").to_dicts()}
    assert found[person(settings, 1)]["death_date"] == dt.date(2026, 11, 1)
    assert found[person(settings, 2)]["lsoa_code"] is None
    assert found[person(settings, 3)]["lsoa_code"] == "E01000001"


def test_several_open_registrations_are_all_told_and_others_practices_are_not(settings: Settings) -> None:
    extract = systmone.whole_extract()
    extract.add_registration(50, 1, DateRegistration="01 Jan 2020 00:00:00")
    extract.add_registration(
        51, 1, RegistrationStatus="Temporary Resident", DateDeRegistration="01 Jan 2012 00:00:00"
    )
    extract.add_registration(52, 1, IDOrganisationRegisteredAt=emis.OTHER_PRACTICE)
    extract.add_registration(53, 1, IDOrganisationRegisteredAt="", IDOrganisation="")
    report = load(settings, extract)
    assert counts(report, "SRPatientRegistration") == {"loaded": 5, "blank": 1, "quarantined": 1}
    assert rules(report) == {("SRPatientRegistration", "organisation_missing"): 1}
    own = table(settings, "registrations").filter(pl.col("person_id") == person(settings, 1))
    assert own.sort("registered_date", "registration_type").select(
        "registration_type", "deregistered_date"
    ).rows() == [
        ("regular", None),
        ("temporary", dt.date(2012, 1, 1)),
        ("regular", None),
    ]
    people = pl.read_parquet(people_path(settings, emis.ICB)).filter(pl.col("person_id") == person(settings, 1))
    assert people["registered_date"].to_list() == [dt.date(2020, 1, 1)]


def test_rows_of_others_are_blank_and_rows_visible_to_others_are_held(settings: Settings) -> None:
    extract = systmone.whole_extract()
    extract.add_code(50, 1, IDOrganisationRegisteredAt="RZZ99").add_code(51, -1)
    extract.add_code(52, 1, IDOrganisationVisibleTo=emis.OTHER_PRACTICE)
    report = load(settings, extract)
    assert counts(report, "SRCode") == {"loaded": 6, "blank": 2, "quarantined": 1}
    assert rules(report) == {("SRCode", "wrong_organisation"): 1}


def test_older_releases_without_the_newer_columns_are_read(settings: Settings) -> None:
    extract = systmone.whole_extract()
    newer = {"RemovedData", "IsNumeric", "SNOMEDCode", "IDOrganisationRegisteredAt", "ImmsSNOMEDCode"}
    for name, columns in extract.headers.items():
        extract.headers[name] = [column for column in columns if column not in newer]
        kept = set(extract.headers[name])
        extract.tables[name] = [
            {column: text for column, text in row.items() if column in kept} for row in extract.tables[name]
        ]
    for row in extract.tables["SRImmunisation"]:
        row["ImmsReadCode"] = "zz001"
    report = load(settings, extract)
    assert not report.refused
    assert heights(settings) == WHOLE
    assert table(settings, "events")["value"].drop_nulls().to_list() == [132.5] * 3


def test_a_test_patient_leaves_nothing_behind(settings: Settings) -> None:
    load(settings, systmone.whole_extract())
    delta = systmone.delta().add_patient(1, TestPatient="TRUE").add_code(77, 1).add_event(77, 1)
    report = load(settings, delta)
    names = ["SRPatient", "SRPatientRegistration", "SRPatientAddressHistory", "SRCode", "SREvent"]
    assert rules(report) == {(name, "dummy_patient"): 1 for name in names}
    for name in TABLES:
        assert person(settings, 1) not in table(settings, name)["person_id"]
    held = pl.read_parquet(quarantine_path(settings, "systmone", emis.PRACTICE))
    assert held["raw"].null_count() == held.height


def test_a_dissent_counts_without_any_map_and_whoever_recorded_it(settings: Settings) -> None:
    extract = systmone.whole_extract().add_dissent(50, 1).add_dissent(51, 2, DateEvent="", DateEventRecorded="")
    extract.add_dissent(52, 3, IDOrganisationRegisteredAt="RZZ99", DateEvent="01 Jan 2030 09:00:00")
    report = load(settings, extract)
    dissents = table(settings, "events").filter(pl.col("concept_id") == int(emis.DISSENT))
    assert dissents["person_id"].n_unique() == 3
    assert rules(report) == {}


def test_an_issue_dated_ahead_waits_for_its_day(settings: Settings) -> None:
    extract = systmone.whole_extract().add_issue(50, 1, DateMedicationStart="05 Nov 2026 09:00:00")
    assert rules(load(settings, extract)) == {("SRPrimaryCareMedication", "issued_after_extract"): 1}
    report = load(settings, systmone.delta())
    assert rules(report) == {}
    assert dt.date(2026, 11, 5) in table(settings, "medications")["issued_date"]


def test_the_licensed_map_frees_the_rows_that_wait_for_it(settings: Settings) -> None:
    extract = systmone.whole_extract().add_code(50, 1, CTV3Code="XE001", SNOMEDCode="-1")
    extract.add_code(51, 1, CTV3Code="Ylocal", SNOMEDCode="")
    assert rules(load(settings, extract)) == {("SRCode", "code_not_mapped"): 2}
    columns = "MAPID CTV3_CONCEPTID CTV3_TERMID CTV3_TERMTYPE SCT_CONCEPTID SCT_DESCRIPTIONID MAPSTATUS EFFECTIVEDATE"
    lines = ["\t".join([*columns.split(), "IS_ASSURED"])]
    for code, kind, concept, active, assured in (
        ("XE001", "S", "38341003", "1", "0"),
        ("XE001", "P", "195967001", "1", "1"),
        ("XE001", "P", "59621000", "0", "1"),
        ("XE002", "P", "38341004", "1", "1"),
        ("dr001", "P", "_DRUG", "1", "1"),
    ):
        lines.append("\t".join(["{1}", code, "Y1", kind, concept, "1", active, "20200401", assured]))
    path = settings.landing / "reference" / "ctv3sctmap2_uk_20200401000001.txt"
    path.write_bytes("\r\n".join([*lines, ""]).encode())
    report = load(settings)
    assert rules(report) == {
        ("SRCode", "code_not_mapped"): 1,
        ("ctv3sctmap2_uk", "check_digit_wrong"): 1,
    }
    assert counts(report, "ctv3sctmap2_uk") == {"loaded": 2, "superseded": 2, "quarantined": 1}
    assert 195967001 in table(settings, "events")["concept_id"]


@pytest.mark.slow
def test_a_status_whose_word_is_not_known_waits_for_the_mapping(settings: Settings) -> None:
    extract = systmone.whole_extract().add_appointment(50, 1, AppointmentStatus="73")
    assert rules(load(settings, extract)) == {("SRAppointment", "code_not_known"): 1}
    report = load(settings, systmone.delta().add("SRMapping", RowIdentifier="73", Mapping="Did Not Attend"))
    assert rules(report) == {}
    assert table(settings, "contacts").filter(pl.col("contact_kind") == "appointment_missed").height == 1


BAD_CODES = [
    ({"DateEvent": "2024-03-02"}, "date_not_readable"),
    ({"DateEventRecorded": ""}, "entered_date_missing"),
    ({"DateEventRecorded": "25 Dec 2026 09:00:00"}, "entered_date_after_extract"),
    ({"SNOMEDCode": "38341004"}, "check_digit_wrong"),
    ({"SNOMEDCode": "-1", "CTV3Code": "Y1234"}, "code_not_mapped"),
    ({"IsNumeric": "TRUE", "NumericValue": "twelve"}, "number_not_readable"),
    ({"IDPatient": "404"}, "person_not_held"),
    ({"RowIdentifier": "none"}, "key_missing"),
    ({"RemovedData": "perhaps"}, "flag_not_readable"),
]


def test_each_code_that_breaks_a_rule_is_held_for_it(settings: Settings) -> None:
    extract = systmone.whole_extract()
    for number, (values, _) in enumerate(BAD_CODES, start=50):
        extract.add_code(**({"number": number, "patient": 1} | values))
    report = load(settings, extract)
    held = pl.read_parquet(quarantine_path(settings, "systmone", emis.PRACTICE)).sort("line")
    assert held["reasons"].to_list() == [rule for _, rule in BAD_CODES]
    assert counts(report, "SRCode") == {"loaded": 6, "quarantined": len(BAD_CODES)}


@pytest.mark.parametrize("date", ["25 Dec 2026 09:00:00", "01 Jan 1950 09:00:00"])
def test_an_impossible_date_is_taken_out_of_a_code(settings: Settings, date: str) -> None:
    report = load(settings, systmone.whole_extract().add_code(50, 1, DateEvent=date))
    assert counts(report, "SRCode") == {"loaded": 7}
    assert table(settings, "events")["event_date"].null_count() == 1


BAD_PATIENTS = [
    ({"NHSNumber": "9990000019"}, "nhs_number_not_valid"),
    ({"NHSNumber": ""}, "nhs_number_not_valid"),
    ({"DateBirth": "1960-05-01"}, "date_not_readable|birth_date_missing"),
    ({"DateBirth": "01 Jan 1900 00:00"}, "birth_date_missing"),
    ({"DateDeath": "01 Jan 1950 00:00"}, "death_date_before_birth"),
    ({"Gender": "Q"}, "sex_not_known_word"),
]


@pytest.mark.slow
def test_each_patient_that_breaks_a_rule_is_held_for_it(settings: Settings) -> None:
    extract = systmone.whole_extract()
    for number, (values, _) in enumerate(BAD_PATIENTS, start=50):
        extract.add_patient(number, **values)
    load(settings, extract)
    held = pl.read_parquet(quarantine_path(settings, "systmone", emis.PRACTICE))
    own = held.filter(pl.col("table") == "SRPatient").sort("line")["reasons"].to_list()
    assert [set(reasons.split("|")) for reasons in own] == [set(rule.split("|")) for _, rule in BAD_PATIENTS]


def no_manifest(extract: systmone.Extract) -> None:
    extract.left_out |= {"SRManifest"}


def file_missing(extract: systmone.Extract) -> None:
    extract.left_out |= {"SREvent"}


def file_unlisted(extract: systmone.Extract) -> None:
    extract.unlisted |= {"SREvent"}


def two_ends(extract: systmone.Extract) -> None:
    for name, end in (("SRPatient", extract.moment), ("SRCode", "20261107_0300")):
        extract.tables["SRManifest"].append({"FileName": name, "IsDelta": "N", "DateExtractTo": end})
    extract.left_out |= set(extract.listed) - {"SRPatient", "SRCode"}


def another_practice(extract: systmone.Extract) -> None:
    for rows in extract.tables.values():
        for row in rows:
            row |= {name: emis.OTHER_PRACTICE for name in row if name == "IDOrganisationVisibleTo"}


def column_missing(extract: systmone.Extract) -> None:
    extract.headers["SRCode"].remove("CTV3Code")
    for row in extract.tables["SRCode"]:
        row.pop("CTV3Code")


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (no_manifest, "expected SRManifest.csv, without which the set is not complete yet; found none"),
        (file_missing, "expected the files that SRManifest names; found no SREvent"),
        pytest.param(file_unlisted, "found SREvent, which it does not name", marks=pytest.mark.slow),
        pytest.param(
            two_ends, "one end of all tables' windows, as a date and time; found 2 ends", marks=pytest.mark.slow
        ),
        (another_practice, "as its folder says; found patients visible to Z00002"),
        pytest.param(column_missing, "1 missing (CTV3Code)", marks=pytest.mark.slow),
    ],
)
def test_a_set_that_cannot_be_trusted_waits_and_other_sources_go_on(settings: Settings, spoil, told: str) -> None:  # type: ignore[no-untyped-def]
    spoiled = systmone.whole_extract()
    spoil(spoiled)
    later = systmone.delta().add_code(60, 1)
    report = load(settings, spoiled, later, systmone.whole_extract(emis.OTHER_PRACTICE, first_patient=11))
    assert told in refusals(report)
    assert "waits for an earlier delivery" in refusals(report)
    assert set(table(settings, "registrations")["practice_code"]) == {emis.OTHER_PRACTICE}


def test_a_set_is_taken_once_its_manifest_has_come(settings: Settings) -> None:
    extract = systmone.whole_extract()
    no_manifest(extract)
    assert load(settings, extract).refused
    extract.left_out.clear()
    assert not load(settings, extract).refused
    assert heights(settings) == WHOLE


def replayed() -> systmone.Extract:
    """The first set once more, in a later folder."""
    extract = systmone.whole_extract()
    extract.tables["SRManifest"] = [
        {"FileName": name, "IsDelta": "N", "DateExtractTo": extract.moment} for name in extract.listed
    ]
    extract.moment = systmone.SECOND
    return extract


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: systmone.delta(starts="20261102_0300"), "a window that starts by 20261101_0300"),
        (lambda: systmone.whole_extract(moment="20261001_0300"), "a delivery later than 20261101_0300"),
        (lambda: replayed(), "a window that ends after 20261101_0300, where the last one ended; found one to 2026"),
        (
            lambda: systmone.Extract(moment=systmone.SECOND).add_patient(1),
            "at least 2 patients in a whole SRPatient of Z00001, which has 3; found 1",
        ),
    ],
)
def test_a_set_that_does_not_follow_the_last_one_is_refused(settings: Settings, make, told: str) -> None:  # type: ignore[no-untyped-def]
    load(settings, systmone.whole_extract())
    report = load(settings, make())
    assert told in refusals(report)
    assert heights(settings) == WHOLE


def test_an_overlapping_window_is_taken(settings: Settings) -> None:
    load(settings, systmone.whole_extract())
    assert not load(settings, systmone.delta(starts="20261020_0300").add_code(60, 1)).refused


def test_a_first_set_that_is_a_delta_is_refused(settings: Settings) -> None:
    report = load(settings, systmone.delta().add_patient(1))
    assert "expected all needed tables whole in the first set of Z00001" in refusals(report)


def test_a_set_of_several_practices_is_split_by_who_may_see_a_row(settings: Settings) -> None:
    whole = systmone.whole_extract("North-group")
    for name, rows in systmone.whole_extract(emis.OTHER_PRACTICE, first_patient=11).tables.items():
        whole.tables[name] += rows if name not in {"SRMapping", "SRCtv3ToSnomed"} else []
    for rows in whole.tables.values():
        for row in rows:
            if row.get("IDOrganisationVisibleTo") == "North-group":
                row |= {name: emis.PRACTICE for name in row if name.startswith("IDOrganisation")}
    whole.add_code(60, 1, IDOrganisationVisibleTo="Q99999")
    report = load(settings, whole)
    assert not report.refused
    assert heights(settings) == {name: 2 * height for name, height in WHOLE.items()}
    assert rules(report) == {("SRCode", "wrong_organisation"): 1}
    delta = systmone.delta("North-group")
    delta.practice_code = emis.OTHER_PRACTICE
    report = load(settings, delta.add_removal("SRCode", 11).add_code(61, 1))
    assert counts(report, "SRCode") == {"deleted": 1, "quarantined": 1}
    assert heights(settings)["events"] == 17


def test_what_one_practice_of_a_set_deletes_does_not_hold_another(settings: Settings) -> None:
    """A hundred and twenty rows are six in a hundred of the one that deletes them, and twelve of the other."""
    whole = systmone.whole_extract("North-group")
    for row in (row for rows in whole.tables.values() for row in rows):
        row |= {name: emis.PRACTICE for name in row if name.startswith("IDOrganisation")}
    for name, rows in systmone.whole_extract(emis.OTHER_PRACTICE, first_patient=11).tables.items():
        whole.tables[name] += rows if name not in {"SRMapping", "SRCtv3ToSnomed"} else []
    for practice, patient, first, count in (
        (emis.PRACTICE, 1, 10_000, 2_000),
        (emis.OTHER_PRACTICE, 11, 20_000, 1_000),
    ):
        whole.practice_code = practice
        for number in range(first, first + count):
            whole.add_code(number, patient)
    whole.practice_code = "North-group"
    assert not load(settings, whole).refused
    before = heights(settings)["events"]
    delta = systmone.delta("North-group")
    delta.practice_code = emis.PRACTICE
    for number in range(10_000, 10_120):
        delta.add_removal("SRCode", number)
    assert not load(settings, delta).refused
    assert heights(settings)["events"] == before - 120


def test_rows_of_a_repeated_number_count_once_the_last_one(settings: Settings) -> None:
    extract = systmone.whole_extract().add_code(7, 1, DateEvent="01 Feb 2024 09:00:00").add_code(7, 1)
    report = load(settings, extract)
    assert counts(report, "SRCode") == {"loaded": 7, "superseded": 1}
    assert dt.date(2024, 2, 1) not in table(settings, "events")["event_date"]


def cut(settings: Settings, extract: systmone.Extract) -> Path:
    """The folder of a set whose archive the zip tool has cut into parts."""
    extract.write(settings.landing, zipped=False)
    folder = extract.folder(settings.landing)
    inside = sorted(path for path in folder.glob("*.csv") if path.stem not in systmone.BESIDE)
    (folder / "SRLetter.csv").write_bytes(systmone.table_bytes(["RowIdentifier"], [{"RowIdentifier": "1"}] * 40_000))
    command = ["zip", "-q", "-0", "-s", "64k", "SRExtract.zip", "SRLetter.csv", *(path.name for path in inside)]
    subprocess.run(command, cwd=folder, check=True)
    for path in [*inside, folder / "SRLetter.csv"]:
        path.unlink()
    return folder


@pytest.mark.skipif(shutil.which("zip") is None, reason="the zip tool is not installed")
def test_an_archive_that_was_cut_into_parts_is_read_as_one(settings: Settings) -> None:
    folder = cut(settings, systmone.whole_extract())
    assert len(list(folder.glob("SRExtract.z[0-9][0-9]"))) >= 3
    report = ingest(settings)
    assert not report.refused
    assert heights(settings) == WHOLE
    assert counts(report, "SRLetter") == {"blank": 40_000}


@pytest.mark.skipif(shutil.which("zip") is None, reason="the zip tool is not installed")
@pytest.mark.parametrize(
    ("lost", "told"),
    [
        ("SRExtract.z02", "parts of the archive; found"),
        ("SRExtract.zip", "a part of an archive whose last part (.zip) is missing"),
    ],
)
@pytest.mark.slow
def test_a_lost_part_holds_the_set(settings: Settings, lost: str, told: str) -> None:
    folder = cut(settings, systmone.whole_extract())
    (folder / lost).unlink()
    report = ingest(settings)
    assert told in refusals(report)
    assert "expected the files that SRManifest names; found no SRAppointment" in refusals(report)
    assert not (settings.history / "registrations").exists()
