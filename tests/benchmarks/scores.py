"""Times the published scores: run `python -m tests.benchmarks.scores [PEOPLE]` on a quiet machine.

QRISK3 is timed against a C program of the same equation, written from the coefficient table and compiled here with
gcc -O2: the C on one core and scoring alone, Casefinder on all cores with every explanation column.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

from data_contracts.clinical.scores.definition import ScoreDefinition, ScoreInput, load_table
from models.published.registry import RowScore, load_scores
from tests.benchmarks.c_reference import run_program, write_program

ROWS_PER_PERSON = {"acsc": 0.2, "lace": 0.2, "charlson": 1.0, "hfrs": 1.0, "multimorbidity": 1.5}
"""Spells in a year, diagnosis codes in two years and recorded conditions, for each registered person."""

PEOPLE_WITH_ROWS = {"charlson": 0.15, "hfrs": 0.15, "multimorbidity": 1.0}
TEXTS = {
    "icd10_code": ["I500", "J440", "E105", "E119", "I10X", "Z921", "N390", "G819", "F059", "C509"],
    "diagnosis_codes": ["J440|I10X|E119", "I500|N179|I489|E119", "R074|Z921", "L031|E105", "K529"],
    "procedure_codes": [None, "X331", "U201|Y981", "K631"],
    "condition": ["hypertension", "diabetes", "copd", "asthma", "depression", "smoking_current", None],
}


def best_of(times: int, work: Callable[[], object]) -> float:
    """Seconds of the quickest of several runs."""
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def made_up(definition: ScoreDefinition, people: int, *, unknown: float = 0.0) -> pl.DataFrame:
    """Rows of one score's input contract with every value drawn from its accepted range."""
    name = definition.name
    rows = int(people * ROWS_PER_PERSON.get(name, 1.0))
    dice = np.random.default_rng(2026)
    keys = np.arange(rows)
    if definition.rows == "many_per_key":
        keys = np.sort(dice.integers(0, int(people * PEOPLE_WITH_ROWS[name]), rows))
    columns = {definition.key: pl.Series(keys)}
    for column in definition.inputs:
        if column.must_exist or column.name in ("ethnic_group", "audit_c", "age_years"):
            columns[column.name] = _draw(column, rows, dice)
    frame = pl.DataFrame(columns)
    blanks = [
        pl.when(pl.Series(dice.random(rows)) >= unknown).then(pl.col(column.name)).alias(column.name)
        for column in definition.inputs
        if unknown and column.name in columns and not column.must_be_known
    ]
    return frame.with_columns(blanks)


def _draw(column: ScoreInput, rows: int, dice: np.random.Generator) -> pl.Series:
    if column.kind == "flag":
        return pl.Series(dice.random(rows) < 0.1)
    if column.kind == "date":
        days = dice.integers(0, 25_000, rows) if column.name == "birth_date" else np.full(rows, 20_600)
        days = dice.integers(18_000, 20_500, rows) if column.name == "last_health_check_date" else days
        return pl.Series(days).cast(pl.Int32).cast(pl.Date)
    pool = list(column.codes) or TEXTS.get(column.name)
    if pool:
        return pl.Series(pool)[pl.Series(dice.integers(0, len(pool), rows))]
    highest = column.at_most if column.below is None else column.below - 1e-6
    low, high = column.clip or (column.at_least or 0.0, highest or 100.0)
    if column.kind == "whole":
        return pl.Series(dice.integers(int(low), int(high) + 1, rows))
    return pl.Series(dice.uniform(low, high, rows))


def against_c(
    score: RowScore, coefficients: pl.DataFrame, people: int, *, times: int = 5
) -> tuple[float, float, float]:
    """Seconds of Casefinder, seconds of C on one core, and the greatest difference in percentage points."""
    name = score.definition.name
    frame = made_up(score.definition, people)
    columns = ["male", *(name for name in frame.columns if name not in ("person_id", "sex"))]
    with tempfile.TemporaryDirectory() as folder:
        program = write_program(coefficients, columns, Path(folder))
        runs = [run_program(program, frame.with_columns(male=pl.col("sex") == "male"), columns) for _ in range(times)]
    ours = best_of(times, lambda: score.score(frame))
    difference = np.abs(score.score(frame)[name].to_numpy() - runs[0][1]).max()
    return ours, min(seconds for seconds, _ in runs), float(difference)


def every_score(people: int, *, times: int = 3) -> dict[str, float]:
    """Seconds of each score over its rows for so many people."""
    seconds = {}
    for name, score in load_scores().items():
        frame = made_up(score.definition, people)
        seconds[name] = best_of(times, lambda score=score, frame=frame: score.score(frame))
    return seconds


def main() -> None:
    """Prints the figures."""
    people = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    qrisk3 = load_scores()["qrisk3"]
    ours, c, difference = against_c(qrisk3, load_table(qrisk3.definition, "qrisk3_coefficients"), people)
    out = sys.stdout.write
    out(f"QRISK3, {people:,} people: {ours:.3f} s; C on one core {c:.3f} s; ratio {ours / c:.2f}; ")
    out(f"greatest difference {difference:.1e} percentage points\n")
    seconds = every_score(people)
    for name, taken in seconds.items():
        out(f"{name:20} {taken * 1e6 / people:.3f} s a million people\n")
    out(f"{'all of them':20} {sum(seconds.values()) * 1e6 / people:.3f} s a million people\n")


if __name__ == "__main__":
    main()
