"""What ingestion does with Synthea files: CSV of either generation, Parquet, zips, known width drift, bad files."""

import io
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from data_contracts.registry import HISTORY
from pipelines.io.identity import make_key, read_people
from pipelines.io.landing import ingest as ingestion
from pipelines.io.landing import synthea_rows
from pipelines.io.landing.errors import LandingError
from pipelines.io.landing.feeds import load_feed
from pipelines.io.landing.ingest import IngestReport, ingest
from pipelines.io.landing.parquet_text import read_parquet_rows
from pipelines.io.landing.synthea import FEED
from pipelines.io.ledger import OUTCOMES, prove, read_ledger
from pipelines.settings import Settings
from tests.lib.workspaces import list_practices

ICB = "QZZ"
PRACTICES = ("Y90001", "Y90002")

PATIENTS = """
Id,BIRTHDATE,DEATHDATE,FIRST,LAST,RACE,ETHNICITY,GENDER,ZIP
p2,1980-06-30,,Bé,Test,black,nonmixed,F,EX39
p1,1950-01-01,2021-01-01,Al,Test,white,nonmixed,M,BA14
"""
ENCOUNTERS = """
Id,START,STOP,PATIENT,ENCOUNTERCLASS,CODE,DESCRIPTION,REASONCODE,REASONDESCRIPTION
e1,2019-05-06T09:00:00Z,2019-05-06T09:15:00Z,p1,wellness,162673000,Check,,
e2,2020-02-02T10:00:00Z,2020-02-03T01:00:00Z,p1,emergency,50849002,Emergency,,
e3,2020-02-03T02:00:00Z,2020-02-09T10:00:00Z,p1,inpatient,185347001,Stay,233604007,Pneumonia
e4,2020-02-03T02:00:00Z,2020-02-09T10:00:00Z,p2,hospice,305336008,Hospice,,
"""
CONDITIONS = """
START,STOP,PATIENT,ENCOUNTER,CODE,DESCRIPTION
2019-05-06,,p1,e1,59621000,Essential hypertension
2020-02-03,,p1,e3,44054006,Diabetes mellitus type 2
2020-02-03,,p1,e3,44054006,Diabetes mellitus type 2
2020-02-03,,p9,e9,44054006,Diabetes mellitus type 2
2020-02-03,,p1,e3,44054007,Wrong check digit
"""
OBSERVATIONS = """
DATE,PATIENT,ENCOUNTER,CODE,DESCRIPTION,VALUE,UNITS,TYPE
2019-05-06T09:00:00Z,p1,e1,4548-4,HbA1c,6.5,%,numeric
2019-05-06T09:00:00Z,p1,e1,72166-2,Smoking,Former smoker,,text
2019-05-06T09:00:00Z,p1,e1,29463-7,Body Weight,81,kg,numeric
1940-05-06T09:00:00Z,p1,e1,4548-4,HbA1c,6.5,%,numeric
"""
MEDICATIONS = """
START,STOP,PATIENT,ENCOUNTER,CODE,DESCRIPTION,DISPENSES,REASONCODE,REASONDESCRIPTION
2019-05-06T09:00:00Z,,p1,e1,617310,atorvastatin 20 MG Oral Tablet,59621000,Essential hypertension
"""
IMMUNIZATIONS = """
DATE,PATIENT,ENCOUNTER,CODE,DESCRIPTION
2019-05-06T09:00:00Z,p1,e1,141,Influenza  seasonal  injectable,
"""
CAREPLANS = """
Id,START,STOP,PATIENT,ENCOUNTER,CODE,DESCRIPTION
c1,2019-05-06,,p1,e1,443402002,Education
"""
FILES = {
    "patients": PATIENTS,
    "encounters": ENCOUNTERS,
    "conditions": CONDITIONS,
    "observations": OBSERVATIONS,
    "medications": MEDICATIONS,
    "immunizations": IMMUNIZATIONS,
    "careplans": CAREPLANS,
}


def _workspace(home: Path, *, practices: Sequence[str] = PRACTICES) -> Settings:
    settings = Settings(home=home)
    make_key(settings.key_file)
    list_practices(settings, dict.fromkeys(practices, ICB))
    return settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return _workspace(tmp_path / "workspace")


def _land(settings: Settings, practice: str = "Y90001", **files: str) -> Path:
    folder = settings.landing / "synthea" / practice
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.csv").write_text(text.lstrip(), encoding="utf-8")
    return folder


def _zip(folder: Path, files: dict[str, str], *, inside: str = "csv/") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / "drop.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(f"{inside}{name}.csv", text.lstrip())


def _history(settings: Settings, name: str) -> pl.DataFrame:
    frame = pl.read_parquet(settings.history / name / f"{ICB}.parquet")
    HISTORY[name].validate(frame)
    return frame


