"""Scoring Parquet files in batches."""

from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

from models.published.registry import load_scores
from pipelines.io.scoring import describe_score, list_scores, score_file
from tests.unit.test_score_qrisk3 import PERSON


def write_people(folder: Path, rows: int) -> Path:
    path = folder / "people.parquet"
    people = pl.DataFrame([PERSON]).join(pl.DataFrame({"row": range(rows)}), how="cross")
    ages = 25 + pl.col("row") % 70
    people = people.with_columns(person_id=pl.col("row"), age_years=ages, note=pl.lit("not an input"))
    people.drop("row").write_parquet(path)
    return path


def write_diagnoses(folder: Path, people: list[int]) -> Path:
    path = folder / "diagnoses.parquet"
    codes = ["I500", "J440", "C800", "E105", "E109", "K704"]
    rows = [(person, codes[(person + place) % 6]) for place, person in enumerate(people)]
    pl.DataFrame(rows, schema=["person_id", "icd10_code"], orient="row").write_parquet(path)
    return path


def test_batches_give_the_same_file_as_one_go(tmp_path: Path) -> None:
    path = write_people(tmp_path, 300)
    reports = [score_file("qrisk3", path, tmp_path / f"{size}.parquet", batch_rows=size) for size in (7, 1_000)]
    small, large = (pl.read_parquet(tmp_path / f"{size}.parquet") for size in (7, 1_000))
    assert small.equals(large)
    assert large.equals(load_scores()["qrisk3"].score(pl.read_parquet(path)))
    assert reports[0] == reports[1]
    assert (reports[0].rows_read, reports[0].rows_written) == (300, 300)
    assert reports[0].rows_without_score == large["reason"].drop_nulls().len() > 0


@pytest.mark.parametrize("order", ["sorted", "shuffled"])
def test_the_rows_of_one_person_are_scored_together(order: str, tmp_path: Path) -> None:
    people = [person for person in range(40) for _ in range(1 + person % 5)]
    if order == "shuffled":
        people = people[1::2] + people[::2]
    path = write_diagnoses(tmp_path, people)
    score_file("charlson", path, tmp_path / "out.parquet", batch_rows=4)
    result = pl.read_parquet(tmp_path / "out.parquet")
    assert result["person_id"].to_list() == list(range(40))
    assert result.equals(load_scores()["charlson"].score(pl.read_parquet(path)))


@pytest.mark.parametrize("name", ["qrisk3", "charlson"])
def test_an_empty_file_gives_an_empty_file(name: str, tmp_path: Path) -> None:
    path = write_people(tmp_path, 1) if name == "qrisk3" else write_diagnoses(tmp_path, [1])
    pl.read_parquet(path).clear().write_parquet(tmp_path / "in.parquet")
    assert score_file(name, tmp_path / "in.parquet", tmp_path / "out.parquet").rows_written == 0
    outputs = [column.name for column in load_scores()[name].definition.outputs]
    assert set(outputs) < set(pq.read_schema(tmp_path / "out.parquet").names)


def test_the_file_says_which_score_made_it(tmp_path: Path) -> None:
    score_file("qrisk3", write_people(tmp_path, 2), tmp_path / "out.parquet")
    about = pl.read_parquet_metadata(tmp_path / "out.parquet")
    assert about["score"] == "qrisk3"
    assert about["licence"] == "LGPL-3.0-or-later"


def test_a_failed_run_leaves_the_earlier_file_and_no_litter(tmp_path: Path) -> None:
    good = write_people(tmp_path, 30)
    out = tmp_path / "out.parquet"
    score_file("qrisk3", good, out)
    before = out.read_bytes()
    bad = pl.read_parquet(good).with_columns(person_id=pl.when(pl.col("person_id") < 20).then(pl.col("person_id")))
    bad.write_parquet(tmp_path / "bad.parquet")
    with pytest.raises(ValueError, match="5 rows have no key"):
        score_file("qrisk3", tmp_path / "bad.parquet", out, batch_rows=5)
    assert out.read_bytes() == before
    assert not list(tmp_path.glob(".*partial"))


def test_the_same_file_gives_the_same_bytes(tmp_path: Path) -> None:
    path = write_people(tmp_path, 100)
    for name in ("one", "two"):
        score_file("qrisk3", path, tmp_path / name, batch_rows=30)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_another_key_may_be_named(tmp_path: Path) -> None:
    path = write_people(tmp_path, 3)
    pl.read_parquet(path).rename({"person_id": "row_id"}).write_parquet(path)
    score_file("qrisk3", path, tmp_path / "out.parquet", key="row_id")
    assert pl.read_parquet(tmp_path / "out.parquet")["row_id"].to_list() == [0, 1, 2]


def test_a_table_without_its_key_is_numbered_only_if_each_row_is_one_key(tmp_path: Path) -> None:
    path = write_people(tmp_path, 3)
    pl.read_parquet(path).drop("person_id").write_parquet(path)
    score_file("qrisk3", path, tmp_path / "out.parquet")
    assert pl.read_parquet(tmp_path / "out.parquet")["person_id"].to_list() == [1, 2, 3]
    with pytest.raises(ValueError, match="columns absent: nhs"):
        score_file("qrisk3", path, tmp_path / "out.parquet", key="nhs")
    pl.DataFrame({"icd10_code": ["I10"]}).write_parquet(path)
    with pytest.raises(ValueError, match="columns absent: person_id"):
        score_file("hfrs", path, tmp_path / "out.parquet")


def test_an_unknown_score_is_refused_with_the_ones_there_are(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no score called 'qrisk9'; there is acsc, audit, cambridge"):
        score_file("qrisk9", tmp_path / "in.parquet", tmp_path / "out.parquet")


@pytest.mark.parametrize("definition", list_scores(), ids=lambda definition: definition.name)
def test_every_score_describes_its_columns_codes_units_version_and_licence(definition) -> None:  # type: ignore[no-untyped-def]
    text = describe_score(definition.name)
    for column in definition.inputs:
        assert f"  {column.name}: {column.description}" in text
        assert all(f"      {code} = {meaning}" in text for code, meaning in column.codes.items())
        assert column.unit is None or f"Unit: {column.unit}." in text
    assert all(f"  {column.name} (" in text for column in definition.outputs)
    assert definition.version in text
    assert definition.licence in text
    assert f"Reviewed: {definition.reviewer}" in text
