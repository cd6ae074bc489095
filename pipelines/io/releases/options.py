"""The choices behind a release, and the sentence that each refusal says."""

from importlib.metadata import PackageNotFoundError, version
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class ReleaseRefusedError(RuntimeError):
    """A release was not written because a condition for it does not hold; the last release stays as it was."""


class ReleaseOptions(BaseModel):
    """What an ICB and its information governance lead decide about a release."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    national_opt_out: Literal["required", "none"] = "required"
    """Whether ICB files need the national opt-out service's answer; "none" is for made-up people only."""
    answer_days: int = Field(default=7, ge=0, le=7)
    """How old the answer may be on the day of disclosure; never more than seven days."""
    least_allowed_share: float = Field(default=0.8, ge=0, le=1)
    """Share of the people that the answer must allow; fewer means a short answer, never so many opt-outs."""
    pseudonym_scheme: str = "1"
    """Part of the key of every pseudonym: change it, and no later file can be joined to an earlier one."""
    smallest_group: int = Field(default=5, ge=1)
    """How many people must share a combination of quasi-identifiers in an ICB file."""


def code_version() -> str:
    """The version of Casefinder that runs."""
    try:
        return version("casefinder")
    except PackageNotFoundError:
        return "not installed"
