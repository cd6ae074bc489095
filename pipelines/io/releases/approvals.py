"""Whether an ICB has approved what a release gives it: people record that in approvals.yaml, never this code."""

import datetime as dt
from pathlib import Path

import polars as pl
import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from data_contracts.tables.release import RELEASED
from data_contracts.yaml_text import parse_yaml
from pipelines.io.identity import people_path
from pipelines.io.releases.manifest import contract_fingerprint
from pipelines.io.releases.options import ReleaseRefusedError
from pipelines.settings import Settings

APPROVERS = 2
MADE_UP = "999"
"""NHS numbers that begin so are never given to anyone; people who all have one are made up."""


class OutputApproval(BaseModel):
    """Who approved the first use of one output, in the shape that the fingerprint stands for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fingerprint: str
    approved_by: tuple[str, ...]


class IcbApproval(BaseModel):
    """One ICB's approval: its reference, when it holds, and the outputs that it covers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reference: str
    valid_from: dt.date
    valid_until: dt.date
    outputs: dict[str, OutputApproval]


def approvals_path(settings: Settings) -> Path:
    """Where approvals are recorded."""
    return settings.home / "approvals.yaml"


def check_approval(settings: Settings, *, icb: str, as_of: dt.date) -> str:
    """The reference of the approval that covers every output of the ICB on the as-of date.

    Made-up people need none.

    Raises:
        ReleaseRefusedError: there is no approval, it does not hold on the date, or an output lacks two approvers.
    """
    if are_made_up(settings, icb):
        return "none: made-up people"
    approval = read_approvals(settings).get(icb)
    path = approvals_path(settings)
    if approval is None:
        raise ReleaseRefusedError(f"{icb} has no approval: expected an entry {icb} in {path}")
    if not approval.valid_from <= as_of <= approval.valid_until:
        raise ReleaseRefusedError(
            f"the approval {approval.reference} of {icb} holds from {approval.valid_from} to {approval.valid_until}, "
            f"not on {as_of}; record a new one in {path}"
        )
    if missing := _unapproved(approval):
        raise ReleaseRefusedError(
            f"{icb}: {APPROVERS} people must approve the first use of {'; '.join(missing)}; record them in {path}"
        )
    return approval.reference


def read_approvals(settings: Settings) -> dict[str, IcbApproval]:
    """ICB code to its approval; empty when nothing has been recorded.

    Raises:
        ReleaseRefusedError: the file is not what it should be.
    """
    path = approvals_path(settings)
    if not path.is_file():
        return {}
    try:
        entries = parse_yaml(path.read_text("utf-8")) or {}
        return {str(icb): IcbApproval.model_validate(entry) for icb, entry in entries.items()}
    except (yaml.YAMLError, ValidationError, AttributeError) as error:
        raise ReleaseRefusedError(f"{path} cannot be read as approvals: {error}") from None


def _unapproved(approval: IcbApproval) -> list[str]:
    """Each output that lacks approvers of its present shape, with the fingerprint to record."""
    missing = []
    for name, contract in RELEASED.items():
        fingerprint, given = contract_fingerprint(contract), approval.outputs.get(name)
        if given is None or given.fingerprint != fingerprint or len(set(given.approved_by)) < APPROVERS:
            missing.append(f"{name} (fingerprint {fingerprint})")
    return missing


def are_made_up(settings: Settings, icb: str) -> bool:
    """True if there are people, and every NHS number of the ICB is in the range that is never given to anyone.

    Raises:
        ReleaseRefusedError: there is no identity store of the ICB.
    """
    path = people_path(settings, icb)
    if not path.is_file():
        raise ReleaseRefusedError(f"expected the identity store of {icb}; found none at {path}; ingest again")
    is_made_up = pl.col("nhs_number").str.starts_with(MADE_UP).fill_null(value=False)
    return bool(pl.scan_parquet(path).select(is_made_up.all() & (pl.len() > 0)).collect().item())
