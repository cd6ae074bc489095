"""The model that is served: a table of points per feature, whose sum is the score. Nothing is fitted here."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Literal

import numpy as np
import polars as pl
from annotated_types import MinLen

from models.calibration import Calibration
from models.design import Absent, Frozen, StudyDesign
from models.matrix import Binning, Bins, Floats, Ints, batches, select_rows

SMALLEST_REASON = 0.005
"""Points below this show as 0.00 and are no reason."""

SCORES = {
    "person_id": pl.Int64,
    "raw_score": pl.Float64,
    "risk": pl.Float64,
    "reasons": pl.String,
    "unscored_reason": pl.String,
    "model_version": pl.String,
}


class PointsTable(Frozen):
    """Points of one feature: one for each bin, and one for the unknown."""

    name: str
    absent: Absent
    is_needed: bool
    is_reason: bool
    edges: tuple[float, ...]
    points: Annotated[tuple[float, ...], MinLen(1)]
    unknown_points: float
    shares: tuple[float, ...]
    """Share of the study's people in each bin, the unknown last: what drift is measured from."""

    @property
    def binning(self) -> Binning:
        """How values of this feature fall into bins."""
        return Binning(name=self.name, absent=self.absent, edges=np.array(self.edges))

    @property
    def by_bin(self) -> Floats:
        """Points by bin number, the unknown last."""
        return np.array([*self.points, self.unknown_points])


@dataclass(frozen=True, eq=False)
class Ready:
    """The tables of a model as arrays; every part that can occur has one place in texts and worth."""

    binnings: tuple[Binning, ...]
    by_bin: tuple[Floats, ...]
    starts: Ints
    """Where each feature's places begin."""
    texts: pl.Series
    worth: Floats
    """Points of the parts that may be shown as a reason; minus infinity for the others."""


def make_ready(tables: Sequence[PointsTable]) -> Ready:
    """The tables as arrays."""
    by_bin = tuple(table.by_bin for table in tables)
    shown = [
        np.where((points >= SMALLEST_REASON) & table.is_reason, points, -np.inf)
        for table, points in zip(tables, by_bin, strict=True)
    ]
    return Ready(
        binnings=tuple(table.binning for table in tables),
        by_bin=by_bin,
        starts=np.cumsum([0, *(len(points) for points in by_bin[:-1])], dtype=np.int64),
        texts=pl.Series(
            [f"{table.name}={x:.2f}" for table, points in zip(tables, by_bin, strict=True) for x in points]
        ),
        worth=np.concatenate(shown),
    )


class AdditiveModel(Frozen):
    """Intercept plus points per feature (log odds), the calibration, and the study it came from."""

    kind: Literal["additive"] = "additive"
    version: str
    estimator: str
    design: StudyDesign
    trained_people: int
    trained_events: int
    intercept: float
    tables: tuple[PointsTable, ...]
    calibration: Calibration

    @property
    def names(self) -> list[str]:
        """Features that the model reads."""
        return [table.name for table in self.tables]

    @cached_property
    def ready(self) -> "Ready":
        """The tables as arrays, made once."""
        return make_ready(self.tables)

    def parts(self, bins: Bins) -> Floats:
        """Points of each feature (row) and person (column)."""
        return np.stack([points[row] for points, row in zip(self.ready.by_bin, bins, strict=True)])

    def raw_scores(self, bins: Bins) -> Floats:
        """Intercept and points added in the order of the features, so that company changes nothing."""
        total = np.full(bins.shape[1], self.intercept)
        for points, row in zip(self.ready.by_bin, bins, strict=True):
            total += points[row]
        return total

    def score(self, features: pl.LazyFrame, people: pl.Series) -> pl.DataFrame:
        """One row per person id given, sorted by it: SCORES, where ``risk`` is that of the study's own outcome."""
        ids = people.unique().sort().to_numpy()
        rows = select_rows(features, self.names)
        frames = [self._score_batch(bins, ids[place]) for place, bins in batches(rows, ids, self.ready.binnings)]
        return pl.concat(frames) if frames else pl.DataFrame(schema=SCORES)

    def contributions(self, features: pl.LazyFrame, people: pl.Series) -> pl.DataFrame:
        """One row per person and feature, with its points; with the intercept they add up to the raw score."""
        ids = people.unique().sort().to_numpy()
        rows = select_rows(features, self.names)
        frames = [self._spread(bins, ids[place]) for place, bins in batches(rows, ids, self.ready.binnings)]
        schema = {"person_id": pl.Int64, "feature": pl.String, "points": pl.Float64}
        return pl.concat(frames) if frames else pl.DataFrame(schema=schema)

    def _spread(self, bins: Bins, ids: Ints) -> pl.DataFrame:
        parts = pl.DataFrame(self.parts(bins).T, schema=self.names).with_columns(person_id=pl.Series(ids))
        return parts.unpivot(index="person_id", variable_name="feature", value_name="points")

    def _score_batch(self, bins: Bins, ids: Ints) -> pl.DataFrame:
        raw = self.raw_scores(bins)
        scored = pl.DataFrame(
            {
                "person_id": ids,
                "raw_score": raw,
                "risk": self.calibration.probabilities(raw),
                "reasons": self._reasons(bins),
                "unscored_reason": self._missing(bins),
            },
            schema_overrides=SCORES,
        )
        is_scored = pl.col("unscored_reason").is_null()
        values = ["raw_score", "risk", "reasons"]
        return scored.with_columns(
            pl.when(is_scored).then(pl.col(values)),
            model_version=pl.when(is_scored).then(pl.lit(self.version)),
        )

    def _missing(self, bins: Bins) -> pl.Series:
        """Which needed feature is unknown, if any: the first in the model's order."""
        lacking = pl.Series([None] * bins.shape[1], dtype=pl.String)
        for number in reversed([place for place, table in enumerate(self.tables) if table.is_needed]):
            is_unknown = pl.Series(bins[number] == self.ready.binnings[number].unknown_bin)
            text = pl.Series([f"{self.names[number]} is unknown"]).new_from_index(0, len(lacking))
            lacking = text.zip_with(is_unknown, lacking)
        return lacking

    def _reasons(self, bins: Bins) -> pl.Series:
        """The parts that raise each score most, largest first; equal parts in the order of the features."""
        places = (bins + self.ready.starts[:, None]).T
        worth = np.ascontiguousarray(self.ready.worth[places])
        people = np.arange(len(worth))
        columns = []
        for _ in range(min(self.design.reasons_shown, len(self.tables))):
            best = worth.argmax(axis=1)
            is_reason = np.isfinite(worth[people, best])
            columns.append(self.ready.texts.gather(places[people, best]).set(pl.Series(~is_reason), None))
            worth[people, best] = -np.inf
        joined = pl.DataFrame(columns_named(columns)).select(
            pl.concat_str(pl.all(), separator="|", ignore_nulls=True)
        )
        return joined.to_series().replace("", None)


def sealed(model: AdditiveModel) -> AdditiveModel:
    """The model with the version that its study, index date and content give it."""
    body = model.model_copy(update={"version": ""}).model_dump_json()
    digest = hashlib.sha256(body.encode()).hexdigest()
    design = model.design
    return model.model_copy(update={"version": f"{design.name}_{design.index_date:%Y%m%d}_{digest[:8]}"})


def columns_named(columns: Sequence[pl.Series]) -> dict[str, pl.Series]:
    """The series by their place, as column names."""
    return {str(place): column for place, column in enumerate(columns)}
