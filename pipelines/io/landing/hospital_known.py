"""What the hospital feed remembers beside its records: keys of pseudonyms, deletions, first and latest deliveries."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import polars as pl


@dataclass(frozen=True)
class Memory:
    """One thing remembered: its columns, what tells its rows apart, and which of two rows holds."""

    columns: dict[str, type[pl.DataType]]
    key: list[str]
    order: str | None = None
    keeps: Literal["first", "last"] = "last"
    is_kept: bool = True


MEMORIES = {
    "person_keys": Memory({"record_id": pl.Int64, "person_id": pl.Int64}, key=["record_id"]),
    "deletions": Memory(
        {"table": pl.String, "record_id": pl.Int64, "version": pl.Int64}, key=["table", "record_id"], order="version"
    ),
    "years": Memory(
        {"table": pl.String, "year": pl.Int64, "first_extract_date": pl.Date},
        key=["table", "year"],
        order="first_extract_date",
        keeps="first",
    ),
    "refreshes": Memory(
        {"table": pl.String, "financial_year": pl.String, "records": pl.Int64, "version": pl.Int64},
        key=["table", "financial_year"],
        order="version",
    ),
    "replaced": Memory(
        {"table": pl.String, "record_id": pl.Int64, "version": pl.Int64},
        key=["table", "record_id"],
        order="version",
        is_kept=False,
    ),
}
"""Pseudonyms and whose they are; imports deleted; when a year's activity first came; how many records the latest
refresh of a financial year had; records that are of somebody else now (known for one delivery)."""


class Known:
    """All that is remembered, by name."""

    def __init__(self, frames: Mapping[str, pl.DataFrame]) -> None:
        self.frames = {
            name: frames.get(name, pl.DataFrame(schema=memory.columns)) for name, memory in MEMORIES.items()
        }

    def __getitem__(self, name: str) -> pl.DataFrame:
        return self.frames[name]

    @property
    def refreshed(self) -> pl.DataFrame:
        """The version of the latest refresh of each table and financial year."""
        return self.frames["refreshes"].select("table", "financial_year", refreshed="version")

    def add(self, name: str, rows: pl.DataFrame) -> None:
        """Learns rows: per key the newest said holds, or the first."""
        memory = MEMORIES[name]
        told = pl.concat([self.frames[name], rows.select(list(memory.columns))])
        told = told.sort(memory.order, maintain_order=True) if memory.order else told
        self.frames[name] = told.unique(memory.key, keep=memory.keeps, maintain_order=True).sort(memory.key)
