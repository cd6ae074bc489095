"""Where made-up people live: sizes, areas, chunks, and refusals that say what to do."""

import datetime as dt
from itertools import pairwise

import numpy as np
import pytest

from pipelines.io.identity import valid_nhs_numbers
from pipelines.synthetic.identifiers import nhs_numbers, postcodes
from pipelines.synthetic.places import plan
from pipelines.synthetic.world import load_world

AS_OF = dt.date(2026, 11, 16)


def test_lists_sum_to_the_people_asked_for() -> None:
    made = plan(load_world(), people=50_000, practices=9, seed=1, anchor=AS_OF)
    assert made.practices["list_size"].sum() == pytest.approx(50_000, rel=0.001)


def test_deprivation_tenths_are_even() -> None:
    made = plan(load_world(), people=1_000_000, practices=None, seed=1, anchor=AS_OF)
    owner = np.repeat(np.arange(made.practices.height), made.practices["lsoa_count"].to_numpy())
    weight = (made.practices["list_size"] / made.practices["lsoa_count"]).to_numpy()[owner]
    shares = np.bincount(made.lsoas["imd_decile"].to_numpy(), weight)[1:] / weight.sum()
    assert shares == pytest.approx(0.1, abs=0.01)


def test_chunks_cover_every_practice_once_and_stay_within_an_icb() -> None:
    made = plan(load_world(), people=2_000_000, practices=None, seed=1, anchor=AS_OF, icbs=3)
    ends = [(chunk.first_practice, chunk.last_practice) for chunk in made.chunks]
    assert ends[0][0] == 0
    assert ends[-1][1] == made.practices.height
    assert all(before[1] == after[0] for before, after in pairwise(ends))
    for chunk in made.chunks:
        assert made.practices["icb_code"][chunk.first_practice : chunk.last_practice].n_unique() == 1


def test_codes_are_unique() -> None:
    made = plan(load_world(), people=63_000_000, practices=6_200, seed=1, anchor=AS_OF, icbs=42)
    assert made.practices["practice_code"].is_unique().all()
    assert made.practices["icb_code"].n_unique() == 42
    assert made.lsoas["lsoa_code"].is_unique().all()
    assert made.practices.select("pcn_code", "icb_code").unique()["pcn_code"].is_unique().all()


def test_more_places_than_people_are_refused() -> None:
    with pytest.raises(ValueError, match="ask for fewer places"):
        plan(load_world(), people=3, practices=8, seed=1, anchor=AS_OF)


def test_more_people_than_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="write --format history"):
        nhs_numbers(np.array([2_000_000]), 1)


def test_postcodes_of_areas_are_unique() -> None:
    lsoa = np.repeat(np.arange(500), 20)
    assert postcodes(lsoa, np.tile(np.arange(20), 500)).is_unique().all()


def test_every_made_up_nhs_number_is_one_that_ingestion_takes() -> None:
    """Of the whole range: one that it does not take would make a large population's opt-out reply unreadable."""
    every = nhs_numbers(np.arange(909_090), 1)
    assert every.is_unique().all()
    assert valid_nhs_numbers(every.gather_every(997)).null_count() == 0
    assert "9999999999" not in every.to_list()
