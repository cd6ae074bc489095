"""Counts by group: what is counted, and what is hidden because it is small."""

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_contracts.actions import load_actions
from pipelines.steps.aggregates import GROUPINGS, TOTAL, CohortTables, count_cohorts
from pipelines.steps.disclosure import Told
from tests.lib.release_frames import PRACTICES, frame

RULES = load_actions()
Person = tuple[str, int, str | None, bool]
ethnic_groups = st.sampled_from(["A", "M", None])
person = st.tuples(st.sampled_from(list(PRACTICES)), st.integers(0, 99), ethnic_groups, st.booleans())


def tables(people: list[Person]) -> CohortTables:
    """People with practice, age, ethnic group and whether they are in complex care."""
    rows = [
        {"person_id": number, "practice_code": practice, "age_years": age, "ethnic_group": ethnic, "sex": "female"}
        for number, (practice, age, ethnic, _) in enumerate(people)
    ]
    selected = [{"person_id": number} for number, row in enumerate(people) if row[3]]
    practices = [{"practice_code": code, "pcn_code": "U00001"} for code in PRACTICES]
    return CohortTables(
        people=frame("people", rows),
        practices=frame("practices", practices),
        target_lists=frame("target_lists", []),
        complex_care=frame("complex_care", selected),
        programme_states=frame("programme_states", []),
        non_responders=frame("non_responders", []),
        people_not_seen=frame("people_not_seen", []),
        lifestyle_risk=frame("lifestyle_risk", []),
        avoidable_admissions=frame("avoidable_admissions", []),
    )


@settings(max_examples=25, derandomize=True, deadline=None)
@given(people=st.lists(person, max_size=80))
def test_no_small_count_is_shown_or_can_be_found_by_subtraction(
    people: list[Person],
) -> None:
    counts = count_cohorts(tables(people), rules=RULES, told=Told())
    shown = counts["people"].drop_nulls()
    assert all(count % 5 == 0 and count >= 10 for count in shown)
    parts = counts.filter(pl.col("group") != TOTAL).group_by("grouping", "cohort").agg(pl.col("people").sum())
    totals = counts.filter(pl.col("group") == TOTAL).join(parts, on=["grouping", "cohort"], suffix="_parts")
    assert (totals["people"].fill_null(0) == totals["people_parts"]).all()


def test_every_grouping_counts_every_person() -> None:
    counts = count_cohorts(tables([("A81001", 50, "A", True)] * 40), rules=RULES, told=Told())
    registered = counts.filter((pl.col("cohort") == "registered") & (pl.col("group") == TOTAL))
    assert registered.select("grouping", "people").rows() == [(grouping, 40) for grouping in GROUPINGS]


@pytest.mark.parametrize(("selected", "rate"), [(7, None), (10, 250.0), (12, 250.0), (40, 1000.0)])
def test_rates_come_from_rounded_counts(selected: int, rate: float | None) -> None:
    people = [("A81001", 50, "A", number < selected) for number in range(41)]
    counts = count_cohorts(tables(people), rules=RULES, told=Told())
    found = counts.filter(
        (pl.col("grouping") == "practice") & (pl.col("group") == "A81001") & (pl.col("cohort") == "complex_care")
    )
    assert found["per_1000"].to_list() == [rate]
