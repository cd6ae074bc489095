"""What a published score is, and which there are: the built-in modules and those that packages add."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, reduce
from importlib import import_module
from importlib.metadata import entry_points
from typing import Protocol, TypeVar

import polars as pl

from data_contracts.clinical.scores.definition import ScoreDefinition
from models.published.inputs import Inputs, banded, check_columns, resolve_options, unit_columns, version_text
from models.published.marking import Finding, Marking, labels_of

Frame = TypeVar("Frame", pl.DataFrame, pl.LazyFrame)

Columns = dict[str, pl.Expr]

BUILT_IN = (
    "acsc",
    "audit",
    "cambridge_flags",
    "charlson",
    "efi",
    "hfrs",
    "lace",
    "multimorbidity",
    "nhs_health_check",
    "polypharmacy",
    "qrisk3",
)
ENTRY_POINT_GROUP = "casefinder.scores"


class PublishedScore(Protocol):
    """A score over a table: its contract in ``definition``, its result one row per key."""

    @property
    def definition(self) -> ScoreDefinition:
        """Provenance, input contract and outputs."""

    def score(self, frame: Frame, *, key: str | None = None, options: Mapping[str, str] | None = None) -> Frame:
        """One row per key: the key, the score's outputs, then what was used, missing, defaulted and clipped."""


def _no_findings(inputs: Inputs) -> list[Finding]:
    return []


def _no_lists(inputs: Inputs) -> dict[str, list[Finding]]:
    return {}


def _no_columns(inputs: Inputs) -> list[Columns]:
    return []


@dataclass(frozen=True)
class RowScore:
    """A score worked out row by row, after the rows of each key have been brought together if there are many."""

    definition: ScoreDefinition
    formula: Callable[[Inputs], Columns]
    """The outputs, from inputs that are known to be acceptable; the bands of an output are added to it."""
    working: Callable[[Inputs], list[Columns]] = _no_columns
    """Columns that the formula uses more than once, in steps that build on one another."""
    lists: Callable[[Inputs], dict[str, list[Finding]]] = _no_lists
    """The outputs that are lists of names, from the findings that each name stands for."""
    together: Callable[[pl.LazyFrame, str], pl.LazyFrame] | None = None
    """One row per key from many, in key order: the inputs, and columns for the formula that start with _."""
    refusals: Callable[[Inputs], list[Finding]] = _no_findings
    """Why a row with acceptable inputs still has no score."""
    marks: Callable[[Inputs], list[Finding]] = _no_findings
    """Cautions written beside a score."""

    def score(self, frame: Frame, *, key: str | None = None, options: Mapping[str, str] | None = None) -> Frame:
        """One row per key, in the table's order or that of the key: the outputs, then how each came about."""
        chosen = resolve_options(self.definition, options)
        key = key or self.definition.key
        check_columns(self.definition, dict(frame.lazy().collect_schema()), key=key)
        rows, complete = frame.lazy(), _complete(frame)
        if self.together:
            rows, complete = self.together(rows, key), frozenset()
        inputs = Inputs(self.definition.with_options(chosen), dict(rows.collect_schema()), complete)
        plan = _RowPlan(self, inputs, key).result(rows, version_text(self.definition, chosen))
        return plan if isinstance(frame, pl.LazyFrame) else plan.collect(engine="streaming")


