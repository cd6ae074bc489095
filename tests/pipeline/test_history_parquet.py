"""An ICB's own extraction as Parquet: checked against the history contract, a table of a practice at a time."""

import datetime as dt
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from data_contracts.registry import HISTORY
from pipelines.io.identity import load_key, make_key, person_id, read_people
from pipelines.io.landing.feeds import load_feed
from pipelines.io.landing.history_parquet import MADE_HERE
from pipelines.io.landing.ingest import IngestReport, ingest
from pipelines.io.ledger import prove, read_ledger
from pipelines.settings import Settings
from tests.lib.counting import records_of
from tests.lib.workspaces import list_practices

PRACTICE, FIRST, SECOND = "Y90001", "9990000018", "9990000026"
DAY = dt.date(2020, 1, 1)
Rows = list[dict[str, Any]]


def settings_of(home: Path) -> Settings:
    settings = Settings(home=home)
    make_key(settings.key_file)
    list_practices(settings, {PRACTICE: "QE1", "Y90002": "QE1"})
    return settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_of(tmp_path)


def person(number: str = FIRST, **given: Any) -> dict[str, Any]:
    usual = {"registered_date": dt.date(2015, 1, 1), "registration_type": "regular", "sex": "female"}
    return {"nhs_number": number, "birth_date": dt.date(1960, 5, 17), **usual, **given}


def event(key: str, number: str = FIRST, **given: Any) -> dict[str, Any]:
    usual = {"event_date": DAY, "entered_date": DAY, "concept_id": 44054006, "value": None, "unit": None}
    return {"record_key": key, "nhs_number": number, **usual, **given}


def spell(key: str, number: str = FIRST, **given: Any) -> dict[str, Any]:
    usual = {"admitted_date": DAY, "discharged_date": DAY, "entered_date": DAY, "admission_method": "21"}
    return {"record_key": key, "nhs_number": number, **usual, **given}


def load(settings: Settings, moment: str = "20261101", *, practice: str = PRACTICE, **tables: Rows) -> IngestReport:
    """What an ingest of these files did; the records of each are counted by an outside query."""
    folder = settings.landing / "history" / practice
    folder.mkdir(parents=True, exist_ok=True)
    for table, rows in tables.items():
        pl.DataFrame(rows, infer_schema_length=None).write_parquet(folder / f"{table}_{moment}.parquet")
    report = ingest(settings)
    for row in report.files.filter(status="loaded", feed="history_parquet").to_dicts():
        assert row["records"] == records_of(settings.landing, row["file"])
    ledger = read_ledger(settings.home)
    prove(ledger)
    held = [
        pl.read_parquet(path) for path in (settings.identity / "quarantine" / "history_parquet").glob("*.parquet")
    ]
    assert ledger["quarantined"].sum() == sum(frame.height for frame in held)
    return report


def history(settings: Settings, table: str) -> pl.DataFrame:
    path = settings.history / table / "QE1.parquet"
    rows = pl.read_parquet(path) if path.exists() else pl.DataFrame()
    if rows.height:
        HISTORY[table].validate(rows)
    return rows


def rules(report: IngestReport) -> dict[tuple[str, str], int]:
    return {(row["table"], row["rule"]): row["records"] for row in report.quarantine.to_dicts()}


