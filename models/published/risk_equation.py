"""Evaluates ten-year risk equations given as a table of coefficients; the coefficients are data elsewhere.

Whatever depends only on sex, whole years of age and yes-or-no inputs is added up once, in small tables, and
looked up for each person. That leaves about a dozen sums a person, which is what makes a million people quick.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce

import numpy as np
import polars as pl
from numpy.typing import NDArray

from models.published.inputs import clean_value

Floats = NDArray[np.float64]

SEXES = ("female", "male")


@dataclass(frozen=True)
class Transform:
    """A fractional-polynomial term: the input divided, raised to a power, times its logarithm or not."""

    input: str
    divided_by: float
    power: float
    log: bool

    def of(self, value: float) -> float:
        """The term for one value."""
        scaled = value / self.divided_by
        return math.pow(scaled, self.power) * (math.log(scaled) if self.log else 1.0)

    def expression(self, value: pl.Expr) -> pl.Expr:
        """The term for a column; products and roots in place of powers, which are slow."""
        scaled = value * (1 / self.divided_by)
        raised = _raised(scaled, self.power)
        return raised * scaled.log() if self.log else raised


@dataclass(frozen=True)
class RiskEquation:
    """A pair of equations, one for each sex, over the same inputs."""

    rows: pl.DataFrame
    """Columns sex, kind, term, by, input, divided_by, power, log, value, as in the coefficient files."""
    ages: range

    @cached_property
    def working(self) -> dict[str, pl.Expr]:
        """The row of the tables for each person: females first, each sex by age."""
        age = clean_value("age_years").clip(self.ages[0], self.ages[-1]) - self.ages[0]
        first = pl.when(clean_value("sex") == "male").then(len(self.ages)).otherwise(0)
        return {"_row": (first + age).cast(pl.UInt32)}

    @cached_property
    def risk(self) -> pl.Expr:
        """The ten-year risk in percent, from the working columns and the clean inputs."""
        row = pl.col("_row")
        parts = [
            *self._code_parts(row),
            *self._flag_parts(row),
            *(
                transform.expression(clean_value(transform.input)) * _looked_up(weights, row)
                for transform, weights in self._transform_weights.items()
            ),
            *(
                clean_value(name) * _looked_up(self._weights(name), row)
                for name in self._names("number", self._raw_numbers)
            ),
            _looked_up(self._baseline, row),
        ]
        log_hazard = reduce(lambda one, other: one + other, parts)
        return 100 * (1 - (-log_hazard.exp()).exp())

    def _code_parts(self, row: pl.Expr) -> list[pl.Expr]:
        parts = []
        for name, codes in self._codes.items():
            table = np.stack([self._weights(f"{name}={code}") for code in range(max(codes) + 1)], axis=1)
            code = clean_value(name).clip(0, max(codes)).cast(pl.UInt32)
            parts.append(_looked_up(table.ravel(), row * table.shape[1] + code))
        return parts

    def _flag_parts(self, row: pl.Expr) -> list[pl.Expr]:
        flags = self._names("flag", lambda _: True)
        by_age = {str(name) for name in self.rows.filter(pl.col("kind") == "interaction")["term"]}
        groups = [[name for name in flags if (name in by_age) == together] for together in (True, False)]
        return [self._flag_part(group, row) for group in groups if group]

    def _flag_part(self, flags: Sequence[str], row: pl.Expr) -> pl.Expr:
        """One look-up for all these flags: each combination of them is a column of the table."""
        combinations = np.arange(1 << len(flags))[:, None] >> np.arange(len(flags)) & 1
        table = np.stack([self._weights(name) for name in flags], axis=1) @ combinations.T
        bits = [clean_value(name).cast(pl.UInt32) * (1 << place) for place, name in enumerate(flags)]
        return _looked_up(table.ravel(), row * table.shape[1] + reduce(lambda one, other: one + other, bits))

    @cached_property
    def _values(self) -> dict[tuple[str, str, str, str], float]:
        """Each coefficient by sex, kind, term and the age term it multiplies."""
        valued = self.rows.filter(pl.col("value").is_not_null())
        return {
            (sex, kind, term, by or ""): float(value)
            for sex, kind, term, by, value in valued.select("sex", "kind", "term", "by", "value").iter_rows()
        }

    @cached_property
    def _transforms(self) -> dict[tuple[str, str], Transform]:
        """Each transformed term by sex and name."""
        transformed = self.rows.filter(pl.col("kind") == "transform")
        columns = transformed.select("sex", "term", "input", "divided_by", "power", "log").iter_rows()
        return {
            (sex, term): Transform(name, float(divided_by), float(power), log == "1")
            for sex, term, name, divided_by, power, log in columns
        }

    @cached_property
    def _codes(self) -> dict[str, list[int]]:
        """The codes of each coded input."""
        codes: dict[str, list[int]] = {}
        for term in self._names("code", lambda _: True):
            name, code = term.split("=")
            codes.setdefault(name, []).append(int(code))
        return codes

    @cached_property
    def _transform_weights(self) -> dict[Transform, Floats]:
        """For each transform of an input other than age, its weight by sex and age, zero where not used."""
        kinds = {transform for transform in self._transforms.values() if transform.input != "age_years"}
        weights = {transform: np.zeros(2 * len(self.ages)) for transform in sorted(kinds, key=repr)}
        for (sex, term), transform in self._transforms.items():
            if transform in weights:
                weights[transform] += self._weights(term, sexes=(sex,))
        return weights

    @cached_property
    def _baseline(self) -> Floats:
        """What everybody of one sex and age starts from: survival, age, and the centring of everything else."""
        return np.concatenate([self._baseline_of(sex) for sex in SEXES])

    def _baseline_of(self, sex: str) -> Floats:
        total = np.full(len(self.ages), math.log(-math.log(self._values[sex, "survival", "year_10", ""])))
        for (of_sex, kind, term, _), value in self._values.items():
            if of_sex != sex or kind != "number":
                continue
            if self._is_age(sex, term):
                total = total + value * self._age_term(sex, term)
            else:
                total = total - self._values[sex, "centre", term, ""] * self._slope(sex, term)
        return total

    def _weights(self, term: str, sexes: Sequence[str] = SEXES) -> Floats:
        """The weight of a term for each sex and age, females first."""
        return np.concatenate([self._slope(sex, term) if sex in sexes else np.zeros(len(self.ages)) for sex in SEXES])

    def _slope(self, sex: str, term: str) -> Floats:
        """The weight of a term at each age: its own coefficient and those that multiply age."""
        own = sum(self._values.get((sex, kind, term, ""), 0.0) for kind in ("number", "flag", "code"))
        total = np.full(len(self.ages), own)
        for (of_sex, kind, name, by), value in self._values.items():
            if (of_sex, kind, name) == (sex, "interaction", term):
                total = total + value * self._age_term(sex, by)
        return total

    def _age_term(self, sex: str, term: str) -> Floats:
        """A transformed and centred age term at each age."""
        transform, centre = self._transforms[sex, term], self._values[sex, "centre", term, ""]
        return np.array([transform.of(age) - centre for age in self.ages])

    def _is_age(self, sex: str, term: str) -> bool:
        transform = self._transforms.get((sex, term))
        return transform is not None and transform.input == "age_years"

    def _raw_numbers(self, name: str) -> bool:
        return all((sex, name) not in self._transforms for sex in SEXES)

    def _names(self, kind: str, wanted: Callable[[str], bool]) -> list[str]:
        """The terms of one kind in the order of the file, each once."""
        terms = self.rows.filter(pl.col("kind") == kind)["term"].unique(maintain_order=True)
        return [name for name in terms if wanted(name)]


def _looked_up(table: Floats, place: pl.Expr) -> pl.Expr:
    return pl.lit(pl.Series(table)).gather(place)


def _raised(value: pl.Expr, power: float) -> pl.Expr:
    if power < 0:
        return 1 / _raised(value, -power)
    if power == 0.5:
        return value.sqrt()
    if power != int(power):
        raise ValueError(f"no rule for the power {power:g}: expected a whole number or a half")
    return reduce(lambda one, other: one * other, [value] * int(power), pl.lit(1.0)) if power != 1 else value
