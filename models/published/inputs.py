"""Turns a score's input contract into expressions: clean values, and what was missing, clipped or wrong."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import polars as pl

from data_contracts.clinical.scores.definition import Band, ScoreDefinition, ScoreInput, Step
from models.published.marking import Bit, Finding, Label
from models.published.reading import UNREAD, unread_words

_DTYPES: dict[str, type[pl.DataType]] = {
    "whole": pl.Int64,
    "number": pl.Float64,
    "flag": pl.Boolean,
    "text": pl.String,
    "date": pl.Date,
}


def check_columns(definition: ScoreDefinition, schema: Mapping[str, pl.DataType], *, key: str) -> None:
    """Refuses a table whose columns are not what the score takes.

    Raises:
        ValueError: columns that are absent or of the wrong type, with what was expected.
    """
    absent = [name for name in (key, *_must_exist(definition)) if name not in schema]
    absent += [" or ".join(group) for group in definition.one_of if not set(group) & set(schema)]
    wrong = [
        f"{column.name} (expected {column.type_words}, found {schema[column.name]})"
        for column in definition.inputs
        if column.name in schema and not _fits(column, schema[column.name])
    ]
    if absent or wrong:
        problems = [f"columns absent: {', '.join(absent)}"] * bool(absent)
        problems += [f"columns of the wrong type: {', '.join(wrong)}"] * bool(wrong)
        raise ValueError(
            f"score {definition.name}: {'; '.join(problems)};"
            f" see `casefinder score {definition.name} --describe` for the contract"
        )


def resolve_options(definition: ScoreDefinition, chosen: Mapping[str, str] | None) -> dict[str, str]:
    """Every option of the score with the choice made, or its default.

    Raises:
        ValueError: an option or choice the score does not have.
    """
    options = {name: option.default for name, option in definition.options.items()} | dict(chosen or {})
    for name, choice in options.items():
        if name not in definition.options or choice not in definition.options[name].choices:
            allowed = {option: list(entry.choices) for option, entry in definition.options.items()}
            raise ValueError(f"score {definition.name}: no option {name}={choice}; there is {allowed}")
    return options


def version_text(definition: ScoreDefinition, options: Mapping[str, str]) -> str:
    """The score, its version and the options used, as written beside every score."""
    choices = ", ".join(f"{name}={choice}" for name, choice in sorted(options.items()))
    return f"{definition.name} {definition.version}" + (f" ({choices})" if choices else "")


def clean_value(name: str) -> pl.Expr:
    """The column that holds an input as the score uses it."""
    return pl.col(f"_{name}")


@dataclass(frozen=True)
class Inputs:
    """The inputs of one score over one table, as expressions."""

    definition: ScoreDefinition
    schema: Mapping[str, pl.DataType]
    complete: frozenset[str] = frozenset()
    """Columns known to hold no null, for which nothing can be missing."""

    def __getitem__(self, name: str) -> pl.Expr:
        """The value the score uses: clipped, and the stated value where it was unknown."""
        return clean_value(name)

    def known(self, name: str) -> pl.Expr:
        """True where the input was recorded."""
        return pl.col(name).is_not_null()

    def typed(self) -> list[pl.Expr]:
        """Each counted input in its own type, null where unknown, under its own name."""
        return [self._typed(column) for column in self._counted()]

    def clean(self) -> list[pl.Expr]:
        """Each counted input as the score uses it, under its name with an underscore before."""
        return [self._clean(column).alias(f"_{column.name}") for column in self._counted()]

    def states(self) -> list[Bit]:
        """Two bits for each counted input: it is unknown, and it does not apply to the person's sex."""
        return [
            bit
            for column in self._counted()
            for bit in (self._is_unknown(column), column.only_for is not None and pl.col("sex") != column.only_for)
        ]

    def used(self) -> list[Label]:
        """The inputs that apply and were known, in terms of ``states``."""
        return [Label(column.name, absent=(2 * i, 2 * i + 1)) for i, column in enumerate(self._counted())]

    def missing(self) -> list[Label]:
        """The inputs that apply and were unknown, in terms of ``states``."""
        return [Label(column.name, present=(2 * i,), absent=(2 * i + 1,)) for i, column in enumerate(self._counted())]

    def defaulted(self) -> list[Label]:
        """The unknown inputs for which the score puts a stated value, in terms of ``states``."""
        return [
            label
            for label, column in zip(self.missing(), self._counted(), strict=True)
            if column.unknown_counts_as is not None
        ]

    def clipped(self) -> list[Finding]:
        """Inputs that were moved to the nearest value the score allows."""
        return [
            (column.name, pl.col(column.name).is_between(*column.clip).not_())
            for column in self._counted()
            if column.clip
        ]

    def problems(self) -> list[Finding]:
        """What is wrong with an input of a row: unknown though needed, out of range, unknown code, other unit."""
        return [
            finding
            for column in self.definition.inputs
            if column.name in self.schema
            for finding in (*self._unread(column), *self._problems(column))
        ]

    def exclusions(self) -> list[Finding]:
        """Flags that are set and exclude the person."""
        return [(f"not eligible: {column.name}", self[column.name]) for column in self._counted() if column.excludes]

    def ignored(self) -> list[Finding]:
        """Flags that are set for a person of the sex to which they do not apply."""
        return [
            (
                f"ignored: {column.name} is for sex {column.only_for} only",
                pl.col(column.name) & (pl.col("sex") != column.only_for),
            )
            for column in self._counted()
            if column.only_for
        ]

    def _unread(self, column: ScoreInput) -> list[Finding]:
        mark = f"{UNREAD}{column.name}"
        return [(f"{column.name}: not {unread_words(column)}", pl.col(mark))] if mark in self.schema else []

    def _counted(self) -> list[ScoreInput]:
        return [column for column in self.definition.inputs if column.stands_in_for is None]

    def _is_unknown(self, column: ScoreInput) -> Bit:
        if column.name in self.complete:
            return False
        stand_ins = [other.name for other in self.definition.inputs if other.stands_in_for == column.name]
        absent = not {column.name, *stand_ins} & set(self.schema)
        return absent or pl.col(column.name).is_null()

    def _typed(self, column: ScoreInput) -> pl.Expr:
        value = self._cast(column)
        for other in self.definition.inputs:
            if other.stands_in_for == column.name and other.name in self.schema:
                codes = pl.col(other.name).cast(pl.String)
                value = pl.coalesce(value, codes.replace_strict(other.means, default=None, return_dtype=pl.Int64))
        return value.alias(column.name)

    def _cast(self, column: ScoreInput) -> pl.Expr:
        dtype = _dtype(column)
        if column.name not in self.schema:
            return pl.lit(None, dtype=dtype)
        if column.kind == "flag" and self.schema[column.name] != pl.Boolean:
            return pl.col(column.name) == 1
        return pl.col(column.name).cast(dtype, strict=False)

    def _clean(self, column: ScoreInput) -> pl.Expr:
        value = pl.col(column.name)
        if column.clip:
            value = value.clip(*column.clip)
        if column.unknown_counts_as is not None and column.name not in self.complete:
            value = value.fill_null(_default(column))
        return value if column.only_for is None else value & (pl.col("sex") == column.only_for)

    def _problems(self, column: ScoreInput) -> list[Finding]:
        raw, findings = pl.col(column.name), []
        if column.must_be_known and column.name not in self.complete:
            findings.append((f"{column.name}: unknown", raw.is_null()))
        if column.codes:
            known = self._is_code(raw, column)
            findings.append((f"{column.name}: not {column.accepted}", known.not_()))
        elif column.kind in ("whole", "number"):
            findings += self._number_problems(column)
        elif column.kind == "flag" and self.schema[column.name] != pl.Boolean:
            findings.append((f"{column.name}: not 0 or 1", raw.is_in([0, 1]).not_()))
        return findings + self._unit_problem(column)

    def _is_code(self, raw: pl.Expr, column: ScoreInput) -> pl.Expr:
        if _dtype(column) != pl.Int64:
            return raw.cast(pl.String).is_in(list(column.codes))
        decimal = self.schema[column.name].is_float()
        codes = [float(code) if decimal else int(code) for code in column.codes]
        return raw.cast(pl.Float64 if decimal else pl.Int64).is_in(codes)

    def _number_problems(self, column: ScoreInput) -> list[Finding]:
        raw = pl.col(column.name)
        unit = f" {column.unit}" if column.unit else ""
        findings = [(f"{column.name}: outside {column.accepted}{unit}", _within(raw, column).not_())]
        if column.kind == "whole" and self.schema[column.name].is_float():
            findings.append((f"{column.name}: not a whole number", raw.floor() != raw))
        return findings

    def _unit_problem(self, column: ScoreInput) -> list[Finding]:
        name = f"{column.name}_unit"
        if not column.unit_spellings or name not in self.schema:
            return []
        return [(f"{name}: not {column.unit}", pl.col(name).is_in(column.unit_spellings).not_())]