@dataclass(frozen=True)
class _RowPlan:
    """The steps from a table to scored and explained rows."""

    row_score: RowScore
    inputs: Inputs
    key: str

    def result(self, frame: pl.LazyFrame, version: str) -> pl.LazyFrame:
        """The key, the outputs with their bands, and the explanations."""
        inputs = self.inputs
        markings = (self._states, self._clips, self._reasons, self._marks, *self._lists.values())
        scored = self._scored(frame).with_columns(
            **{name: place for marking in markings for name, place in marking.placed().items()}
        )
        return scored.select(
            self.key,
            *(self._output(column.name) for column in inputs.definition.outputs),
            inputs_used=self._states.spelt(inputs.used()),
            inputs_missing=self._states.spelt(inputs.missing()),
            inputs_defaulted=self._states.spelt(inputs.defaulted()),
            inputs_clipped=self._clips.spelt(labels_of(inputs.clipped())),
            marks=self._marks.spelt(labels_of(self._mark_findings)),
            reason=self._reasons.spelt(labels_of([*inputs.problems(), *self._refusals])),
            score_version=pl.lit(version),
        )

    def _scored(self, frame: pl.LazyFrame) -> pl.LazyFrame:
        inputs, score = self.inputs, self.row_score
        raw_problems = len(inputs.problems())
        typed = frame.select(
            self.key,
            *inputs.typed(),
            *unit_columns(inputs.definition, inputs.schema),
            *(name for name in inputs.schema if name.startswith("_")),
            _reasons=self._reasons.packed(last=raw_problems),
        )
        clean = typed.with_columns(*inputs.clean(), _states=self._states.packed(), _clips=self._clips.packed())
        worked = reduce(lambda rows, columns: rows.with_columns(**columns), score.working(inputs), clean)
        judged = worked.with_columns(
            _marks=self._marks.packed(),
            _reasons=pl.col("_reasons") | self._reasons.packed(first=raw_problems),
        )
        acceptable = pl.col("_reasons") == 0
        outputs = {name: pl.when(acceptable).then(value) for name, value in score.formula(inputs).items()}
        bands = {name: banded(pl.col(group.of), group.bands) for name, group in inputs.definition.bands.items()}
        lists = {marking.column: pl.when(acceptable).then(marking.packed()) for marking in self._lists.values()}
        masks = ("_states", "_clips", "_reasons", "_marks")
        return judged.select(self.key, *masks, **lists, **outputs).with_columns(**bands)

    @property
    def _states(self) -> Marking:
        return Marking("_states", self.inputs.states())

    @property
    def _clips(self) -> Marking:
        return Marking("_clips", [moved for _, moved in self.inputs.clipped()])

    @property
    def _marks(self) -> Marking:
        return Marking("_marks", [marked for _, marked in self._mark_findings])

    @property
    def _reasons(self) -> Marking:
        return Marking("_reasons", [wrong for _, wrong in (*self.inputs.problems(), *self._refusals)])

    @property
    def _lists(self) -> dict[str, Marking]:
        lists = self.row_score.lists(self.inputs)
        return {name: Marking(f"_{name}", [true for _, true in findings]) for name, findings in lists.items()}

    def _output(self, name: str) -> pl.Expr:
        if name not in self._lists:
            return pl.col(name)
        return self._lists[name].spelt(labels_of(self.row_score.lists(self.inputs)[name])).alias(name)

    @property
    def _mark_findings(self) -> list[Finding]:
        return [*self.inputs.ignored(), *self.row_score.marks(self.inputs)]

    @property
    def _refusals(self) -> list[Finding]:
        return [*self.inputs.exclusions(), *self.row_score.refusals(self.inputs)]


def _complete(frame: pl.DataFrame | pl.LazyFrame) -> frozenset[str]:
    """Columns known to have no null: nothing can be known so of a lazy table."""
    if isinstance(frame, pl.LazyFrame):
        return frozenset()
    return frozenset(name for name in frame.columns if frame[name].null_count() == 0)


@cache
def load_scores() -> dict[str, PublishedScore]:
    """Every score by name: built in first, then those of installed packages.

    Raises:
        ValueError: two scores of one name.
    """
    found: list[PublishedScore] = [import_module(f"models.published.{module}").SCORE for module in BUILT_IN]
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        found.extend(entry.load())
    names = [score.definition.name for score in found]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(f"two published scores are called {repeated}; look at the installed packages' entry points")
    return {score.definition.name: score for score in found}
