"""Sensitive codes: taken out by default, left in by a signed decision while it holds, whole for real people."""

import datetime as dt
from pathlib import Path

import duckdb
import polars as pl
import pytest

from data_contracts.codelists import codes_of
from data_contracts.sensitive import hospital_codes, load_sensitive_sets, starter_codes
from pipelines.io.queries import load_query
from pipelines.io.sensitive import REFSET, SensitiveCodes, SensitiveSetsError
from pipelines.io.warehouse import Warehouse
from pipelines.io.weekly_build import build_tables
from pipelines.settings import Settings
from tests.lib.tables import AS_OF, table

SIGNED = "{reviewer: A. Guardian, reason: agreed by the board, decided_on: 2026-11-01, expires_on: 2026-11-20}"
DYSPHORIA, SYPHILIS, LISTED = 93461009, 76272004, 40030001


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


def decide(settings: Settings, text: str) -> None:
    (settings.home / "sensitive_sets.yaml").write_text(text, "utf-8")


def write_refset(settings: Settings, *members: tuple[str, int, str, str], header: str = "\t".join(REFSET)) -> None:
    """A release file: set, code, active, effective time."""
    lines = [header]
    for name, code, active, effective in members:
        refset_id = load_sensitive_sets()[name].refset_id if name in load_sensitive_sets() else name
        lines.append("\t".join(["uuid", effective, active, "999000011000000103", refset_id, str(code)]))
    folder = settings.home / "refsets"
    folder.mkdir(exist_ok=True)
    (folder / "der2_Refset_SimpleUKCLSnapshot.txt").write_text("\n".join(lines) + "\n", "utf-8")


def stripped(settings: Settings, day: dt.date = AS_OF) -> set[int]:
    return set(SensitiveCodes(settings).stripped_on(day)["concept_id"])


def test_all_six_sets_are_stripped_unless_someone_signs(settings: Settings) -> None:
    assert len(load_sensitive_sets()) == 6
    assert stripped(settings) == set(starter_codes()["concept_id"])
    assert SensitiveCodes(settings).missing_on(AS_OF) == list(load_sensitive_sets())


@pytest.mark.parametrize(
    ("day", "is_kept"),
    [
        (dt.date(2026, 10, 31), False),
        (dt.date(2026, 11, 1), True),
        (dt.date(2026, 11, 20), True),
        (dt.date(2026, 11, 21), False),
    ],
    ids=["before the decision", "on its day", "on its last day", "expired"],
)
def test_a_signed_decision_leaves_one_set_in_while_it_holds(settings: Settings, day: dt.date, is_kept: bool) -> None:
    decide(settings, f"gender: {SIGNED}")
    assert (DYSPHORIA not in stripped(settings, day)) == is_kept
    assert SYPHILIS in stripped(settings, day)
    assert ("gender" not in SensitiveCodes(settings).missing_on(day)) == is_kept


@pytest.mark.parametrize(
    "text",
    [
        "gender: {reason: agreed, decided_on: 2026-11-01, expires_on: 2026-11-20}",
        f"gender: {SIGNED.replace('A. Guardian', '  ')}",
        f"gender: {SIGNED.replace('reason: agreed by the board, ', '')}",
        f"gender: {SIGNED.replace(', expires_on: 2026-11-20', '')}",
        f"genders: {SIGNED}",
        "gender: yes",
        "- gender",
        "gender: {",
    ],
    ids=["unsigned", "blank name", "no reason", "no end", "unknown set", "a word", "a list", "no yaml"],
)
def test_a_decision_that_is_not_signed_stops_all(settings: Settings, text: str) -> None:
    decide(settings, text)
    with pytest.raises(SensitiveSetsError, match=r"sensitive_sets\.yaml"):
        SensitiveCodes(settings).stripped_on(AS_OF)


def test_a_reference_set_lists_all_of_a_set(settings: Settings) -> None:
    write_refset(
        settings,
        ("gender", LISTED, "1", "20250101"),
        ("gender", SYPHILIS, "0", "20250101"),
        ("termination_of_pregnancy", 38341003, "1", "20200101"),
        ("termination_of_pregnancy", 38341003, "0", "20240101"),
        ("999001234000000100", 44054006, "1", "20240101"),
    )
    assert stripped(settings) == {*starter_codes()["concept_id"], LISTED}
    assert "gender" not in SensitiveCodes(settings).missing_on(AS_OF)
    assert "termination_of_pregnancy" in SensitiveCodes(settings).missing_on(AS_OF)


@pytest.mark.parametrize("header", ["id\teffectiveTime", "", "id,effectiveTime,active,moduleId,refsetId"])
def test_a_file_that_is_no_reference_set_stops_all(settings: Settings, header: str) -> None:
    write_refset(settings, header=header)
    with pytest.raises(SensitiveSetsError, match="no simple reference set"):
        SensitiveCodes(settings).stripped_on(AS_OF)


