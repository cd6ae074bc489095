"""Writes how each feed stands after an ingest: what is loaded of it, what waits, what is held by which reason."""

import polars as pl

from data_contracts.tables.deliveries import FeedStates, QuarantineCounts
from pipelines.io.landing.protocol import APPLIED
from pipelines.io.landing.quarantine import QUARANTINE, held_as
from pipelines.io.landing.registry import FEEDS
from pipelines.io.landing.store import Store

STATES = list(FeedStates.to_schema().columns)
KEY = ["feed", "practice_code"]


def write_states(store: Store, ledger: pl.DataFrame, news: pl.DataFrame, accepted: pl.DataFrame) -> None:
    """Writes feed_states and quarantine_counts aside; ``news`` are the ledger rows of this ingest."""
    store.write(_feed_states(store, ledger, news, accepted), store.settings.history / "feed_states.parquet")
    store.write(_quarantine_counts(store), store.settings.history / "quarantine_counts.parquet")


def _feed_states(store: Store, ledger: pl.DataFrame, news: pl.DataFrame, accepted: pl.DataFrame) -> pl.DataFrame:
    loaded = (
        ledger.filter(status="loaded")
        .group_by(KEY)
        .agg(records=(pl.col("records") - pl.col("blank")).sum(), last=pl.col("window_end").max())
    )
    practices = _practices(store).join(loaded.drop("last"), on=KEY, how="left", validate="1:1")
    others = loaded.filter(pl.col("practice_code").is_null()).with_columns(
        source=pl.col("feed"), moment=pl.col("last")
    )
    held = pl.concat([practices, others.select(practices.columns)])
    waiting = (
        news.filter(pl.col("status").is_in(["held", "refused"]), pl.col("window_end") != "")
        .sort("window_end", "file")
        .group_by(KEY, maintain_order=True)
        .agg(waits_from=day_of("window_end").first(), waits_because=pl.col("reason").first())
    )
    told = accepted.select("feed", "source", "moment", is_accepted=pl.lit(True)).unique()
    return (
        held.join(waiting, on=KEY, how="full", coalesce=True, nulls_equal=True)
        .join(told, on=["feed", "source", "moment"], how="left", validate="m:1")
        .with_columns(delivered_date=day_of("moment"), is_accepted=pl.col("is_accepted").fill_null(False))
        .select(STATES)
        .sort(KEY)
    )


def day_of(moment: str) -> pl.Expr:
    """The day of a delivery's moment, whose digits begin with it; null if it has none."""
    return pl.col(moment).str.slice(0, 8).str.to_date("%Y%m%d", strict=False)


def _practices(store: Store) -> pl.DataFrame:
    """Feed, practice, source and moment of the last delivery that was loaded of each practice."""
    parts = [
        store.read(store.state_path(f"{feed.name}_practices"), APPLIED).select(
            pl.lit(feed.name).alias("feed"), "practice_code", "source", moment="applied_moment"
        )
        for feed in FEEDS
        if feed.stage == "practices"
    ]
    return pl.concat(parts)


def _quarantine_counts(store: Store) -> pl.DataFrame:
    folders = [store.settings.identity / "quarantine" / feed.name for feed in FEEDS]
    parts = [store.read(path, QUARANTINE) for folder in folders for path in store.switch.finals(folder)]
    held = pl.concat([pl.DataFrame(schema=QUARANTINE), *parts])
    keys = ["feed", "practice_code", "table", "reasons"]
    counts = held.group_by(keys).agg(records=pl.len().cast(pl.Int64), held_as=held_as().first())
    return counts.select(list(QuarantineCounts.to_schema().columns)).sort(keys)
