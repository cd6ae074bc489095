"""OMOP drops, from landing to history: who is let in, what codes become, what a new drop does to the old one."""

import csv
import io
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import duckdb
import polars as pl
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from data_contracts.registry import HISTORY
from pipelines.io.identity import make_key, read_people
from pipelines.io.landing import databases, omop
from pipelines.io.landing.archives import ArchiveLimits
from pipelines.io.landing.errors import LandingError
from pipelines.io.landing.ingest import IngestReport, ingest
from pipelines.io.landing.registry import FEEDS
from pipelines.io.ledger import prove, read_ledger
from pipelines.settings import Settings
from tests.lib.workspaces import list_practices

ICBS = {"Y90001": "QE1", "Y90002": "QE1", "Y90003": "QF2"}
NUMBERS = ["9990000018", "9990000026", "9990000034", "9990000042", "9990000050"]

TABLES = {
    "person_key": """
person_source_value,nhs_number,practice_code,registered_date,deregistered_date
a,9990000018,Y90001,,
b,9990000026,Y90003,2020-01-01,2024-05-01
""",
    "person": """
person_id,gender_concept_id,year_of_birth,month_of_birth,day_of_birth,birth_datetime,person_source_value
1,8507,1960,5,17,,a
2,8532,1970,6,,,b
""",
    "observation_period": """
observation_period_id,person_id,observation_period_start_date,observation_period_end_date
1,1,2001-02-03,2010-01-01
2,1,2012-03-04,2026-10-31
3,2,2015-01-01,2026-10-31
""",
    "concept": """
concept_id,concept_name,vocabulary_id,standard_concept,concept_code
100,Type 2 diabetes,SNOMED,S,44054006
101,Read diabetes,Read,,C10F.
102,Heart failure ICD-10,ICD10,,I50.0
103,Heart failure,SNOMED,S,84114007
104,Two at once,Read,,ZZ
105,Systolic,LOINC,S,8480-6
106,mm[Hg],UCUM,S,mm[Hg]
107,Smoking status,LOINC,S,72166-2
108,Ex-smoker,SNOMED,S,8517006
109,A product,dm+d,,39732411000001106
110,Influenza,CVX,S,140
111,Corrupted,SNOMED,S,44054007
112,Systolic blood pressure,SNOMED,S,271649006
113,Nobody's,Gender,S,M
""",
    "concept_relationship": """
concept_id_1,concept_id_2,relationship_id,invalid_reason
101,100,Maps to,
104,100,Maps to,
104,103,Maps to,
102,103,Maps to,
100,100,Maps to,
100,101,Mapped from,
101,103,Maps to,D
""",
}


def settings_of(home: Path) -> Settings:
    settings = Settings(home=home)
    make_key(settings.key_file)
    list_practices(settings, ICBS)
    return settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_of(tmp_path)


def land(settings: Settings, moment: str = "20261101", **tables: str) -> Path:
    """The folder of a drop with the usual tables, and these in place of them or beside them."""
    folder = settings.landing / "omop" / f"source_{moment}"
    folder.mkdir(parents=True, exist_ok=True)
    for table, text in {**TABLES, **tables}.items():
        (folder / f"{table.upper()}.csv").write_text(text.lstrip(), encoding="utf-8")
    return folder


def load(settings: Settings) -> IngestReport:
    """What an ingest did; each record of each file is accounted for, counted by Python's own reader."""
    report = ingest(settings)
    for row in report.files.filter(pl.col("status") == "loaded", pl.col("feed") == "omop").to_dicts():
        with (settings.landing / row["file"]).open(encoding="utf-8", newline="") as file:
            assert row["records"] == sum(1 for record in csv.reader(file) if record) - 1, row["file"]
    prove(read_ledger(settings.home))
    ledger, held = read_ledger(settings.home), held_rows(settings)
    assert ledger["quarantined"].sum() == held.height
    return report


def held_rows(settings: Settings) -> pl.DataFrame:
    paths = sorted((settings.identity / "quarantine" / "omop").glob("*.parquet"))
    return pl.concat([pl.read_parquet(path) for path in paths]) if paths else pl.DataFrame({"table": []})


