"""A list that moves only because people do."""

import polars as pl
import pytest

from models.stability import compare_lists, list_overlap
from models.training import train
from tests.lib.studies import make_study


@pytest.fixture(scope="module")
def trained():
    study = make_study(4_000)
    model, _ = train(study.design, study.features, study.people, study.admissions)
    return study, model


def moves(model, study, *, features=None, people=None):
    """Moves of the top tenth from the study's own week to one with other features or people."""
    ids = study.people["person_id"]
    after = study.features if features is None else features
    weeks = [
        (model.score(rows, chosen), rows)
        for rows, chosen in ((study.features, ids), (after, ids if people is None else people))
    ]
    return compare_lists(model, *weeks, share=0.1)


def counts(table):
    return {(row["move"], row["is_explained"]): row["people"] for row in table.to_dicts()}


def test_nothing_new_moves_nobody(trained):
    study, model = trained
    same = moves(model, study)
    assert counts(same) == {("stayed", False): 400}
    assert list_overlap(same) == 1


def test_who_enters_on_a_new_event_is_explained_and_pushes_one_out(trained):
    study, model = trained
    ranked = model.score(study.features, study.people["person_id"]).sort("raw_score", descending=True)["person_id"]
    below = ranked[450]
    is_kept = (pl.col("person_id") != below) | (pl.col("feature") == "age_years")
    kept = study.features.collect().filter(is_kept)
    new = pl.DataFrame({"person_id": [below] * 2, "feature": ["admissions_12m", "egfr"], "value": [4.0, 5.0]})
    found = counts(moves(model, study, features=pl.concat([kept, new]).lazy()))
    assert found[("entered", True)] == 1
    assert found[("left", False)] == 1


def test_people_who_join_and_depart_are_named_so(trained):
    study, model = trained
    scores = model.score(study.features, study.people["person_id"]).sort("raw_score", descending=True)
    without_first = scores["person_id"].slice(1)
    found = counts(moves(model, study, people=without_first))
    assert found[("departed", True)] == 1
    assert list_overlap(moves(model, study, people=without_first)) == pytest.approx(399 / 400)
