"""NHS numbers that another has taken the place of: one person stays one person, whatever came first."""

import csv
from pathlib import Path

import polars as pl
import pytest

from pipelines.io.feedback import ANSWERS, answers_path
from pipelines.io.identity import load_key, person_id, read_superseded
from pipelines.io.landing.ingest import IngestReport, ingest
from pipelines.io.landing.quarantine import count_quarantine
from pipelines.io.ledger import prove, read_ledger
from pipelines.io.releases.canary import find_identifiers
from pipelines.io.warehouse import Warehouse
from pipelines.io.weekly_build import build_tables
from pipelines.settings import Settings
from tests.lib import emis
from tests.lib.tables import AS_OF

TABLES = ("registrations", "events", "medications", "contacts", "spells", "emergency_attendances")
OLD, NEW = emis.nhs_number(1), emis.nhs_number(50)


def write_pairs(settings: Settings, *pairs: tuple[str, str], day: str = "20261110") -> Path:
    folder = settings.landing / "superseded_numbers"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"trace_{day}.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("superseded_nhs_number", "nhs_number"), *pairs])
    return path


def write_records(settings: Settings, number: str = OLD) -> None:
    """Three patients with something in every table; the first at hospital too, a stay of which tells both numbers."""
    extract = emis.whole_extract()
    extract.tables["Admin_Patient"][0]["NhsNumber"] = number
    extract.write(settings.landing)
    arrival = {"NEWNHSNO": number, "AEKEY": "7", "ARRIVALDATE": "2025-02-01", "AEDEPTTYPE": "01"}
    further = {"EPIORDER": "2", "EPISTART": "2025-02-03", "DIAG_01": "I500", "NEWNHSNO": NEW}
    episodes = [emis.episode(1, "11", NEWNHSNO=number), emis.episode(1, "12", **further)]
    emis.write_hospital(settings.landing, episodes, [arrival])


def sound(report: IngestReport, settings: Settings) -> IngestReport:
    assert not report.refused
    prove(read_ledger(settings.home))
    return report


def history(settings: Settings) -> dict[str, pl.DataFrame]:
    return {
        table: pl.concat([pl.read_parquet(path) for path in (settings.history / table).glob("*.parquet")])
        for table in TABLES
    }


def people(settings: Settings) -> pl.DataFrame:
    return pl.concat([pl.read_parquet(path) for path in (settings.identity / "people").glob("*.parquet")])


def make(home: Path, *, number: str = OLD) -> Settings:
    settings = emis.workspace(home)
    write_records(settings, number)
    return settings


def test_nothing_stays_under_an_old_number_whatever_came_first(tmp_path: Path) -> None:
    later, sooner, never = (make(tmp_path / name) for name in ("later", "sooner", "never"))
    for other in (sooner, never):
        other.key_file.write_bytes(later.key_file.read_bytes())
    write_records(never, NEW)
    sound(ingest(later), later)
    write_pairs(later, (OLD, NEW))
    write_pairs(sooner, (OLD, NEW))
    reports = {settings.home.name: sound(ingest(settings), settings) for settings in (later, sooner, never)}
    assert set(reports["later"].changed) == set(TABLES)
    expected = history(never)
    assert all(frame.height for frame in expected.values())
    assert expected["spells"]["diagnosis_codes"].to_list() == ["J440|I500"]
    for settings in (later, sooner):
        for table, frame in history(settings).items():
            assert frame.equals(expected[table]), (settings.home.name, table)
        assert people(settings).equals(people(never))


def test_no_number_leaves_the_identity_zone(tmp_path: Path) -> None:
    settings = make(tmp_path)
    write_pairs(settings, (OLD, NEW), ("9990000019", NEW))
    sound(ingest(settings), settings)
    outside = [path for path in settings.home.iterdir() if path not in (settings.landing, settings.identity)]
    assert find_identifiers(outside, [OLD, NEW, "9990000019"]) == {}
    assert find_identifiers([settings.identity], [NEW])


def test_the_old_number_in_a_later_extract_is_read_as_the_new_one(tmp_path: Path) -> None:
    settings = make(tmp_path)
    write_pairs(settings, (OLD, NEW))
    sound(ingest(settings), settings)
    before = history(settings)
    emis.Extract(moment="20261123020000").add_patient(1, GivenName="Again").write(settings.landing)
    sound(ingest(settings), settings)
    assert history(settings)["registrations"].equals(before["registrations"])
    assert people(settings).filter(given_name="Again")["nhs_number"].to_list() == [NEW]


