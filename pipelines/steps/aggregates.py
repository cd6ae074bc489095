"""Counts people by practice, network, deprivation, ethnic group, age and sex; every count hidden or rounded."""

from dataclasses import dataclass

import polars as pl

from data_contracts.actions import Actions
from pipelines.steps.disclosure import Told, quasi_identifiers

TOTAL = "total"
GROUPINGS = ["practice", "network", "deprivation_fifth", "ethnic_group", "age_band", "sex"]
NOT_KNOWN = "not known"
ETHNIC_GROUPS = {
    **dict.fromkeys("ABC", "White"),
    **dict.fromkeys("DEFG", "Mixed"),
    **dict.fromkeys("HJKL", "Asian or Asian British"),
    **dict.fromkeys("MNP", "Black or Black British"),
    **dict.fromkeys("RS", "Other"),
}
"""Five groups of the census categories by NHS code, as the NHS Data Dictionary groups them."""


@dataclass(frozen=True)
class CohortTables:
    """The row-level tables of one ICB that are counted, never shown."""

    people: pl.DataFrame
    practices: pl.DataFrame
    target_lists: pl.DataFrame
    complex_care: pl.DataFrame
    programme_states: pl.DataFrame
    non_responders: pl.DataFrame
    people_not_seen: pl.DataFrame
    lifestyle_risk: pl.DataFrame
    avoidable_admissions: pl.DataFrame
    """The avoidable admissions of the year before the as-of date: the need that the lists should follow."""


def count_cohorts(tables: CohortTables, *, rules: Actions, told: Told) -> pl.DataFrame:
    """One row per grouping, group and cohort: people, hidden (null) or rounded, and people per 1,000 registered.

    Totals and rates are made from the rounded counts; a total leaves hidden parts out.
    """
    members, groups = members_of(tables, rules=rules), groups_of(tables, GROUPINGS)
    inside = pl.concat(
        pl.DataFrame({"person_id": people.unique()}).with_columns(cohort=pl.lit(name, dtype=pl.Enum(list(members))))
        for name, people in members.items()
    ).join(groups, on="person_id", how="inner")
    alike = inside.group_by("cohort", *GROUPINGS).agg(people=pl.len())
    counts = count_groups(groups, alike, list(members), "tables", told=told)
    registered = counts.filter(pl.col("cohort") == "registered").select("grouping", "group", whole="people")
    return (
        counts.join(registered, on=["grouping", "group"], how="left", validate="m:1")
        .with_columns(per_1000=(pl.col("people") * 1000 / pl.col("whole")).round(1))
        .drop("whole")
    )


def count_groups(
    groups: pl.DataFrame, alike: pl.DataFrame, cohorts: list[str], table: str, *, told: Told
) -> pl.DataFrame:
    """One row per grouping, group and cohort: people, hidden (null) or rounded; totals are sums of what is shown.

    Groups with nobody are hidden too.

    Args:
        groups: what groups_of returns.
        alike: one row per cohort and combination of groups with anybody: how many people.
        cohorts: all of them, in the order of the rows.
        table: where the figures stand.
        told: what the ICB was told before.
    """
    groupings = [name for name in groups.columns if name != "person_id"]
    order = pl.Enum(cohorts)
    counted, every = alike.with_columns(pl.col("cohort").cast(order)), pl.Series("cohort", cohorts, dtype=order)
    parts = pl.concat(
        [
            every.to_frame()
            .join(groups.select(grouping).unique(), how="cross")
            .join(
                counted.group_by("cohort", grouping).agg(pl.col("people").sum().cast(pl.Int64)),
                on=["cohort", grouping],
                how="left",
                validate="1:1",
            )
            .select(
                "cohort",
                pl.col("people").fill_null(0),
                place=pl.lit(place),
                group=pl.col(grouping).cast(pl.String),
            )
            for place, grouping in enumerate(groupings)
        ]
    ).sort("cohort", "place", "group")
    names = dict(enumerate(groupings))
    named = parts.select(
        pl.col("place").replace_strict(names, return_dtype=pl.String).alias("grouping"),
        "group",
        pl.col("cohort").cast(pl.String),
        "people",
    )
    safe = told.safe(named, table, ["grouping", "group", "cohort"], "people")
    return pl.concat([safe, _totals(safe)])


def members_of(tables: CohortTables, *, rules: Actions) -> dict[str, pl.Series]:
    """Cohort name to the ids of its people; registered people first, one cohort per overdue programme."""
    overdue = tables.programme_states.filter("is_gap")
    programmes = {
        f"overdue_{name}": overdue.filter(pl.col("programme") == name)["person_id"] for name in rules.programmes
    }
    return {
        "registered": tables.people["person_id"],
        "on_the_list": tables.target_lists["person_id"],
        "complex_care": tables.complex_care["person_id"],
        "overdue": tables.non_responders["person_id"],
        **programmes,
        "not_seen": tables.people_not_seen.filter(pl.col("priority") > 0)["person_id"],
        "lifestyle_risk": tables.lifestyle_risk["person_id"],
        "avoidably_admitted": tables.avoidable_admissions["person_id"],
    }


def safe_capacity(capacity: pl.DataFrame, *, told: Told) -> pl.DataFrame:
    """One row per practice and role: places stated, people listed and people waiting, hidden (null) or rounded."""
    return told.safe(capacity, "capacity", ["practice_code", "role"], "listed", "waiting")


def count_owed(care_owed: pl.DataFrame, *, told: Told) -> pl.DataFrame:
    """One row per practice, thing owed and state: people in complex care, hidden (null) or rounded."""
    by = ["practice_code", "thing", "state"]
    return told.safe(care_owed.group_by(by).agg(people=pl.len()).sort(by), "care_owed", by, "people")


def groups_of(tables: CohortTables, groupings: list[str]) -> pl.DataFrame:
    """One row per person: person_id and the group in each of these groupings."""
    networks = tables.practices.select("practice_code", network="pcn_code")
    bands = quasi_identifiers(tables.people).select("person_id", "age_band", "deprivation_fifth")
    ethnic = pl.col("ethnic_group").replace_strict(ETHNIC_GROUPS, default=None, return_dtype=pl.String)
    return (
        tables.people.select("person_id", "practice_code", "sex", ethnic_group=ethnic)
        .join(networks, on="practice_code", how="left", validate="m:1")
        .join(bands, on="person_id", how="left", validate="1:1")
        .rename({"practice_code": "practice"})
        .select(
            "person_id",
            *[pl.col(name).cast(pl.String).fill_null(NOT_KNOWN).cast(pl.Categorical) for name in groupings],
        )
    )


def _totals(parts: pl.DataFrame) -> pl.DataFrame:
    """One row per grouping and cohort: the sum of the parts that are shown; hidden if none is."""
    shown = pl.when(pl.col("people").is_not_null().any()).then(pl.col("people").sum())
    totals = parts.group_by("grouping", "cohort", maintain_order=True).agg(people=shown)
    return totals.select("grouping", pl.lit(TOTAL).alias("group"), "cohort", "people")
