"""Applies Synthea deliveries practice by practice, and tries held rows again when the stated mappings change."""

from dataclasses import dataclass, field
from itertools import groupby

import polars as pl

from pipelines.io.history import Change
from pipelines.io.identity import PEOPLE
from pipelines.io.landing.emis import Bench, Practice
from pipelines.io.landing.errors import LandingError
from pipelines.io.landing.feeds import load_feed
from pipelines.io.landing.files import LandedFile
from pipelines.io.landing.practices import read_practice, write_roster
from pipelines.io.landing.quarantine import is_retried, quarantine_path
from pipelines.io.landing.reference import Places
from pipelines.io.landing.register import Register
from pipelines.io.landing.store import Store
from pipelines.io.landing.synthea import FEED, count_file, load_delivery
from pipelines.io.landing.synthea_mappings import mappings_digest

APPLIED = {"practice_code": pl.String, "icb_code": pl.String, "mappings": pl.String}
"""What is remembered of a practice: the ICB its rows lie in, and which mappings its held rows were tried with."""


@dataclass
class SyntheaPractices:
    """The made-up practices of this workspace while their deliveries are applied. ``changes`` are for history.

    ``others`` are practices of other feeds as this ingest leaves them.
    """

    store: Store
    register: Register
    places: Places
    others: dict[str, Practice] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    touched: dict[str, Practice] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.applied = self.store.read(self.store.state_path("synthea_practices"), APPLIED)

    def apply(self, practice_code: str, files: list[LandedFile]) -> None:
        """Loads all that is new of one practice, or refuses it."""
        try:
            self._load(files, self._held(practice_code))
        except LandingError as error:
            self.register.refuse(files, source=practice_code, reason=str(error))

    def _held(self, practice_code: str) -> Practice:
        own = pl.col("practice_code") == practice_code
        rows = [*self.applied.filter(own).to_dicts(), *self.places.practices.filter(own).to_dicts()]
        if not rows:
            raise LandingError(
                expected="a practice of the national list",
                found=f"{practice_code}, which is not in it",
                where="landing/reference/epraccur.csv",
            )
        return read_practice(self.store, feed=FEED, practice_code=practice_code, icb_code=rows[0]["icb_code"])

    def _load(self, files: list[LandedFile], practice: Practice) -> None:
        bench = Bench(
            con=self.store.con,
            key=self.store.key,
            postcodes=self.places.postcodes,
            work=self.store.work(FEED, practice.practice_code, "delivery" if files else "retried"),
        )
        unused = [file for file in files if file.table in load_feed(FEED).unused_tables]
        records = [count_file(file, bench.work) for file in unused]
        loaded = load_delivery(files, practice=practice, bench=bench)
        self._check_numbers(loaded.practice)
        self.changes.append(loaded.change)
        self.touched[practice.practice_code] = loaded.practice
        self.register.account(loaded.texts.values(), loaded.outcomes, practice_code=practice.practice_code)
        for file, number in zip(unused, records, strict=True):
            self.register.account_blank(file, number)

    def _check_numbers(self, practice: Practice) -> None:
        """Refuses made-up NHS numbers that somebody at another practice has: they would become one person."""
        now = {**self.others, **self.touched}
        stored = [
            self.store.read(path, PEOPLE)
            for path in self.store.switch.finals(self.store.settings.identity / "people")
        ]
        held = pl.concat([pl.DataFrame(schema=PEOPLE), *stored])
        held = held.filter(~pl.col("practice_code").is_in([*now, practice.practice_code]))
        elsewhere = pl.concat(
            [held, *(other.people for code, other in now.items() if code != practice.practice_code)]
        )
        shared = practice.people.join(elsewhere, on="nhs_number", how="semi").height
        if shared:
            raise LandingError(
                expected="made-up NHS numbers that nobody else has",
                found=f"{shared} that people of other practices have",
                where=f"landing/{FEED}/{practice.practice_code}: give the practice another code",
            )

    def retry(self) -> None:
        """Tries held rows again in every practice that was last tried with other mappings."""
        is_old = pl.col("mappings") != mappings_digest()
        for practice_code in self.applied.filter(is_old)["practice_code"]:
            is_waiting = self._held(practice_code).pending.filter(is_retried()).height > 0
            if is_waiting and practice_code not in self.touched:
                self.apply(practice_code, [])

    def write(self) -> None:
        """Writes aside what is now held of the practices that changed."""
        practices = sorted(self.touched.values(), key=lambda practice: (practice.icb_code, practice.practice_code))
        for practice in practices:
            path = quarantine_path(self.store.settings, FEED, practice.practice_code)
            self.store.write(practice.pending, path)
        for icb_code, own in groupby(practices, key=lambda practice: practice.icb_code):
            write_roster(self.store, icb_code, list(own))
        rows = [
            {"practice_code": practice.practice_code, "icb_code": practice.icb_code, "mappings": mappings_digest()}
            for practice in practices
        ]
        kept = self.applied.filter(~pl.col("practice_code").is_in(sorted(self.touched)))
        applied = pl.concat([kept, pl.DataFrame(rows, schema=APPLIED)]).sort("practice_code")
        if applied.height:
            self.store.write(applied, self.store.state_path("synthea_practices"))
