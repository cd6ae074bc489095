"""A delivery that reaches a limit is held: the practice keeps what it had until someone accepts the delivery."""

import datetime as dt
from pathlib import Path

import polars as pl
import pytest

from data_contracts.registry import DELIVERIES
from pipelines.io.landing.errors import LandingError
from pipelines.io.landing.holding import accept_delivery, accepted_path
from pipelines.io.landing.ingest import IngestReport, ingest
from pipelines.io.ledger import prove, read_ledger
from pipelines.settings import Settings
from tests.lib import emis
from tests.lib.workspaces import digests

PEOPLE = 300


def extract(people: range, moment: str = emis.FIRST, practice: str = emis.PRACTICE) -> emis.Extract:
    made = emis.Extract(practice, moment).add_practice()
    for number in people:
        made.add_patient(number).add_observation(number, number)
    return made


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A workspace whose practice has 300 people and four observations each, loaded."""
    settings = emis.workspace(tmp_path / "workspace")
    first = extract(range(PEOPLE))
    for number in range(PEOPLE, 4 * PEOPLE):
        first.add_observation(number, number % PEOPLE)
    first.write(settings.landing)
    assert ingest(settings).refused == ()
    return settings


def without(people: range, moment: str = emis.SECOND) -> emis.Extract:
    delta = emis.Extract(moment=moment)
    for number in people:
        delta.add_deletion("Admin_Patient", "PatientGuid", emis.guid("patient", number), number)
    return delta


def statuses(report: IngestReport) -> set[str]:
    """What became of the files that say anything new: one that holds a header only is unchanged."""
    return set(report.files["status"]) - {"unchanged"}


def state(settings: Settings) -> dict[str, object]:
    states = pl.read_parquet(settings.history / "feed_states.parquet")
    DELIVERIES["feed_states"].validate(states)
    return states.filter(feed="emis", practice_code=emis.PRACTICE).row(0, named=True)


def test_a_loss_of_people_is_held_and_nothing_changes(settings: Settings) -> None:
    before = digests(settings.history / "registrations") | digests(settings.identity / "people")
    without(range(30)).write(settings.landing)
    report = ingest(settings)
    assert statuses(report) == {"held"}
    assert report.refused[0].status == "held"
    assert "registered people against last week: 10.0% (270 to 300; limit 10%)" in report.refused[0].reason
    assert digests(settings.history / "registrations") | digests(settings.identity / "people") == before
    assert state(settings)["delivered_date"] == dt.date(2026, 11, 1)
    assert state(settings)["waits_from"] == dt.date(2026, 11, 8)
    prove(read_ledger(settings.home))


def test_a_loss_short_of_the_limit_is_loaded(settings: Settings) -> None:
    without(range(29)).write(settings.landing)
    assert statuses(ingest(settings)) == {"loaded"}


def test_a_later_delivery_waits_and_the_other_practice_goes_on(settings: Settings) -> None:
    without(range(30)).write(settings.landing)
    emis.Extract(moment=emis.THIRD).add_observation(5000, 200).write(settings.landing)
    emis.whole_extract(emis.OTHER_PRACTICE, emis.THIRD, first_patient=400).write(settings.landing)
    report = ingest(settings)
    assert set(report.files.filter(practice_code=emis.OTHER_PRACTICE)["status"]) == {"loaded"}
    is_new = pl.col("status") != "unchanged"
    waits = report.files.filter(is_new, window_end=emis.THIRD, practice_code=emis.PRACTICE)
    assert set(waits["status"]) == {"refused"}
    assert "held" in waits["reason"][0]


def test_an_accepted_delivery_is_loaded_with_those_that_waited_for_it(settings: Settings) -> None:
    without(range(30)).write(settings.landing)
    emis.Extract(moment=emis.THIRD).add_observation(5000, 200).write(settings.landing)
    ingest(settings)
    delivery = {"feed": "emis", "source": emis.PRACTICE, "moment": emis.SECOND}
    accept_delivery(
        settings, **delivery, accepted_by="An analyst", accepted_on=dt.date(2026, 11, 10), reason="a branch closed"
    )
    report = ingest(settings)
    assert statuses(report) == {"loaded"}
    people = pl.read_parquet(settings.history / "registrations" / f"{emis.ICB}.parquet")
    assert people.height == PEOPLE - 30
    assert state(settings)["waits_from"] is None
    assert ingest(settings).files.is_empty()


def test_two_losses_in_one_ingest_are_judged_one_after_the_other(settings: Settings) -> None:
    without(range(29)).write(settings.landing)
    without(range(29, 58), moment=emis.THIRD).write(settings.landing)
    report = ingest(settings)
    held = report.files.filter(status="held")
    assert set(held["window_end"]) == {emis.THIRD}
    assert "10.7% (242 to 271" in held["reason"][0]


def test_a_first_delivery_far_from_the_public_list_size_is_held(tmp_path: Path) -> None:
    settings = emis.workspace(tmp_path / "workspace")
    sizes = f"EXTRACT_DATE,CODE,SEX,AGE,NUMBER_OF_PATIENTS\n01NOV2026,{emis.PRACTICE},ALL,ALL,100\n"
    (settings.landing / "reference" / "gp-reg-pat-prac-all.csv").write_text(sizes, "utf-8")
    extract(range(80)).write(settings.landing)
    report = ingest(settings)
    assert "registered people against the public list size: 20.0% (80 to 100" in report.refused[0].reason
    assert not (settings.history / "registrations").exists()
    extract(range(81), moment=emis.SECOND).write(settings.landing)
    for path in (settings.landing / "emis" / emis.PRACTICE).glob(f"*{emis.FIRST}*"):
        path.unlink()
    assert ingest(settings).refused == ()


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"EffectiveDate": "not a date"}, "records in quarantine for a fault"),
        ({"CodeId": "404"}, "records whose code is in no code table yet"),
    ],
)
def test_a_delivery_full_of_bad_records_is_held(settings: Settings, values: dict[str, str], says: str) -> None:
    delta = emis.Extract(moment=emis.SECOND)
    for number in range(200):
        delta.add_observation(9000 + number, number, **(values if number < 90 else {}))
    delta.write(settings.landing)
    report = ingest(settings)
    assert statuses(report) == {"held"}
    assert says in report.refused[0].reason


def test_a_delivery_that_deletes_many_rows_is_held(settings: Settings) -> None:
    delta = emis.Extract(moment=emis.SECOND)
    for number in range(PEOPLE, PEOPLE + 150):
        delta.add_deletion(
            "CareRecord_Observation", "ObservationGuid", emis.guid("observation", number), number % 300
        )
    delta.write(settings.landing)
    report = ingest(settings)
    assert "held rows that one delivery deletes: 10.0% (150 to 1,500; limit 10%)" in report.refused[0].reason


def test_an_unreadable_record_of_decisions_stops_the_ingest(settings: Settings) -> None:
    accepted_path(settings).write_text("who,what\nsomeone,something\n", "utf-8")
    without(range(30)).write(settings.landing)
    with pytest.raises(LandingError, match="accepted_deliveries"):
        ingest(settings)


def test_counts_of_held_records_stand_outside_the_identity_zone(settings: Settings) -> None:
    delta = emis.Extract(moment=emis.SECOND).add_observation(9000, 1, CodeId="404")
    delta.add_observation(9001, 1, CodeId="404").add_patient(301, SpineSensitive="true")
    delta.write(settings.landing)
    ingest(settings)
    counts = pl.read_parquet(settings.history / "quarantine_counts.parquet")
    DELIVERIES["quarantine_counts"].validate(counts)
    assert counts.select("table", "reasons", "records", "held_as").rows() == [
        ("Admin_Patient", "spine_sensitive", 1, "withheld"),
        ("CareRecord_Observation", "code_not_known", 2, "code_not_known"),
    ]