def _counts(settings: Settings, table: str) -> dict[str, int]:
    row = read_ledger(settings.home).filter((pl.col("table") == table) & (pl.col("status") == "loaded")).to_dicts()[0]
    return {name: row[name] for name in OUTCOMES if row[name]}


def _rules(report: IngestReport) -> dict[tuple[str, str], int]:
    return {(row["table"], row["rule"]): row["records"] for row in report.quarantine.to_dicts()}


def test_every_record_is_accounted_for_and_history_meets_its_contracts(settings: Settings) -> None:
    _land(settings, **FILES)
    report = ingest(settings)
    assert not report.refused
    assert {name: _history(settings, name).height for name in HISTORY} == {
        "registrations": 2,
        "events": 7,
        "medications": 1,
        "contacts": 1,
        "spells": 1,
        "emergency_attendances": 1,
    }
    assert _rules(report) == {
        ("conditions", "person_not_held"): 1,
        ("conditions", "check_digit_wrong"): 1,
        ("encounters", "code_not_mapped"): 1,
        ("observations", "code_not_mapped"): 1,
        ("observations", "date_before_birth"): 1,
    }
    assert _counts(settings, "conditions") == {"loaded": 2, "quarantined": 2, "superseded": 1}
    assert _counts(settings, "careplans") == {"blank": 1}
    prove(read_ledger(settings.home))


def test_spell_has_method_and_diagnoses_and_person_their_made_up_number(settings: Settings) -> None:
    _land(settings, **FILES)
    ingest(settings)
    spell = _history(settings, "spells").row(0, named=True)
    assert (spell["admission_method"], spell["diagnosis_codes"]) == ("21", "J189|E119")
    people = read_people(settings, [ICB]).collect().sort("birth_date")
    assert people["nhs_number"].str.starts_with("999").all()
    assert people["nhs_number"].is_sorted()
    assert people["given_name"].to_list() == ["Al", "Bé"]


def test_zip_parquet_and_plain_files_lead_to_the_same_history(tmp_path: Path) -> None:
    workspaces = [_workspace(tmp_path / name) for name in ("plain", "zipped", "parquet")]
    for settings in workspaces[1:]:
        settings.key_file.write_bytes(workspaces[0].key_file.read_bytes())
    _land(workspaces[0], **FILES)
    _zip(workspaces[1].landing / "synthea" / "Y90001", FILES)
    drifted = ("medications", "immunizations")
    folder = _land(workspaces[2], **{name: FILES[name] for name in drifted})
    for name in set(FILES) - set(drifted):
        rows = pl.read_csv(io.StringIO(FILES[name].lstrip()), infer_schema=False)
        rows.write_parquet(folder / f"{name}.parquet")
    for settings in workspaces:
        assert not ingest(settings).refused
        prove(read_ledger(settings.home))
    for name in HISTORY:
        plain, *others = (_history(settings, name) for settings in workspaces)
        assert all(plain.equals(other) for other in others)


def test_files_again_change_nothing(settings: Settings) -> None:
    _land(settings, **FILES)
    _zip(settings.landing / "synthea" / "Y90002", FILES)
    ingest(settings)
    before = {path: path.read_bytes() for path in settings.home.rglob("*") if path.is_file()}
    assert ingest(settings).files.is_empty()
    assert {path: path.read_bytes() for path in settings.home.rglob("*") if path.is_file()} == before


def test_width_that_is_not_declared_is_held_and_not_guessed(settings: Settings) -> None:
    narrow = CONDITIONS.replace("START,STOP,PATIENT", "START,STOP,STOPPED,PATIENT")
    _land(settings, patients=PATIENTS, conditions=narrow)
    assert _rules(ingest(settings)) == {("conditions", "too_narrow"): 5}


def test_header_only_files_are_loaded_with_no_records(settings: Settings) -> None:
    headers = {name: text.lstrip().splitlines()[0] + "\n" for name, text in FILES.items()}
    _land(settings, **headers | {"patients": PATIENTS})
    report = ingest(settings)
    assert not report.refused
    assert report.totals == {"records": 4, "loaded": 4} | dict.fromkeys(OUTCOMES[1:], 0)


def test_held_rows_are_loaded_once_their_person_arrives(settings: Settings) -> None:
    _land(settings, patients=PATIENTS, conditions=CONDITIONS)
    ingest(settings)
    header = PATIENTS.lstrip().splitlines()[0]
    _land(settings, patients=f"{header}\np9,1970-01-01,,Cy,Test,asian,nonmixed,F,EX39\n")
    report = ingest(settings)
    assert ("conditions", "person_not_held") not in _rules(report)
    assert _counts(settings, "conditions") == {"loaded": 3, "quarantined": 1, "superseded": 1}
    people = read_people(settings, [ICB]).collect()
    assert people["nhs_number"].n_unique() == people.height == 3


