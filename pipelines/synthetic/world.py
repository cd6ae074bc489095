"""The made-up world's figures, loaded from data, and the condition levels that make published shares come out."""

import datetime as dt
import zlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.stats import norm

from data_contracts.provenance import Provenance
from data_contracts.yaml_text import parse_yaml

FIGURES = files("data_contracts.clinical") / "synthetic"
NEVER = 1 << 30
YEAR = 365.25
EPOCH = dt.date(1970, 1, 1)

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.integer[Any]]
Days = NDArray[np.integer[Any]]
Flags = NDArray[np.bool_]


def day_number(date: dt.date) -> int:
    """Days since 1970-01-01: how dates are held while people are made."""
    return (date - EPOCH).days


@dataclass(frozen=True)
class ConditionShape:
    """When each condition starts and what it does, one entry of each array a condition."""

    names: tuple[str, ...]
    is_rising: Flags
    midpoint: Floats
    scale: Floats
    male: Floats
    deprivation: Floats
    frailty: Floats
    sensitivity: Floats
    effects: Floats
    level: Floats

    def index(self, condition: str) -> int:
        """The condition's column."""
        return self.names.index(condition)

    def indices(self, conditions: str) -> list[int]:
        """Columns of conditions joined by |."""
        return [self.names.index(name) for name in conditions.split("|") if name in self.names]


@dataclass(frozen=True)
class World:
    """Every figure behind the made-up people: scalars by dotted path, tables by name."""

    scalars: dict[str, Any]
    tables: dict[str, pl.DataFrame]
    conditions: ConditionShape

    def number(self, path: str) -> float:
        """One figure by dotted path, such as ``emergency.frailty``."""
        return float(self.entry(path))

    def entry(self, path: str) -> Any:
        """One entry of world.yaml by dotted path."""
        found: Any = self.scalars
        for part in path.split("."):
            if part not in found:
                raise KeyError(f"world.yaml has no figure {path!r}; look in {FIGURES}")
            found = found[part]
        return found

    def column(self, table: str, column: str) -> Floats:
        """One numeric column of a table."""
        return self.tables[table][column].cast(pl.Float64).to_numpy()


def stream(seed: int, chunk: int, name: str) -> np.random.Generator:
    """The random stream of one part of one chunk: no part's draws depend on another's."""
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence([seed, chunk, zlib.crc32(name.encode())])))


def logistic(value: Floats) -> Floats:
    """Probability from log odds."""
    return 1.0 / (1.0 + np.exp(-value))


@cache
def load_world() -> World:
    """The made-up world, its condition levels solved so that recorded shares are the published ones."""
    scalars = _read_figures()
    names = [
        "age_sex",
        "ethnic_groups",
        "list_sizes",
        "emergency_by_age",
        "measures",
        "medicines",
        "diagnoses",
        "courses",
    ]
    tables = {name: read_table(name) for name in names}
    return World(scalars=scalars, tables=tables, conditions=_solve(read_table("conditions"), tables["age_sex"]))


@cache
def _read_figures() -> dict[str, Any]:
    """world.yaml, once it says where its figures come from.

    Raises:
        pydantic.ValidationError: source, version, licence, reviewer or date are lacking.
    """
    figures: dict[str, Any] = parse_yaml((FIGURES / "world.yaml").read_text("utf-8"))
    Provenance(**{name: figures[name] for name in Provenance.model_fields if name in figures})
    return figures


def read_table(name: str) -> pl.DataFrame:
    """One table of figures, as its CSV file has it.

    Raises:
        ValueError: world.yaml does not name the table, so nothing says where it comes from.
    """
    if name not in _read_figures()["tables"]:
        raise ValueError(f"synthetic/{name}.csv has no provenance: name it under tables in world.yaml")
    return pl.read_csv((FIGURES / f"{name}.csv").read_text("utf-8").encode())


def _solve(table: pl.DataFrame, age_sex: pl.DataFrame) -> ConditionShape:
    """Condition shapes with the level of each solved against its published share."""
    column = {
        name: table[name].cast(pl.Float64).to_numpy()
        for name in ("midpoint", "scale", "male", "deprivation", "frailty", "sensitivity")
    }
    shape = ConditionShape(
        names=tuple(table["condition"]),
        is_rising=(table["shape"] == "rising").to_numpy(),
        effects=table.select("log_emergency", "log_avoidable", "log_death").to_numpy().astype(np.float64),
        level=np.zeros(table.height),
        **column,
    )
    grid = _reference_people(age_sex)
    levels = [_level(shape, row, published, grid) for row, published in enumerate(table.iter_rows(named=True))]
    return ConditionShape(**{**shape.__dict__, "level": np.array(levels)})


def _reference_people(age_sex: pl.DataFrame) -> dict[str, Floats]:
    """A grid over age, sex, deprivation and frailty with weights that follow the population."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(5)
    bands = age_sex.to_dicts()
    ages = np.concatenate([np.arange(b["age_from"], min(b["age_to"], 100) + 1) for b in bands]) + 0.5
    width = np.concatenate([[min(b["age_to"], 100) - b["age_from"] + 1] * 1 for b in bands])
    share = np.repeat([b["percent"] for b in bands] / width, width)
    male = np.repeat([1 - b["percent_female"] / 100 for b in bands], width)
    age, sex, z, u = np.meshgrid(ages, [0.0, 1.0], norm.ppf((np.arange(4) + 0.5) / 4), nodes, indexing="ij")
    weight = np.meshgrid(share, [0.0, 1.0], np.ones(4), weights, indexing="ij")
    weight = weight[0] * weight[3] * np.where(sex == 1, male[:, None, None, None], 1 - male[:, None, None, None])
    return {"age": age.ravel(), "male": sex.ravel(), "z": z.ravel(), "u": u.ravel(), "weight": weight.ravel()}


def _level(shape: ConditionShape, row: int, published: dict[str, Any], grid: dict[str, Floats]) -> float:
    """The level at which the share with the condition, recorded, is the published share."""
    asked = (grid["age"] >= published["age_from"]) & (grid["age"] < published["age_to"])
    weight = grid["weight"][asked] / grid["weight"][asked].sum()
    person = {name: values[asked] for name, values in grid.items()}
    lean = shape.male[row] * person["male"] + shape.deprivation[row] * person["z"] + shape.frailty[row] * person["u"]
    time = (person["age"] - shape.midpoint[row]) / shape.scale[row]
    target = published["asked_percent"] / 100 / shape.sensitivity[row]
    low, high = -12.0, 6.0
    for _ in range(32):
        middle = (low + high) / 2
        share = logistic(middle + lean + time) if shape.is_rising[row] else logistic(middle + lean) * logistic(time)
        low, high = (middle, high) if float(weight @ share) < target else (low, middle)
    return (low + high) / 2