@pytest.fixture
def warehouse(settings: Settings) -> Warehouse:
    """One person with a sensitive code, as a condition, and another without."""
    write_refset(settings, ("sexually_transmitted_disease", codes_of("hypertension")[0], "1", "20250101"))
    made = Warehouse(settings)
    made.write("registrations", AS_OF, "QE1", table("registrations", "person_id\n1\n2"))
    events = """
        person_id | codelist     | event_date
        1         | hypertension | 2020-01-01
        1         | copd         | 2020-01-01
        2         | copd         | 2020-01-01
    """
    made.write("events", AS_OF, "QE1", table("events", events))
    return made


def conditions(warehouse: Warehouse) -> list[tuple[int, str]]:
    build_tables(warehouse, AS_OF, upto="conditions")
    return warehouse.read("conditions", AS_OF).select("person_id", "condition").collect().rows()


def test_nothing_is_computed_from_a_sensitive_code(warehouse: Warehouse) -> None:
    assert conditions(warehouse) == [(1, "copd"), (2, "copd")]
    assert warehouse.read("events", AS_OF).collect().height == 2
    decide(warehouse.settings, f"sexually_transmitted_disease: {SIGNED}")
    assert conditions(Warehouse(warehouse.settings)) == [(1, "copd"), (1, "hypertension"), (2, "copd")]


def test_analysts_do_not_see_sensitive_codes(warehouse: Warehouse) -> None:
    with duckdb.connect(str(warehouse.publish_catalogue(AS_OF)), read_only=True) as connection:
        found = connection.execute("select person_id, concept_id from events order by all").fetchall()
        comment = connection.execute("select comment from duckdb_views() where view_name = 'events'").fetchone()
    assert found == [(1, codes_of("copd")[0]), (2, codes_of("copd")[0])]
    assert comment


CODES = ["I500|B20X|J440", "B24|B240|I500", "A499|A50|A65X", "O982|O984|Z315", None]
HIDDEN = ["I500|R69X|J440", "R69X|R69X|I500", "A499|R69X|A65X", "R69X|O984|Z315", None]


@pytest.fixture
def hospital(settings: Settings) -> Warehouse:
    """People with lists of hospital codes, sensitive ones among them."""
    made = Warehouse(settings)
    made.write("registrations", AS_OF, "QE1", table("registrations", "person_id\n1"))
    spells = pl.concat([table("spells", f"person_id | admitted_date\n{number} | 2026-01-05") for number in range(5)])
    codes = [pl.Series("diagnosis_codes", CODES), pl.Series("procedure_codes", ["Q131|W371", *[None] * 4])]
    made.write("spells", AS_OF, "QE1", spells.with_columns(codes))
    return made


def codes_read(warehouse: Warehouse) -> list[list[str | None]]:
    """Diagnoses by person and the first person's procedures: as frames, by SQL files and by analysts."""
    frame = warehouse.read("spells", AS_OF).collect()
    with warehouse._connection(load_query("avoidable_admissions"), AS_OF, ["QE1"]) as connection:
        sql = connection.table("spells").pl()
    with duckdb.connect(str(warehouse.publish_catalogue(AS_OF)), read_only=True) as connection:
        catalogue = connection.table("spells").pl()
    found = [rows.sort("person_id") for rows in (frame, sql, catalogue)]
    assert found[0].equals(found[1])
    assert found[0].equals(found[2])
    return [found[0]["diagnosis_codes"].to_list(), found[0]["procedure_codes"].to_list()]


def test_something_neutral_stands_for_a_sensitive_hospital_code(hospital: Warehouse) -> None:
    diagnoses, procedures = codes_read(hospital)
    assert diagnoses == HIDDEN
    assert procedures[0] == "&|W371"
    decide(hospital.settings, f"sexually_transmitted_disease: {SIGNED}\nassisted_fertilisation: {SIGNED}")
    diagnoses, procedures = codes_read(Warehouse(hospital.settings))
    assert diagnoses == CODES
    assert procedures[0] == "&|W371", "the act of 2008 forbids it still"


def test_the_list_of_hospital_codes_names_known_sets_and_columns() -> None:
    assert set(hospital_codes()["column"]) == {"diagnosis_codes", "procedure_codes"}
    assert set(hospital_codes()["set"]) == set(load_sensitive_sets())
    spells = pl.DataFrame({"code": hospital_codes()["replaced_by"]})
    assert not spells["code"].str.contains("^(?:" + "|".join(hospital_codes()["prefix"]) + ")").any()
