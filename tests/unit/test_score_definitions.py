"""The definitions of published scores: what they must state to load."""

import polars as pl
import pytest
import yaml
from pydantic import ValidationError

from data_contracts.clinical.scores.definition import SCORES, ScoreDefinition, load_definition, load_table
from models.published.registry import load_scores

RAW = yaml.safe_load((SCORES / "polypharmacy.yaml").read_text("utf-8"))


@pytest.mark.parametrize("field", ["source", "version", "licence", "licence_note", "reviewer", "effective_from"])
def test_a_definition_without_its_provenance_does_not_load(field: str) -> None:
    with pytest.raises(ValidationError, match=field):
        ScoreDefinition(**{name: value for name, value in RAW.items() if name != field})


def test_a_definition_with_a_field_nobody_knows_does_not_load() -> None:
    with pytest.raises(ValidationError, match="colour"):
        ScoreDefinition(**RAW, colour="blue")


def test_a_column_named_twice_does_not_load() -> None:
    with pytest.raises(ValidationError, match="columns named twice: \\['medicine_count'\\]"):
        ScoreDefinition(**RAW | {"inputs": RAW["inputs"] * 2})


def test_a_choice_between_columns_that_are_not_inputs_does_not_load() -> None:
    with pytest.raises(ValidationError, match="one_of names unknown inputs"):
        ScoreDefinition(**RAW, one_of=[["pills"]])


def test_a_table_without_provenance_does_not_load() -> None:
    with pytest.raises(ValueError, match="hfrs_weights has no provenance"):
        load_table(load_definition("charlson"), "hfrs_weights")


def test_every_table_beside_the_definitions_has_a_provenance() -> None:
    named = {table for score in load_scores().values() for table in score.definition.tables}
    assert named == {path.name.removesuffix(".csv") for path in SCORES.iterdir() if path.name.endswith(".csv")}


def test_every_definition_is_a_score() -> None:
    named = {path.name.removesuffix(".yaml") for path in SCORES.iterdir() if path.name.endswith(".yaml")}
    assert named <= set(load_scores())


def test_coefficients_are_the_published_number_of_terms() -> None:
    rows = load_table(load_definition("qrisk3"), "qrisk3_coefficients")
    terms = rows.filter(pl.col("kind") != "transform").group_by("sex", "kind").len().sort("sex", "kind").rows()
    assert terms == [
        ("female", "centre", 8),
        ("female", "code", 14),
        ("female", "flag", 12),
        ("female", "interaction", 34),
        ("female", "number", 8),
        ("female", "survival", 1),
        ("male", "centre", 8),
        ("male", "code", 14),
        ("male", "flag", 13),
        ("male", "interaction", 34),
        ("male", "number", 8),
        ("male", "survival", 1),
    ]


def test_the_frailty_score_has_its_109_codes() -> None:
    rows = load_table(load_definition("hfrs"), "hfrs_weights")
    assert rows.height == rows["icd10_code"].n_unique() == 109


def test_the_clinrisk_notice_goes_with_the_score() -> None:
    import models.published.qrisk3 as module

    disclaimer = "it is the responsibility of the end user to check that the source that they"
    notice = (SCORES / ".." / ".." / ".." / "models" / "published" / "LICENSE.qrisk3").read_text("utf-8")
    for text in (module.__doc__ or "", notice, load_scores()["qrisk3"].definition.as_text()):
        assert disclaimer in " ".join(text.split())
    assert "GNU LESSER GENERAL PUBLIC LICENSE" in notice
