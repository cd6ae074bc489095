"""Contracts of the tables that say what was delivered and what became of it: counts and names, never a value."""

import datetime as dt

import pandera.polars as pa
import polars as pl

from data_contracts.tables.history import Contract

STATUSES = ["loaded", "unchanged", "held", "refused"]


class Ledger(Contract):
    """One row per landed file and content, with what became of each of its records."""

    feed: str = pa.Field(nullable=True, description="Feed; null for a file that no contract knows")
    practice_code: str = pa.Field(nullable=True, description="ODS code of the practice; null for a feed without")
    table: str = pa.Field(nullable=True, description="Table of the feed")
    file: str = pa.Field(description="Path under the landing folder")
    window_start: str = pa.Field(nullable=True, description="Digits of the first moment that the file covers")
    window_end: str = pa.Field(nullable=True, description="Digits of the delivery's moment, day first")
    bytes: pl.Int64 = pa.Field(nullable=True, description="Bytes of the file")
    sha256: str = pa.Field(nullable=True, description="SHA-256 of the file")
    records: pl.Int64 = pa.Field(nullable=True, description="Physical records; null if the file was not read")
    loaded: pl.Int64 = pa.Field(ge=0, description="Records that became history, a code, a practice or a place")
    quarantined: pl.Int64 = pa.Field(ge=0, description="Records held with a reason")
    superseded: pl.Int64 = pa.Field(ge=0, description="Records with a later one of the same key")
    deleted: pl.Int64 = pa.Field(ge=0, description="Records that asked for a deletion")
    blank: pl.Int64 = pa.Field(ge=0, description="Records that hold nothing the contract takes")
    status: str = pa.Field(isin=STATUSES, description="What became of the file as a whole")
    reason: str = pa.Field(nullable=True, description="Why, if it was not loaded")
    ingest: pl.Int64 = pa.Field(ge=1, description="Number of the ingest that entered the row")


class QuarantineCounts(Contract):
    """One row per feed, practice, table and set of reasons: how many records are held."""

    feed: str = pa.Field(description="Feed")
    practice_code: str = pa.Field(nullable=True, description="ODS code of the practice; null for a feed without")
    table: str = pa.Field(description="Table of the feed")
    reasons: str = pa.Field(description="Rules that the records break, joined by |")
    records: pl.Int64 = pa.Field(ge=1, description="Records held")
    is_withheld: bool = pa.Field(description="Kept out for good: dummy, sensitive or confidential")
    awaits_code: bool = pa.Field(description="Waits for a code that is not known or not mapped")


class AcceptedDeliveries(Contract):
    """One row per delivery that someone looked at and accepted, although a limit would hold it."""

    practice_code: str = pa.Field(description="ODS code of the practice")
    feed: str = pa.Field(description="Feed")
    moment: str = pa.Field(description="Digits of the delivery's moment, as in the ledger")
    accepted_by: str = pa.Field(description="Who decided")
    accepted_date: dt.date = pa.Field(description="Day of the decision")
    reason: str = pa.Field(description="Why, in a sentence")