def unit_columns(definition: ScoreDefinition, schema: Mapping[str, pl.DataType]) -> list[str]:
    """The unit columns that the table has for the inputs that allow one."""
    names = [f"{column.name}_unit" for column in definition.inputs if column.unit_spellings]
    return [name for name in names if name in schema]


def _within(raw: pl.Expr, column: ScoreInput) -> pl.Expr:
    """True inside the accepted range; a value that is no number is inside none."""
    low = -math.inf if column.at_least is None else column.at_least
    if column.below is not None:
        return (raw >= low) & (raw < column.below)
    if column.at_most is not None:
        return (raw >= low) & (raw <= column.at_most)
    return (raw >= low) & (raw < math.inf)


def banded(value: pl.Expr, bands: Iterable[Band]) -> pl.Expr:
    """The name of the band a value falls in, null where the value is."""
    ordered = sorted(bands, key=lambda band: band.at_least)
    name = pl.lit(None, dtype=pl.String)
    for band in ordered:
        name = pl.when(value >= band.at_least).then(pl.lit(band.name)).otherwise(name)
    return name


def _must_exist(definition: ScoreDefinition) -> list[str]:
    return [column.name for column in definition.inputs if column.must_exist]


def _fits(column: ScoreInput, dtype: pl.DataType) -> bool:
    if dtype == pl.Null:
        return True
    if column.kind in ("whole", "number"):
        return dtype.is_numeric()
    if column.kind == "flag":
        return dtype == pl.Boolean or dtype.is_numeric()
    if column.kind == "date":
        return dtype in (pl.Date, pl.Datetime)
    if column.kind == "category" and isinstance(next(iter(column.codes)), int):
        return dtype.is_numeric()
    return dtype in (pl.String, pl.Categorical, pl.Enum)


def _dtype(column: ScoreInput) -> type[pl.DataType]:
    if column.kind != "category":
        return _DTYPES[column.kind]
    return pl.Int64 if isinstance(next(iter(column.codes)), int) else pl.String


def _default(column: ScoreInput) -> pl.Expr:
    default = column.unknown_counts_as
    if isinstance(default, dict):
        return pl.when(pl.col("sex") == "female").then(default["female"]).otherwise(default["male"])
    return pl.lit(default)


def points(value: pl.Expr, steps: Iterable[Step]) -> pl.Expr:
    """The points a value earns, 0 below the first step, null where the value is."""
    earned: pl.Expr = pl.when(value.is_not_null()).then(0)
    for step in sorted(steps, key=lambda step: step.at_least):
        earned = pl.when(value >= step.at_least).then(step.points).otherwise(earned)
    return earned


def quotient(value: pl.Expr, divisor: int, *, most: int) -> pl.Expr:
    """Whole numbers from 0 to ``most`` divided exactly: Polars itself multiplies by a rounded reciprocal."""
    return pl.lit(pl.Series([number / divisor for number in range(most + 1)])).gather(value)