def history(settings: Settings, table: str, icb: str = "QE1") -> pl.DataFrame:
    path = settings.history / table / f"{icb}.parquet"
    if not path.exists():
        return pl.DataFrame(schema=dict.fromkeys(HISTORY[table].to_schema().columns, pl.String))
    rows = pl.read_parquet(path)
    HISTORY[table].validate(rows)
    return rows


def rules(report: IngestReport) -> dict[tuple[str | None, str, str], int]:
    return {
        (row["practice_code"], row["table"], row["rule"]): row["records"]
        for row in report.quarantine.filter(pl.col("feed") == "omop").to_dicts()
    }


def conditions(*rows: str) -> str:
    header = (
        "condition_occurrence_id,person_id,condition_concept_id,condition_start_date,condition_source_concept_id,"
        "condition_status_concept_id,visit_occurrence_id"
    )
    return "\n".join([header, *rows]) + "\n"


def visits(*rows: str) -> str:
    header = (
        "visit_occurrence_id,person_id,visit_concept_id,visit_start_date,visit_end_date,visit_source_value,"
        "admitted_from_concept_id,admitted_from_source_value"
    )
    return "\n".join([header, *rows]) + "\n"


def test_people_are_registered_where_their_key_says(settings: Settings) -> None:
    land(settings, death="person_id,death_date\n1,2026-09-30\n")
    report = load(settings)
    assert not report.refused
    told = ["registered_date", "deregistered_date", "birth_date", "death_date", "sex"]
    first = history(settings, "registrations").sort("registered_date")
    assert first["practice_code"].unique().to_list() == ["Y90001"]
    assert [[str(value) for value in row] for row in first.select(told).rows()] == [
        ["2001-02-03", "2010-01-01", "1960-05-17", "2026-09-30", "male"],
        ["2012-03-04", "None", "1960-05-17", "2026-09-30", "male"],
    ]
    second = history(settings, "registrations", "QF2")
    assert [str(value) for value in second.select(told).row(0)] == [
        "2020-01-01",
        "2024-05-01",
        "1970-06-01",
        "None",
        "female",
    ]
    people = read_people(settings, ["QE1", "QF2"]).collect().sort("nhs_number")
    assert people["nhs_number"].to_list() == NUMBERS[:2]
    assert ingest(settings).files.is_empty()


def test_a_drop_without_its_key_table_waits_as_a_whole(settings: Settings) -> None:
    folder = land(settings)
    (folder / "PERSON_KEY.csv").unlink()
    report = load(settings)
    (refused,) = report.refused
    assert "found no person_key" in refused.reason
    assert not (settings.history / "registrations").exists()
    (folder / "PERSON_KEY.csv").write_text(TABLES["person_key"].lstrip(), encoding="utf-8")
    assert not load(settings).refused
    assert history(settings, "registrations").height == 2


def test_who_has_no_sound_key_is_held_and_never_guessed(settings: Settings) -> None:
    keys = (
        "person_source_value,nhs_number,practice_code\na,9990000019,Y90001\nb,9990000026,Z99999\n,9990000034,Y90001\n"
    )
    land(
        settings,
        person_key=keys,
        person=TABLES["person"] + "3,8507,1980,1,1,,c\n",
        condition_occurrence=conditions("1,1,100,2020-01-01,,,", "2,3,100,2020-01-01,,,"),
        death="person_id,death_date\n3,2026-09-30\n",
    )
    assert rules(load(settings)) == {
        (None, "person_key", "nhs_number_not_valid"): 1,
        (None, "person_key", "practice_not_listed"): 1,
        (None, "person_key", "key_missing"): 1,
        (None, "person", "person_key_not_held"): 3,
        (None, "concept", "check_digit_wrong"): 1,
        (None, "observation_period", "person_not_held"): 3,
        (None, "condition_occurrence", "person_not_held"): 2,
        (None, "death", "person_not_held"): 1,
    }
    assert not (settings.history / "registrations").exists()


