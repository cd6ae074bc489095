"""Says who sees each person, and shares out the slots that practices and neighbourhoods state."""

import datetime as dt

import polars as pl

from data_contracts.actions import Actions, RoleRule

SLOTS = {"practice_code": pl.String, "role": pl.String, "slots": pl.Int64}
Marks = dict[tuple[str, str], pl.Series]
"""The ids of the people who have something: by what it is (cohort, feature, gap, flag) and its name."""


def route_people(
    members: pl.DataFrame,
    *,
    features: pl.LazyFrame,
    states: pl.LazyFrame,
    flags: pl.LazyFrame,
    rules: Actions,
) -> pl.DataFrame:
    """One row per person: person_id and ``roles``, who may see the person in order of preference.

    Args:
        members: one row per person and cohort, as rank_members gives them.
        features: person_features.
        states: programme_states.
        flags: lifestyle_flags.
        rules: the role rules; the first that fits decides.
    """
    people = members.sort("person_id", "cohort_order").unique("person_id", keep="first", maintain_order=True)
    marks = _marks(people, features=features, states=states, flags=flags, rules=rules)
    roles = pl.lit(None, dtype=pl.List(pl.String))
    for rule in reversed(rules.roles):
        roles = pl.when(_fits(rule, marks)).then(pl.lit(pl.Series([list(rule.roles)])).first()).otherwise(roles)
    return people.select("person_id", roles=roles)


def _marks(
    people: pl.DataFrame, *, features: pl.LazyFrame, states: pl.LazyFrame, flags: pl.LazyFrame, rules: Actions
) -> Marks:
    """Whom each part of a rule fits."""
    least = {(name, value) for rule in rules.roles for name, value in rule.features.items()}
    kinds = {name: programme.kind for name, programme in rules.programmes.items()}
    ids = people.lazy().select("person_id")
    counted = (
        features.filter(pl.col("feature").cast(pl.String).is_in([name for name, _ in least]))
        .select("person_id", "value", feature=pl.col("feature").cast(pl.String))
        .join(ids, on="person_id", how="semi")
        .collect()
    )
    gaps = (
        states.filter("is_gap")
        .select("person_id", kind=pl.col("programme").cast(pl.String).replace_strict(kinds))
        .join(ids, on="person_id", how="semi")
        .collect()
    )
    names = sorted({name for rule in rules.roles for name in rule.flags})
    flagged = flags.select("person_id", *names).join(ids, on="person_id", how="semi").collect()
    return (
        {
            ("feature", f"{name} {value}"): counted.filter(feature=name).filter(pl.col("value") >= value)["person_id"]
            for name, value in least
        }
        | {("gap", kind): gaps.filter(kind=kind)["person_id"] for kind in set(kinds.values())}
        | {("flag", name): flagged.filter(name)["person_id"] for name in names}
        | {("cohort", cohort.name): people.filter(cohort=cohort.name)["person_id"] for cohort in rules.cohorts}
    )


def _fits(rule: RoleRule, marks: Marks) -> pl.Expr:
    """True for people whom every stated part of a rule fits."""
    parts = {
        "cohort": rule.cohorts,
        "feature": tuple(f"{name} {value}" for name, value in rule.features.items()),
        "gap": rule.gaps,
        "flag": rule.flags,
    }
    stated = [pl.concat([marks[what, name] for name in names]) for what, names in parts.items() if names]
    return pl.all_horizontal(pl.lit(True), *(pl.col("person_id").is_in(ids.implode()) for ids in stated))


def weekly_slots(capacity: pl.DataFrame, practices: pl.DataFrame, *, as_of: dt.date) -> pl.DataFrame:
    """One row per practice and role that somebody states slots for: the slots of the week of the as-of date.

    Args:
        capacity: rows of capacity.csv; a network's slots are shared among its practices by registered people.
        practices: one row per practice: practice_code, pcn_code, registered.
        as_of: the as-of date.
    """
    holds = capacity.filter(pl.col("week_from") <= as_of).sort("ods_code", "role", "week_from")
    latest = holds.unique(["ods_code", "role"], keep="last", maintain_order=True)
    own = latest.join(practices, left_on="ods_code", right_on="practice_code", how="semi")
    shared = (
        latest.join(practices, left_on="ods_code", right_on="pcn_code", how="inner")
        .sort("ods_code", "role", "practice_code")
        .with_columns(so_far=_part_so_far())
        .with_columns(slots=pl.col("so_far") - pl.col("so_far").shift(1, fill_value=0).over("ods_code", "role"))
    )
    both = pl.concat(
        [own.select("role", "slots", practice_code="ods_code"), shared.select("role", "slots", "practice_code")]
    )
    return both.group_by("practice_code", "role").agg(pl.col("slots").sum()).sort("practice_code", "role")


def _part_so_far() -> pl.Expr:
    """The slots of a network up to this practice of it, in whole numbers that end at all of them."""
    people = pl.col("registered").cum_sum() / pl.col("registered").sum()
    return (pl.col("slots") * people.over("ods_code", "role") + 1e-9).floor().cast(pl.Int64)


def count_capacity(
    members: pl.DataFrame, routes: pl.DataFrame, lists: pl.DataFrame, slots: pl.DataFrame | None
) -> pl.DataFrame:
    """One row per practice and role: places stated, people listed, people waiting (contract: ListCapacity).

    Args:
        members: one row per person and cohort, as rank_members gives them.
        routes: what route_people returns.
        lists: this week's target_lists.
        slots: what weekly_slots returns; None if nobody states any.
    """
    key = ["practice_code", "role"]
    waiting = (
        members.select("person_id", "practice_code")
        .unique()
        .join(lists, on="person_id", how="anti")
        .join(routes, on="person_id", how="inner", validate="1:1")
        .group_by("practice_code", role=pl.col("roles").list.first())
        .agg(waiting=pl.len().cast(pl.Int64))
    )
    listed = lists.group_by(key).agg(listed=pl.len().cast(pl.Int64))
    stated = (pl.DataFrame(schema=SLOTS) if slots is None else slots).rename({"slots": "places"})
    return (
        listed.join(waiting, on=key, how="full", coalesce=True)
        .join(stated, on=key, how="full", coalesce=True)
        .select(*key, "places", pl.col("listed", "waiting").fill_null(0))
        .sort(key)
    )
