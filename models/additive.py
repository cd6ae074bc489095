"""The model that is served: a table of points per feature, whose sum is the score. Nothing is fitted here."""

import hashlib
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
import polars as pl
from annotated_types import MinLen

from models.calibration import Calibration
from models.design import Absent, Frozen, StudyDesign
from models.matrix import Binning, Bins, Floats, Ints, Rows, batches, by_feature, of_batch, places, select_rows

SMALLEST_REASON = 0.005
"""Points below this show as 0.00 and are no reason."""

POINTS_DECIMALS = 6
"""Points are added as whole millionths: the sum is the same in any order and any company."""
BATCH = 5_000
"""People whose scores are added together: few enough to stay in the processor's cache."""
THREADS = 2

SCORES = {
    "person_id": pl.Int64,
    "raw_score": pl.Float64,
    "risk": pl.Float64,
    "unscored_reason": pl.String,
    "model_version": pl.String,
}
REASONS = {"person_id": pl.Int64, "reasons": pl.String}


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


CELLS = 1_024


@dataclass(frozen=True, eq=False)
class Lookup:
    """What a row adds, found for rows of all features at once: even cells over the edges of each feature.

    A greater value is never in an earlier cell, so only the edge in a value's own cell has to be looked at.
    """

    start: Floats
    cells_per_unit: Floats
    is_held: npt.NDArray[np.bool_]
    """False for a feature with two edges in one cell: its rows are binned one feature at a time."""
    edge: Floats
    """By feature and cell: the edge in it; infinity if there is none."""
    below: Floats
    above: Floats

    def points(self, code: Ints, value: Floats) -> Floats:
        """What each row adds, in whole millionths, for rows of features that are held."""
        cell = (value - self.start.take(code)) * self.cells_per_unit.take(code)
        place = code * CELLS + np.minimum(np.maximum(cell, 0), CELLS - 1).astype(np.int64)
        is_below = value < self.edge.take(place)
        return np.asarray(np.where(is_below, self.below.take(place), self.above.take(place)), dtype=np.float64)


def make_lookup(binnings: Sequence[Binning], by_bin: Sequence[Floats]) -> Lookup:
    """The lookup of features whose bins add so much."""
    features = len(binnings)
    lookup = Lookup(
        start=np.array([binning.edges[0] if len(binning.edges) else 0.0 for binning in binnings]),
        cells_per_unit=np.array([(CELLS - 1) / (np.ptp(b.edges) or 1.0) if len(b.edges) else 0.0 for b in binnings]),
        is_held=np.ones(features, dtype=bool),
        edge=np.full(features * CELLS, np.inf),
        below=np.empty(features * CELLS),
        above=np.empty(features * CELLS),
    )
    for number, (binning, points) in enumerate(zip(binnings, by_bin, strict=True)):
        cells = (binning.edges - lookup.start[number]) * lookup.cells_per_unit[number]
        cells = cells.clip(0, CELLS - 1).astype(np.int64)
        lookup.is_held[number] = len(np.unique(cells)) == len(cells)
        own = slice(number * CELLS, (number + 1) * CELLS)
        bins = np.searchsorted(cells, np.arange(CELLS), side="left")
        lookup.edge[own][cells] = binning.edges
        lookup.below[own] = points[bins]
        lookup.above[own] = points[np.minimum(bins + 1, len(binning.edges))]
    return lookup


@dataclass(frozen=True, eq=False)
class Ready:
    """The tables of a model as arrays; every part that can occur has one place in texts and worth."""

    binnings: tuple[Binning, ...]
    by_bin: tuple[Floats, ...]
    beyond_absent: tuple[Floats, ...]
    """Millionths by bin over those of a person without a row, whose points are in the base."""
    base: float
    lookup: Lookup
    starts: Ints
    """Where each feature's places begin."""
    texts: pl.Series
    worth: Floats
    """Points of the parts that may be shown as a reason; minus infinity for the others."""