def test_codes_become_snomed_by_source_then_standard_then_a_single_map(settings: Settings) -> None:
    rows = {
        "1,1,100,2020-01-01,,,": 44054006,
        "2,1,103,2020-01-02,100,,": 44054006,
        "3,1,0,2020-01-03,101,,": 44054006,
        "4,1,103,2020-01-04,104,,": 84114007,
        "5,1,103.0,2020-01-05 00:00:00,0,,": 84114007,
        "6,1,0,2020-01-06,104,,": None,
        "7,1,0,2020-01-07,0,,": None,
        "8,1,111,2020-01-08,,,": None,
        "9,1,113,2020-01-09,,,": None,
    }
    land(settings, condition_occurrence=conditions(*rows))
    report = load(settings)
    found = history(settings, "events").sort("event_date")
    assert found["concept_id"].to_list() == [code for code in rows.values() if code]
    assert rules(report) == {
        ("Y90001", "condition_occurrence", "code_not_mapped"): 4,
        (None, "concept", "check_digit_wrong"): 1,
    }


def test_values_keep_their_unit_and_loinc_goes_by_the_stated_mapping(settings: Settings) -> None:
    header = (
        "measurement_id,person_id,measurement_concept_id,measurement_date,value_as_number,value_as_concept_id,"
        "unit_concept_id,unit_source_value"
    )
    rows = [
        "1,1,105,2020-01-01,141,0,106,mmHg",
        "2,1,105,2020-01-02,141,0,0,mm[Hg]",
        "3,1,112,2020-01-03,139.5,0,0,mmHg",
        "4,1,112,2020-01-04,,0,0,",
        "5,1,107,2020-01-05,,108,0,",
        "6,1,105,2020-01-06,141,0,0,kPa",
        "7,1,112,2020-01-07,high,0,0,mmHg",
        "8,1,105,2020-01-08,,0,106,mmHg",
    ]
    land(settings, measurement="\n".join([header, *rows]) + "\n")
    report = load(settings)
    found = history(settings, "events").sort("event_date").select("concept_id", "value", "unit").rows()
    assert found == [
        (271649006, 141.0, "mmHg"),
        (271649006, 141.0, "mmHg"),
        (271649006, 139.5, "mmHg"),
        (271649006, None, None),
        (8517006, None, None),
    ]
    assert rules(report)[("Y90001", "measurement", "number_not_readable")] == 1
    assert rules(report)[("Y90001", "measurement", "code_not_mapped")] == 2


def test_exposures_are_medicines_or_vaccinations(settings: Settings) -> None:
    header = "drug_exposure_id,person_id,drug_concept_id,drug_exposure_start_date,drug_source_concept_id,quantity"
    rows = ["1,1,0,2020-01-01,109,28", "2,1,110,2020-10-01,0,1", "3,1,0,2020-01-02,0,28"]
    land(settings, drug_exposure="\n".join([header, *rows]) + "\n")
    report = load(settings)
    assert history(settings, "medications").select("product_id", "quantity").rows() == [(39732411000001106, 28.0)]
    assert history(settings, "events")["concept_id"].to_list() == [822851000000102]
    assert rules(report)[("Y90001", "drug_exposure", "code_not_mapped")] == 1


def test_visits_become_contacts_attendances_and_spells(settings: Settings) -> None:
    land(
        settings,
        visit_occurrence=visits(
            "1,1,9202,2020-01-01,2020-01-01,,,",
            "2,1,581477,2020-01-02,2020-01-02,,,",
            "3,1,9203,2020-02-01,2020-02-01,,,",
            "4,1,262,2020-03-01,2020-03-04,,,",
            "5,1,9201,2020-04-01,2020-04-04,,8870,",
            "6,1,9201,2020-02-02,2020-02-04,,,",
            "7,1,9201,2020-05-01,2020-05-04,,,",
            "8,1,42898160,2020-06-01,2020-06-04,,,",
            "9,1,262,2020-07-04,2020-07-01,,,",
            "10,1,262,2026-10-30,,,,",
        ),
        condition_occurrence=conditions(
            "1,1,100,2020-03-01,,,4", "2,1,103,2020-03-02,102,32902,4", "3,1,103,2020-03-02,102,,4"
        ),
    )
    report = load(settings)
    assert [str(day) for day in history(settings, "contacts")["contact_date"]] == ["2020-01-01", "2020-01-02"]
    assert [str(day) for day in history(settings, "emergency_attendances")["arrived_date"]] == ["2020-02-01"]
    spells = history(settings, "spells").select("admitted_date", "discharged_date", "admission_method")
    assert [[str(value) for value in row] for row in spells.rows()] == [
        ["2020-02-02", "2020-02-04", "21"],
        ["2020-03-01", "2020-03-04", "21"],
        ["2020-04-01", "2020-04-04", "21"],
        ["2026-10-30", "None", "21"],
    ]
    codes = history(settings, "spells").filter(pl.col("admitted_date").dt.month() == 3)["diagnosis_codes"].item()
    assert codes.split("|")[0] == "I500"
    assert codes.split("|")[1].startswith("E11")
    held = {rule: count for (_, table, rule), count in rules(report).items() if table == "visit_occurrence"}
    assert held == {"admission_method_not_mapped": 1, "code_not_mapped": 1, "discharged_before_admission": 1}


