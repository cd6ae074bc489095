"""Writes lists of names beside rows: packs what is true of a row into a whole number and spells that number once.

A million people share a few thousand combinations, so spelling each combination is far cheaper than each row.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce

import polars as pl

Bit = pl.Expr | bool
"""True or false for each row, or for every row alike; null is false."""

Finding = tuple[str, pl.Expr]
"""Words, and the expression that is true for the rows they apply to."""

_TABLE_BITS = 13


@dataclass(frozen=True)
class Label:
    """Words that apply where all of some bits are set and none of others."""

    text: str
    present: tuple[int, ...] = ()
    absent: tuple[int, ...] = ()


@dataclass(frozen=True)
class Marking:
    """A column of packed bits and how to spell it; bits that are alike in every row are not packed."""

    column: str
    bits: Sequence[Bit]

    def packed(self, *, first: int = 0, last: int | None = None) -> pl.Expr:
        """The bits from ``first`` up to ``last``, each in its own place of a whole number."""
        dtype = pl.UInt16 if len(self._places) <= 16 else pl.UInt32 if len(self._places) <= 32 else pl.UInt64
        nothing = pl.lit(0, dtype=dtype)
        parts = [
            pl.when(self.bits[number]).then(pl.lit(1 << place, dtype=dtype)).otherwise(nothing)
            for number, place in self._places.items()
            if first <= number < (len(self.bits) if last is None else last)
        ]
        return reduce(lambda one, other: one | other, parts, nothing)

    def placed(self) -> dict[str, pl.Expr]:
        """For a wide column: the place of each row's number among the distinct ones."""
        if not self._is_wide:
            return {}
        distinct = self._distinct()
        places = pl.int_range(distinct.len(), dtype=pl.UInt32)
        return {f"{self.column}_place": pl.col(self.column).replace_strict(distinct, places, return_dtype=pl.UInt32)}

    def spelt(self, labels: Sequence[Label]) -> pl.Expr:
        """The texts of the labels that apply to each row, joined by |; null if none."""
        if self._is_wide:
            # Inside a list the distinct numbers are worked out once, not once for each label.
            texts = self._distinct().implode().list.eval(_spell(pl.element(), labels, self._fixed)).explode()
            return texts.gather(pl.col(f"{self.column}_place"))
        table = _table(tuple(labels), self._fixed)
        return (
            pl.lit(table[0], dtype=pl.String) if table.n_unique() == 1 else pl.lit(table).gather(pl.col(self.column))
        )

    @property
    def _is_wide(self) -> bool:
        return len(self._places) > _TABLE_BITS

    @property
    def _places(self) -> dict[int, int]:
        return _places(self._fixed)

    @property
    def _fixed(self) -> tuple[bool | None, ...]:
        """For each bit, its value if that is the same in every row."""
        return tuple(None if isinstance(bit, pl.Expr) else bit for bit in self.bits)

    def _distinct(self) -> pl.Expr:
        return pl.col(self.column).unique(maintain_order=True)


@lru_cache(maxsize=512)
def _table(labels: tuple[Label, ...], fixed: tuple[bool | None, ...]) -> pl.Series:
    """The text for every number that the varying bits can make."""
    numbers = pl.int_range(1 << len(_places(fixed)), dtype=pl.UInt64, eager=True)
    return pl.DataFrame({"number": numbers}).select(_spell(pl.col("number"), labels, fixed)).to_series()


def _places(fixed: tuple[bool | None, ...]) -> dict[int, int]:
    """Where each bit that varies is packed."""
    varying = [number for number, value in enumerate(fixed) if value is None]
    return {number: place for place, number in enumerate(varying)}


def _spell(number: pl.Expr, labels: Sequence[Label], fixed: tuple[bool | None, ...]) -> pl.Expr:
    nothing = pl.when(number < 0).then(pl.lit(""))
    applying = [(label.text, _conditions(number, label, fixed)) for label in labels]
    texts = [
        pl.when(pl.all_horizontal(conditions)).then(pl.lit(text)) if conditions else pl.lit(text)
        for text, conditions in applying
        if conditions is not None
    ]
    joined = pl.concat_str([nothing, *texts], separator="|", ignore_nulls=True)
    return pl.when(joined != "").then(joined)


def _conditions(number: pl.Expr, label: Label, fixed: tuple[bool | None, ...]) -> list[pl.Expr] | None:
    """What must hold of the packed number; empty if nothing, null if it can never hold."""
    conditions = []
    places = _places(fixed)
    for bits, wanted in ((label.present, True), (label.absent, False)):
        for bit in bits:
            if bit in places:
                conditions.append((number // (1 << places[bit]) % 2 == 1) == wanted)
            elif fixed[bit] != wanted:
                return None
    return conditions


def labels_of(findings: Sequence[Finding], *, first: int = 0) -> list[Label]:
    """One label for each finding, its bit counted from ``first``."""
    return [Label(text, present=(first + place,)) for place, (text, _) in enumerate(findings)]
