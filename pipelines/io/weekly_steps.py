"""The weekly tables that Python makes: a step reads tables of the week, calls a pure function, writes one table."""

import datetime as dt
import time
from collections.abc import Callable
from dataclasses import dataclass, fields

import polars as pl

from data_contracts.actions import load_actions
from data_contracts.clinical.definitions import load_features
from models.published import cambridge
from models.scoring import leave_unscored, score_people
from pipelines.io.model_store import ModelStore
from pipelines.io.warehouse import BuildReport, Warehouse
from pipelines.steps.lists import WeeklyTables, build_target_lists

MakePart = Callable[[Warehouse, dt.date, str], pl.DataFrame]


@dataclass(frozen=True)
class WeeklyStep:
    """One table that Python makes, ICB by ICB, and the tables of the week that it reads."""

    name: str
    reads: tuple[str, ...]
    group: str
    make: MakePart

    def build(self, warehouse: Warehouse, as_of: dt.date) -> BuildReport:
        """Makes and writes the table for every ICB."""
        began, rows, size = time.perf_counter(), {}, 0
        for icb in warehouse.icb_codes():
            part = self.make(warehouse, as_of, icb)
            size += warehouse.write(self.name, as_of, icb, part).stat().st_size
            rows[icb] = part.height
        return BuildReport(self.name, rows, time.perf_counter() - began, size)


def _cambridge_scores(warehouse: Warehouse, as_of: dt.date, icb: str) -> pl.DataFrame:
    people, conditions, features = (
        warehouse.read(table, as_of, icb) for table in ("people", "conditions", "person_features")
    )
    inputs = cambridge.prepare(people, conditions, features, as_of=as_of)
    return cambridge.score(inputs).collect().sort("person_id")


def _risk_scores(warehouse: Warehouse, as_of: dt.date, icb: str) -> pl.DataFrame:
    people = warehouse.read("people", as_of, icb).collect()
    model = ModelStore(warehouse.settings.models, load_features()).champion()
    if model is None:
        return leave_unscored(people)
    cambridge_scores = warehouse.read("cambridge_scores", as_of, icb).collect()
    return score_people(model, warehouse.read("person_features", as_of, icb), people, cambridge_scores)


LISTED = tuple(field.name for field in fields(WeeklyTables))
"""The tables that lists are made from."""


def _target_lists(warehouse: Warehouse, as_of: dt.date, icb: str) -> pl.DataFrame:
    tables = WeeklyTables(**{name: warehouse.read(name, as_of, icb) for name in LISTED})
    return build_target_lists(tables, rules=load_actions(), previous=_previous_lists(warehouse, as_of, icb))


def _previous_lists(warehouse: Warehouse, as_of: dt.date, icb: str) -> pl.DataFrame | None:
    """The lists of the latest earlier week that has been released; None before the first."""
    released = [path.name for path in warehouse.settings.releases.glob("????-??-??")]
    earlier = sorted(name for name in released if name < as_of.isoformat())
    if not earlier:
        return None
    path = warehouse.path("target_lists", dt.date.fromisoformat(earlier[-1]), icb)
    return pl.read_parquet(path) if path.exists() else None


STEPS = [
    WeeklyStep("cambridge_scores", ("people", "conditions", "person_features"), "scores", _cambridge_scores),
    WeeklyStep("risk_scores", ("people", "person_features", "cambridge_scores"), "scores", _risk_scores),
    WeeklyStep("target_lists", LISTED, "lists", _target_lists),
]
"""The steps, each after the tables that it reads."""
