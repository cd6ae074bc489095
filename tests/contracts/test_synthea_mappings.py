"""The stated mappings of the Synthea feed: each has provenance, each target is in the codelist it names."""

import polars as pl
import pytest

from data_contracts.clinical.definitions import ethnic_groups
from data_contracts.codelists import is_valid_sctid
from pipelines.io.landing.feeds import load_feed
from pipelines.io.landing.synthea_mappings import FOLDER, check_targets, load_mapping_provenance, load_mappings


def test_each_mapping_file_is_named_with_its_provenance() -> None:
    named = {entry.file for entry in load_mapping_provenance()}
    assert named == {entry.name for entry in FOLDER.iterdir() if entry.name.endswith(".csv")}
    assert all(entry.source and entry.licence and entry.reviewer for entry in load_mapping_provenance())


def test_mappings_load_with_targets_in_their_codelists() -> None:
    mappings = load_mappings()
    assert mappings.medicines["codelist"].n_unique() >= 12
    assert mappings.observations["codelist"].n_unique() == 9


def test_target_outside_its_codelist_is_refused() -> None:
    wrong = pl.DataFrame({"codelist": ["statin"], "concept_id": [38598009]})
    with pytest.raises(ValueError, match="1 targets are in no such codelist"):
        check_targets(wrong, "wrong.csv")


def test_ethnic_concepts_belong_to_the_category_stated() -> None:
    stated = load_mappings().ethnic_groups.select("ethnic_group", "concept_id").unique()
    known = ethnic_groups().select("ethnic_group", "concept_id")
    assert stated.join(known, on=["ethnic_group", "concept_id"], how="anti").is_empty()


def test_race_without_an_nhs_category_is_not_mapped() -> None:
    pairs = load_mappings().ethnic_groups.select("race", "ethnicity")
    assert pairs.filter(pl.col("race").is_in(["native", "hawaiian"]) | (pl.col("ethnicity") == "hispanic")).is_empty()


def test_diagnoses_are_icd10_codes_of_four_characters() -> None:
    diagnoses = load_mappings().diagnoses
    assert diagnoses["icd10_code"].str.contains(r"^[A-Z]\d{2}[\dX]$").all()
    codes = diagnoses.filter(pl.col("coding") == "SNOMED CT")["code"]
    assert all(is_valid_sctid(code) for code in codes)


def test_width_drift_is_declared_with_another_width_or_name() -> None:
    for drift in load_feed("synthea").words["width_drift"]:
        assert drift["table"] in load_feed("synthea").tables
        assert drift["header"].count(",") != drift["rows_hold"].count(",")
