"""How far a list moves from week to week, and whether anything about the people explains it. Ranks nobody."""

import polars as pl

from models.additive import AdditiveModel
from models.matrix import bin_batch, select_rows


def compare_lists(
    model: AdditiveModel,
    before: tuple[pl.DataFrame, pl.LazyFrame],
    after: tuple[pl.DataFrame, pl.LazyFrame],
    *,
    share: float,
) -> pl.DataFrame:
    """One row per kind of move between two weeks' lists of the highest scores, with how many people made it.

    A person stayed, entered, left, joined (not scored before) or departed (not scored after). Who entered or left is
    explained if their own features moved a bin; unexplained if only others did, which a change of rank can do.

    Args:
        model: the model that made both weeks' scores.
        before: risk_scores and person_features of the earlier week.
        after: the same of the later week.
        share: the share of scored people on the list.
    """
    weeks = [
        _listed(scores, share).join(_own_bins(model, scores, features), on="person_id")
        for scores, features in (before, after)
    ]
    both = weeks[0].join(weeks[1], on="person_id", how="full", suffix="_after", coalesce=True, validate="1:1")
    was, now = pl.col("is_listed"), pl.col("is_listed_after")
    kind = (
        pl.when(was & now)
        .then(pl.lit("stayed"))
        .when(now & was.is_null())
        .then(pl.lit("joined"))
        .when(was & now.is_null())
        .then(pl.lit("departed"))
        .when(now & ~was)
        .then(pl.lit("entered"))
        .when(was & ~now)
        .then(pl.lit("left"))
    )
    is_explained = pl.col("own") != pl.col("own_after")
    moved = both.with_columns(move=kind, is_explained=is_explained.fill_null(value=True)).drop_nulls("move")
    return moved.group_by("move", "is_explained").agg(people=pl.len()).sort("move", "is_explained")


def list_overlap(moves: pl.DataFrame) -> float:
    """The share of the earlier list that is still listed."""
    counts = dict(moves.group_by("move").agg(pl.col("people").sum()).iter_rows())
    listed = sum(counts.get(move, 0) for move in ("stayed", "left", "departed"))
    return float(counts.get("stayed", 0) / max(listed, 1))


def unexplained_share(moves: pl.DataFrame) -> float:
    """People who entered or left though nothing about them changed, as a share of the earlier list."""
    counts = dict(moves.group_by("move").agg(pl.col("people").sum()).iter_rows())
    listed = sum(counts.get(move, 0) for move in ("stayed", "left", "departed"))
    moved = moves.filter(pl.col("move").is_in(["entered", "left"]) & ~pl.col("is_explained"))
    return float(moved["people"].sum() / max(listed, 1))


def _listed(scores: pl.DataFrame, share: float) -> pl.DataFrame:
    """One row per scored person: person_id, is_listed; ties go to the smaller id."""
    ranked = scores.drop_nulls("raw_score").sort(["raw_score", "person_id"], descending=[True, False])
    places = max(1, round(share * ranked.height))
    return ranked.select("person_id", is_listed=pl.int_range(pl.len()) < places)


def _own_bins(model: AdditiveModel, scores: pl.DataFrame, features: pl.LazyFrame) -> pl.DataFrame:
    """One row per person: a number that changes when any of their features moves a bin."""
    ids = scores["person_id"].sort().to_numpy()
    bins = bin_batch(select_rows(features, model.names), ids, model.ready.binnings)
    own = pl.DataFrame(bins.T, schema=model.names).hash_rows(seed=0)
    return pl.DataFrame({"person_id": ids, "own": own})
