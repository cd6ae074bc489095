"""Splits a frame by a Pandera contract into good rows and bad rows with their reasons. Pure; keeps no values.

Pandera's own run lists the values that failed and costs milliseconds a column; so each of the contract's checks is
asked for its verdict alone, one true or false a row.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pandera.backends.polars.builtin_checks  # noqa: F401 - Pandera would register its own checks at its first run
import pandera.polars as pa
import polars as pl
from pandera.api.checks import Check


@dataclass(frozen=True)
class Split:
    """Rows that meet the contract, and rows that do not with a ``reasons`` column (names joined by |)."""

    good: pl.DataFrame
    bad: pl.DataFrame


def split_by_contract(frame: pl.DataFrame, contract: type[pa.DataFrameModel]) -> Split:
    """The frame in two parts, in the order given; columns the contract does not know are carried along.

    Raises:
        TypeError: the frame has not the contract's columns and types, which is a fault of ours and not the data's.
    """
    passed = verdicts(frame, contract)
    is_good = passed.select(pl.all_horizontal(pl.all())).to_series() if passed.width else pl.Series([True])
    if is_good.all():
        return Split(good=frame, bad=frame.clear().with_columns(reasons=pl.lit("", dtype=pl.String)))
    broken = [pl.when(~pl.col(reason)).then(pl.lit(reason)) for reason in passed.columns]
    reasons = passed.filter(~is_good).select(reasons=pl.concat_str(broken, separator="|", ignore_nulls=True))
    return Split(good=frame.filter(is_good), bad=frame.filter(~is_good).with_columns(reasons.to_series()))


def verdicts(frame: pl.DataFrame, contract: type[pa.DataFrameModel]) -> pl.DataFrame:
    """One column a reason, in the contract's order: true where the row does not break it. What is null passes.

    Raises:
        TypeError: the frame has not the contract's columns and types.
    """
    _check_types(frame, contract)
    asked = list(_questions(frame, contract))
    if not asked:
        return pl.DataFrame()
    named = [question.select(pl.first().fill_null(value=True).alias(str(n))) for n, (_, question) in enumerate(asked)]
    answers = pl.concat(named, how="horizontal")
    numbers: dict[str, list[str]] = {}
    for n, (reason, _) in enumerate(asked):
        numbers.setdefault(reason, []).append(str(n))
    return answers.select(pl.all_horizontal(own).alias(reason) for reason, own in numbers.items()).collect()


def _questions(frame: pl.DataFrame, contract: type[pa.DataFrameModel]) -> Iterator[tuple[str, pl.LazyFrame]]:
    """The reason and the verdict, not worked out yet, of each check of a contract."""
    rows, schema = frame.lazy(), contract.to_schema()
    for name, column in schema.columns.items():
        said = column.metadata or {}
        if not column.nullable:
            yield str(said.get("missing", f"{name}_missing")), rows.select(pl.col(name).is_not_null())
        for check in column.checks:
            yield str(said.get("reason", f"{name}_not_allowed")), _ask(check, rows, name)
    for check in schema.checks:
        yield str(check.name), _ask(check, rows, "*")


def _ask(check: Check, rows: pl.LazyFrame, key: str) -> pl.LazyFrame:
    """A check's verdict on each row, not worked out yet."""
    answer: pl.LazyFrame = check._check_fn(pa.PolarsData(rows, key), **check._check_kwargs)
    return answer.select(pl.first())


def _check_types(frame: pl.DataFrame, contract: type[pa.DataFrameModel]) -> None:
    for name, column in contract.to_schema().columns.items():
        found = frame.schema.get(name)
        if found != column.dtype.type:
            raise TypeError(f"{contract.__name__}: expected {column.dtype.type} in {name}; found {found}")
