"""Says who joined, left or moved within the complex-care cohort since the week before, and why. Ranks nobody."""

from dataclasses import dataclass

import polars as pl

MOVES = {"person_id": pl.Int64, "practice_code": pl.String, "move": pl.String, "reason": pl.String}


@dataclass(frozen=True)
class CohortWeek:
    """One week's tables: people, complex_care, and scores (person_id, score) of everyone by what ranked them."""

    people: pl.DataFrame
    members: pl.DataFrame
    scores: pl.DataFrame


def explain_moves(
    before: CohortWeek, now: CohortWeek, *, registrations: pl.DataFrame, deaths: pl.DataFrame
) -> pl.DataFrame:
    """One row per person who joined, left or changed practice: the columns of MOVES, sorted by practice and person.

    Args:
        before: the latest week before.
        now: this week.
        registrations: open regular registrations as of this week: person_id.
        deaths: known deaths as of this week: person_id.
    """
    joined = now.members.join(before.members, on="person_id", how="anti")
    left = before.members.join(now.members, on="person_id", how="anti")
    moved = now.members.join(before.members, on="person_id", suffix="_before", validate="1:1").filter(
        pl.col("practice_code") != pl.col("practice_code_before")
    )
    rows = [
        _rows(joined, "joined", _why_joined(joined, before, now)),
        _rows(left, "left", _why_left(left, before, now, registrations=registrations, deaths=deaths)),
        _rows(moved, "moved practice", pl.Series(["registered elsewhere"]).new_from_index(0, moved.height)),
    ]
    return pl.concat(rows).sort("practice_code", "person_id")


def _rows(people: pl.DataFrame, move: str, reason: pl.Series) -> pl.DataFrame:
    return people.select("person_id", "practice_code", move=pl.lit(move), reason=reason).cast(MOVES)  # type: ignore[arg-type]


def _why_joined(joined: pl.DataFrame, before: CohortWeek, now: CohortWeek) -> pl.Series:
    was_here = pl.col("person_id").is_in(before.people["person_id"].implode())
    return (
        _with_change(joined, before, now)
        .select(
            pl.when(~was_here)
            .then(pl.lit("newly registered"))
            .when(pl.col("change").is_null() | (pl.col("change") > 0))
            .then(pl.lit("score rose"))
            .otherwise(pl.lit("places came free"))
        )
        .to_series()
    )


def _why_left(
    left: pl.DataFrame, before: CohortWeek, now: CohortWeek, *, registrations: pl.DataFrame, deaths: pl.DataFrame
) -> pl.Series:
    is_here = pl.col("person_id").is_in(now.people["person_id"].implode())
    is_registered = pl.col("person_id").is_in(registrations["person_id"].implode())
    return (
        _with_change(left, before, now)
        .select(
            pl.when(pl.col("person_id").is_in(deaths["person_id"].implode()))
            .then(pl.lit("died"))
            .when(~is_registered)
            .then(pl.lit("left the practice"))
            .when(~is_here)
            .then(pl.lit("opted out or record withheld"))
            .when(pl.col("change") < 0)
            .then(pl.lit("score fell"))
            .otherwise(pl.lit("others ranked higher"))
        )
        .to_series()
    )


def _with_change(people: pl.DataFrame, before: CohortWeek, now: CohortWeek) -> pl.DataFrame:
    """The people with how much their score changed; null if either week has none."""
    return (
        people.select("person_id")
        .join(before.scores, on="person_id", how="left", validate="1:1", maintain_order="left")
        .join(now.scores, on="person_id", how="left", suffix="_now", validate="1:1", maintain_order="left")
        .with_columns(change=pl.col("score_now") - pl.col("score"))
    )
