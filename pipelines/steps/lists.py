"""Turns cohorts into each practice's weekly list: who gets a place, in what order, why, and what changed."""

import datetime as dt
from dataclasses import dataclass

import polars as pl

from data_contracts.actions import Actions
from data_contracts.tables.weekly import LEFT_BECAUSE
from pipelines.steps.offers import suggest_offers
from pipelines.steps.quality import stand, stopped
from pipelines.steps.reasons import ReasonTables, suggest_actions, word_reasons
from pipelines.steps.roles import SLOTS, route_people


@dataclass(frozen=True)
class WeeklyTables:
    """The tables of one week and one ICB that lists are made from, as in data_contracts.tables.weekly."""

    people: pl.LazyFrame
    complex_care: pl.LazyFrame
    programme_states: pl.LazyFrame
    non_responders: pl.LazyFrame
    people_not_seen: pl.LazyFrame
    lifestyle_risk: pl.LazyFrame
    risk_scores: pl.LazyFrame
    risk_reasons: pl.LazyFrame
    lifestyle_flags: pl.LazyFrame
    person_features: pl.LazyFrame
    conditions: pl.LazyFrame
    measurements: pl.LazyFrame
    care_owed: pl.LazyFrame
    data_quality: pl.LazyFrame
    slots: pl.DataFrame | None = None
    """One row per practice and role for which slots are stated, what weekly_slots returns; others get the default."""
    offers: pl.DataFrame | None = None
    """One row per local offer and practice that it serves."""
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
        members.join(route(tables, members, rules=rules), on="person_id", how="left", validate="m:1"),
        places=share_places(tables.people, tables.slots, rules=rules),
        carried_weeks=rules.carried_weeks,
    )
    reason_tables = _reason_tables(tables, chosen)
    reasons, actions = word_reasons(reason_tables, rules=rules), suggest_actions(reason_tables, rules=rules)
    people = tables.people.join(
        chosen.lazy(), on=["person_id", "practice_code"], how="inner", validate="1:1"
    ).collect()
    return (
        people.join(_cohorts_of(members, chosen), on="person_id", how="left", validate="1:1")
        .join(reasons, on="person_id", how="left", validate="1:1")
        .join(actions, on="person_id", how="left", validate="1:1")
        .join(_offers(tables, people, rules=rules), on="person_id", how="left", validate="1:1")
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
            pl.concat_str("suggested_action", pl.concat_str(pl.lit(". "), "offer_text").fill_null("")),
            "role",
            "offer",
            "weeks_listed",
            "data_as_of",
        )
    )


def route(tables: WeeklyTables, members: pl.DataFrame, *, rules: Actions) -> pl.DataFrame:
    """One row per person: person_id and ``roles``, what route_people says of the members."""
    return route_people(
        members,
        features=tables.person_features,
        states=tables.programme_states,
        flags=tables.lifestyle_flags,
        rules=rules,
    )


def _offers(tables: WeeklyTables, listed: pl.DataFrame, *, rules: Actions) -> pl.DataFrame:
    """One row per person on the lists for whom a local offer is found: person_id, offer, offer_text."""
    if tables.offers is None:
        return pl.DataFrame(schema={"person_id": pl.Int64, "offer": pl.String, "offer_text": pl.String})
    return suggest_offers(
        listed,
        tables.offers,
        features=tables.person_features,
        states=tables.programme_states,
        flags=tables.lifestyle_flags,
        rules=rules,
    )


