"""From long, sparse features to small dense batches of bin numbers, and what became of people. Nothing is fitted."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl

from models.design import OUTCOME_DATES, Absent, Feature, StudyDesign

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bins = npt.NDArray[np.uint8]

BATCH_PEOPLE = 50_000


@dataclass(frozen=True)
class Binning:
    """How the values of one feature fall into bins; the bin past the last is for the unknown."""

    name: str
    absent: Absent
    edges: Floats

    @property
    def unknown_bin(self) -> int:
        """The bin of people in whom the feature is unknown."""
        return len(self.edges) + 1

    @property
    def absent_bin(self) -> int:
        """The bin of people without a row."""
        return int(self.bins_of(np.zeros(1))[0]) if self.absent == "zero" else self.unknown_bin

    def bins_of(self, values: Floats) -> Bins:
        """The bin of each value: how many edges it reaches; what is not a number is unknown."""
        # What is not a number sorts after infinity.
        return np.searchsorted(self._ends, values, side="right").astype(np.uint8)

    @cached_property
    def _ends(self) -> Floats:
        return np.append(self.edges, np.inf)


@dataclass(frozen=True)
class Rows:
    """The rows of the chosen features, sorted by person: who, which feature (its place in the list), what value."""

    person_id: Ints
    code: npt.NDArray[np.uint16]
    value: Floats


def with_cambridge(features: pl.LazyFrame, cambridge: pl.DataFrame | None) -> pl.LazyFrame:
    """One row per person and feature, the Cambridge score among them if it is given."""
    if cambridge is None:
        return features
    score = cambridge.lazy().select("person_id", feature=pl.lit("cambridge_score"), value="cambridge_score")
    return pl.concat([features, score])


def select_rows(features: pl.LazyFrame, names: Sequence[str]) -> Rows:
    """One row per person and chosen feature, sorted by person."""
    frame = (
        features.select("person_id", pl.col("feature").cast(pl.Enum(list(names)), strict=False), "value")
        .filter(pl.col("feature").is_not_null())
        .select("person_id", pl.col("feature").to_physical().cast(pl.UInt16).alias("code"), "value")
        .collect()
    )
    if not frame["person_id"].is_sorted():
        frame = frame.sort("person_id", maintain_order=True)
    return Rows(frame["person_id"].to_numpy(), frame["code"].to_numpy(), frame["value"].to_numpy())


def batches(rows: Rows, people: Ints, binnings: Sequence[Binning]) -> Iterator[tuple[slice, Bins]]:
    """For each batch of the sorted people: its place, and bin numbers, one row per feature and column per person."""
    for place in places(len(people), BATCH_PEOPLE):
        yield place, bin_batch(rows, people[place], binnings)


def places(people: int, batch: int) -> Iterator[slice]:
    """The places of batches, one after the other."""
    return (slice(start, min(start + batch, people)) for start in range(0, people, batch))


def bin_batch(rows: Rows, people: Ints, binnings: Sequence[Binning]) -> Bins:
    """Bin numbers, one row per feature and one column per person, of people sorted by id.

    Raises:
        ValueError: a person has two values of one feature.
    """
    bins = np.empty((len(binnings), len(people)), dtype=np.uint8)
    for number, binning in enumerate(binnings):
        bins[number] = binning.absent_bin
    for number, columns, values in by_feature(*of_batch(rows, people, len(binnings)), len(binnings)):
        bins[number, columns] = binnings[number].bins_of(values)
    return bins


def of_batch(rows: Rows, people: Ints, features: int) -> tuple[Ints, Ints, Floats]:
    """The rows of people sorted by id: each row's column among the people, its feature's number, and its value.

    Raises:
        ValueError: a person has two values of one feature.
    """
    first, last = np.searchsorted(rows.person_id, [people[0], people[-1] + 1])
    person, code, value = rows.person_id[first:last], rows.code[first:last], rows.value[first:last]
    is_new = np.append(True, person[1:] != person[:-1])[: len(person)]
    own_column = np.searchsorted(people, person[is_new])
    is_wanted = people[own_column] == person[is_new]
    nth = np.cumsum(is_new) - 1
    if not is_wanted.all():
        nth, code, value = (part[is_wanted[nth]] for part in (nth, code, value))
    column, number = own_column.take(nth), code.astype(np.int64)
    seen = np.zeros(len(people) * features, dtype=bool)
    seen[column * features + number] = True
    repeats = len(code) - int(seen.sum())
    if repeats:
        raise ValueError(f"person_features: {repeats} rows repeat a person and feature; expected one row of each")
    return column, number, value


def by_feature(column: Ints, code: Ints, value: Floats, features: int) -> Iterator[tuple[int, Ints, Floats]]:
    """For each feature: its number, the columns of the people who have a row of it, and the values."""
    order = np.argsort(code.astype(np.uint16), kind="stable")
    ends = np.cumsum([0, *np.bincount(code, minlength=features)])
    for number in range(features):
        own = order[ends[number] : ends[number + 1]]
        yield number, column[own], value[own]


def shares_of(bins: Bins, counts: Iterable[int]) -> list[Floats]:
    """The share of people in each bin, feature by feature; ``counts`` says how many bins each has."""
    return [np.bincount(row, minlength=count) / max(len(row), 1) for row, count in zip(bins, counts, strict=True)]


def choose_edges(feature: Feature, values: Floats, *, max_bins: int) -> Floats:
    """Edges that share the values evenly, midway between neighbours; where absent means zero it has its own bin.

    Raises:
        ValueError: the feature is unknown in everyone.
    """
    known = values[~np.isnan(values)]
    if not len(known) and feature.absent == "zero":
        return np.empty(0)
    if not len(known):
        raise ValueError(
            f"feature {feature.name!r} is unknown in everyone in training; "
            "drop it from the study design or see why person_features lacks it"
        )
    distinct = np.unique(known if feature.absent == "unknown" else np.append(known, 0.0))
    midpoints = np.asarray((distinct[:-1] + distinct[1:]) / 2, dtype=np.float64)
    if len(midpoints) < max_bins:
        return midpoints
    quantiles = np.quantile(known, np.linspace(0, 1, max_bins)[1:-1], method="lower")
    chosen = np.unique(np.searchsorted(distinct, quantiles).clip(1)) - 1
    edges = midpoints[chosen]
    return _with_zero_apart(edges, distinct) if feature.absent == "zero" else edges


def _with_zero_apart(edges: Floats, distinct: Floats) -> Floats:
    """The edges, and one on each side of zero."""
    zero = int(np.searchsorted(distinct, 0.0))
    beside = [(distinct[i] + distinct[i + 1]) / 2 for i in (zero - 1, zero) if 0 <= i < len(distinct) - 1]
    return np.unique(np.append(edges, beside))


def label(design: StudyDesign, people: pl.DataFrame, outcomes: pl.DataFrame) -> pl.DataFrame:
    """The people, with outcome_count (outcomes on or after the index date, before the end) and has_outcome.

    Deaths compete with admissions: who died without one is in the denominator, without an outcome.
    """
    happened = pl.col(OUTCOME_DATES[design.follow_up.outcome])
    is_in_time = happened.is_between(design.index_date, design.end_date, closed="left")
    counts = outcomes.filter(is_in_time).group_by("person_id").agg(outcome_count=pl.len().cast(pl.Int64))
    return people.join(counts, on="person_id", how="left", validate="1:1", maintain_order="left").with_columns(
        pl.col("outcome_count").fill_null(0),
        has_outcome=pl.col("outcome_count").is_not_null(),
    )
