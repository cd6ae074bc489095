"""Loading published codelists: formats, refusals, and which codes are in force on a date."""

import datetime as dt
import os
from pathlib import Path

import polars as pl
import pytest

from data_contracts.clinical.reference import reference_tables
from data_contracts.codelists import codes_of
from pipelines.io.codelists import ListOrigin, LoadOutcome, in_force, load_files, read_loaded
from pipelines.settings import Settings

OURS = ListOrigin(released=dt.date(2026, 1, 31), source="ours", licence="ours")
REFSETS = (
    "Cluster_ID\tCluster_description\tSNOMED_code\tSNOMED_code_description\tPCD Refset ID\tService_and_Ruleset\n"
    "STRK_COD\tStroke\t230690007\tStroke\t^999005531000230105\tCore\n"
    "STRK_COD\tStroke\t230690007\tStroke\t^999005531000230105\tQOF\n"
    "COLCANSCR_COD\tBowel\t368481000000103\tBCSP: FOB result\t^999016251000230109\tQOF\n"
    "COLCANSCR_COD\tBowel\t269958004\tAny other code\t^999016251000230109\tQOF\n"
)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home")


def load(settings: Settings, text: str, name: str = "lists.csv", origin: ListOrigin = OURS) -> LoadOutcome:
    path = settings.home.parent / name
    path.write_text(text, encoding="utf-8")
    settings.home.mkdir(exist_ok=True)
    return load_files(settings, [path], origin)[0]


def codes(settings: Settings, codelist: str, as_of: dt.date = dt.date(2026, 11, 16)) -> set[int]:
    return set(in_force(settings, as_of).filter(pl.col("codelist") == codelist)["concept_id"])


def test_nothing_loaded_is_what_ships(settings: Settings) -> None:
    assert codes(settings, "hypertension") == set(codes_of("hypertension"))


def test_refset_content_loads_each_code_once_with_its_date_and_source(settings: Settings) -> None:
    outcome = load(settings, REFSETS, "20260115_PCD_Refset_Content_V2.txt", ListOrigin())
    assert (outcome.lists, outcome.codes, outcome.refused) == (2, 3, None)
    loaded = read_loaded(settings)
    assert set(loaded["released"]) == {dt.date(2026, 1, 15)}
    assert loaded.null_count().sum_horizontal().item() == 0


def test_starter_codes_stay_until_every_list_that_replaces_them_is_there(settings: Settings) -> None:
    load(settings, "code,term\n230690007,Stroke\n", "nhsd-primary-care-domain-refsets-strk_cod.csv")
    assert codes(settings, "stroke_or_tia") == set(codes_of("stroke_or_tia"))
    load(settings, "code,term\n266257000,TIA\n", "nhsd-primary-care-domain-refsets-tia_cod.csv")
    assert codes(settings, "stroke_or_tia") == {230690007, 266257000}


def test_list_that_adds_joins_the_starter_codes_without_what_is_left_out(settings: Settings) -> None:
    load(settings, REFSETS, "20260115_PCD_Refset_Content_V2.txt", ListOrigin())
    assert codes(settings, "bowel_screening_done") == {*codes_of("bowel_screening_done"), 269958004}


@pytest.mark.parametrize(
    ("as_of", "expected"),
    [
        (dt.date(2025, 3, 30), None),
        (dt.date(2025, 3, 31), {38341003}),
        (dt.date(2026, 1, 30), {38341003}),
        (dt.date(2026, 1, 31), {59621000}),
        (dt.date(2026, 2, 1), {59621000}),
    ],
)
def test_release_in_force_is_the_latest_up_to_the_date(
    settings: Settings, as_of: dt.date, expected: set[int] | None
) -> None:
    for day, code in ((dt.date(2025, 3, 31), 38341003), (dt.date(2026, 1, 31), 59621000)):
        load(settings, f"code,term\n{code},x\n", origin=ListOrigin(day, "ours", "ours", name="HYP_COD"))
    assert codes(settings, "hypertension", as_of) == (expected or set(codes_of("hypertension")))