def test_the_drop_may_state_how_its_admissions_came_about(settings: Settings) -> None:
    stated = (
        "field,value,admission_method\nvisit_source_value,ELECTIVE,11\nvisit_concept_id,262,2A\n"
        "admitted_from_source_value,HOME,13\n"
        "visit_source_value,X,emergency\nperson_id,1,21\n"
    )
    rows = [
        "1,1,9201,2020-01-01,2020-01-02,ELECTIVE,,",
        "2,1,262,2020-02-01,2020-02-02,,,",
        "3,1,9201,2020-03-01,2020-03-02,X,,",
        "4,1,9201,2020-04-01,2020-04-02,,,HOME",
    ]
    of_5_3 = visits(*rows).replace("admitted_from_concept", "admitting_source_concept")
    of_5_3 = of_5_3.replace("admitted_from_source_value", "admitting_source_value")
    land(settings, admission_method=stated, visit_occurrence=of_5_3)
    report = load(settings)
    assert history(settings, "spells")["admission_method"].to_list() == ["11", "2A", "13"]
    assert rules(report) == {
        (None, "concept", "check_digit_wrong"): 1,
        (None, "admission_method", "admission_method_not_known"): 1,
        (None, "admission_method", "field_not_known_word"): 1,
        ("Y90001", "visit_occurrence", "admission_method_not_mapped"): 1,
    }


def test_a_repeated_id_is_no_reason_to_lose_a_record(settings: Settings) -> None:
    land(
        settings,
        condition_occurrence=conditions(
            "1,1,100,2020-01-01,,,", "1,1,103,2020-01-01,,,", "1,2,100,2020-01-01,,,", "1,1,100,2020-01-01,,,"
        ),
    )
    report = load(settings)
    (file,) = report.files.filter(pl.col("table") == "condition_occurrence").to_dicts()
    assert (file["loaded"], file["superseded"]) == (3, 1)


def test_dates_that_cannot_be_are_held(settings: Settings) -> None:
    land(
        settings,
        condition_occurrence=conditions(
            "1,1,100,1960-05-16,,,",
            "2,1,100,1960-05-17,,,",
            "3,1,100,2026-11-01,,,",
            "4,1,100,2026-11-02,,,",
            "5,1,100,01/02/2020,,,",
            "6,1,100,,,,",
        ),
        person=TABLES["person"] + "3,8507,1980,,,,c\n4,8507,1980,1,1,,d\n5,8999,1980,1,1,,e\n",
        person_key=TABLES["person_key"] + "c,9990000034,Y90001,,\nd,9990000042,Y90001,,\ne,9990000050,Y90001,,\n",
        observation_period=TABLES["observation_period"]
        + "4,3,2001-01-01,\n5,4,1979-12-31,\n6,4,2026-11-02,\n7,4,2020-02-01,2020-01-01\n8,5,2001-01-01,\n",
    )
    found = rules(load(settings))
    assert history(settings, "events").height == 2
    assert {rule: count for (_, table, rule), count in found.items() if table == "condition_occurrence"} == {
        "date_before_birth": 1,
        "date_after_extract": 1,
        "date_not_readable": 1,
        "date_missing": 2,
    }
    assert {rule: count for (_, table, rule), count in found.items() if table == "person"} == {
        "birth_date_missing": 1,
        "observation_period_not_held": 2,
        "sex_not_known_word": 1,
    }


