"""Turns cohorts into each practice's weekly list: who gets a place, in what order, why, and what changed."""

import datetime as dt
from dataclasses import dataclass

import polars as pl

from data_contracts.actions import Actions
from data_contracts.tables.weekly import LEFT_BECAUSE
from pipelines.steps.quality import stand, stopped
from pipelines.steps.reasons import ReasonTables, suggest_actions, word_reasons


@dataclass(frozen=True)
class WeeklyTables:
    """The tables of one week and one ICB that lists are made from, as in data_contracts.tables.weekly."""

    people: pl.LazyFrame
    complex_care: pl.LazyFrame
    programme_states: pl.LazyFrame
    non_responders: pl.LazyFrame
    lifestyle_risk: pl.LazyFrame
    risk_scores: pl.LazyFrame
    risk_reasons: pl.LazyFrame
    lifestyle_flags: pl.LazyFrame
    person_features: pl.LazyFrame
    conditions: pl.LazyFrame
    measurements: pl.LazyFrame
    data_quality: pl.LazyFrame
    slots: pl.DataFrame | None = None
    """One row per practice that states its capacity: practice_code, slots; the others get the default."""
    resting: pl.DataFrame | None = None
    """One row per person whom the practice has dealt with lately: person_id, practice_code."""
    added: pl.DataFrame | None = None
    """One row per person whom the practice wants on its list: person_id, practice_code."""


def build_target_lists(tables: WeeklyTables, *, rules: Actions, previous: pl.DataFrame | None) -> pl.DataFrame:
    """One row per person on a practice's list this week, by practice and rank (contract: TargetLists).

    A practice whose data quality stops it has no list.

    Args:
        tables: this week's tables.
        rules: places, texts and actions.
        previous: last week's target_lists; None before the first week.
    """
    standing = stand(tables.data_quality)
    listed = carry_over(rank_members(tables, rules=rules), previous=previous)
    members = listed.join(stopped(standing), on="practice_code", how="anti")
    chosen = choose_people(
        members, places=share_places(tables.people, tables.slots, rules=rules), carried_weeks=rules.carried_weeks
    )
    reasons = word_reasons(_reason_tables(tables, chosen), rules=rules)
    actions = suggest_actions(_reason_tables(tables, chosen), rules=rules)
    people = tables.people.join(
        chosen.lazy(), on=["person_id", "practice_code"], how="inner", validate="1:1"
    ).collect()
    return (
        people.join(_cohorts_of(members), on="person_id", how="left", validate="1:1")
        .join(reasons, on="person_id", how="left", validate="1:1")
        .join(actions, on="person_id", how="left", validate="1:1")
        .join(standing.select("practice_code", "data_as_of"), on="practice_code", how="left", validate="m:1")
        .sort("practice_code", "rank")
        .select(
            "person_id",
            "practice_code",
            "rank",
            "age_years",
            "sex",
            "cohorts",
            "reasons",
            "suggested_action",
            "weeks_listed",
            "data_as_of",
        )
    )


def rank_members(tables: WeeklyTables, *, rules: Actions) -> pl.DataFrame:
    """One row per person and cohort, with the cohort's order and the person's place in it at the practice."""
    order = {cohort.name: number for number, cohort in enumerate(rules.cohorts)}
    found = {
        "added_by_practice": _by_arrival(tables.added),
        "complex_care": _by_rank(tables.complex_care),
        "non_responders": _by_rank(tables.non_responders),
        "lifestyle_risk": _by_rank(tables.lifestyle_risk),
    }
    ranked = [
        frame.with_columns(cohort=pl.lit(name), cohort_order=pl.lit(order[name], dtype=pl.Int32))
        for name, frame in found.items()
        if name in order
    ]
    current = tables.people.select("person_id", "practice_code")
    members = pl.concat(ranked).join(current, on=["person_id", "practice_code"], how="semi")
    if tables.resting is not None:
        members = members.join(tables.resting.lazy(), on=["person_id", "practice_code"], how="anti")
    place = pl.col("position").rank("ordinal").over("practice_code", "cohort")
    return members.with_columns(position=place).sort("practice_code", "cohort_order", "position").collect()


def carry_over(members: pl.DataFrame, *, previous: pl.DataFrame | None) -> pl.DataFrame:
    """The members with ``weeks_listed``: lists in a row that hold the person if this one does; 1 is new."""
    if previous is None:
        return members.with_columns(weeks_listed=pl.lit(1, dtype=pl.Int64))
    before = previous.select("person_id", "practice_code", weeks_before="weeks_listed")
    return (
        members.join(before, on=["person_id", "practice_code"], how="left", validate="m:1", maintain_order="left")
        .with_columns(weeks_listed=pl.col("weeks_before").fill_null(0) + 1)
        .drop("weeks_before")
    )


