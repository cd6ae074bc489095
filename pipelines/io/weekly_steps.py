"""The weekly tables that Python makes: a step reads tables of the week, calls a pure function, writes one table."""

import datetime as dt
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import polars as pl

from data_contracts.actions import load_actions
from data_contracts.clinical.definitions import load_features
from models.design import StudyDesign
from models.drift import measure_drift
from models.matrix import label, with_cambridge
from models.published import cambridge
from models.published.hospital import hospital_scores
from models.published.prevention import prevention_scores
from models.scoring import RISK, leave_unscored, score_people
from pipelines.io.model_store import ModelStore
from pipelines.io.target_lists import READS, read_previous, read_weekly_tables
from pipelines.io.warehouse import BuildReport, Warehouse, empty_table
from pipelines.steps.lists import build_target_lists, find_leavers, rank_members, route
from pipelines.steps.moves import CohortWeek, explain_moves
from pipelines.steps.roles import count_capacity

MakePart = Callable[[Warehouse, dt.date, str], pl.DataFrame]


@dataclass(frozen=True)
class WeeklyStep:
    """One table that Python makes, ICB by ICB, and the tables of the week that it reads."""

    name: str
    reads: tuple[str, ...]
    group: str
    make: MakePart
    looks_elsewhere: bool = False
    """Whether it reads more than ``reads``: earlier weeks, answers, capacity. Its parts are always made anew."""

    def build(self, warehouse: Warehouse, as_of: dt.date) -> BuildReport:
        """Makes and writes the table for every ICB."""
        began, reused, build = time.perf_counter(), 0, partial(self._build_icb, warehouse, as_of)
        for icb in warehouse.in_turn():
            if self.looks_elsewhere:
                build([icb])
            else:
                reused += warehouse.make(self.name, as_of, [icb], reads=self.reads, build=build)
        return warehouse.report(self.name, as_of, seconds=time.perf_counter() - began, reused=reused)

    def _build_icb(self, warehouse: Warehouse, as_of: dt.date, icbs: list[str]) -> None:
        """Makes and writes the part of one ICB."""
        (icb,) = icbs
        warehouse.write(self.name, as_of, icb, self.make(warehouse, as_of, icb))


def _cambridge_scores(warehouse: Warehouse, as_of: dt.date, icb: str) -> pl.DataFrame:
    people, conditions, features = (
        warehouse.read(table, as_of, icb) for table in ("people", "conditions", "person_features")
    )
    inputs = cambridge.prepare(people, conditions, features, as_of=as_of)
    return cambridge.score(inputs).collect().sort("person_id")


def _hospital_scores(warehouse: Warehouse, as_of: dt.date, icb: str) -> pl.DataFrame:
    people, spells = (warehouse.read(table, as_of, icb).collect() for table in ("people", "spells"))
    return hospital_scores(people, spells, as_of=as_of)


def _prevention_scores(warehouse: Warehouse, as_of: dt.date, icb: str) -> pl.DataFrame:
    people, inputs = (warehouse.read(table, as_of, icb).collect() for table in ("people", "score_inputs"))
    return prevention_scores(people, inputs, as_of=as_of)


def _risk_scores(warehouse: Warehouse, as_of: dt.date, icb: str) -> pl.DataFrame:
    people = warehouse.read("people", as_of, icb).collect()
    model = ModelStore(warehouse.settings.models, load_features()).champion()
    if model is None:
        return leave_unscored(people)
    cambridge_scores = warehouse.read("cambridge_scores", as_of, icb).collect()
    return score_people(model, warehouse.read("person_features", as_of, icb), people, cambridge_scores)


def _risk_reasons(warehouse: Warehouse, as_of: dt.date, icb: str) -> pl.DataFrame:
    model = ModelStore(warehouse.settings.models, load_features()).champion()
    members, scores, cambridge_scores = (
        warehouse.read(table, as_of, icb) for table in ("complex_care", "risk_scores", "cambridge_scores")
    )
    chosen = members.join(scores.drop_nulls("raw_score"), on="person_id", how="semi").select("person_id").collect()
    if model is None or chosen.is_empty():
        return empty_table("risk_reasons")
    features = with_cambridge(warehouse.read("person_features", as_of, icb), cambridge_scores.collect())
    return model.explain(features, chosen["person_id"])


def _model_drift(warehouse: Warehouse, as_of: dt.date, icb: str) -> pl.DataFrame:
    model = ModelStore(warehouse.settings.models, load_features()).champion()
    if model is None:
        return empty_table("model_drift")
    cambridge_scores = warehouse.read("cambridge_scores", as_of, icb).collect()
    features = with_cambridge(warehouse.read("person_features", as_of, icb), cambridge_scores)
    people = warehouse.read("people", as_of, icb).select("person_id").collect()
    known = come_true(warehouse, model.design, as_of=as_of, icb=icb)
    drift = measure_drift(model, features, people, as_of=as_of, come_true=known)
    return drift.with_columns(icb_code=pl.lit(icb))


