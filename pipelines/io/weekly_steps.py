"""The weekly tables that Python makes: a step reads tables of the week, calls a pure function, writes one table."""

import datetime as dt
import time
from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from data_contracts.actions import load_actions
from data_contracts.clinical.definitions import load_features
from models.published import cambridge
from models.scoring import leave_unscored, score_people
from pipelines.io.model_store import ModelStore
from pipelines.io.target_lists import READS, read_previous, read_weekly_tables
from pipelines.io.warehouse import BuildReport, Warehouse
from pipelines.steps.lists import build_target_lists

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


def _target_lists(warehouse: Warehouse, as_of: dt.date, icb: str) -> pl.DataFrame:
    tables, previous = read_weekly_tables(warehouse, as_of, icb), read_previous(warehouse, as_of, icb)
    return build_target_lists(tables, rules=load_actions(), previous=previous)


STEPS = [
    WeeklyStep("cambridge_scores", ("people", "conditions", "person_features"), "scores", _cambridge_scores),
    WeeklyStep(
        "risk_scores", ("people", "person_features", "cambridge_scores", "risk_model"), "scores", _risk_scores
    ),
    WeeklyStep("target_lists", READS, "lists", _target_lists),
]
"""The steps, each after the tables that it reads."""
