"""Where each person is registered now, and the records that follow people from one ICB to another."""

import polars as pl

from pipelines.io.history import GONE_KEYS, Change
from pipelines.io.landing.places import Places
from pipelines.io.landing.store import Store

ROSTER = {"person_id": pl.Int64, "practice_code": pl.String, "icb_code": pl.String}
FOLLOWING = ("spells", "emergency_attendances")
"""History tables whose records lie where the person is registered now."""


def current_practices(store: Store, places: Places) -> pl.DataFrame:
    """One row per person: the practice of the latest open regular registration, else of the latest there is."""
    paths = store.switch.finals(store.settings.history / "registrations")
    if not paths:
        return pl.DataFrame(schema=ROSTER)
    registrations = pl.scan_parquet([store.switch.current(path) for path in paths])
    return (
        registrations.with_columns(
            is_regular=pl.col("registration_type") == "regular", is_open=pl.col("deregistered_date").is_null()
        )
        .sort("is_regular", "is_open", "registered_date", "practice_code", descending=[True, True, True, False])
        .unique("person_id", keep="first", maintain_order=True)
        .select("person_id", "practice_code")
        .join(places.practices.select("practice_code", "icb_code").lazy(), on="practice_code", how="inner")
        .sort("person_id")
        .collect()
    )


def follow_people(store: Store, roster: pl.DataFrame) -> list[Change]:
    """Moves records to the ICB where the person is registered now: a record lies in one ICB only."""
    changes = []
    homes = roster.lazy().select("person_id", "icb_code")
    for table in FOLLOWING:
        for path in store.switch.finals(store.settings.history / table):
            rows = pl.scan_parquet(store.switch.current(path)).join(homes, on="person_id", how="inner").collect()
            away = rows.filter(pl.col("icb_code") != path.stem)
            if away.is_empty():
                continue
            gone = away.select(table=pl.lit(table), record_id="record_id").select(list(GONE_KEYS))
            changes.append(Change(icb_code=path.stem, gone_keys=gone))
            for icb_code in away["icb_code"].unique().sort():
                staged = store.work("moved", f"{table}_{path.stem}_{icb_code}") / f"{table}.parquet"
                away.filter(pl.col("icb_code") == icb_code).drop("icb_code").write_parquet(staged)
                changes.append(Change(icb_code=icb_code, staged={table: staged}))
    return changes