def come_true(warehouse: Warehouse, design: StudyDesign, *, as_of: dt.date, icb: str) -> pl.DataFrame:
    """One row per person scored in the latest week whose outcomes are complete now: risk and has_outcome."""
    latest = design.known_on(as_of).index_date.isoformat()
    weeks = warehouse.settings.tables.glob(f"????-??-??/risk_scores/{icb}.parquet")
    scored = [path for path in weeks if path.parent.parent.name <= latest]
    if not scored:
        return pl.DataFrame(schema={"risk": pl.Float64, "has_outcome": pl.Boolean})
    week = max(scored)
    then = design.model_copy(update={"index_date": dt.date.fromisoformat(week.parent.parent.name)})
    scores = pl.read_parquet(week).drop_nulls(RISK).select("person_id", risk=RISK)
    return label(then, scores, warehouse.read("avoidable_admissions", as_of, icb).collect())


def _cohort_moves(warehouse: Warehouse, as_of: dt.date, icb: str) -> pl.DataFrame:
    earlier = warehouse.previous_path("complex_care", as_of, icb)
    if earlier is None:
        return empty_table("cohort_moves")
    before = dt.date.fromisoformat(earlier.parent.parent.name)
    open_now = pl.col("deregistered_date").is_null() | (pl.col("deregistered_date") >= as_of)
    registrations = warehouse.read("registrations", as_of, icb).filter(
        (pl.col("registration_type") == "regular") & (pl.col("registered_date") < as_of) & open_now
    )
    return explain_moves(
        _cohort_week(warehouse, before, icb),
        _cohort_week(warehouse, as_of, icb),
        registrations=registrations.select("person_id").collect(),
        deaths=warehouse.read("deaths", as_of, icb).collect(),
    )


def _cohort_week(warehouse: Warehouse, week: dt.date, icb: str) -> CohortWeek:
    """One ICB's people, members and scores of a week, by the score that ranked it."""
    members = warehouse.read("complex_care", week, icb).select("person_id", "practice_code", "ranked_by").collect()
    is_cambridge = members["ranked_by"].eq("cambridge_score").any()
    table, column = ("cambridge_scores", "cambridge_score") if is_cambridge else ("risk_scores", "raw_score")
    return CohortWeek(
        people=warehouse.read("people", week, icb).select("person_id").collect(),
        members=members.drop("ranked_by"),
        scores=warehouse.read(table, week, icb).select("person_id", score=column).collect(),
    )


def _target_lists(warehouse: Warehouse, as_of: dt.date, icb: str) -> pl.DataFrame:
    tables, previous = read_weekly_tables(warehouse, as_of, icb), read_previous(warehouse, as_of, icb)
    return build_target_lists(tables, rules=load_actions(), previous=previous)


def _list_leavers(warehouse: Warehouse, as_of: dt.date, icb: str) -> pl.DataFrame:
    previous = read_previous(warehouse, as_of, icb)
    if previous is None:
        return empty_table("list_leavers")
    lists = warehouse.read("target_lists", as_of, icb).collect()
    return find_leavers(read_weekly_tables(warehouse, as_of, icb), lists, rules=load_actions(), previous=previous)


def _list_capacity(warehouse: Warehouse, as_of: dt.date, icb: str) -> pl.DataFrame:
    tables, rules = read_weekly_tables(warehouse, as_of, icb), load_actions()
    members = rank_members(tables, rules=rules)
    lists = warehouse.read("target_lists", as_of, icb).collect()
    return count_capacity(members, route(tables, members, rules=rules), lists, tables.slots)


STEPS = [
    WeeklyStep("cambridge_scores", ("people", "conditions", "person_features"), "scores", _cambridge_scores),
    WeeklyStep("hospital_scores", ("people", "spells"), "scores", _hospital_scores),
    WeeklyStep("prevention_scores", ("people", "score_inputs"), "scores", _prevention_scores),
    WeeklyStep(
        "risk_scores", ("people", "person_features", "cambridge_scores", "risk_model"), "scores", _risk_scores
    ),
    WeeklyStep(
        "risk_reasons",
        ("complex_care", "risk_scores", "person_features", "cambridge_scores", "risk_model"),
        "scores",
        _risk_reasons,
    ),
    WeeklyStep(
        "model_drift",
        ("people", "person_features", "cambridge_scores", "avoidable_admissions", "risk_model"),
        "scores",
        _model_drift,
        looks_elsewhere=True,
    ),
    WeeklyStep(
        "cohort_moves",
        ("people", "complex_care", "risk_scores", "cambridge_scores", "registrations", "deaths"),
        "cohorts",
        _cohort_moves,
        looks_elsewhere=True,
    ),
    WeeklyStep("target_lists", READS, "lists", _target_lists, looks_elsewhere=True),
    WeeklyStep("list_leavers", ("target_lists", *READS), "lists", _list_leavers, looks_elsewhere=True),
    WeeklyStep("list_capacity", ("target_lists", *READS), "lists", _list_capacity, looks_elsewhere=True),
]
"""The steps, each after the tables that it reads."""
