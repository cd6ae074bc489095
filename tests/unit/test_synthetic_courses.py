"""Made-up vaccines, checks and reviews: coded by lists that exist, spaced as doses are, and asked for in letters."""

import datetime as dt

import numpy as np
import polars as pl
import pytest

from pipelines.synthetic.coding import load_coding
from pipelines.synthetic.places import plan
from pipelines.synthetic.population import Population, make_population
from pipelines.synthetic.world import load_world, read_table

ANCHOR = dt.date(2026, 11, 16)
COURSES = read_table("courses")


@pytest.fixture(scope="module")
def population() -> Population:
    made = plan(load_world(), people=4_000, practices=2, seed=11, anchor=ANCHOR)
    return make_population(load_world(), made, made.chunks[0])


def rows_of(population: Population, codelist: str) -> tuple[np.ndarray, np.ndarray]:
    """Who has an entry of a codelist, and when, by person and day."""
    first, number = population.coding.codelists[codelist]
    found = population.events
    asked = (found.code >= first) & (found.code < first + number)
    order = np.lexsort((found.day[asked], found.person[asked]))
    return found.person[asked][order], found.day[asked][order]


def test_every_course_names_codelists_that_exist() -> None:
    known = set(load_coding().codelists)
    named = {
        name
        for column in ("done", "missed", "declined", "invited")
        for lists in COURSES[column].drop_nulls()
        for name in lists.split("|")
    }
    assert named <= known


def test_doses_keep_four_weeks_apart(population: Population) -> None:
    person, day = rows_of(population, "six_in_one_vaccination_done")
    same = person[1:] == person[:-1]
    gaps = (day[1:] - day[:-1])[same]
    assert len(gaps) > 50
    assert gaps.min() >= 27


def test_every_course_happens_and_some_stay_away(population: Population) -> None:
    for course in COURSES.filter(pl.col("done").is_not_null()).iter_rows(named=True):
        assert len(rows_of(population, course["done"].split("|")[0])[0]) > 0, course["course"]
    missed, _ = rows_of(population, "nhs_health_check_did_not_attend")
    assert len(missed) > 0


def test_letters_go_out_more_than_once_to_those_who_do_not_come(population: Population) -> None:
    person, day = rows_of(population, "hypertension_review_invited_letter")
    assert len(np.unique(person)) < len(person)
    assert len(rows_of(population, "hypertension_review_invited_text")[0]) > 0
    assert day.max() < population.plan.anchor_day