def test_release_loaded_again_takes_the_place_of_the_earlier_one(settings: Settings) -> None:
    for code in (38341003, 59621000):
        load(settings, f"code\n{code}\n", "HYP_COD.csv")
    assert codes(settings, "hypertension") == {59621000}


def test_loaded_codes_reach_the_tables_that_sql_reads(settings: Settings) -> None:
    load(settings, "code,term\n59621000,x\n", "hypertension.csv")
    day = dt.date(2026, 11, 16)
    table = reference_tables(day, codelists=in_force(settings, day))["codelists"]
    assert table.filter(pl.col("codelist") == "hypertension")["concept_id"].to_list() == [59621000]


@pytest.mark.parametrize(
    ("text", "name", "origin", "words"),
    [
        ("code\n38341004\n", "a.csv", OURS, "1 of 1 codes are no SNOMED CT"),
        ("code\n3.8341E+07\n38341003\n", "a.csv", OURS, r"1 of 2 codes .* the first is 3\.8341E\+07"),
        ("CTV3ID,CTV3PreferredTermDesc\nG2...,Hypertension\n", "a.csv", OURS, "Read codes"),
        ("icd10_code,name\nI10,Hypertension\n", "a.csv", OURS, "no column of codes"),
        ("code\n", "a.csv", OURS, "0 of 0 codes"),
        ("code\n38341003\n", "a.csv", ListOrigin(), "no release date"),
        ("code\n38341003\n", "a.csv", ListOrigin(released=dt.date(2026, 1, 1)), "nothing says where it comes from"),
        ("code\n827241000000103\n", "type_1_opt_out.csv", OURS, "never by loading"),
    ],
)
def test_list_that_cannot_be_trusted_is_refused_with_the_reason(
    settings: Settings, text: str, name: str, origin: ListOrigin, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        raise ValueError(load(settings, text, name, origin).refused)
    assert read_loaded(settings).is_empty()


def test_two_files_of_one_name_and_date_must_agree(settings: Settings, tmp_path: Path) -> None:
    settings.home.mkdir()
    for folder, code in (("a", 38341003), ("b", 59621000), ("c", 38341003)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "HYP_COD.csv").write_text(f"code\n{code}\n", encoding="utf-8")
    outcomes = load_files(settings, [tmp_path / "a", tmp_path / "b", tmp_path / "c"], OURS)
    assert [outcome.refused is None for outcome in outcomes] == [True, False, True]


def test_lists_that_others_published_load_or_are_refused_for_a_reason(settings: Settings) -> None:
    shared = os.environ.get("CASEFINDER_SHARED_DATA")
    if not shared:
        pytest.skip("CASEFINDER_SHARED_DATA names no folder with OpenSAFELY's lists")
    settings.home.mkdir()
    folders = sorted((Path(shared) / "codelists").glob("opensafely+*"))
    outcomes = [outcome for folder in folders for outcome in load_files(settings, [folder], OURS)]
    names = {outcome.file for outcome in outcomes}
    loaded = {outcome.file for outcome in outcomes if outcome.refused is None}
    assert (len(names), len(loaded)) == (165, 110)
    assert codes(settings, "hypertension") > {38341003}
    assert not any(refused.startswith("cannot be read") for refused in (o.refused or "" for o in outcomes))


def test_a_list_that_contradicts_another_of_the_same_programme_is_refused(settings: Settings) -> None:
    done = codes_of("bowel_screening_done")[0]
    outcome = load(settings, f"code,term\n{done},Declined\n", "bowel_screening_declined.csv")
    assert outcome.refused == (
        f"codes.csv (bowel): code {done} stands in bowel_screening_declined and bowel_screening_done, which differ"
    )
    assert read_loaded(settings).is_empty()