def find_leavers(
    tables: WeeklyTables, lists: pl.DataFrame, *, rules: Actions, previous: pl.DataFrame
) -> pl.DataFrame:
    """One row per person on the last lists who is on none of these, and why (contract: ListLeavers).

    Args:
        tables: this week's tables.
        lists: this week's target_lists.
        rules: places, texts and actions.
        previous: last week's target_lists.
    """
    answered, counted, belongs, _ = LEFT_BECAUSE
    pair = ["person_id", "practice_code"]
    resting = tables.resting if tables.resting is not None else pl.DataFrame(schema=PAIR)
    here = tables.people.select(pair).collect()
    members = rank_members(tables, rules=rules).select(pair).unique()
    return (
        previous.select(*pair, "weeks_listed")
        .join(lists.select("person_id"), on="person_id", how="anti")
        .with_columns(
            reason=pl.when(_is_in(resting))
            .then(pl.lit(answered))
            .when(~_is_in(here))
            .then(pl.lit(counted))
            .when(~_is_in(members))
            .then(pl.lit(belongs))
            .otherwise(pl.lit(LEFT_BECAUSE[-1]))
        )
        .sort("practice_code", "person_id")
    )


def _is_in(pairs: pl.DataFrame) -> pl.Expr:
    """True for a person and practice that stand in the table."""
    known = pairs.select(pl.struct("person_id", "practice_code").alias("pair"))["pair"]
    return pl.struct("person_id", "practice_code").is_in(known.implode())


def share_places(people: pl.LazyFrame, slots: pl.DataFrame | None, *, rules: Actions) -> pl.DataFrame:
    """One row per practice and cohort: the places of the week, their sum rounded down; the first cohort has one.

    A practice that states no capacity gets the default, and never none: one place if it is too small for more.
    """
    shares = pl.DataFrame(
        {
            "cohort": [cohort.name for cohort in rules.cohorts],
            "cohort_order": pl.Series(range(len(rules.cohorts)), dtype=pl.Int32),
            "per_thousand": [cohort.slots_per_thousand for cohort in rules.cohorts],
        }
    ).with_columns(share=pl.col("per_thousand").cum_sum() / pl.col("per_thousand").sum())
    whole = (pl.col("places_in_all") * pl.col("share") + 1e-9).floor().cast(pl.Int64)
    at_least = pl.min_horizontal(1, "places_in_all")
    return (
        _places_in_all(people, slots, per_thousand=sum(cohort.slots_per_thousand for cohort in rules.cohorts))
        .join(shares, how="cross")
        .sort("practice_code", "cohort_order")
        .with_columns(so_far=pl.max_horizontal(whole, at_least))
        .with_columns(places=pl.col("so_far") - pl.col("so_far").shift(1, fill_value=0).over("practice_code"))
        .select("practice_code", "cohort", "cohort_order", "places")
    )


def _places_in_all(people: pl.LazyFrame, slots: pl.DataFrame | None, *, per_thousand: float) -> pl.DataFrame:
    """One row per practice: the places it has in all, stated or by default."""
    registered = people.group_by("practice_code").agg(registered=pl.len()).collect()
    stated = slots if slots is not None else pl.DataFrame(schema=SLOTS)
    default = (pl.col("registered") * per_thousand / 1000 + 1e-9).floor().clip(lower_bound=1).cast(pl.Int64)
    return registered.join(stated, on="practice_code", how="left", validate="1:1").select(
        "practice_code", places_in_all=pl.coalesce("slots", default)
    )


def weekly_slots(capacity: pl.DataFrame, *, as_of: dt.date) -> pl.DataFrame:
    """One row per practice that states its capacity: the slots of all its roles in the week of the as-of date."""
    holds = capacity.filter(pl.col("week_from") <= as_of).sort("practice_code", "role", "week_from")
    latest = holds.unique(["practice_code", "role"], keep="last", maintain_order=True)
    return latest.group_by("practice_code", maintain_order=True).agg(pl.col("slots").sum())


SLOTS = {"practice_code": pl.String, "slots": pl.Int64}


