"""The example people of tests/spec/definitions, and what the SQL says of them."""

from functools import cache
from pathlib import Path
from typing import Any

import polars as pl

from pipelines.io.examples import ExampleFile, load_examples

EXAMPLES = {
    path.stem: load_examples(path)
    for path in sorted((Path(__file__).parents[1] / "spec" / "definitions").glob("*.yaml"))
}


def found_and_expected(file: ExampleFile, definition: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the table says and should say of each example person of one definition, by the reason given."""
    examples = file.of(definition)
    answers = _answers(file, definition)
    told = {example.because: example.expected for example in examples}
    if len(told) != len(examples):
        raise ValueError(f"{definition}: two examples give the same reason")
    found = {example.because: _in_words(answers.get(example.person_id), example.expected) for example in examples}
    return found, told


def _in_words(found: Any, expected: Any) -> Any:
    """An answer in the words of the example: a register's rule is true where the example says so."""
    if isinstance(expected, bool) and isinstance(found, str):
        return True
    return False if found is None and (expected is False or isinstance(expected, str)) else found


@cache
def _table(file: ExampleFile) -> pl.DataFrame:
    return file.answers(file.table)[0]


def _answers(file: ExampleFile, definition: str) -> dict[int, Any]:
    """The answer of one definition by person."""
    rows = _table(file)
    if file.table == "registers":
        return _pairs(rows.filter(pl.col("register") == definition), "rule")
    if file.table == "measurements":
        return _pairs(rows.filter(pl.col("measure") == definition), "value")
    if file.table == "score_inputs":
        score, name = definition.split(".")
        return _pairs(rows.filter(pl.col("score") == score, pl.col("input") == name), "value")
    if file.table == "programme_states":
        own = rows.filter(pl.col("programme") == definition)
        return _pairs(own.with_columns(told=pl.concat_str("state", pl.lit(" "), "grade")), "told")
    return _pairs(rows, definition)


def _pairs(rows: pl.DataFrame, column: str) -> dict[int, Any]:
    return dict(rows.select("person_id", column).iter_rows())
