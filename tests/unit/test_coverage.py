"""Coverage by group: who counts as due, who as covered, and what stays hidden."""

import polars as pl
import pytest

from data_contracts.actions import load_actions
from data_contracts.clinical.programmes.definition import load_coverage, load_rules
from pipelines.steps.aggregates import TOTAL, CohortTables
from pipelines.steps.coverage import GROUPINGS, count_coverage
from pipelines.steps.disclosure import Told
from tests.lib.release_frames import frame, gap_of

RULES = load_actions()
NUMBERS = {rule: number for number, rule in enumerate(load_rules()["rule"])}


def coverage(people: list[dict[str, object]]) -> pl.DataFrame:
    """The table for people of one practice, each with age, programme, state, and doses or cover."""
    rows, states, records = [], [], []
    for number, person in enumerate(people):
        who = {"person_id": number, "practice_code": "A81001"}
        rows.append(who | {"age_years": person["age"], "ethnic_group": person.get("ethnic"), "imd_decile": 1})
        name = person["programme"]
        state = {"state": person.get("state", "due"), "is_covered": person.get("covered", False), "is_gap": False}
        states.append(gap_of(number, "A81001", programme=name, **state))
        rule = person.get("rule", load_rules().filter(programme=name)["rule"][0])
        records.append(who | {"programme": name, "rule_number": NUMBERS[str(rule)], "doses": person.get("doses", 0)})
    tables = CohortTables(
        people=frame("people", [row | {"sex": "female"} for row in rows]),
        practices=frame("practices", [{"practice_code": "A81001", "pcn_code": "U00001"}]),
        target_lists=frame("target_lists", []),
        complex_care=frame("complex_care", []),
        programme_states=frame("programme_states", states),
        non_responders=frame("non_responders", []),
        people_not_seen=frame("people_not_seen", []),
        lifestyle_risk=frame("lifestyle_risk", []),
        avoidable_admissions=frame("avoidable_admissions", []),
    )
    return count_coverage(tables, frame("programme_records", records), rules=RULES, told=Told())


def of(table: pl.DataFrame, measure: str, *, grouping: str = "practice", group: str = TOTAL) -> tuple[object, ...]:
    found = table.filter(measure=measure, grouping=grouping, group=group)
    return found.select("due", "covered", "coverage_percent").row(0)


def test_percentages_come_from_rounded_counts() -> None:
    people = [{"age": 62, "programme": "bowel", "covered": number < 28} for number in range(41)]
    table = coverage(people)
    assert of(table, "bowel_60_74") == (40, 30, 75.0)
    assert of(table, "bowel") == (40, 30, 75.0)


def test_small_counts_and_their_percentages_are_hidden() -> None:
    people = [{"age": 62, "programme": "bowel", "covered": number < 7} for number in range(41)]
    assert of(coverage(people), "bowel") == (40, None, None)
    assert of(coverage(people[:7]), "bowel") == (None, None, None)


@pytest.mark.parametrize("state", ["not_eligible", "unsuitable", "not_yet_due"])
def test_people_for_whom_nothing_is_due_do_not_count(state: str) -> None:
    people = [{"age": 62, "programme": "bowel", "state": state} for _ in range(20)]
    others = [{"age": 62, "programme": "bowel", "state": "declined"} for _ in range(10)]
    assert of(coverage(people + others), "bowel")[0] == 10


def test_published_measures_keep_to_their_ages_doses_and_rules() -> None:
    ages = [{"age": age, "programme": "cervical", "covered": True} for age in (24, 25, 49, 50, 64) for _ in range(10)]
    table = coverage(ages)
    assert [of(table, f"cervical_{name}")[0] for name in ("25_49", "50_64", "25_64")] == [20, 20, 40]
    children = [{"age": 2, "programme": "mmr", "doses": doses} for doses in (0, 1, 2) for _ in range(10)]
    assert of(coverage(children), "mmr_2") == (30, 20, 66.7)
    flu = [{"age": 60, "programme": "flu", "rule": rule} for rule in ("flu_risk", "flu_pregnant") for _ in range(10)]
    assert of(coverage(flu), "flu_at_risk")[0] == 10


def test_groups_are_those_of_the_tables_and_totals_their_sum() -> None:
    people = [
        {"age": 62, "programme": "bowel", "ethnic": ethnic, "covered": True}
        for ethnic in ("A", "M")
        for _ in range(20)
    ]
    table = coverage(people).filter(measure="bowel")
    assert set(table["grouping"]) == set(GROUPINGS)
    assert of(table, "bowel", grouping="ethnic_group", group="White") == (20, 20, 100.0)
    assert of(table, "bowel", grouping="ethnic_group") == (40, 40, 100.0)
    assert of(table, "bowel", grouping="deprivation_fifth", group="1") == (40, 40, 100.0)


def test_each_published_figure_has_a_source_and_a_time() -> None:
    assert (
        load_coverage().select("published_percent", "published_for", "source").null_count().sum_horizontal().item()
        == 0
    )
