"""Which codes are taken out of records: the public starter codes, licensed reference sets, signed exceptions."""

import datetime as dt
from functools import cached_property
from pathlib import Path

import polars as pl
import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from data_contracts.sensitive import hospital_codes, load_sensitive_sets, starter_codes
from data_contracts.yaml_text import parse_yaml
from pipelines.settings import Settings

CODES = {"set": pl.String, "concept_id": pl.Int64}
REFSET = ["id", "effectiveTime", "active", "moduleId", "refsetId", "referencedComponentId"]
"""Columns of a simple reference set in SNOMED CT's release format 2, tab-separated."""


class SensitiveSetsError(RuntimeError):
    """Says which file about sensitive codes cannot be relied on; nothing is computed until it can."""


class SignedException(BaseModel):
    """A signed decision that one set is not taken out: who decided, why, when, and until when it holds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reviewer: str
    reason: str
    decided_on: dt.date
    expires_on: dt.date

    @field_validator("reviewer", "reason")
    @classmethod
    def _is_said(cls, text: str) -> str:
        if not text.strip():
            raise ValueError("must not be blank")
        return text

    def holds_on(self, day: dt.date) -> bool:
        """True from the day of the decision until the day it expires."""
        return self.decided_on <= day <= self.expires_on


class SensitiveCodes:
    """What is taken out in one workspace."""

    def __init__(self, settings: Settings) -> None:
        self.decisions = settings.home / "sensitive_sets.yaml"
        self.folder = settings.home / "refsets"

    def stripped_on(self, day: dt.date) -> pl.DataFrame:
        """One row per code that is taken out on a day: concept_id. An exception that does not hold keeps nothing in.

        Raises:
            SensitiveSetsError: the decisions or a reference set cannot be read.
        """
        kept = self.kept_on(day)
        codes = pl.concat([starter_codes(), self.listed])
        return codes.filter(~pl.col("set").is_in(kept)).select("concept_id").unique().sort("concept_id")

    def hidden_on(self, day: dt.date) -> list[tuple[str, str, str]]:
        """What is hidden in hospital spells on a day: column, pattern of a code in its list, what stands instead.

        Raises:
            SensitiveSetsError: the decisions cannot be read.
        """
        rows = hospital_codes().filter(~pl.col("set").is_in(self.kept_on(day)))
        patterns = rows.group_by("column", "replaced_by").agg(pl.col("prefix").unique().sort().str.join("|"))
        return [
            (column, rf"(^|\|)(?:{prefixes})[^|]*", rf"\1{instead}")
            for column, instead, prefixes in patterns.sort("column", "replaced_by").iter_rows()
        ]

    def kept_on(self, day: dt.date) -> list[str]:
        """The sets that a signed decision leaves in on a day.

        Raises:
            SensitiveSetsError: the decisions cannot be read.
        """
        return sorted(name for name, decision in self.exceptions.items() if decision.holds_on(day))

    def missing_on(self, day: dt.date) -> list[str]:
        """The sets that would be taken out only in part: no reference set is in place and no decision leaves them in.

        Raises:
            SensitiveSetsError: the decisions or a reference set cannot be read.
        """
        have = {*self.listed["set"], *self.kept_on(day)}
        return [name for name in load_sensitive_sets() if name not in have]

    @cached_property
    def exceptions(self) -> dict[str, SignedException]:
        """The signed decisions by set."""
        if not self.decisions.is_file():
            return {}
        try:
            entries = parse_yaml(self.decisions.read_text("utf-8")) or {}
            found = {str(name): SignedException.model_validate(entry) for name, entry in entries.items()}
        except (yaml.YAMLError, ValidationError, AttributeError) as error:
            raise SensitiveSetsError(f"{self.decisions} cannot be read as signed decisions: {error}") from None
        unknown = sorted(set(found) - set(load_sensitive_sets()))
        if unknown:
            known = ", ".join(load_sensitive_sets())
            raise SensitiveSetsError(f"{self.decisions} names sets that are not known: {unknown}; there are {known}")
        return found

    @cached_property
    def listed(self) -> pl.DataFrame:
        """One row per set and active member of its reference set, from the files in the refsets folder."""
        paths = sorted(self.folder.glob("*.txt")) if self.folder.is_dir() else []
        return pl.concat([pl.DataFrame(schema=CODES), *(_read_refset(path) for path in paths)])


def _read_refset(path: Path) -> pl.DataFrame:
    """The members of sensitive sets in one release file."""
    try:
        rows = pl.read_csv(path, separator="\t", quote_char=None, infer_schema=False)
    except pl.exceptions.PolarsError:
        rows = pl.DataFrame()
    if rows.columns[: len(REFSET)] != REFSET:
        raise SensitiveSetsError(f"{path} is no simple reference set: expected the columns {', '.join(REFSET)}")
    names = {one.refset_id: name for name, one in load_sensitive_sets().items()}
    members = rows.filter(pl.col("refsetId").is_in(list(names)))
    latest = members.sort("effectiveTime").unique(["refsetId", "referencedComponentId"], keep="last")
    return latest.filter(pl.col("active") == "1").select(
        set=pl.col("refsetId").replace_strict(names, return_dtype=pl.String),
        concept_id=pl.col("referencedComponentId").cast(pl.Int64),
    )
