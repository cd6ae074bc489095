"""What a published score takes, gives and rests on; the loader refuses a definition without its provenance."""

from collections.abc import Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, Literal

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, model_validator

from data_contracts.provenance import Provenance
from data_contracts.yaml_text import parse_yaml

SCORES = files("data_contracts.clinical") / "scores"

InputKind = Literal["whole", "number", "flag", "category", "text", "date"]
OutputKind = Literal["number", "whole", "flag", "text", "date"]

_ACCEPTED = {
    "whole": "a whole number (integer column, or decimal column of whole values)",
    "number": "a number (decimal or integer column)",
    "flag": "true or false (boolean column, or integer column of 0 and 1)",
    "text": "text",
    "date": "a date (of a date and time, the time is left out)",
}


class _Frozen(BaseModel):
    """Cannot be changed, and takes no field it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ScoreInput(_Frozen):
    """One input column: what it holds, which values are accepted and what an unknown value becomes."""

    name: str
    kind: InputKind
    description: str
    must_exist: bool = True
    """False: the column may be left out of the table; it then counts as unknown for everybody."""
    must_be_known: bool = False
    """True: nobody is scored without it."""
    unit: str | None = None
    unit_spellings: tuple[str, ...] = ()
    at_least: float | None = None
    at_most: float | None = None
    below: float | None = None
    clip: tuple[float, float] | None = None
    codes: dict[int | str, str] = {}
    unknown_counts_as: bool | float | int | str | dict[str, float] | None = None
    """What the score uses for an unknown value; a mapping gives one value for each sex."""
    only_for: Literal["female", "male"] | None = None
    stands_in_for: str | None = None
    """Another coding of the input named here, used where that one is unknown."""
    means: dict[str, int | None] = {}
    """For a stand-in: what each of its codes is in the coding it stands in for; null is unknown there."""
    also_called: tuple[str, ...] = ()
    """Names that other programs give the column; its coding there is the same."""
    spellings: dict[str, str] = {}
    """Other words for a code, in small letters; a code itself is known in any case."""
    excludes: bool = False
    """True: nobody for whom the flag is set is scored."""
    variants: dict[str, dict[str, Any]] = {}
    """By ``option=choice``: what about this input is otherwise when that choice is made."""

    @property
    def accepted(self) -> str:
        """The accepted range or codes, in words."""
        if self.codes:
            return "one of " + ", ".join(str(code) for code in self.codes)
        low = "" if self.at_least is None else f"{self.at_least:g}"
        if self.below is not None:
            return f"{low} to under {self.below:g}"
        high = "" if self.at_most is None else f"{self.at_most:g}"
        if low and high:
            return f"{low} to {high}"
        return f"{low} or more" if low else f"up to {high}" if high else "any"

    @property
    def type_words(self) -> str:
        """The type of the column, in words."""
        if self.kind != "category":
            return _ACCEPTED[self.kind]
        whole = isinstance(next(iter(self.codes)), int)
        return f"one of the codes listed, as {'a whole number' if whole else 'text'}"

    def as_text(self) -> str:
        """The column in one paragraph: name, type, unit, range, codes, and what unknown means."""
        parts = [f"{self.name}: {self.description}. Type: {self.type_words}."]
        parts += self._range()
        if self.clip:
            parts.append(f"Clipped to {self.clip[0]:g} to {self.clip[1]:g} and listed as clipped.")
        if self.unit_spellings:
            units = ", ".join(self.unit_spellings)
            parts.append(f"If there is a text column {self.name}_unit, it must say one of {units}, or null.")
        if self.only_for:
            parts.append(f"Used for sex {self.only_for} only.")
        if self.excludes:
            parts.append("True: no score.")
        if self.stands_in_for:
            parts.append(f"Used where {self.stands_in_for} is unknown.")
        if self.also_called:
            parts.append(f"May also be called {', '.join(self.also_called)}.")
        if self.spellings:
            parts.append(
                "Also read: " + ", ".join(f"{word} as {code}" for word, code in self.spellings.items()) + "."
            )
        parts.append(self._unknown())
        codes = [f"      {code} = {meaning}{self._meaning(code)}" for code, meaning in self.codes.items()]
        return "\n".join(["  " + " ".join(parts), *codes])

    def _meaning(self, code: int | str) -> str:
        if self.stands_in_for is None:
            return ""
        meant = self.means[str(code)]
        return f" ({self.stands_in_for} {'unknown' if meant is None else meant})"

    def _range(self) -> list[str]:
        is_number = not self.codes and self.kind in ("whole", "number")
        return [f"Unit: {self.unit}."] * bool(self.unit) + [f"Accepted: {self.accepted}."] * is_number

    def _unknown(self) -> str:
        column = "The column must be there." if self.must_exist else "The column may be left out."
        if self.must_be_known:
            return f"{column} Null: no score."
        if self.unknown_counts_as is None:
            return f"{column} Null: unknown."
        if isinstance(self.unknown_counts_as, dict):
            value = ", ".join(f"{number:g} if {sex}" for sex, number in self.unknown_counts_as.items())
        else:
            value = str(self.unknown_counts_as).lower()
        return f"{column} Null: unknown, counted as {value} and listed as defaulted."


class ScoreOutput(_Frozen):
    """One output column of a score."""

    name: str
    kind: OutputKind
    description: str


class ScoreOption(_Frozen):
    """A choice that changes how a score is worked out; the choice made is written beside every score."""

    default: str
    choices: dict[str, str]


class Band(_Frozen):
    """A named stretch of a score, from ``at_least`` up to the next band."""

    name: str
    at_least: float


class BandSet(_Frozen):
    """The bands of one output, which become an output of their own."""

    of: str
    bands: tuple[Band, ...]


class Step(_Frozen):
    """Points that count from ``at_least`` up to the next step."""

    points: int
    at_least: float


class ScoreDefinition(Provenance):
    """A published score: provenance, input contract, outputs, bands and options."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    title: str
    licence_note: str
    grain: str
    rows: Literal["one_per_key", "many_per_key"] = "one_per_key"
    key: str = "person_id"
    tables: tuple[str, ...] = ()
    """CSV files beside the definition that this provenance covers; no other table loads."""
    inputs: tuple[ScoreInput, ...]
    one_of: tuple[tuple[str, ...], ...] = ()
    """Groups of optional columns of which at least one must be there."""
    outputs: tuple[ScoreOutput, ...]
    bands: dict[str, BandSet] = Field(default_factory=dict)
    steps: dict[str, tuple[Step, ...]] = Field(default_factory=dict)
    options: dict[str, ScoreOption] = Field(default_factory=dict)
    constants: dict[str, int] = Field(default_factory=dict)
    lists: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> "ScoreDefinition":
        names = [column.name for column in self.inputs] + [column.name for column in self.outputs]
        repeated = {name for name in names if names.count(name) > 1}
        if repeated:
            raise ValueError(f"score {self.name}: columns named twice: {sorted(repeated)}")
        unknown = {name for group in self.one_of for name in group} - {column.name for column in self.inputs}
        if unknown:
            raise ValueError(f"score {self.name}: one_of names unknown inputs: {sorted(unknown)}")
        return self

    def input(self, name: str) -> ScoreInput:
        """The input column of that name."""
        return next(column for column in self.inputs if column.name == name)

    def columns(self) -> list[str]:
        """Every column the score may read, the key apart."""
        units = [f"{column.name}_unit" for column in self.inputs if column.unit_spellings]
        return [column.name for column in self.inputs] + units

    def with_options(self, options: Mapping[str, str]) -> "ScoreDefinition":
        """The definition as it is under these choices."""
        chosen = [f"{name}={choice}" for name, choice in options.items()]
        inputs = [
            ScoreInput(
                **{**column.model_dump(), **{k: v for c in chosen for k, v in column.variants.get(c, {}).items()}}
            )
            for column in self.inputs
        ]
        return self.model_copy(update={"inputs": tuple(inputs)})

    def as_text(self) -> str:
        """The whole contract as plain text: what ``casefinder score NAME --describe`` prints."""
        lines = [
            f"{self.name}: {self.title}, version {self.version}",
            f"Source: {self.source}",
            f"Licence: {self.licence}. {self.licence_note}",
            f"Reviewed: {self.reviewer}. In force from {self.effective_from}"
            + (f" to {self.effective_to}." if self.effective_to else "."),
            f"Grain: {self.grain}.",
            "",
            "Input columns:",
            f"  {self.key}: the key, any type, never null"
            + ("; one row each." if self.rows == "one_per_key" else "; any number of rows each."),
            *(column.as_text() for column in self.inputs),
            *(f"  At least one of these columns must be there: {', '.join(group)}." for group in self.one_of),
            *_READING_TEXT,
            "",
            "Output columns:",
            f"  {self.key}: the key.",
            *(f"  {column.name} ({column.kind}): {column.description}." for column in self.outputs),
            *_AUDIT_TEXT,
        ]
        if self.options:
            lines += ["", "Options (NAME=CHOICE):"]
            lines += [_option_text(name, option) for name, option in self.options.items()]
        return "\n".join([*lines, *(["", "Notes:"] if self.notes else []), *(f"  {note}" for note in self.notes)])


