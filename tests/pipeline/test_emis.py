"""EMIS deliveries as they come in life: every known header order, whole re-sends, pauses, flips, swaps, cuts."""

import csv
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from data_contracts.codelists import codes_of
from pipelines.io.identity import load_key, people_path, person_ids
from pipelines.io.landing.ingest import IngestReport, ingest
from pipelines.io.ledger import prove, read_ledger
from pipelines.settings import Settings
from tests.lib import emis

HEADERS = Path(__file__).parents[1] / "golden" / "emis_headers.csv"
CHILDREN = ("events", "medications", "contacts")
FOURTH = "20261122030000"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return emis.workspace(tmp_path / "workspace")


def history(settings: Settings, name: str) -> pl.DataFrame:
    return pl.read_parquet(settings.history / name / f"{emis.ICB}.parquet")


def people(settings: Settings, name: str) -> set[int]:
    return set(history(settings, name)["person_id"])


def person(settings: Settings, number: int) -> int:
    return int(person_ids([emis.nhs_number(number)], load_key(settings))[0])


def land(settings: Settings, *extracts: emis.Extract) -> IngestReport:
    for extract in extracts:
        extract.write(settings.landing)
    report = ingest(settings)
    prove(read_ledger(settings.home))
    return report


def refusal(report: IngestReport) -> str:
    assert len(report.refused) == 1, report.refused
    return report.refused[0].reason


def note(report: IngestReport, table: str) -> str | None:
    reason = report.files.filter(pl.col("table") == table)["reason"].to_list()
    assert len(reason) == 1
    return reason[0]


def whole(patients: int, moment: str = emis.FIRST) -> emis.Extract:
    """Some people with an entry in every table; no two of these have a file in common."""
    extract = emis.Extract(moment=moment).add_practice()
    for number in range(1, patients + 1):
        extract.add_patient(number).add_observation(number, number).add_issue(number, number)
        extract.add_consultation(number, number).add_slot(number, number)
    for row in (row for rows in extract.tables.values() for row in rows):
        if "ProcessingId" in row:
            row["ProcessingId"] = moment[4:8] + row["ProcessingId"]
    return extract


def without(extract: emis.Extract, *numbers: int) -> emis.Extract:
    """The extract without any row of these patients."""
    gone = {emis.guid("patient", number) for number in numbers}
    for table, rows in extract.tables.items():
        extract.tables[table] = [row for row in rows if row.get("PatientGuid") not in gone]
    return extract


def known_headers() -> dict[str, dict[str, str]]:
    """Version to the header of each table that it is known for."""
    found: dict[str, dict[str, str]] = {}
    for row in csv.DictReader(HEADERS.read_text("utf-8").splitlines()):
        found.setdefault(row["version"], {})[row["table"]] = row["columns"].replace("|", ",")
    return found


@pytest.mark.parametrize("version", sorted(known_headers()))
def test_every_known_header_order_is_read_by_name(settings: Settings, version: str) -> None:
    extract = emis.Extract(headers=emis.HEADERS | known_headers()[version])
    for table in extract.headers:
        extract.tables.setdefault(table, [])
    extract.add_practice()
    for number in (1, 2):
        extract.add_patient(number).add_observation(number, number, Value="132.5").add_issue(number, number)
        extract.add_consultation(number, number).add_slot(number, number)
    report = land(settings, extract)
    assert not report.refused
    assert report.quarantine.is_empty()
    heights = {name: history(settings, name).height for name in ("registrations", *CHILDREN)}
    assert heights == {"registrations": 2, "events": 2, "medications": 2, "contacts": 4}
    assert history(settings, "events")["value"].to_list() == [132.5, 132.5]


def test_what_a_whole_re_send_lacks_goes(settings: Settings) -> None:
    first = whole(12).add_observation(100, 1, Value="9")
    land(settings, first, emis.Extract(moment=emis.SECOND).add_observation(200, 12))
    report = land(settings, without(whole(12, emis.THIRD), 12).add_observation(300, 1))
    assert note(report, "Admin_Patient") == "all of the practice was sent again: what it lacks went"
    for name in ("registrations", *CHILDREN):
        assert people(settings, name) == {person(settings, number) for number in range(1, 12)}, name
    assert history(settings, "events").height == 12
    assert 9.0 not in history(settings, "events")["value"]
    assert pl.read_parquet(people_path(settings, emis.ICB)).height == 11