def make_ready(intercept: float, tables: Sequence[PointsTable]) -> Ready:
    """The tables as arrays."""
    by_bin = tuple(table.by_bin for table in tables)
    binnings = tuple(table.binning for table in tables)
    whole = [np.round(points * 10**POINTS_DECIMALS) for points in by_bin]
    absent = [points[binning.absent_bin] for points, binning in zip(whole, binnings, strict=True)]
    shown = [
        np.where((points >= SMALLEST_REASON) & table.is_reason, points, -np.inf)
        for table, points in zip(tables, by_bin, strict=True)
    ]
    beyond_absent = tuple(points - base for points, base in zip(whole, absent, strict=True))
    return Ready(
        binnings=binnings,
        by_bin=by_bin,
        beyond_absent=beyond_absent,
        lookup=make_lookup(binnings, beyond_absent),
        base=float(round(intercept * 10**POINTS_DECIMALS) + sum(absent)),
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
    cut_error: float
    """Standard error of how far a raw score near the cut lies above it."""

    @property
    def names(self) -> list[str]:
        """Features that the model reads."""
        return [table.name for table in self.tables]

    @cached_property
    def ready(self) -> "Ready":
        """The tables as arrays, made once."""
        return make_ready(self.intercept, self.tables)

    def parts(self, bins: Bins) -> Floats:
        """Points of each feature (row) and person (column)."""
        return np.stack([points[row] for points, row in zip(self.ready.by_bin, bins, strict=True)])

    def score(self, features: pl.LazyFrame, people: pl.Series) -> pl.DataFrame:
        """One row per person id given, sorted by it: SCORES, where ``risk`` is that of the study's own outcome."""
        return self.score_rows(select_rows(features, self.names), people.unique().sort().to_numpy())

    def score_rows(self, rows: Rows, ids: Ints) -> pl.DataFrame:
        """The same, of rows that have been selected and people sorted by id."""
        total = np.empty(len(ids))
        is_lacking = {number: np.ones(len(ids), dtype=bool) for number in self._needed}

        def add_up(place: slice) -> None:
            column, code, value = of_batch(rows, ids[place], len(self.tables))
            is_known = ~np.isnan(value)
            total[place] = np.bincount(column, self._added(code, value, is_known), place.stop - place.start)
            for number, lacking in is_lacking.items():
                lacking[place][column[(code == number) & is_known]] = False

        with ThreadPoolExecutor(THREADS) as pool:
            deque(pool.map(add_up, places(len(ids), BATCH)), maxlen=0)
        return self._scored(ids, (total + self.ready.base) / 10**POINTS_DECIMALS, is_lacking)

    def explain(self, features: pl.LazyFrame, people: pl.Series) -> pl.DataFrame:
        """One row per person id given, sorted by it: REASONS, the parts that raise the score most, largest first.

        A part is written name=points; parts are joined by |; null if nothing raises the score.
        """
        ids = people.unique().sort().to_numpy()
        rows = select_rows(features.join(people.to_frame("person_id").lazy(), on="person_id", how="semi"), self.names)
        frames = [
            pl.DataFrame({"person_id": ids[place], "reasons": self._reasons(bins)}, schema_overrides=REASONS)
            for place, bins in batches(rows, ids, self.ready.binnings)
        ]
        return pl.concat(frames) if frames else pl.DataFrame(schema=REASONS)

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

    def _scored(self, ids: Ints, raw: Floats, is_lacking: dict[int, npt.NDArray[np.bool_]]) -> pl.DataFrame:
        reason = pl.lit(None, dtype=pl.String)
        for number in reversed(self._needed):
            text = pl.lit(f"{self.names[number]} is unknown")
            reason = pl.when(pl.lit(pl.Series(is_lacking[number]))).then(text).otherwise(reason)
        values = {"person_id": ids, "raw_score": raw, "risk": self.calibration.probabilities(raw)}
        is_scored = pl.col("unscored_reason").is_null()
        return (
            pl.DataFrame(values, schema_overrides={name: SCORES[name] for name in values})
            .with_columns(unscored_reason=reason)
            .with_columns(
                pl.when(is_scored).then(pl.col("raw_score", "risk")),
                model_version=pl.when(is_scored).then(pl.lit(self.version)),
            )
        )

    def _added(self, code: Ints, value: Floats, is_known: npt.NDArray[np.bool_]) -> Floats:
        """What each row adds to the score, in whole millionths."""
        is_held = self.ready.lookup.is_held.take(code) & is_known
        if is_held.all():
            return self.ready.lookup.points(code, value)
        added = np.empty(len(code))
        added[is_held] = self.ready.lookup.points(code[is_held], value[is_held])
        rest = np.flatnonzero(~is_held)
        for number, rows_, values in by_feature(rest, code[rest], value[rest], len(self.tables)):
            added[rows_] = self.ready.beyond_absent[number][self.ready.binnings[number].bins_of(values)]
        return added

    @cached_property
    def _needed(self) -> list[int]:
        """Places of the features without which there is no score."""
        return [place for place, table in enumerate(self.tables) if table.is_needed]

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
