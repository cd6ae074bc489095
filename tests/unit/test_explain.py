"""Why a person is, or is not, on a practice's list."""

import datetime as dt
from pathlib import Path

import polars as pl
import pytest

from data_contracts.actions import load_actions
from pipelines.io.explanations import explain_nhs_number
from pipelines.io.identity import SUPERSEDED, load_key, person_id, superseded_path
from pipelines.io.warehouse import Warehouse
from pipelines.steps.explain import Finding, Question, count_kept, explain_person
from pipelines.steps.lists import build_target_lists, rank_members
from tests.lib.release_frames import AS_OF, frame, nhs_numbers, weekly_rows, weekly_tables, write_workspace

RULES = load_actions()
TABLES = weekly_tables(weekly_rows(2000))
LISTS = build_target_lists(TABLES, rules=RULES, previous=None)
PEOPLE = TABLES.people.collect()


def ask(
    person: int, *, has_opted_out: bool = False, is_practice_closed: bool = False, **registration: object
) -> list[Finding]:
    """The findings of one person with one registration, as changed."""
    practice = PEOPLE.filter(pl.col("person_id") == person)["practice_code"][0]
    usual = {
        "practice_code": practice,
        "person_id": person,
        "registered_date": dt.date(2015, 4, 1),
        "registration_type": "regular",
        "birth_date": dt.date(1950, 1, 1),
        "sex": "female",
    }
    registrations = frame("registrations", [usual | registration])
    question = Question(person, practice, AS_OF, registrations, has_opted_out, is_practice_closed)
    return explain_person(question, tables=TABLES, target_lists=LISTS, rules=RULES)


def unlisted(cohort: str) -> int:
    members = rank_members(TABLES, rules=RULES).filter(pl.col("cohort") == cohort)
    return members.join(LISTS, on="person_id", how="anti")["person_id"][-1]


def test_a_listed_person_is_told_rank_and_reasons() -> None:
    answer = ask(LISTS["person_id"][0])[-1]
    assert answer.holds
    assert answer.says.startswith("number 1 of ")
    assert "avoidable emergency admission" in answer.says


@pytest.mark.parametrize(
    ("registration", "rule", "says"),
    [
        ({"practice_code": "Z00001"}, "has a registration at this practice", "0 registrations here"),
        ({"registration_type": "temporary"}, "is a regular patient", "temporary"),
        ({"deregistered_date": dt.date(2026, 5, 3)}, "is registered on the as-of date", "left 3 May 2026"),
        ({"registered_date": AS_OF}, "is registered on the as-of date", "registered 16 November 2026"),
        ({"death_date": dt.date(2026, 5, 3)}, "is alive", "a death is recorded"),
    ],
)
def test_the_first_rule_that_fails_decides(registration: dict[str, object], rule: str, says: str) -> None:
    *_, failed, answer = ask(LISTS["person_id"][0], **registration)
    assert (failed.rule, failed.holds) == (rule, False)
    assert says in failed.says
    assert answer == Finding("is on the list", False, "not considered for a list")


def test_nobody_is_on_the_list_of_a_closed_practice() -> None:
    *_, failed, _answer = ask(LISTS["person_id"][0], is_practice_closed=True)
    assert (failed.rule, failed.holds, failed.says) == ("the practice is open", False, "it has closed")


def test_leaving_on_the_as_of_date_is_not_known_yet() -> None:
    assert ask(LISTS["person_id"][0], deregistered_date=AS_OF)[-1].holds


def test_an_opt_out_is_the_reason_given() -> None:
    failed = ask(LISTS["person_id"][0], has_opted_out=True)[-2]
    assert failed == Finding("has not opted out", False, "a Type 1 opt-out is recorded")


def test_someone_past_the_places_is_told_the_number_of_places() -> None:
    findings = ask(unlisted("complex_care"))
    assert "others came first for this week's" in findings[-1].says
    standing = next(finding for finding in findings if finding.rule == "fits the places of Complex care")
    assert standing.holds is False
    assert "places of its own" in standing.says


def test_someone_in_no_cohort_is_told_so() -> None:
    members = rank_members(TABLES, rules=RULES)
    nobody = PEOPLE.join(members, on="person_id", how="anti")["person_id"][0]
    assert ask(nobody)[-1] == Finding("is on the list", False, "in no cohort")


def test_each_rule_says_how_many_it_keeps() -> None:
    kept = count_kept(TABLES, LISTS, practice_code="A81001", rules=RULES)
    here = PEOPLE.filter(pl.col("practice_code") == "A81001").height
    people = dict(kept.rows())
    assert people["registered here, alive, not opted out"] == here
    assert people["on this week's list"] == LISTS.filter(pl.col("practice_code") == "A81001").height
    assert people["in any cohort"] >= people["on this week's list"]


def test_a_number_is_looked_up_and_never_repeated(tmp_path: Path) -> None:
    warehouse = Warehouse(write_workspace(tmp_path, weekly_rows(2000), LISTS))
    key = load_key(warehouse.settings)
    with pytest.raises(ValueError, match="check digit") as refused:
        explain_nhs_number(warehouse, practice_code="A81001", nhs_number="9990000000", as_of=AS_OF)
    assert "9990000000" not in str(refused.value)
    number = nhs_numbers(1)[0]
    with pytest.raises(ValueError, match="no practice 'Z00001'; 3 practices"):
        explain_nhs_number(warehouse, practice_code="Z00001", nhs_number=number, as_of=AS_OF)
    registration = {"person_id": person_id(number, key), "practice_code": "A81001", "registration_type": "temporary"}
    path = warehouse.settings.history / "registrations" / "QWO.parquet"
    frame("registrations", [registration]).write_parquet(path)
    told = explain_nhs_number(warehouse, practice_code="A81001", nhs_number=number, as_of=AS_OF)
    assert told.findings[-2] == Finding("is a regular patient", False, "registration type: temporary")
    assert told.kept["people"][0] == PEOPLE.filter(pl.col("practice_code") == "A81001").height


def test_a_superseded_number_is_looked_up_under_the_one_that_holds(tmp_path: Path) -> None:
    warehouse = Warehouse(write_workspace(tmp_path, weekly_rows(2000), LISTS))
    key, (old, new) = load_key(warehouse.settings), nhs_numbers(2)
    registration = {"person_id": person_id(new, key), "practice_code": "A81001", "registration_type": "temporary"}
    path = warehouse.settings.history / "registrations" / "QWO.parquet"
    frame("registrations", [registration]).write_parquet(path)
    pairs = pl.DataFrame([(person_id(old, key), person_id(new, key), new)], schema=SUPERSEDED, orient="row")
    pairs.write_parquet(superseded_path(warehouse.settings))
    told = [
        explain_nhs_number(warehouse, practice_code="A81001", nhs_number=number, as_of=AS_OF).findings
        for number in (old, new)
    ]
    assert told[0] == told[1]
    assert told[0][-2] == Finding("is a regular patient", False, "registration type: temporary")