def test_every_table_of_history_can_be_delivered(settings: Settings) -> None:
    report = load(
        settings,
        registrations=[person(given_name="Ada", practice_code=PRACTICE, lsoa_code="E01000001")],
        events=[event("1", value=7.5, unit="mmol/L")],
        medications=[
            {
                "nhs_number": FIRST,
                "issued_date": DAY,
                "entered_date": DAY,
                "product_id": 39732411000001106,
                "quantity": 28,
            }
        ],
        contacts=[{"nhs_number": FIRST, "contact_date": DAY, "contact_kind": "consultation"}],
        spells=[spell("1", diagnosis_codes="I500|E119")],
        emergency_attendances=[
            {"nhs_number": FIRST, "arrived_date": DAY, "entered_date": DAY, "department_type": "01"}
        ],
    )
    assert not report.refused
    assert not report.quarantine.height
    assert {table: history(settings, table).height for table in HISTORY} == dict.fromkeys(HISTORY, 1)
    assert history(settings, "events")["person_id"].item() == person_id(FIRST, load_key(settings))
    assert history(settings, "medications")["quantity"].item() == 28.0
    people = read_people(settings, ["QE1"]).collect()
    assert people.select("nhs_number", "given_name", "practice_code").row(0) == (FIRST, "Ada", PRACTICE)
    assert ingest(settings).files.is_empty()


def test_the_feed_knows_every_column_of_history() -> None:
    feed = load_feed("history_parquet")
    assert set(feed.tables) == set(HISTORY)
    for table, contract in HISTORY.items():
        assert set(contract.to_schema().columns) - set(MADE_HERE) <= set(feed.tables[table].names), table


def test_a_pseudonym_is_never_taken_for_an_nhs_number(settings: Settings) -> None:
    row = person()
    row["person_id"] = person_id(str(row.pop("nhs_number")), load_key(settings))
    (refused,) = load(settings, registrations=[row]).refused
    assert "found no nhs_number" in refused.reason
    assert not (settings.history / "registrations").exists()


def test_the_first_delivery_says_who_the_people_are(settings: Settings) -> None:
    (refused,) = load(settings, events=[event("1")]).refused
    assert "expected registrations in a practice's first delivery" in refused.reason
    (unlisted,) = load(settings, practice="Y90009", registrations=[person()]).refused[:1]
    assert unlisted.source in ("Y90009", PRACTICE)


def test_rows_that_break_the_contract_are_held_with_the_rule(settings: Settings) -> None:
    people = [
        person(),
        person("9990000019"),
        person(SECOND, practice_code="Y90002"),
        person(SECOND, sex="woman"),
        person(SECOND, registration_type="guest"),
        person(SECOND, registered_date=dt.date(1960, 5, 16)),
        person(SECOND, registered_date=dt.date(2026, 11, 2)),
        person(SECOND, deregistered_date=dt.date(2014, 12, 31)),
        person(SECOND, birth_date=None),
    ]
    rows = [
        event("1"),
        event("2", SECOND),
        event("3", "123"),
        event("4", concept_id=44054007),
        event("5", concept_id=None),
        event("6", event_date=dt.date(1960, 5, 16)),
        event("7", event_date=dt.date(2026, 11, 2)),
        event("8", entered_date=dt.date(2026, 11, 2)),
        event("9", entered_date=None),
        event("10", event_date=None),
    ]
    spells = [
        spell("1", discharged_date=dt.date(2019, 12, 31)),
        spell("2", admission_method=None),
        spell("3", discharged_date=None),
    ]
    report = load(settings, registrations=people, events=rows, spells=spells)
    assert rules(report) == {
        ("registrations", "nhs_number_not_valid"): 1,
        ("registrations", "wrong_practice"): 1,
        ("registrations", "sex_not_allowed"): 1,
        ("registrations", "registration_type_not_allowed"): 1,
        ("registrations", "registered_date_before_birth"): 1,
        ("registrations", "registered_date_after_extract"): 1,
        ("registrations", "deregistered_before_registered"): 1,
        ("registrations", "birth_date_missing"): 1,
        ("events", "person_not_held"): 1,
        ("events", "nhs_number_not_valid"): 1,
        ("events", "check_digit_wrong"): 1,
        ("events", "concept_id_missing"): 1,
        ("events", "date_before_birth"): 1,
        ("events", "date_after_extract"): 1,
        ("events", "entered_date_after_extract"): 1,
        ("events", "entered_date_missing"): 1,
        ("spells", "discharged_before_admission"): 1,
        ("spells", "admission_method_missing"): 1,
    }
    assert (history(settings, "registrations").height, history(settings, "events").height) == (1, 2)


