"""The truth behind made-up people: exact where it can be worked out, calibrated where it is drawn."""

import datetime as dt
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from pipelines.synthetic.admissions import boost_days, boost_sum
from pipelines.synthetic.hospital import admitted_episodes
from pipelines.synthetic.places import plan
from pipelines.synthetic.population import Population, make_population
from pipelines.synthetic.truth import truth_frame
from pipelines.synthetic.world import NEVER, load_world

AS_OF = dt.date(2026, 11, 16)
EARLIER = dt.date(2025, 9, 15)


@pytest.fixture(scope="module")
def population() -> Population:
    world = load_world()
    made = plan(world, people=20_000, practices=8, seed=5, anchor=AS_OF)
    return make_population(world, made, made.chunks[0])


@pytest.fixture(scope="module")
def truth(population: Population) -> pl.DataFrame:
    return truth_frame(population, AS_OF, by_nhs_number=True)


def test_time_under_raised_risk_inverts() -> None:
    world, days = load_world(), np.array([0.0, 3.0, 30.0, 45.5, 90.0, 400.0])
    np.testing.assert_allclose(boost_days(world, boost_sum(world, days)), days, atol=1e-9)
    assert boost_sum(world, np.array([10.0]))[0] == pytest.approx(10 * world.number("emergency.after_discharge"))


@pytest.mark.parametrize("outcome", ["avoidable", "emergency"])
@pytest.mark.parametrize("kind", ["true", "observable"])
def test_risks_agree_with_what_happens(truth: pl.DataFrame, outcome: str, kind: str) -> None:
    happened = (truth[f"{outcome}_admissions_12m"] > 0).to_numpy()
    risk = truth[f"risk_{outcome}_{kind}"].to_numpy()
    assert np.isfinite(risk).all()
    assert ((risk >= 0) & (risk <= 1)).all()
    room = 4 * np.sqrt((risk * (1 - risk)).sum())
    assert abs(happened.sum() - risk.sum()) < room
    top = np.argsort(-risk)[: len(risk) // 20]
    room = 4 * np.sqrt((risk[top] * (1 - risk[top])).sum())
    assert abs(happened[top].sum() - risk[top].sum()) < room


def test_what_can_be_seen_ranks_worse_than_the_truth(truth: pl.DataFrame) -> None:
    happened = (truth["emergency_admissions_12m"] > 0).to_numpy()
    found = [
        happened[np.argsort(-truth[f"risk_emergency_{kind}"].to_numpy())[: len(happened) // 20]].sum()
        for kind in ("true", "observable")
    ]
    assert found[0] > found[1] > 3 * happened.mean() * len(happened) / 20


def test_truth_stands_at_earlier_dates_for_the_same_people(population: Population) -> None:
    earlier = truth_frame(population, EARLIER, by_nhs_number=False)
    happened, expected = earlier["emergency_admissions_12m"].gt(0).sum(), earlier["risk_emergency_true"].sum()
    assert abs(happened - expected) < 4 * np.sqrt(expected)
    assert (
        earlier.join(truth_frame(population, AS_OF, by_nhs_number=False), on="person_id", how="inner").height > 15_000
    )


def test_the_observable_risk_does_not_look_ahead(population: Population) -> None:
    first = truth_frame(population, EARLIER, by_nhs_number=False)
    start, spells, seen = population.plan.anchor_day - 427, population.lives.spells, population.contacts
    later = np.where(spells.admitted_day >= start, 200, 0).astype(np.int32)
    spells = replace(spells, admitted_day=spells.admitted_day + later, discharged_day=spells.discharged_day + later)
    recorded = population.onsets.recorded_day
    moved = replace(
        population,
        lives=replace(population.lives, spells=spells),
        contacts=replace(seen, day=np.where(seen.day >= start, seen.day + 800, seen.day)),
        onsets=replace(population.onsets, recorded_day=np.where(recorded >= start, NEVER, recorded).astype(np.int32)),
    )
    second = truth_frame(moved, EARLIER, by_nhs_number=False)
    assert first["risk_emergency_observable"].equals(second["risk_emergency_observable"])


def test_outcomes_past_the_made_years_are_unknown(population: Population) -> None:
    after = truth_frame(population, dt.date(2027, 1, 4), by_nhs_number=False)
    assert after["emergency_admissions_12m"].null_count() == after.height


def test_avoidable_spells_are_avoidable_by_their_codes(population: Population) -> None:
    diagnoses = population.world.tables["diagnoses"]
    codes = {
        kind: set(diagnoses.filter(kind=kind)["codes"].str.split("|").explode()) for kind in ("avoidable", "other")
    }
    assert not codes["avoidable"] & codes["other"]
    first = admitted_episodes(population).filter(EPIORDER="1", CLASSPAT="1")
    emergency = first.filter(pl.col("ADMIMETH").str.starts_with("2"))
    share = emergency["DIAG_01"].is_in(list(codes["avoidable"])).mean()
    assert share == pytest.approx(0.20, abs=0.03)
    elective = first.filter(~pl.col("ADMIMETH").str.starts_with("2"))
    assert not elective["DIAG_01"].is_in(list(codes["avoidable"])).any()


def test_no_sex_or_life_order_is_broken(population: Population) -> None:
    lives, people = population.lives, population.people
    spells = lives.spells
    assert (spells.discharged_day >= spells.admitted_day).all()
    assert (spells.admitted_day >= people.birth_day[spells.person]).all()
    assert (spells.admitted_day <= lives.death_day[spells.person]).all()
    assert (lives.death_day > people.birth_day).all()
    assert (population.events.day >= people.birth_day[population.events.person]).all()
    assert (population.events.day <= lives.death_day[population.events.person]).all()


def test_a_slice_made_alone_is_the_same(population: Population) -> None:
    alone = make_population(population.world, population.plan, population.plan.chunks[0])
    assert np.array_equal(alone.people.person_id, population.people.person_id)
    assert np.array_equal(alone.events.day, population.events.day)