def test_a_whole_re_send_gives_the_same_history_together_or_one_by_one(tmp_path: Path) -> None:
    found = []
    for name, stops in (("together", False), ("apart", True)):
        settings = emis.workspace(tmp_path / name)
        settings.key_file.write_text("ab" * 32, "ascii")
        for extract in (
            whole(12),
            without(whole(12, emis.SECOND), 3),
            emis.Extract(moment=emis.THIRD).add_patient(40),
        ):
            extract.write(settings.landing)
            if stops:
                ingest(settings)
        ingest(settings)
        found.append({path.parent.name: path.read_bytes() for path in sorted(settings.history.glob("*/*.parquet"))})
    assert found[0] == found[1]


def test_held_rows_of_older_deliveries_go_with_a_whole_re_send(settings: Settings) -> None:
    land(settings, whole(12).add_observation(100, 1, CodeId="77"))
    land(settings, whole(12, emis.SECOND))
    late = emis.Extract(moment=emis.THIRD).add("Coding_ClinicalCode", CodeId="77", SnomedCTConceptId="195967001")
    report = land(settings, late)
    assert report.quarantine.is_empty()
    assert 195967001 not in history(settings, "events")["concept_id"]


def test_a_row_sent_again_but_held_keeps_its_older_version(settings: Settings) -> None:
    land(settings, whole(12))
    again = whole(12, emis.SECOND)
    again.tables["CareRecord_Observation"][0]["Value"] = "much"
    again.tables["Admin_Patient"][1]["NhsNumber"] = "9990000019"
    report = land(settings, again)
    assert not report.refused
    assert {row["rule"] for row in report.quarantine.to_dicts()} >= {"number_not_readable", "nhs_number_not_valid"}
    assert history(settings, "events").height == 12
    assert history(settings, "registrations").height == 12


@pytest.mark.parametrize(
    ("table", "share"),
    [("Prescribing_IssueRecord", 0.5), ("Prescribing_IssueRecord", 0.85), ("CareRecord_Observation", 0.85)],
)
def test_a_truncated_re_send_is_refused_and_nothing_goes(settings: Settings, table: str, share: float) -> None:
    land(settings, whole(20).add_observation(500, 1))
    cut = whole(20, emis.SECOND).add_patient(30).add_observation(501, 1)
    cut.tables[table] = cut.tables[table][: int(20 * share)]
    for number in range(600, 610):
        cut.add_observation(number, 30)
    before = {name: history(settings, name) for name in ("registrations", *CHILDREN)}
    assert "a truncated extract" in refusal(land(settings, cut))
    assert all(history(settings, name).equals(frame) for name, frame in before.items())


@pytest.mark.parametrize(
    "change",
    [
        lambda extract: (
            extract.add_deletion("CareRecord_Observation", "ObservationGuid", emis.guid("x"), 1)
            and [
                extract.add_deletion("Prescribing_IssueRecord", "IssueRecordGuid", emis.guid(n), 1) for n in range(3)
            ]
        ),
        lambda extract: extract.add_observation(900, 77),
        lambda extract: extract.tables.pop("Appointment_Slot"),
        lambda extract: without(extract, 1, 2, 3),
    ],
    ids=["deletions", "an observation of someone else", "a table less", "too few people"],
)
def test_what_does_not_look_whole_is_a_days_changes(
    settings: Settings, change: Callable[[emis.Extract], object]
) -> None:
    land(settings, whole(20))
    delta = without(whole(20, emis.SECOND), 20)
    change(delta)
    report = land(settings, delta)
    assert not report.refused
    assert note(report, "Admin_Patient") is None
    assert person(settings, 20) in people(settings, "registrations")


def test_a_paused_practice_is_noted_loads_nothing_and_resumes(settings: Settings) -> None:
    land(settings, whole(3))
    paused = emis.Extract(moment=emis.SECOND).add_observation(50, 1)
    paused.add("Agreements_SharingOrganisation", IsActivated="true", Disabled="true", Deleted="false")
    still = emis.Extract(moment=emis.THIRD)
    still.add("Agreements_SharingOrganisation", IsActivated="true", Disabled="true", Deleted="false")
    report = land(settings, paused, still)
    assert not report.refused
    assert "paused or withdrawn" in str(report.files["reason"][0])
    assert history(settings, "events").height == 3
    state = pl.read_parquet(settings.history / "paused_practices.parquet")
    assert [(code, str(day)) for code, day in state.rows()] == [(emis.PRACTICE, "2026-11-08")]
    resumed = emis.Extract(moment=FOURTH).add_observation(51, 1)
    resumed.add("Agreements_SharingOrganisation", IsActivated="true", Disabled="false", Deleted="false")
    report = land(settings, resumed)
    assert not report.refused
    assert pl.read_parquet(settings.history / "paused_practices.parquet").is_empty()
    assert history(settings, "events").height == 4


