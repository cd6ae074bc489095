"""Counts who is due and who is covered, by practice, network, deprivation and ethnic group, hidden or rounded.

The measures that England publishes keep to its ages and doses (coverage.csv); every other programme is one measure.
"""

import polars as pl

from data_contracts.actions import Actions
from data_contracts.clinical.programmes.definition import load_coverage, load_rules
from pipelines.steps.aggregates import CohortTables, count_groups, groups_of
from pipelines.steps.disclosure import Told

GROUPINGS = ["practice", "network", "deprivation_fifth", "ethnic_group"]
NOT_COUNTED = ["not_eligible", "not_yet_due", "unsuitable"]
"""States of people for whom nothing is due, or whom the programme does not suit."""


def count_coverage(tables: CohortTables, records: pl.DataFrame, *, rules: Actions, told: Told) -> pl.DataFrame:
    """One row per measure, grouping and group: people due and covered, hidden or rounded, and the percentage.

    Percentages come from the rounded counts. The row of the total is the ICB's; where England publishes a figure it
    stands beside it.

    Args:
        tables: the row-level tables of one ICB.
        records: programme_records of its people.
        rules: titles of the programmes.
        told: what the ICB was told before.
    """
    measured = pl.concat([_published(tables, records), _whole_programmes(tables)])
    groups = groups_of(tables, GROUPINGS)
    alike = (
        measured.join(groups, on="person_id", how="inner")
        .group_by("measure", *GROUPINGS)
        .agg(due=pl.len(), covered=pl.col("is_covered").sum())
        .unpivot(["due", "covered"], index=["measure", *GROUPINGS], variable_name="kind", value_name="people")
        .with_columns(cohort=pl.concat_str("kind", "measure", separator=" "))
    )
    measures = measured["measure"].unique(maintain_order=True)
    cohorts = [f"{kind} {measure}" for measure in measures for kind in ("due", "covered")]
    counts = count_groups(groups, alike, cohorts, "coverage", told=told).with_columns(
        pl.col("cohort").str.split_exact(" ", 1).struct.rename_fields(["kind", "measure"]).struct.unnest()
    )
    keys = ["measure", "grouping", "group"]
    wide = counts.pivot("kind", index=keys, values="people").with_columns(
        coverage_percent=(100 * pl.col("covered") / pl.col("due")).clip(upper_bound=100).round(1)
    )
    titles = _titles(rules)
    order = {measure: place for place, measure in enumerate(titles["measure"])}
    return (
        wide.join(titles, on="measure", how="left", validate="m:1")
        .with_columns(place=pl.col("measure").replace_strict(order, return_dtype=pl.Int32))
        .sort(
            "place",
            pl.col("grouping").replace_strict(dict(zip(GROUPINGS, range(4), strict=True))),
            maintain_order=True,
        )
        .select(*keys, "title", "due", "covered", "coverage_percent", "published_percent", "published_for")
    )


def _titles(rules: Actions) -> pl.DataFrame:
    """One row per measure, published ones first: its title and the published figure."""
    columns = ["measure", "title", "published_percent", "published_for"]
    others = pl.DataFrame(
        [(name, programme.title) for name, programme in rules.programmes.items()],
        schema={"measure": pl.String, "title": pl.String},
        orient="row",
    )
    return pl.concat([load_coverage().select(columns), others], how="diagonal")


def _whole_programmes(tables: CohortTables) -> pl.DataFrame:
    """One row per person and programme that is due: measure, person_id, is_covered."""
    return tables.programme_states.filter(~pl.col("state").is_in(NOT_COUNTED)).select(
        "person_id", measure=pl.col("programme"), is_covered="is_covered"
    )


def _published(tables: CohortTables, records: pl.DataFrame) -> pl.DataFrame:
    """One row per person and published measure that counts the person: measure, person_id, is_covered."""
    names = dict(load_rules().with_row_index("number").select("number", "rule").rows())
    wanted = load_coverage().rename({"rule": "rule_wanted", "doses": "doses_wanted"})
    is_of_age = (pl.col("age_years") >= pl.col("age_from")) & (pl.col("age_years") < pl.col("age_below"))
    is_counted = pl.col("rule_wanted").is_null() | (
        pl.col("rule_number").replace_strict(names, return_dtype=pl.String) == pl.col("rule_wanted")
    )
    covered = (
        pl.when(pl.col("doses_wanted").is_null())
        .then("is_covered")
        .otherwise(pl.col("doses") >= pl.col("doses_wanted"))
    )
    keys, told = ["person_id", "programme"], ["rule_number", "doses"]
    measured = pl.col("programme").is_in(wanted["programme"].implode())
    return (
        tables.programme_states.lazy()
        .filter(measured & ~pl.col("state").is_in(["not_eligible", "unsuitable"]))
        .join(wanted.lazy(), on="programme", how="inner")
        .join(tables.people.lazy().select("person_id", "age_years"), on="person_id", validate="m:1")
        .filter(is_of_age)
        .join(records.lazy().filter(measured).select(*keys, *told), on=keys)
        .filter(is_counted)
        .select("person_id", "measure", is_covered=covered)
        .collect()
    )
