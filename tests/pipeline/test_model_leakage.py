"""From history to scores: what is dated or entered on or after the as-of date changes no score."""

import datetime as dt

import numpy as np
import polars as pl
import pytest

from models.scoring import score_people
from models.training import train
from pipelines.io.warehouse import Warehouse
from pipelines.io.weekly_build import build_tables
from pipelines.settings import Settings
from pipelines.synthetic.write import write_extracts
from tests.lib.studies import Study, make_design

AS_OF = dt.date(2025, 9, 15)
DATES = {
    "events": "event_date",
    "medications": "issued_date",
    "spells": "admitted_date",
    "emergency_attendances": "arrived_date",
}


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory):
    home = tmp_path_factory.mktemp("leakage")
    write_extracts(
        people=500, practices=1, seed=4, as_of=dt.date(2026, 11, 16), formats={"history"}, out=home, with_truth=False
    )
    return Warehouse(Settings(home=home))


@pytest.fixture(scope="module")
def before(warehouse):
    return _features(warehouse)


def _features(warehouse) -> pl.DataFrame:
    build_tables(warehouse, AS_OF, upto="person_features")
    return warehouse.read("person_features", AS_OF).sort("person_id", "feature").collect()


@pytest.mark.parametrize("table", DATES)
@pytest.mark.parametrize("late", ["dated", "entered"])
def test_rows_dated_or_entered_later_change_no_feature(warehouse, before, table, late):
    """Every row known before the date is added again, moved to the date itself or entered on it."""
    paths = sorted((warehouse.settings.history / table).glob("*.parquet"))
    kept = {path: path.read_bytes() for path in paths}
    column = DATES[table] if late == "dated" else "entered_date"
    for path in paths:
        rows = pl.read_parquet(path)
        known = rows.filter(pl.col("entered_date") < AS_OF)
        assert known.height > 0
        moved = known.with_columns(pl.lit(AS_OF).alias(column), record_id=pl.col("record_id") + 1)
        pl.concat([rows, moved]).sort("practice_code", "person_id", DATES[table], "record_id").write_parquet(path)
    after = _features(warehouse)
    for path, content in kept.items():
        path.write_bytes(content)
    assert after.equals(before)


def test_outcomes_after_the_index_date_are_no_feature(warehouse, before):
    rows = warehouse.read("avoidable_admissions", AS_OF).collect()
    assert rows.filter(pl.col("admitted_date") >= AS_OF).is_empty()
    assert before.filter(pl.col("feature") == "avoidable_admissions_12m").height > 0


def test_a_model_scores_the_same_people_the_same_from_their_own_rows_alone(warehouse, before):
    people = warehouse.read("people", AS_OF).collect()
    study = _study(before, people)
    model, _ = train(study.design, study.features, study.people, study.admissions)
    everyone = score_people(model, before.lazy(), people)
    one = people.head(1)
    alone = score_people(model, before.lazy().filter(pl.col("person_id") == one["person_id"][0]), one)
    assert alone.equals(everyone.filter(pl.col("person_id") == one["person_id"][0]))


def _study(features: pl.DataFrame, people: pl.DataFrame) -> Study:
    """A study on real-shaped features, with invented practices and outcomes so that 500 people are enough."""
    names = ["age_years", "emergency_admissions_12m", "has_copd"]
    base = make_design()
    kept = tuple(
        base.features[0].model_copy(update={"name": name, "absent": "zero", "is_needed": False}) for name in names
    )
    number = np.arange(people.height)
    cases = people.filter(pl.Series(number % 7 == 0)).select("person_id", admitted_date=pl.lit(AS_OF))
    return Study(
        design=base.model_copy(update={"features": kept, "smallest_events": 10}),
        features=features.lazy(),
        people=people.with_columns(practice_code=pl.Series([f"Y{place % 8:05}" for place in number])),
        admissions=pl.concat([cases, _oldest(people)]).unique("person_id"),
        cambridge=pl.DataFrame(),
        truth=pl.DataFrame(),
    )


def _oldest(people: pl.DataFrame) -> pl.DataFrame:
    """The oldest fifth, so that the outcome can be learned."""
    return people.top_k(people.height // 5, by="age_years").select("person_id", admitted_date=pl.lit(AS_OF))
