"""The model card: every checklist item is answered, and the card says who must not use it."""

import pytest

from models.card import load_checklist, write_card
from models.charts import draw_charts
from models.design import StudyDesign, design_names, load_design
from models.training import train
from tests.lib.studies import make_study


@pytest.fixture(scope="module")
def trained():
    study = make_study()
    return train(study.design, study.features, study.people, study.admissions, study.cambridge)


@pytest.fixture(scope="module")
def card(trained):
    return write_card(*trained, data="Made-up people.", charts=["calibration.svg"])


@pytest.mark.parametrize("entry", load_checklist(), ids=lambda entry: str(entry.item))
def test_every_item_is_answered_by_something_that_exists(entry, card, trained):
    answers = [entry.card, entry.design, entry.metric, entry.adopter]
    assert sum(answer is not None for answer in answers) == 1
    assert entry.card is None or f"\n## {entry.card}\n" in card
    assert entry.design is None or entry.design in StudyDesign.model_fields
    assert entry.metric is None or entry.metric in trained[1].table["metric"].to_list()


def test_checklist_has_27_items():
    assert len({str(entry.item).rstrip("abcdefg") for entry in load_checklist()}) == 27


def test_card_is_the_same_twice_and_says_what_it_must(card, trained):
    assert write_card(*trained, data="Made-up people.", charts=["calibration.svg"]) == card
    assert trained[0].version in card
    assert "must not be used" in card
    assert "None" not in card
    assert "nan" not in card.split()


def test_charts_are_svg(trained):
    charts = draw_charts(*trained)
    assert sorted(charts) == ["calibration", "cuts", "decision-curve", "groups", "points"]
    assert all(chart.startswith("<svg") for chart in charts.values())


def test_design_that_ships_reads_only_defined_features():
    design = load_design("avoidable_admission_12m")
    assert design.name == "avoidable_admission_12m"
    assert str(design.readable_from) == "2026-11-14"
    assert str(design.known_on(design.readable_from).index_date) == "2025-09-15"


def test_unknown_design_is_refused():
    with pytest.raises(ValueError, match="there are: avoidable_admission_12m, death_12m"):
        load_design("absent")


@pytest.mark.parametrize("name", design_names())
def test_every_design_that_ships_loads_and_differs_from_its_parent_only_where_it_says(name):
    design, parent = load_design(name), load_design("avoidable_admission_12m")
    assert design.features == parent.features
    assert design.follow_up.horizon_days == 365
    assert (design.follow_up.outcome == "avoidable_admissions") == (name == parent.name)
