"""Splits a frame by a Pandera contract into good rows and bad rows with their reasons. Pure; keeps no values.

Pandera's own messages carry the values that failed, so its errors never leave this module: only the row-by-row
verdict of each rule does, one bit a rule.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandera.errors
import pandera.polars as pa
import polars as pl

NULL_RULE = "not_nullable"


@dataclass(frozen=True)
class Split:
    """Rows that meet the contract, and rows that do not with a ``reasons`` column (names joined by |)."""

    good: pl.DataFrame
    bad: pl.DataFrame


def split_by_contract(frame: pl.DataFrame, contract: type[pa.DataFrameModel]) -> Split:
    """The frame in two parts, in the order given; columns the contract does not know are carried along."""
    mask, rules = failure_mask(frame, contract)
    if not rules:
        return Split(good=frame, bad=frame.clear().with_columns(reasons=pl.lit("", dtype=pl.String)))
    is_bad = pl.Series(mask != 0)
    reasons = pl.Series("reasons", reasons_of(mask[mask != 0], rules), dtype=pl.String)
    return Split(good=frame.filter(~is_bad), bad=frame.filter(is_bad).with_columns(reasons))


def failure_mask(frame: pl.DataFrame, contract: type[pa.DataFrameModel]) -> tuple[npt.NDArray[np.uint64], list[str]]:
    """One bit a broken rule for each row, and the reason each bit stands for.

    Raises:
        TypeError: the frame has not the contract's columns and types, which is a fault of ours and not the data's.
    """
    mask = np.zeros(frame.height, dtype=np.uint64)
    rules: list[str] = []
    if frame.is_empty():
        return mask, rules
    try:
        contract.validate(frame.select(list(contract.to_schema().columns)), lazy=True)
    except pandera.errors.SchemaErrors as errors:
        failed = list(errors.schema_errors)
    else:
        return mask, rules
    for error in failed:
        if error.check_output is None:
            raise TypeError(f"{contract.__name__}: {error.reason_code} in {error.schema.name}")
        reason = _reason(error, contract)
        if reason not in rules:
            rules.append(reason)
        passed = error.check_output.to_series().fill_null(value=True).to_numpy()
        mask |= np.where(passed, np.uint64(0), np.uint64(1) << np.uint64(rules.index(reason)))
    return mask, rules


def reasons_of(mask: npt.NDArray[np.uint64], rules: list[str]) -> list[str]:
    """The reasons of each mask, joined by |, in the contract's order; worded once for each distinct mask."""
    distinct, places = np.unique(mask, return_inverse=True)
    words = ["|".join(rule for bit, rule in enumerate(rules) if int(bits) >> bit & 1) for bits in distinct]
    return [words[place] for place in places]


def _reason(error: pandera.errors.SchemaError, contract: type[pa.DataFrameModel]) -> str:
    name = str(error.schema.name)
    column = contract.to_schema().columns.get(name)
    said = (column.metadata or {}) if column is not None else {}
    if error.check == NULL_RULE:
        return str(said.get("missing", f"{name}_missing"))
    return str(said.get("reason", error.check.name if column is None else f"{name}_not_allowed"))