def choose_people(members: pl.DataFrame, *, places: pl.DataFrame, carried_weeks: int) -> pl.DataFrame:
    """One row per person who gets a place: practice, cohort that gave it, weeks listed, rank on the list (1 first).

    Each cohort fills its own places first; places left over go to the next people, cohort by cohort. In a cohort the
    people who are carried over come first, the longest listed before the others.
    """
    waited = pl.col("weeks_listed") - 1
    members = members.with_columns(carried=pl.when(waited < carried_weeks).then(waited).otherwise(0))
    chosen = members.clear()
    for cohort in places.sort("cohort_order")["cohort"].unique(maintain_order=True):
        waiting = members.filter(pl.col("cohort") == cohort).join(chosen, on="person_id", how="anti")
        chosen = pl.concat([chosen, _first(waiting, places.filter(pl.col("cohort") == cohort))])
    free = _places_left(places, chosen)
    waiting = members.join(chosen, on="person_id", how="anti").unique("person_id", keep="first", maintain_order=True)
    everyone = pl.concat([chosen, _first(waiting, free)]).sort("practice_code", "cohort_order", "position")
    return everyone.select(
        "person_id",
        "practice_code",
        "weeks_listed",
        pl.col("cohort").alias("place_from"),
        pl.int_range(1, pl.len() + 1, dtype=pl.Int64).over("practice_code").alias("rank"),
    )


def _first(waiting: pl.DataFrame, places: pl.DataFrame) -> pl.DataFrame:
    """The first people of each practice, as many as it has places."""
    ordered = waiting.sort(
        ["practice_code", "cohort_order", "carried", "position"], descending=[False, False, True, False]
    )
    return (
        ordered.join(places.select("practice_code", "places"), on="practice_code", how="inner", validate="m:1")
        .filter(pl.int_range(pl.len()).over("practice_code") < pl.col("places"))
        .select(waiting.columns)
    )


def _places_left(places: pl.DataFrame, chosen: pl.DataFrame) -> pl.DataFrame:
    """One row per practice: places that nobody took yet."""
    taken = chosen.group_by("practice_code").agg(taken=pl.len())
    return (
        places.group_by("practice_code")
        .agg(pl.col("places").sum())
        .join(taken, on="practice_code", how="left", validate="1:1")
        .with_columns(places=pl.col("places") - pl.col("taken").fill_null(0))
    )


PAIR = {"person_id": pl.Int64, "practice_code": pl.String}


def sort_answers(decisions: pl.DataFrame, *, rules: Actions, as_of: dt.date) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The people who rest and the people whom practices added, each one row per person and practice.

    The latest answer about a person decides; of two on one day, the longer rest.
    """
    rests = {decision.name: decision.rest_weeks for decision in rules.decisions}
    weeks = pl.col("decision").replace_strict(rests, default=0, return_dtype=pl.Int64)
    latest = (
        decisions.with_columns(rest_weeks=weeks)
        .sort("practice_code", "person_id", "decided_date", "rest_weeks", "decision")
        .unique(["practice_code", "person_id"], keep="last", maintain_order=True)
        .with_columns(waited=(pl.lit(as_of) - pl.col("decided_date")).dt.total_days())
    )
    resting = latest.filter(pl.col("waited") < 7 * pl.col("rest_weeks"))
    added = latest.filter((pl.col("rest_weeks") == 0) & (pl.col("waited") < 7 * rules.added_weeks))
    added = added.filter(~pl.col("decision").is_in(list(rests)))
    return resting.select(*PAIR), added.select(*PAIR)


def _by_arrival(added: pl.DataFrame | None) -> pl.LazyFrame:
    """People whom the practice added, in the fixed order of the pseudonym."""
    people = pl.LazyFrame(schema=PAIR) if added is None else added.lazy().select(*PAIR)
    return people.sort("practice_code", "person_id").with_columns(position=pl.int_range(pl.len(), dtype=pl.UInt32))


def _by_rank(cohort: pl.LazyFrame) -> pl.LazyFrame:
    """Members in the order of the rank that the cohort stores."""
    ordered = cohort.sort("practice_code", "rank", "person_id")
    return ordered.select("person_id", "practice_code", position=pl.int_range(pl.len(), dtype=pl.UInt32))


def _cohorts_of(members: pl.DataFrame) -> pl.DataFrame:
    """One row per person: the cohorts that hold the person, joined by |."""
    return (
        members.sort("person_id", "cohort_order")
        .group_by("person_id", maintain_order=True)
        .agg(cohorts=pl.col("cohort").str.join("|"))
    )


def _reason_tables(tables: WeeklyTables, chosen: pl.DataFrame) -> ReasonTables:
    """The chosen people's rows of every table that a reason can come from."""

    def of_chosen(table: pl.LazyFrame) -> pl.DataFrame:
        return table.join(chosen.lazy().select("person_id"), on="person_id", how="semi").collect()

    return ReasonTables(
        chosen=chosen,
        complex_care=of_chosen(tables.complex_care),
        risk_scores=of_chosen(tables.risk_scores),
        risk_reasons=of_chosen(tables.risk_reasons),
        person_features=of_chosen(tables.person_features),
        conditions=of_chosen(tables.conditions),
        measurements=of_chosen(tables.measurements),
        programme_states=of_chosen(tables.programme_states),
        non_responders=of_chosen(tables.non_responders),
        lifestyle_flags=of_chosen(tables.lifestyle_flags),
    )