def test_held_rows_are_tried_again_when_the_mappings_change(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    _land(settings, **FILES)
    with monkeypatch.context() as patched:
        other = replace(FEED, mappings=lambda places: "another set of mappings")
        patched.setattr(ingestion, "FEEDS", tuple(other if feed is FEED else feed for feed in ingestion.FEEDS))
        ingest(settings)
    held = settings.identity / "quarantine" / "synthea" / "Y90001.parquet"
    rows = pl.read_parquet(held)
    now_mapped = pl.col("raw").str.replace("29463-7", "39156-5").str.replace('"kg"', '"kg/m2"')
    rows.with_columns(raw=now_mapped).write_parquet(held)
    report = ingest(settings)
    assert ("observations", "code_not_mapped") not in _rules(report)
    assert _counts(settings, "observations") == {"loaded": 3, "quarantined": 1}
    assert ingest(settings).changed == {}


@pytest.mark.parametrize(
    ("files", "inside", "why"),
    [
        ({"patients": PATIENTS}, "../", "plain relative names"),
        ({"patients": PATIENTS}, "a/b/", "one folder"),
        ({"patients": PATIENTS, "supplies_of_2020": CAREPLANS}, "", "does not meet the synthea contract"),
    ],
)
def test_unsafe_or_unknown_members_are_refused(
    settings: Settings, files: dict[str, str], inside: str, why: str
) -> None:
    _zip(settings.landing / "synthea" / "Y90001", files, inside=inside)
    report = ingest(settings)
    assert [why in refusal.reason for refusal in report.refused] == [True]


def test_missing_column_refuses_that_practice_only(settings: Settings) -> None:
    _land(settings, "Y90001", patients=PATIENTS.replace("BIRTHDATE", "BORN"))
    _land(settings, "Y90002", patients=PATIENTS)
    report = ingest(settings)
    (refusal,) = report.refused
    assert (refusal.feed, refusal.source) == ("synthea", "Y90001")
    assert "BIRTHDATE" in refusal.reason
    assert _history(settings, "registrations")["practice_code"].unique().to_list() == ["Y90002"]


def test_parquet_that_is_none_or_lacks_a_column_is_refused(settings: Settings) -> None:
    first, second = _land(settings, "Y90001"), _land(settings, "Y90002")
    (first / "patients.parquet").write_bytes(b"PAR1 but nothing else")
    pl.DataFrame({"ID": ["p1"]}).write_parquet(second / "patients.parquet")
    assert sorted(refusal.source for refusal in ingest(settings).refused) == ["Y90001", "Y90002"]


@hypothesis_settings(
    max_examples=40, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(flips=st.lists(st.tuples(st.floats(0, 0.999), st.integers(1, 255)), min_size=1, max_size=4))
def test_garbled_parquet_is_read_whole_or_refused(tmp_path: Path, flips: list[tuple[float, int]]) -> None:
    path = tmp_path / "patients.parquet"
    pl.read_csv(io.StringIO(PATIENTS.lstrip()), infer_schema=False).write_parquet(path)
    content = bytearray(path.read_bytes())
    for place, bits in flips:
        content[int(place * len(content))] ^= bits
    path.write_bytes(bytes(content))
    try:
        rows, _ = read_parquet_rows(path, load_feed("synthea").tables["patients"], most_records=1000, name="patients")
    except LandingError:
        return
    assert rows.height == 2


def meeting_practices() -> tuple[str, str]:
    """Two practices whose people get the same made-up NHS numbers."""
    first_with: dict[str, str] = {}
    for code in (f"Y{number:05d}" for number in range(10_000)):
        (number,) = synthea_rows.made_up_numbers(code, held=pl.Series([], dtype=pl.String), needed=1)
        if number in first_with:
            return first_with[number], code
        first_with[number] = code
    raise AssertionError("no two of these practices meet")


def test_practice_whose_made_up_numbers_meet_anothers_is_refused(tmp_path: Path) -> None:
    first, second = meeting_practices()
    settings = _workspace(tmp_path / "meeting", practices=(first, second))
    _land(settings, first, patients=PATIENTS)
    _land(settings, second, patients=PATIENTS)
    (refusal,) = ingest(settings).refused
    assert "2 that people of other practices have" in refusal.reason
    again = PATIENTS.lstrip().replace("Bé", "Bo")
    _land(settings, second, patients=again)
    assert [refusal.source for refusal in ingest(settings).refused] == [second]


def test_practice_that_is_not_listed_is_refused(settings: Settings) -> None:
    _land(settings, "Y90003", patients=PATIENTS)
    (refusal,) = ingest(settings).refused
    assert "Y90003, which is not in it" in refusal.reason


@hypothesis_settings(
    max_examples=8, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(table=st.sampled_from(sorted(FILES)), place=st.floats(0, 1), junk=st.binary(min_size=1, max_size=4))
def test_garbled_file_still_balances(
    tmp_path_factory: pytest.TempPathFactory, table: str, place: float, junk: bytes
) -> None:
    settings = _workspace(tmp_path_factory.mktemp("garbled"))
    folder = _land(settings, **FILES)
    content = (folder / f"{table}.csv").read_bytes()
    cut = int(place * len(content))
    (folder / f"{table}.csv").write_bytes(content[:cut] + junk + content[cut + 1 :])
    ingest(settings)
    prove(read_ledger(settings.home))


NEWER = {
    "patients": (
        "Id,BIRTHDATE,DEATHDATE,SSN,DRIVERS,PASSPORT,PREFIX,FIRST,MIDDLE,LAST,SUFFIX,MAIDEN,MARITAL,RACE,ETHNICITY,"
        "GENDER,BIRTHPLACE,ADDRESS,CITY,STATE,COUNTY,FIPS,ZIP,LAT,LON,HEALTHCARE_EXPENSES,HEALTHCARE_COVERAGE,INCOME"
    ),
    "encounters": (
        "Id,START,STOP,PATIENT,ORGANIZATION,PROVIDER,PAYER,ENCOUNTERCLASS,CODE,DESCRIPTION,BASE_ENCOUNTER_COST,"
        "TOTAL_CLAIM_COST,PAYER_COVERAGE,REASONCODE,REASONDESCRIPTION"
    ),
    "conditions": "START,STOP,PATIENT,ENCOUNTER,SYSTEM,CODE,DESCRIPTION",
    "procedures": ("START,STOP,PATIENT,ENCOUNTER,SYSTEM,CODE,DESCRIPTION,BASE_COST,REASONCODE,REASONDESCRIPTION"),
    "observations": "DATE,PATIENT,ENCOUNTER,CATEGORY,CODE,DESCRIPTION,VALUE,UNITS,TYPE",
    "medications": (
        "START,STOP,PATIENT,PAYER,ENCOUNTER,CODE,DESCRIPTION,BASE_COST,PAYER_COVERAGE,DISPENSES,TOTALCOST,"
        "REASONCODE,REASONDESCRIPTION"
    ),
    "immunizations": "DATE,PATIENT,ENCOUNTER,CODE,DESCRIPTION,BASE_COST",
}
"""The headers of the current generation; the older one lacks these columns, and procedures have DATE."""
ONLY_NEWER = {"MIDDLE", "FIPS", "INCOME", "SYSTEM", "CATEGORY"}


def _in_generation(table: str, row: dict[str, str], *, is_newer: bool) -> str:
    """One row of a table under the whole header of a generation."""
    names = [name for name in NEWER[table].split(",") if is_newer or name not in ONLY_NEWER]
    if table == "procedures" and not is_newer:
        names, row = ["DATE", *names[2:]], {**row, "DATE": row["START"]}
    return ",".join(names) + "\n" + ",".join(row.get(name, "") for name in names) + "\n"


@pytest.mark.parametrize("is_newer", [True, False])
def test_both_generations_of_headers_give_the_same_history(settings: Settings, *, is_newer: bool) -> None:
    moment = "2019-05-06T09:00:00Z"
    about = {"PATIENT": "p1", "ENCOUNTER": "e1", "START": moment, "DATE": moment, "SYSTEM": "SNOMED-CT"}
    rows = {
        "patients": {"Id": "p1", "BIRTHDATE": "1950-01-01", "RACE": "white", "ETHNICITY": "nonmixed", "GENDER": "M"},
        "encounters": {**about, "Id": "e1", "ENCOUNTERCLASS": "wellness", "CODE": "162673000"},
        "conditions": {**about, "START": "2019-05-06", "CODE": "59621000"},
        "procedures": {**about, "CODE": "430193006"},
        "observations": {**about, "CATEGORY": "laboratory", "CODE": "4548-4", "VALUE": "6.5", "UNITS": "%"},
        "medications": {**about, "CODE": "617310"},
        "immunizations": {**about, "CODE": "141"},
    }
    _land(settings, **{table: _in_generation(table, row, is_newer=is_newer) for table, row in rows.items()})
    report = ingest(settings)
    files = report.files.filter(pl.col("feed") == "synthea")
    assert (files["loaded"].to_list(), files["reason"].null_count()) == ([1] * 7, 7)
    days = {str(day) for day in _history(settings, "events")["event_date"]}
    assert days == {"2019-05-06", "1950-01-01"}
    tables = ("registrations", "events", "medications", "contacts")
    assert [_history(settings, table).height for table in tables] == [1, 5, 1, 1]