def test_nothing_waits_for_a_delivery_that_came_too_late(settings: Settings) -> None:
    land(settings, whole(3, emis.SECOND))
    report = land(
        settings, emis.Extract(moment=emis.FIRST).add_patient(8), emis.Extract(moment=emis.THIRD).add_patient(9)
    )
    assert "expected a delivery later than" in refusal(report)
    assert person(settings, 9) in people(settings, "registrations")
    assert person(settings, 8) not in people(settings, "registrations")


def test_a_flipped_ods_code_stays_the_same_practice_and_is_told(settings: Settings) -> None:
    land(settings, whole(3))
    flipped = emis.Extract(moment=emis.SECOND).add("Admin_Organisation", ODSCode="Z00001001").add_patient(4)
    report = land(settings, flipped)
    assert note(report, "Admin_Organisation") == "the organisation's ODS code is now Z00001001"
    assert people(settings, "registrations") == {person(settings, number) for number in range(1, 5)}


def test_an_organisation_is_never_two_practices(settings: Settings) -> None:
    land(settings, whole(3))
    other = whole(3, emis.SECOND)
    organisation = other.organisation
    other.practice_code = emis.OTHER_PRACTICE
    for row in other.tables["Admin_Organisation"]:
        row["ODSCode"] = emis.OTHER_PRACTICE
    assert {row["OrganisationGuid"] for row in other.tables["Admin_Patient"]} == {organisation}
    assert f"found that of {emis.PRACTICE}" in refusal(land(settings, other))
    assert set(history(settings, "registrations")["practice_code"]) == {emis.PRACTICE}


def test_guids_match_whatever_their_case_and_braces(settings: Settings) -> None:
    extract = whole(3)
    for row in extract.tables["CareRecord_Observation"]:
        for name in ("OrganisationGuid", "PatientGuid"):
            row[name] = row[name].strip("{}").lower()
    report = land(settings, extract)
    assert report.quarantine.is_empty()
    assert history(settings, "events").height == 3


def test_another_practices_file_in_the_delivery_is_held_row_by_row(settings: Settings) -> None:
    extract = whole(3)
    for row in extract.tables["CareRecord_Observation"]:
        row["OrganisationGuid"] = emis.guid("organisation", "another")
    report = land(settings, extract)
    held = {row["rule"]: row["records"] for row in report.quarantine.to_dicts()}
    assert held["wrong_organisation"] == 3
    assert not list(settings.history.glob("events/*"))


@pytest.mark.parametrize(
    ("table", "first", "second", "rule"),
    [
        ("CareRecord_Observation", "EffectiveDate", "CodeId", "date_not_readable"),
        ("CareRecord_Observation", "PatientGuid", "ObservationGuid", "person_not_held"),
        ("CareRecord_Observation", "EnteredDate", "EffectiveDate", "made before their clinical date"),
        ("Admin_Patient", "DateOfBirth", "DateOfRegistration", "registered_date_before_birth"),
        ("Admin_Patient", "NhsNumber", "Postcode", "nhs_number_not_valid"),
        ("Admin_Patient", "Sex", "Surname", "sex_not_known_word"),
    ],
)
def test_swapped_headers_stop_the_practice(
    settings: Settings, table: str, first: str, second: str, rule: str
) -> None:
    extract = whole(25)
    names = extract.headers[table].split(",")
    places = {first: second, second: first}
    extract.write(settings.landing)
    path = extract.path(settings.landing, table)
    header, rest = path.read_bytes().split(b"\r\n", 1)
    swapped = ",".join(f'"{places.get(name, name)}"' for name in names)
    assert len(swapped) == len(header)
    path.write_bytes(swapped.encode() + b"\r\n" + rest)
    reason = refusal(ingest(settings))
    assert rule in reason
    assert "swapped headers" in reason