def test_columns_of_another_type_are_read_or_held_never_guessed(settings: Settings) -> None:
    as_text = event("1", concept_id="44054006", event_date="2020-01-01", value="7.5")
    wrong = event("2", concept_id="C10F.", event_date="01/01/2020", value="high")
    report = load(settings, registrations=[person()], events=[as_text, wrong])
    assert history(settings, "events").select("concept_id", "value").rows() == [(44054006, 7.5)]
    assert rules(report) == {("events", "value_not_readable"): 1, ("events", "concept_id_missing"): 1}


def test_a_new_file_replaces_its_table_and_no_other(settings: Settings) -> None:
    load(
        settings,
        registrations=[person(), person(SECOND)],
        events=[event("1"), event("2", SECOND), event("3", "123")],
        contacts=[
            {"nhs_number": number, "contact_date": DAY, "contact_kind": "consultation"} for number in (FIRST, SECOND)
        ],
        spells=[spell("1"), spell("2", SECOND)],
    )
    report = load(settings, "20261108", events=[event("9", concept_id=84114007)], spells=[spell("2")])
    assert not report.refused
    assert history(settings, "events")["concept_id"].to_list() == [84114007]
    assert (history(settings, "contacts").height, history(settings, "spells").height) == (2, 1)
    assert rules(report) == {}
    load(settings, "20261115", registrations=[person()])
    assert history(settings, "registrations").height == history(settings, "contacts").height == 1
    assert read_people(settings, ["QE1"]).collect()["nhs_number"].to_list() == [FIRST]
    (late,) = load(
        settings, "20261114", contacts=[{"nhs_number": FIRST, "contact_date": DAY, "contact_kind": "consultation"}]
    ).refused
    assert "expected a delivery later than 20261115" in late.reason


def test_rows_wait_for_their_person(settings: Settings) -> None:
    load(settings, registrations=[person()], events=[event("1"), event("2", SECOND)])
    report = load(settings, "20261108", registrations=[person(), person(SECOND)])
    assert rules(report) == {}
    assert history(settings, "events").height == 2


def test_rows_without_a_key_are_known_by_what_they_say(settings: Settings) -> None:
    rows = [{key: value for key, value in event("1").items() if key != "record_key"}] * 2
    report = load(settings, registrations=[person()], events=[*rows, {**rows[0], "value": 7.5}])
    (file,) = report.files.filter(table="events").to_dicts()
    assert (file["loaded"], file["superseded"]) == (2, 1)


def test_another_practice_is_left_alone(settings: Settings) -> None:
    load(settings, registrations=[person()], events=[event("1")])
    load(settings, practice="Y90002", registrations=[person(SECOND)], events=[event("1", SECOND)])
    report = load(settings, "20261108", events=[event("2")])
    assert not report.refused
    assert history(settings, "events")["practice_code"].to_list() == [PRACTICE, "Y90002"]


@hypothesis_settings(
    max_examples=4, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(flips=st.lists(st.tuples(st.floats(0, 0.999), st.integers(1, 255)), min_size=1, max_size=4))
def test_garbled_file_is_refused_or_balances(
    tmp_path_factory: pytest.TempPathFactory, flips: list[tuple[float, int]]
) -> None:
    settings = settings_of(tmp_path_factory.mktemp("garbled"))
    load(settings, registrations=[person()], events=[event("1"), event("2")])
    path = settings.landing / "history" / PRACTICE / "events_20261108.parquet"
    pl.DataFrame([event("3"), event("4")], infer_schema_length=None).write_parquet(path)
    content = bytearray(path.read_bytes())
    for place, bits in flips:
        content[int(place * len(content))] ^= bits
    path.write_bytes(bytes(content))
    ingest(settings)
    prove(read_ledger(settings.home))
