"""Loads actions.yaml: what a practice list may say, how long it is and what a practice can answer."""

from functools import cache
from importlib.resources import files

from pydantic import BaseModel, ConfigDict, Field, model_validator

from data_contracts.clinical.definitions import load_features
from data_contracts.clinical.programmes.definition import Programme, load_programmes
from data_contracts.provenance import Provenance
from data_contracts.tables.capacity import ROLES
from data_contracts.yaml_text import parse_yaml

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


class OwedWords(_Entry):
    """How the four things that complex care owes a person are said in one sentence; what is not known is left out."""

    text: str
    states: dict[str, str]


class NotSeenWords(_Entry):
    """How it is said that a person was not seen, and which reasons of not_seen.csv may be told."""

    text: str
    told: tuple[str, ...]
    otherwise: str


class RoleRule(_Entry):
    """Who sees the people whom it fits: every part that is stated must fit, each by any one of its entries."""

    roles: tuple[str, ...] = Field(min_length=1)
    """In order of preference: who does not fit the slots of one is asked of the next."""
    cohorts: tuple[str, ...] = ()
    """The cohort that the person is in; the first, of several."""
    features: dict[str, float] = Field(default_factory=dict)
    """Features and the least value of each."""
    gaps: tuple[str, ...] = ()
    """Kinds of programme in which the person has a gap."""
    flags: tuple[str, ...] = ()


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
    owed: OwedWords
    not_seen: NotSeenWords
    offer_text: str
    roles: tuple[RoleRule, ...] = Field(min_length=1)
    """The first rule that fits decides; the last fits everybody."""
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

    @model_validator(mode="after")
    def _rules_name_what_exists(self) -> "Actions":
        known: dict[str, tuple[set[str], list[str]]] = {
            "role": (set(ROLES), [role for rule in self.roles for role in rule.roles]),
            "cohort": (
                {cohort.name for cohort in self.cohorts},
                [name for rule in self.roles for name in rule.cohorts],
            ),
            "feature": (set(load_features()), [name for rule in self.roles for name in rule.features]),
            "kind of programme": (
                {programme.kind for programme in self.programmes.values()},
                [name for rule in self.roles for name in rule.gaps],
            ),
            "flag": (set(self.flags), [name for rule in self.roles for name in rule.flags]),
        }
        for what, (names, used) in known.items():
            strangers = sorted(set(used) - names)
            if strangers:
                raise ValueError(f"roles: expected a {what} that exists; found {', '.join(strangers)}")
        last = self.roles[-1]
        if last.cohorts or last.features or last.gaps or last.flags:
            raise ValueError("roles: expected a last rule that fits everybody")
        return self

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
    return Actions.model_validate(parse_yaml(ACTIONS.read_text("utf-8")))