def test_a_new_drop_replaces_the_old_one_whole(settings: Settings) -> None:
    land(
        settings,
        condition_occurrence=conditions("1,1,100,2020-01-01,,,", "2,2,103,2020-01-01,,,", "3,1,0,2020-01-01,,,"),
        visit_occurrence=visits("1,1,262,2020-03-01,2020-03-04,,,", "2,2,9203,2020-02-01,2020-02-01,,,"),
    )
    load(settings)
    assert (history(settings, "events", "QF2").height, history(settings, "emergency_attendances", "QF2").height) == (
        1,
        1,
    )
    land(
        settings,
        "20261108",
        person_key="person_source_value,nhs_number,practice_code\na,9990000018,Y90002\n",
        condition_occurrence=conditions("9,1,103,2021-01-01,,,"),
        visit_occurrence=visits("9,1,262,2020-03-01,2020-03-04,,,"),
    )
    report = load(settings)
    assert not report.refused
    for table in HISTORY:
        assert history(settings, table, "QF2").is_empty(), table
    assert history(settings, "events").select("practice_code", "concept_id").rows() == [("Y90002", 84114007)]
    assert history(settings, "spells").select("practice_code").rows() == [("Y90002",)]
    assert set(history(settings, "registrations")["practice_code"]) == {"Y90002"}
    assert read_people(settings, ["QE1", "QF2"]).collect()["nhs_number"].unique().to_list() == [NUMBERS[0]]
    old = read_ledger(settings.home).filter(pl.col("file").str.contains("20261101/CONDITION"))
    assert old.select("loaded", "quarantined", "superseded").row(0) == (2, 0, 1)
    land(settings, "20261101", death="person_id,death_date\n1,2020-01-01\n")
    (late,) = load(settings).refused
    assert "expected a delivery later than 20261108" in late.reason


def test_two_drops_of_one_practice_are_never_mixed(settings: Settings) -> None:
    for source in ("first", "second"):
        folder = settings.landing / "omop" / f"{source}_20261101"
        folder.mkdir(parents=True)
        for name, text in TABLES.items():
            (folder / f"{name.upper()}.csv").write_text(text.lstrip(), "utf-8")
    report = ingest(settings)
    refused = report.files.filter(status="refused")
    assert set(refused["file"].str.split("/").list.get(1)) == {"second_20261101"}
    assert refused["reason"].str.contains("one feed and folder only").all()