def test_a_dissent_under_an_old_number_at_another_practice_keeps_the_person_out(tmp_path: Path) -> None:
    settings = emis.workspace(tmp_path)
    emis.whole_extract().add_observation(77, 1, CodeId="3").write(settings.landing)
    emis.whole_extract(emis.OTHER_PRACTICE, first_patient=50).write(settings.landing)
    sound(ingest(settings), settings)
    assert left_out(settings) == {OLD: ["type_1_opt_out"], NEW: [None]}
    write_pairs(settings, (OLD, NEW))
    sound(ingest(settings), settings)
    assert left_out(settings) == {OLD: [], NEW: ["registered_elsewhere", "type_1_opt_out"]}


def left_out(settings: Settings) -> dict[str, list[str | None]]:
    """By which rules each of the two numbers is left out; null where it is not."""
    warehouse = Warehouse(settings)
    build_tables(warehouse, AS_OF, upto="eligibility")
    rows = warehouse.read("eligibility", AS_OF).sort("left_out_by").collect()
    ids = {number: person_id(number, load_key(settings)) for number in (OLD, NEW)}
    return {number: rows.filter(pl.col("person_id") == one)["left_out_by"].to_list() for number, one in ids.items()}


def test_answers_of_practices_move_too(tmp_path: Path) -> None:
    settings = make(tmp_path)
    sound(ingest(settings), settings)
    row = (emis.PRACTICE, person_id(OLD, load_key(settings)), "declined", AS_OF)
    pl.DataFrame([row], schema=ANSWERS, orient="row").write_parquet(answers_path(settings))
    write_pairs(settings, (OLD, NEW))
    sound(ingest(settings), settings)
    assert pl.read_parquet(answers_path(settings))["person_id"].to_list() == [person_id(NEW, load_key(settings))]


def numbers(settings: Settings) -> dict[int, str]:
    """What each superseded person of the first hundred made-up numbers is called now, by number's place."""
    key = load_key(settings)
    places = {person_id(emis.nhs_number(place), key): place for place in range(20)}
    return {places[row["person_id"]]: row["new_nhs_number"] for row in read_superseded(settings).to_dicts()}


def test_a_chain_leads_to_its_end_and_later_words_hold(tmp_path: Path) -> None:
    settings = emis.workspace(tmp_path)
    number = emis.nhs_number
    write_pairs(settings, (number(1), number(2)), (number(2), number(3)), (number(5), number(6)))
    sound(ingest(settings), settings)
    assert numbers(settings) == {1: number(3), 2: number(3), 5: number(6)}
    write_pairs(settings, (number(3), number(4)), (number(6), number(5)), day="20261111")
    sound(ingest(settings), settings)
    assert numbers(settings) == {1: number(4), 2: number(4), 3: number(4), 6: number(5)}


@pytest.mark.parametrize(
    ("pairs", "reasons"),
    [
        ([("9990000019", NEW)], {"nhs_number_not_valid": 1}),
        ([(OLD, "")], {"nhs_number_not_valid": 1}),
        ([(OLD, OLD)], {"leads_in_a_circle": 1}),
        ([(OLD, NEW), (NEW, OLD)], {"leads_in_a_circle": 2}),
        ([(OLD, NEW), (OLD, emis.nhs_number(60))], {"two_successors": 2}),
    ],
    ids=["no number", "no successor", "itself", "a circle", "two successors"],
)
def test_a_pair_that_cannot_be_is_held_and_the_others_count(
    tmp_path: Path, pairs: list[tuple[str, str]], reasons: dict[str, int]
) -> None:
    settings = emis.workspace(tmp_path)
    write_pairs(settings, *pairs, (emis.nhs_number(7), emis.nhs_number(8)))
    sound(ingest(settings), settings)
    assert numbers(settings) == {7: emis.nhs_number(8)}
    held = count_quarantine(settings).filter(feed="superseded_numbers")
    assert dict(held.select("rule", "records").iter_rows()) == reasons


def test_the_same_pairs_again_change_nothing(tmp_path: Path) -> None:
    settings = make(tmp_path)
    write_pairs(settings, (OLD, NEW))
    sound(ingest(settings), settings)
    write_pairs(settings, (OLD, NEW), (OLD, NEW), day="20261117")
    assert sound(ingest(settings), settings).changed == {}


def test_a_file_without_its_columns_is_refused(tmp_path: Path) -> None:
    settings = emis.workspace(tmp_path)
    write_pairs(settings).write_text("old,new\n1,2\n", "utf-8")
    assert [refused.feed for refused in ingest(settings).refused] == ["superseded_numbers"]