_READING_TEXT = (
    "  Text is read too: numbers, true/false/yes/no/1/0, dates as 2026-01-31, codes in any case; blank is unknown.",
    "  What cannot be read is the row's reason for having no score. Columns that are not named here are reported.",
    "  A file without the key column gets the row's number, from 1, where each row is one key.",
)

_AUDIT_TEXT = (
    "  inputs_used (text): names of the inputs that were known and entered the score, joined by |; null if none.",
    "  inputs_missing (text): names of the inputs that were unknown, joined by |; null if none.",
    "  inputs_defaulted (text): names of the unknown inputs for which a stated value was used; null if none.",
    "  inputs_clipped (text): names of the inputs moved to the nearest value the score allows; null if none.",
    "  marks (text): cautions about this score, joined by |; null if none.",
    "  reason (text): why there is no score, naming each bad input, joined by |; null when there is one.",
    "  score_version (text): the score, its version and the options used.",
)


def _option_text(name: str, option: ScoreOption) -> str:
    choices = "; ".join(f"{choice}: {meaning}" for choice, meaning in option.choices.items())
    return f"  {name} (default {option.default}): {choices}."


def load_definition(name: str, folder: Traversable = SCORES) -> ScoreDefinition:
    """The definition in ``<name>.yaml``.

    Raises:
        pydantic.ValidationError: source, version, licence, reviewer or dates are lacking.
    """
    return ScoreDefinition(**parse_yaml((folder / f"{name}.yaml").read_text("utf-8")))


def load_table(definition: ScoreDefinition, name: str, folder: Traversable = SCORES) -> pl.DataFrame:
    """The rows of ``<name>.csv``, every column text, blanks null.

    Raises:
        ValueError: the definition does not name the table, so nothing says where it comes from.
    """
    if name not in definition.tables:
        raise ValueError(f"score {definition.name}: table {name} has no provenance; name it under tables")
    return pl.read_csv((folder / f"{name}.csv").read_text("utf-8").encode(), infer_schema=False)
