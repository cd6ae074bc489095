"""What a claim is: a topic, a sentence, a long check, the figure it found and whether that meets the target."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

TOPICS = ["ingest", "scores", "model", "non-response", "releases", "speed"]


@dataclass(frozen=True)
class Finding:
    """One claim after its check: the figure that was found, the target, and whether it holds."""

    claim: str
    figure: str
    target: str
    holds: bool


Check = Callable[[Path], list[Finding]]
"""A long check: given an empty folder to work in, returns what it found."""

CHECKS: dict[str, list[Check]] = {topic: [] for topic in TOPICS}


def proves(topic: str) -> Callable[[Check], Check]:
    """Registers a check under a topic."""

    def register(check: Check) -> Check:
        CHECKS[topic].append(check)
        return check

    return register


def at_most(claim: str, found: float, limit: float, *, unit: str = "", digits: int = 3) -> Finding:
    """A finding that holds when the figure is at or under the limit."""
    return Finding(claim, f"{found:.{digits}g} {unit}".strip(), f"at most {limit:g} {unit}".strip(), found <= limit)


def at_least(claim: str, found: float, limit: float, *, unit: str = "", digits: int = 3) -> Finding:
    """A finding that holds when the figure is at or over the limit."""
    return Finding(claim, f"{found:.{digits}g} {unit}".strip(), f"at least {limit:g} {unit}".strip(), found >= limit)


def exactly(claim: str, found: object, expected: object) -> Finding:
    """A finding that holds when the figure is what was expected."""
    return Finding(claim, str(found), f"exactly {expected}", found == expected)