def test_held_rows_are_tried_again_when_a_mapping_changes(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    land(
        settings,
        visit_occurrence=visits("1,1,42898160,2020-06-01,2020-06-04,,,", "2,1,9202,2020-06-01,2020-06-01,,,"),
    )
    load(settings)
    held = settings.identity / "quarantine" / "omop" / "Y90001.parquet"
    now_mapped = pl.col("raw").str.replace("42898160", "9202", literal=True)
    pl.read_parquet(held).with_columns(now_mapped).write_parquet(held)
    changed = replace(omop.FEED, mappings=lambda *_: "changed")
    feeds = tuple(changed if feed.name == "omop" else feed for feed in FEEDS)
    monkeypatch.setattr("pipelines.io.landing.ingest.FEEDS", feeds)
    report = load(settings)
    assert not rules(report).get(("Y90001", "visit_occurrence", "code_not_mapped"))
    assert history(settings, "contacts").height == 2
    assert history(settings, "registrations").height == 2


def test_a_zip_with_junk_beside_its_tables_loads(settings: Settings) -> None:
    folder = land(settings)
    archive = settings.landing / "omop" / "source_20261101.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as zipped:
        for path in sorted(folder.iterdir()):
            zipped.write(path, path.name)
        zipped.writestr("__MACOSX/._CARE_SITE.csv", "junk")
        zipped.writestr("CARE_SITE.csv", "care_site_id\n1\n2\n")
    shutil.rmtree(folder)
    report = ingest(settings)
    assert not report.refused
    counts = {row["table"]: row for row in report.files.filter(pl.col("feed") == "omop").to_dicts()}
    with zipfile.ZipFile(archive) as zipped:
        for name in zipped.namelist():
            if not name.startswith("__MACOSX"):
                text = io.StringIO(zipped.read(name).decode("utf-8"))
                table = name.lower().removesuffix(".csv")
                assert counts[table]["records"] == sum(1 for row in csv.reader(text) if row) - 1
    assert counts["care_site"]["blank"] == 2
    assert history(settings, "registrations").height == 2


def database(settings: Settings, *more: str) -> Path:
    """A landed DuckDB file with the usual tables, ids as decimals, and an empty table with its header as a row."""
    path = settings.landing / "omop" / "source_20261101.duckdb"
    path.parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(str(path)) as con:
        for table, text in TABLES.items():
            con.register("rows", pl.read_csv(io.StringIO(text.lstrip()), infer_schema=False))
            con.execute(f"create table {table} as select * from rows")
        con.execute("create table death (column0 varchar, column1 varchar)")
        con.execute("insert into death values ('PERSON_ID', 'DEATH_DATE')")
        con.execute("alter table observation_period alter person_id type double using person_id::double")
        for statement in more:
            con.execute(statement)
    return path


def test_a_duckdb_file_is_read_as_tables_of_text(settings: Settings) -> None:
    path = database(settings)
    report = ingest(settings)
    assert not report.refused
    counts = {row["table"]: row["records"] for row in report.files.filter(pl.col("feed") == "omop").to_dicts()}
    with duckdb.connect(str(path), read_only=True) as con:
        for table in TABLES:
            assert counts[table] == con.sql(f"select count(*) from {table}").fetchall()[0][0]
    assert counts["death"] == 0
    assert history(settings, "registrations").height == 2
    assert ingest(settings).files.is_empty()


LIMITS = ArchiveLimits(largest_bytes=10_000_000, largest_ratio=200, most_members=20)


def test_a_duckdb_file_cannot_do_anything(settings: Settings, tmp_path: Path) -> None:
    secret, out = tmp_path / "secret.csv", tmp_path / "out.csv"
    secret.write_text("a\n1\n", encoding="utf-8")
    path = database(
        settings,
        f"create view condition_occurrence as select * from read_csv('{secret}')",
        "create macro duckdb_tables() as table select 'injected' as table_name",
        "create table note (note_id integer, note_text varchar as (getvariable('secret')))",
        "insert into note values (1)",
    )
    names = [member.name for member in databases.list_tables(path, LIMITS)]
    assert names == sorted(f"{name}.parquet" for name in [*TABLES, "death", "note"])
    report = ingest(settings)
    assert not report.refused
    with databases._opened(path) as con:
        for statement in (
            "select * from landed.main.condition_occurrence",
            f"copy landed.main.person to '{out}'",
            f"attach '{out}'",
            "install httpfs",
            "load httpfs",
            "set enable_external_access = true",
            "delete from landed.main.person",
        ):
            with pytest.raises(duckdb.Error):
                con.execute(statement)
    assert not out.exists()


@pytest.mark.parametrize(
    ("content", "why"),
    [(b"not a database at all", "DuckDB file that can be read"), (b"", "DuckDB file that can be read")],
)
def test_a_file_that_is_no_database_is_refused(settings: Settings, content: bytes, why: str) -> None:
    path = settings.landing / "omop" / "source_20261101.duckdb"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    (refused,) = ingest(settings).refused
    assert why in refused.reason
    with pytest.raises(LandingError, match="at most 1 bytes"):
        databases.list_tables(database_of(path), LIMITS.model_copy(update={"largest_bytes": 1}))


def database_of(path: Path) -> Path:
    path.write_bytes(b"more than one byte")
    return path


def test_practices_of_another_source_are_not_taken_over(settings: Settings) -> None:
    land(settings)
    load(settings)
    other = settings.landing / "omop" / "other_20261102"
    shutil.copytree(settings.landing / "omop" / "source_20261101", other)
    for path in other.iterdir():
        path.write_text(path.read_text("utf-8") + "\n", encoding="utf-8")
    (refused,) = load(settings).refused
    assert "held from omop too" in refused.reason
    assert history(settings, "registrations").height == 2


@hypothesis_settings(
    max_examples=4, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(table=st.sampled_from(sorted(TABLES)), place=st.floats(0, 1), junk=st.binary(min_size=1, max_size=4))
def test_garbled_table_still_balances(
    tmp_path_factory: pytest.TempPathFactory, table: str, place: float, junk: bytes
) -> None:
    settings = settings_of(tmp_path_factory.mktemp("garbled"))
    folder = land(settings, condition_occurrence=conditions("1,1,100,2020-01-01,,,"))
    path = folder / f"{table.upper()}.csv"
    content = path.read_bytes()
    cut = int(place * len(content))
    path.write_bytes(content[:cut] + junk + content[cut + 1 :])
    ingest(settings)
    prove(read_ledger(settings.home))