def test_a_file_cut_off_stops_the_practice_until_it_comes_whole(settings: Settings) -> None:
    extract = whole(3)
    extract.write(settings.landing)
    path = extract.path(settings.landing, "CareRecord_Observation")
    whole_bytes = path.read_bytes()
    path.write_bytes(whole_bytes[:-30])
    assert "the last of them cut off" in refusal(ingest(settings))
    path.write_bytes(whole_bytes)
    assert not ingest(settings).refused
    assert history(settings, "events").height == 3


def test_files_of_two_batches_are_not_mixed(settings: Settings) -> None:
    extract = whole(3)
    extract.write(settings.landing)
    path = extract.path(settings.landing, "CareRecord_Observation")
    path.rename(path.with_name(path.name.replace("1-99_", "100-199_")))
    assert "one range of processing ids" in refusal(ingest(settings))


def test_a_code_table_without_the_code_of_dissent_is_refused(settings: Settings) -> None:
    extract = whole(3)
    extract.tables["Coding_ClinicalCode"] = [
        row for row in extract.tables["Coding_ClinicalCode"] if row["SnomedCTConceptId"] != emis.DISSENT
    ]
    assert "none of them that: opt-outs could not be seen" in refusal(land(settings, extract))
    assert not settings.history.joinpath("registrations").exists()


PARENT = {"ParentObservationGuid": emis.guid("observation", "parent")}


@pytest.mark.parametrize(
    ("readings", "found"),
    [
        ([("S", "132"), ("D", "80")], {"S": 132.0, "D": 80.0}),
        ([("D", "132"), ("S", "80")], {"S": 132.0, "D": 80.0}),
        ([("S", "80"), ("S", "132")], {"S": 132.0, "D": 80.0}),
        ([("D", "80"), ("D", "132")], {"S": 132.0, "D": 80.0}),
        ([("S", "80")], {"S": 80.0}),
        ([("D", "132")], {"D": 132.0}),
        ([("S", "80"), ("D", "")], {"S": 80.0}),
    ],
    ids=["in order", "crossed", "both systolic", "both diastolic", "systolic alone", "diastolic alone", "no value"],
)
def test_blood_pressures_under_one_parent_are_a_pair(
    settings: Settings, readings: list[tuple[str, str]], found: dict[str, float]
) -> None:
    concepts = {"S": codes_of("systolic_bp")[0], "D": codes_of("diastolic_bp")[0]}
    extract = whole(2)
    extract.headers["CareRecord_Observation"] += ",ParentObservationGuid"
    for kind, concept in concepts.items():
        extract.add("Coding_ClinicalCode", CodeId=f"8{ord(kind)}", SnomedCTConceptId=str(concept))
    for number, (kind, value) in enumerate(readings, start=50):
        extract.add_observation(number, 1, CodeId=f"8{ord(kind)}", Value=value, **PARENT)
    extract.add_observation(60, 2, CodeId=f"8{ord('D')}", Value="999", **PARENT)
    assert land(settings, extract).quarantine.is_empty()
    events = history(settings, "events").filter(person_id=person(settings, 1)).drop_nulls("value")
    kinds = {concept: kind for kind, concept in concepts.items()}
    assert {kinds[concept]: value for concept, value in events.select("concept_id", "value").rows()} == found


def test_several_codes_that_arrive_late_free_their_rows_together(settings: Settings) -> None:
    extract = whole(3)
    for number, code in enumerate(("71", "72", "73"), start=50):
        extract.add_observation(number, 1, CodeId=code)
    report = land(settings, extract)
    assert {row["rule"]: row["records"] for row in report.quarantine.to_dicts()} == {"code_not_known": 3}
    late = emis.Extract(moment=emis.SECOND)
    for code, concept in (("71", "195967001"), ("72", "38341003")):
        late.add("Coding_ClinicalCode", CodeId=code, SnomedCTConceptId=concept)
    report = land(settings, late)
    assert {row["rule"]: row["records"] for row in report.quarantine.to_dicts()} == {"code_not_known": 1}
    assert history(settings, "events").height == 5


def test_a_slot_whose_patient_is_blanked_goes(settings: Settings) -> None:
    land(settings, whole(3))
    land(settings, emis.Extract(moment=emis.SECOND).add_slot(1, None))
    assert history(settings, "contacts").height == 5
