"""Decides whether a delivery may be loaded, by the limits of data_quality.yaml; a held one changes nothing."""

import datetime as dt
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
from pandera.errors import SchemaError, SchemaErrors

from data_contracts.tables.deliveries import AcceptedDeliveries
from pipelines.io.durable import write_aside
from pipelines.io.history import CHILDREN, GONE_KEYS, history_path
from pipelines.io.landing.errors import LandingError
from pipelines.io.landing.protocol import Delivery, Landing, Loaded, Practice
from pipelines.io.landing.quarantine import held_as
from pipelines.settings import Settings
from pipelines.steps.quality import Count, held_because

ACCEPTED = {name: column.dtype.type for name, column in AcceptedDeliveries.to_schema().columns.items()}


class HeldError(LandingError):
    """Says which limit a delivery reaches: it waits until someone accepts it."""


@dataclass
class Gate:
    """What deliveries are judged against. ``rosters`` are the registrations of practices as this ingest left them."""

    landing: Landing
    accepted: pl.DataFrame
    rosters: dict[str, pl.DataFrame] = field(default_factory=dict)

    def check(self, delivery: Delivery, loaded: Loaded) -> None:
        """Returns if the delivery is within every limit that holds, or was accepted.

        Raises:
            HeldError: it reaches a limit.
        """
        rosters = {practice.practice_code: self._roster_after(practice, loaded) for practice in loaded.practices}
        if delivery.files and not self.is_accepted(delivery):
            for practice in loaded.practices:
                past = held_because(self._counts(practice, delivery, loaded, after=rosters[practice.practice_code]))
                if past:
                    raise HeldError(
                        expected=f"a delivery of {practice.practice_code} within the limits of data_quality.yaml",
                        found="; ".join(past),
                        where=f"landing/{delivery.feed}/{delivery.source}; casefinder accept loads it all the same",
                    )
        self.rosters |= rosters

    def is_accepted(self, delivery: Delivery) -> bool:
        """Whether someone accepted the delivery."""
        same = self.accepted.filter(feed=delivery.feed, source=delivery.source, moment=delivery.moment)
        return same.height > 0

    def _counts(
        self, practice: Practice, delivery: Delivery, loaded: Loaded, *, after: pl.DataFrame
    ) -> dict[str, Count]:
        """Measure to what was counted and what it is compared with."""
        code = practice.practice_code
        listed = self.landing.places.list_sizes.filter(practice_code=code)["registered_people"]
        people, records = _people(after), sum(count.records for count in loaded.files if count.is_used)
        shas = pl.col("sha256").is_in([file.sha256 for file in delivery.files])
        held = practice.pending.filter(shas).select(held_as().alias("held_as"))
        return {
            "list_size_difference": Count(people, listed[0] if len(listed) else None),
            "people_change": Count(people, _people(self._roster(practice))),
            "records_quarantined": Count(held.filter(held_as="fault").height, records),
            "codes_not_known": Count(held.filter(held_as="code_not_known").height, records),
            "records_deleted": self._deleted(practice, loaded),
        }

    def _deleted(self, practice: Practice, loaded: Loaded) -> Count:
        """Rows of the practice that the delivery takes out, of those that history holds; it may be one of many."""
        changes = [change for change in loaded.changes if change.icb_code == practice.icb_code]
        keys = pl.concat([pl.DataFrame(schema=GONE_KEYS), *(change.gone_keys for change in changes)])
        gone = rows = 0
        for table in ("registrations", *CHILDREN) if keys.height else ():
            path = self._history(table, practice)
            if path.exists():
                held = pl.scan_parquet(path).filter(pl.col("practice_code") == practice.practice_code)
                own = held.select("record_id").collect()
                rows += own.height
                gone += own.join(keys.filter(table=table), on="record_id", how="semi").height
        return Count(gone, rows)

    def _roster(self, practice: Practice) -> pl.DataFrame:
        """The registrations of a practice before this delivery."""
        path = self._history("registrations", practice)
        if practice.practice_code in self.rosters:
            return self.rosters[practice.practice_code]
        if not path.exists():
            return pl.DataFrame(schema={"record_id": pl.Int64, "person_id": pl.Int64, "is_open": pl.Boolean})
        own = pl.scan_parquet(path).filter(pl.col("practice_code") == practice.practice_code)
        return own.select("record_id", "person_id", _is_open()).collect()

    def _roster_after(self, practice: Practice, loaded: Loaded) -> pl.DataFrame:
        """The registrations of a practice with what this delivery changes in them."""
        roster = self._roster(practice)
        for change in loaded.changes:
            gone = change.gone_keys.filter(table="registrations")["record_id"]
            roster = roster.filter(~pl.col("record_id").is_in(gone.implode()))
            if "registrations" in change.staged:
                staged = pl.scan_parquet(change.staged["registrations"])
                own = staged.filter(pl.col("practice_code") == practice.practice_code)
                new = own.select("record_id", "person_id", _is_open()).collect()
                roster = pl.concat([roster.filter(~pl.col("record_id").is_in(new["record_id"].implode())), new])
        return roster

    def _history(self, table: str, practice: Practice) -> Path:
        store = self.landing.store
        return store.switch.current(history_path(store.settings, table, practice.icb_code))


def _is_open() -> pl.Expr:
    is_regular = pl.col("registration_type") == "regular"
    return (is_regular & pl.col("deregistered_date").is_null() & pl.col("death_date").is_null()).alias("is_open")


def _people(roster: pl.DataFrame) -> int:
    return roster.filter("is_open")["person_id"].n_unique()


def accepted_path(settings: Settings) -> Path:
    """Where it is recorded which deliveries were accepted."""
    return settings.home / "accepted_deliveries.csv"


def read_accepted(settings: Settings) -> pl.DataFrame:
    """One row per delivery that someone accepted; empty if there is no such file.

    Raises:
        LandingError: the file is not as its contract says.
    """
    path = accepted_path(settings)
    if not path.is_file():
        return pl.DataFrame(schema=ACCEPTED)
    try:
        accepted = pl.read_csv(path, schema=ACCEPTED)
        AcceptedDeliveries.validate(accepted)
    except (pl.exceptions.PolarsError, SchemaError, SchemaErrors) as error:
        found = str(error).splitlines()[0]
        raise LandingError(expected=f"the columns {', '.join(ACCEPTED)}", found=found, where=str(path)) from None
    return accepted


def accept_delivery(
    settings: Settings, *, feed: str, source: str, moment: str, accepted_by: str, accepted_on: dt.date, reason: str
) -> Path:
    """Records that a held delivery is to be loaded all the same, at the next ingest; returns where it is recorded."""
    path = accepted_path(settings)
    row = pl.DataFrame([(feed, source, moment, accepted_by, accepted_on, reason)], schema=ACCEPTED, orient="row")
    with write_aside(path) as draft:
        pl.concat([read_accepted(settings), row]).write_csv(draft)
    return path