def rank_members(tables: WeeklyTables, *, rules: Actions) -> pl.DataFrame:
    """One row per person and cohort, with the cohort's order and the person's place in it at the practice."""
    order = {cohort.name: number for number, cohort in enumerate(rules.cohorts)}
    found = {
        "added_by_practice": _by_arrival(tables.added),
        "complex_care": _by_rank(tables.complex_care),
        "non_responders": _by_rank(tables.non_responders),
        "people_not_seen": _by_rank(
            tables.people_not_seen.filter((pl.col("priority") > 0) & ~pl.col("is_possible_ghost"))
        ),
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
    """One row per practice, team and cohort: the places of the week, the first cohort at least one of any.

    Where slots are stated each role is a team of its own. A practice that states none has one team, ANYONE, with the
    default number of places: never none, one place if it is too small for more.
    """
    shares = pl.DataFrame(
        {
            "cohort": [cohort.name for cohort in rules.cohorts],
            "cohort_order": pl.Series(range(len(rules.cohorts)), dtype=pl.Int32),
            "per_thousand": [cohort.slots_per_thousand for cohort in rules.cohorts],
        }
    ).with_columns(share=pl.col("per_thousand").cum_sum() / pl.col("per_thousand").sum())
    whole = (pl.col("slots") * pl.col("share") + 1e-9).floor().cast(pl.Int64)
    team = ["practice_code", "team"]
    return (
        _teams(people, slots, per_thousand=sum(cohort.slots_per_thousand for cohort in rules.cohorts))
        .join(shares, how="cross")
        .sort(*team, "cohort_order")
        .with_columns(so_far=pl.max_horizontal(whole, pl.min_horizontal(1, "slots")))
        .with_columns(places=pl.col("so_far") - pl.col("so_far").shift(1, fill_value=0).over(team))
        .select(*team, "cohort", "cohort_order", "places")
    )


ANYONE = ""
"""The team of a practice that states no capacity."""


def _teams(people: pl.LazyFrame, slots: pl.DataFrame | None, *, per_thousand: float) -> pl.DataFrame:
    """One row per practice and team: practice_code, team, slots."""
    registered = people.group_by("practice_code").agg(registered=pl.len()).collect()
    stated = (pl.DataFrame(schema=SLOTS) if slots is None else slots).join(registered, on="practice_code", how="semi")
    default = (pl.col("registered") * per_thousand / 1000 + 1e-9).floor().clip(lower_bound=1).cast(pl.Int64)
    others = registered.join(stated, on="practice_code", how="anti")
    return pl.concat(
        [
            stated.select("practice_code", "slots", team="role"),
            others.select("practice_code", slots=default, team=pl.lit(ANYONE)),
        ]
    )


def choose_people(members: pl.DataFrame, *, places: pl.DataFrame, carried_weeks: int) -> pl.DataFrame:
    """One row per person who gets a place: practice, cohort that gave it, role, weeks listed, rank on the list.

    Each cohort fills its own places first, with the first team of each person's that the practice has; places left
    over go to the next people, cohort by cohort, then to those whose second team it is, and so on. In a cohort the
    people who are carried over come first, the longest listed before the others.

    Args:
        members: one row per person and cohort, with weeks_listed and ``roles`` in order of preference.
        places: what share_places returns.
        carried_weeks: on how many lists in a row somebody is carried over.
    """
    waited = pl.col("weeks_listed") - 1
    members = members.with_columns(carried=pl.when(waited < carried_weeks).then(waited).otherwise(0))
    asked = _ask_teams(members, places)
    chosen, first = asked.clear(), asked.filter(turn=0)
    for cohort in places.sort("cohort_order")["cohort"].unique(maintain_order=True):
        waiting = first.filter(cohort=cohort).join(chosen, on="person_id", how="anti", maintain_order="left")
        chosen = pl.concat([chosen, _first(waiting, places.filter(cohort=cohort))])
    for turn in asked["turn"].unique().sort():
        waiting = asked.filter(turn=turn).join(chosen, on="person_id", how="anti", maintain_order="left")
        once = waiting.unique("person_id", keep="first", maintain_order=True)
        chosen = pl.concat([chosen, _first(once, _places_left(places, chosen))])
    everyone = chosen.sort("practice_code", "cohort_order", "position")
    return everyone.select(
        "person_id",
        "practice_code",
        "weeks_listed",
        pl.col("cohort").alias("place_from"),
        role=pl.when(pl.col("team") == ANYONE).then(pl.col("roles").list.first()).otherwise("team"),
        rank=pl.int_range(1, pl.len() + 1, dtype=pl.Int64).over("practice_code"),
    )


def _ask_teams(members: pl.DataFrame, places: pl.DataFrame) -> pl.DataFrame:
    """One row per member and team of the practice that may see the person, with its ``turn``, 0 first."""
    teams = places.select("practice_code", "team").unique()
    anyone = teams.filter(team=ANYONE).select("practice_code")
    at_default = members.join(anyone, on="practice_code", how="semi", maintain_order="left")
    by_role = members.join(anyone, on="practice_code", how="anti", maintain_order="left")
    member = ["person_id", "cohort"]
    return pl.concat(
        [
            at_default.with_columns(team=pl.lit(ANYONE), turn=pl.lit(0, dtype=pl.Int64)),
            by_role.with_columns(team="roles")
            .explode("team")
            .join(teams, on=["practice_code", "team"], how="semi", maintain_order="left")
            .with_columns(turn=pl.int_range(pl.len(), dtype=pl.Int64).over(member)),
        ]
    )


def _first(waiting: pl.DataFrame, places: pl.DataFrame) -> pl.DataFrame:
    """The first people of each team, as many as it has places."""
    team = ["practice_code", "team"]
    ordered = waiting.sort(
        [*team, "cohort_order", "carried", "position"], descending=[False, False, False, True, False]
    )
    return (
        ordered.join(places.select(*team, "places"), on=team, how="inner", validate="m:1", maintain_order="left")
        .filter(pl.int_range(pl.len()).over(team) < pl.col("places"))
        .select(waiting.columns)
    )


def _places_left(places: pl.DataFrame, chosen: pl.DataFrame) -> pl.DataFrame:
    """One row per team: places that nobody took yet."""
    team = ["practice_code", "team"]
    taken = chosen.group_by(team).agg(taken=pl.len())
    return (
        places.group_by(team)
        .agg(pl.col("places").sum())
        .join(taken, on=team, how="left", validate="1:1")
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


def _cohorts_of(members: pl.DataFrame, chosen: pl.DataFrame) -> pl.DataFrame:
    """One row per chosen person: the cohorts that hold the person, joined by |."""
    return (
        members.join(chosen, on="person_id", how="semi")
        .sort("person_id", "cohort_order")
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
        care_owed=of_chosen(tables.care_owed),
        person_features=of_chosen(tables.person_features),
        conditions=of_chosen(tables.conditions),
        measurements=of_chosen(tables.measurements),
        programme_states=of_chosen(tables.programme_states),
        non_responders=of_chosen(tables.non_responders),
        people_not_seen=of_chosen(tables.people_not_seen),
        lifestyle_flags=of_chosen(tables.lifestyle_flags),
    )
