"""Loads actions.yaml: what a practice list may say, how long it is and what a practice can answer."""

from functools import cache
from importlib.resources import files

import yaml
from pydantic import BaseModel, ConfigDict, Field

from data_contracts.clinical.programmes.definition import Programme, load_programmes
from data_contracts.provenance import Provenance

ACTIONS = files("data_contracts.clinical") / "actions.yaml"


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CohortRule(_Entry):
    """One cohort that can put people on a list."""

    name: str
    title: str
    slots_per_thousand: float = Field(ge=0)
    action: str


class Phrase(_Entry):
    """A text with placeholders; another replaces it when the number is 1, is negative, or there is no date."""

    text: str
    one: str | None = None
    falls: str | None = None
    """For a number below 0, which it shows without its sign."""
    undated: str | None = None
    scale: float = 1.0


class Channel(_Entry):
    """How invitations of one channel are counted in words."""

    one: str
    many: str


class GapWords(_Entry):
    """How the gaps of one person are said in one sentence."""

    text: str
    since: str
    shown: int = Field(ge=1)
    more: str
    seen: str
    states: dict[str, str]
    channels: dict[str, Channel]
    seen_for: dict[str, str]


class Flag(_Entry):
    """A lifestyle flag: its text, the columns that fill it and what to offer."""

    text: str
    undated: str
    value: str | None = None
    second: str | None = None
    date: str
    action: str


class SensitiveSet(_Entry):
    """A set of conditions that no list shows."""

    name: str
    refset: str | None


class Decision(_Entry):
    """An answer that a practice can give, and for how many weeks the person is then left off its list."""

    name: str
    rest_weeks: int = Field(ge=0)
    is_contact: bool = False
    """The person was helped because of the list: their later admissions say little about their risk without it."""


class Actions(Provenance):
    """Everything in actions.yaml."""

    cohorts: tuple[CohortRule, ...]
    tie_rule: str
    scores: dict[str, Phrase]
    shown_score_parts: int
    features: dict[str, Phrase]
    condition_text: str
    condition_text_undated: str
    conditions: dict[str, str]
    gaps: GapWords
    flags: dict[str, Flag]
    sensitive: tuple[SensitiveSet, ...]
    decisions: tuple[Decision, ...]
    added_weeks: int
    added_text: str
    carried_weeks: int
    """On how many lists in a row somebody without an answer keeps a place before others of the cohort."""
    intended_use: str
    not_for: tuple[str, ...]
    score_notice: str
    """What the owners of a published score ask to be shown with it."""
    contact: str

    @property
    def programmes(self) -> dict[str, Programme]:
        """Every programme with its title and action, by name."""
        return load_programmes()

    def is_sensitive(self, name: str) -> bool:
        """True if a condition or feature of this name must never be shown."""
        bare = name.removeprefix("has_").removeprefix("is_")
        return any(bare.startswith(entry.name) for entry in self.sensitive)


@cache
def load_actions() -> Actions:
    """The texts, actions and places that ship.

    Raises:
        pydantic.ValidationError: an entry is missing, misspelt or of the wrong type.
    """
    return Actions.model_validate(yaml.safe_load(ACTIONS.read_text("utf-8")))
