"""Contracts of the tables that say what was delivered and what became of it: counts and names, never a value."""

import datetime as dt

import pandera.polars as pa
import polars as pl

from data_contracts.tables.history import Contract

HELD_AS = ["fault", "code_not_known", "code_not_mapped", "withheld"]
STATUSES = ["loaded", "unchanged", "held", "refused", "withdrawn"]


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
    status: str = pa.Field(
        isin=STATUSES, description="What became of the file; withdrawn: not taken, and no longer there"
    )
    reason: str = pa.Field(nullable=True, description="Why, if it was not loaded")
    ingest: pl.Int64 = pa.Field(ge=1, description="Number of the ingest that entered the row")


class QuarantineCounts(Contract):
    """One row per feed, practice, table and set of reasons: how many records are held."""

    feed: str = pa.Field(description="Feed")
    practice_code: str = pa.Field(nullable=True, description="ODS code of the practice; null for a feed without")
    table: str = pa.Field(description="Table of the feed")
    reasons: str = pa.Field(description="Rules that the records break, joined by |")
    records: pl.Int64 = pa.Field(ge=1, description="Records held")
    held_as: str = pa.Field(
        isin=HELD_AS, description="The reasons in one word; withheld records are kept out for good"
    )


class FeedStates(Contract):
    """One row per feed and practice (or feed without practices): what is loaded of it and what waits."""

    feed: str = pa.Field(description="Feed")
    practice_code: str = pa.Field(nullable=True, description="ODS code of the practice; null for a feed without")
    moment: str = pa.Field(nullable=True, description="Digits of the last delivery that was loaded; null if none")
    delivered_date: dt.date = pa.Field(nullable=True, description="Its day; null if the feed states no moment")
    records: pl.Int64 = pa.Field(
        nullable=True, ge=0, description="Records of all files that were loaded; null if they are not of one practice"
    )
    is_accepted: bool = pa.Field(description="Someone accepted the last delivery although it reached a limit")
    waits_from: dt.date = pa.Field(nullable=True, description="Day of the first delivery that is held or refused")
    waits_because: str = pa.Field(nullable=True, description="Why it waits")


class AcceptedDeliveries(Contract):
    """One row of accepted_deliveries.csv per delivery that someone accepted although a limit holds it."""

    feed: str = pa.Field(description="Feed")
    source: str = pa.Field(description="Practice or drop: the name of its folder in landing")
    moment: str = pa.Field(description="Digits of the delivery's moment, as in the ledger")
    accepted_by: str = pa.Field(description="Who decided")
    accepted_date: dt.date = pa.Field(description="Day of the decision")
    reason: str = pa.Field(description="Why, in a sentence")
