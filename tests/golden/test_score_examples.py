"""Published worked examples, run the way a user runs them: Parquet in, Parquet out."""

from pathlib import Path

import polars as pl
import pytest
import yaml

from pipelines.io.scoring import list_scores, score_file

EXAMPLES = Path(__file__).parent / "scores"
SOURCES = yaml.safe_load((EXAMPLES / "sources.yaml").read_text(encoding="utf-8"))


def read_examples(name: str) -> pl.DataFrame:
    """The rows of one score's file in the types of its contract, expected columns first prefixed."""
    definition = next(score for score in list_scores() if score.name == name)
    types = {
        "whole": pl.Int64,
        "number": pl.Float64,
        "flag": pl.Boolean,
        "text": pl.String,
        "date": pl.Date,
        "category": pl.String,
    }
    frame = pl.read_csv(EXAMPLES / f"{name}.csv", infer_schema=False)
    kinds = {column.name: column.kind for column in definition.inputs}
    coded = {column.name for column in definition.inputs if isinstance(next(iter(column.codes), None), int)}
    kinds |= {f"expected_{column.name}": column.kind for column in definition.outputs}
    casts = [
        pl.col(column).str.to_date()
        if kind == "date"
        else _cast(column, pl.Int64 if column in coded else types[kind])
        for column, kind in kinds.items()
        if column in frame.columns
    ]
    return frame.with_columns(casts)


def _cast(column: str, dtype: type[pl.DataType]) -> pl.Expr:
    if dtype == pl.Boolean:
        return (pl.col(column) == "true").alias(column)
    return pl.col(column).cast(dtype)


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_worked_examples_agree(name: str, tmp_path: Path) -> None:
    definition = next(score for score in list_scores() if score.name == name)
    examples = read_examples(name)
    inputs = examples.select(pl.exclude("^expected_.*$"))
    if "icd10_codes" in inputs.columns:
        inputs = inputs.with_columns(icd10_code=pl.col("icd10_codes").str.split("|")).explode("icd10_code")
    inputs.write_parquet(tmp_path / "in.parquet")
    score_file(name, tmp_path / "in.parquet", tmp_path / "out.parquet", batch_rows=50)
    result = examples.join(pl.read_parquet(tmp_path / "out.parquet"), on=definition.key, validate="1:1")
    assert result.height == examples.height
    for column in definition.outputs:
        if f"expected_{column.name}" not in result.columns:
            continue
        found, expected = result[column.name], result[f"expected_{column.name}"]
        assert found.is_null().equals(expected.is_null())
        if column.kind == "number":
            assert float((found - expected).abs().max() or 0) <= SOURCES[name]["tolerance"]
        else:
            assert found.eq_missing(expected).all()


def test_every_example_file_names_its_source_and_tolerance() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.csv")} == set(SOURCES)
    assert all({"source", "tolerance"} <= set(entry) for entry in SOURCES.values())
