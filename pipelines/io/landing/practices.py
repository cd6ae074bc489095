"""Applies the deliveries of practices in order, and keeps what is held of each between them."""

from dataclasses import dataclass, field, replace

import duckdb
import polars as pl

from pipelines.io.history import CHILDREN, GONE_KEYS, Change, history_path
from pipelines.io.identity import PEOPLE, WITHHELD, people_path, withheld_path
from pipelines.io.landing.emis import CODES, Bench, Codes, Practice, load_delivery
from pipelines.io.landing.errors import LandingError
from pipelines.io.landing.feeds import load_feed
from pipelines.io.landing.files import LandedFile
from pipelines.io.landing.quarantine import QUARANTINE, is_retried, quarantine_path
from pipelines.io.landing.reference import Places
from pipelines.io.landing.register import Register
from pipelines.io.landing.store import Store

APPLIED = {
    "practice_code": pl.String,
    "icb_code": pl.String,
    "organisation_guid": pl.String,
    "applied_moment": pl.String,
}


@dataclass
class Practices:
    """The practices of this workspace while their deliveries are applied. ``changes`` are for history."""

    store: Store
    register: Register
    places: Places
    changes: list[Change] = field(default_factory=list)
    touched: dict[str, Practice] = field(default_factory=dict)
    left: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.applied = self.store.read(self.store.state_path("emis_practices"), APPLIED)
        clinical, drug = (
            self.store.read(self.store.state_path(f"emis_{name}_codes"), CODES) for name in ("clinical", "drug")
        )
        self.codes = self.codes_before = Codes(clinical=clinical, drug=drug)

    def apply(self, practice_code: str, moment: str, files: list[LandedFile]) -> bool:
        """Loads one delivery, or refuses it and returns False: then the later ones of the practice have to wait."""
        problem = self._problem(practice_code, moment)
        if problem is None:
            try:
                self._load(files, self._held(practice_code))
            except LandingError as error:
                problem = str(error)
            except (duckdb.Error, pl.exceptions.PolarsError, OSError) as error:
                # The library's own words may quote a value, so only the kind of error is told.
                found = f"one that stopped the reader ({type(error).__name__})"
                where = f"landing/emis/{practice_code}"
                problem = str(LandingError(expected="an extract that can be read", found=found, where=where))
        if problem is not None:
            self.register.refuse(files, source=practice_code, reason=problem)
        return problem is None

    def follow(self) -> None:
        """Moves practices whose ICB has changed in the national list, with all that is held of them."""
        listed = dict(self.places.practices.select("practice_code", "icb_code").iter_rows())
        for practice_code, icb_code in self.applied.select("practice_code", "icb_code").iter_rows():
            if listed.get(practice_code, icb_code) != icb_code:
                self._move(self._held(practice_code), listed[practice_code])

    def _move(self, practice: Practice, icb_code: str) -> None:
        work = self.store.work("emis", f"{practice.practice_code}_moved")
        gone, staged = [pl.DataFrame(schema=GONE_KEYS)], {}
        for table in ("registrations", *CHILDREN):
            path = self.store.switch.current(history_path(self.store.settings, table, practice.icb_code))
            if path.exists():
                rows = pl.scan_parquet(path).filter(pl.col("practice_code") == practice.practice_code).collect()
                gone.append(rows.select(table=pl.lit(table), record_id="record_id"))
                staged[table] = work / f"{table}.parquet"
                rows.write_parquet(staged[table], compression="lz4")
        self.changes.append(Change(icb_code=practice.icb_code, gone_keys=pl.concat(gone)))
        self.changes.append(Change(icb_code=icb_code, staged=staged))
        self.left.add(practice.icb_code)
        self.touched[practice.practice_code] = replace(practice, icb_code=icb_code)

    def _problem(self, practice_code: str, moment: str) -> str | None:
        """Why a delivery cannot be applied, whatever its files hold."""
        known = {*self.places.practices["practice_code"], *self.applied["practice_code"]}
        if practice_code not in known:
            return (
                f"expected a practice of the national list; found {practice_code}, which is not in it; "
                "look at landing/reference/epraccur.csv"
            )
        last = self._held(practice_code).applied_moment
        if last is not None and moment <= last:
            return (
                f"expected a delivery later than {last}; found one of {moment}; look at landing/emis/{practice_code}"
            )
        return None

    def _held(self, practice_code: str) -> Practice:
        """What is held of a practice, with what this ingest has done so far."""
        if practice_code in self.touched:
            return self.touched[practice_code]
        own = pl.col("practice_code") == practice_code
        rows = [*self.applied.filter(own).to_dicts(), *self.places.practices.filter(own).to_dicts()]
        held = read_practice(self.store, feed="emis", practice_code=practice_code, icb_code=rows[0]["icb_code"])
        return replace(
            held,
            organisation_guid=rows[0].get("organisation_guid"),
            applied_moment=rows[0].get("applied_moment"),
        )

    def _load(self, files: list[LandedFile], practice: Practice) -> None:
        bench = Bench(
            con=self.store.con,
            key=self.store.key,
            postcodes=self.places.postcodes,
            work=self.store.work("emis", f"{practice.practice_code}_{len(self.changes)}"),
        )
        loaded = load_delivery(files, practice=practice, codes=self.codes, bench=bench)
        self.codes = loaded.codes
        self.changes.append(loaded.change)
        self.touched[practice.practice_code] = loaded.practice
        self.register.account(loaded.texts.values(), loaded.outcomes, practice_code=practice.practice_code)
        for file in files:
            if file.table in load_feed("emis").unused_tables:
                self.register.account_unused(file)

    def retry(self) -> None:
        """Tries held rows again in every practice, if codes became known; writes the codes aside."""
        before, after = self.codes_before, self.codes
        if before.clinical.equals(after.clinical) and before.drug.equals(after.drug):
            return
        self.store.write(after.clinical, self.store.state_path("emis_clinical_codes"))
        self.store.write(after.drug, self.store.state_path("emis_drug_codes"))
        for practice_code in sorted({*self.applied["practice_code"], *self.touched}):
            practice = self._held(practice_code)
            awaits_code = is_retried() & pl.col("reasons").str.contains("code_not_", literal=True)
            if practice.pending.filter(awaits_code).height:
                self._load([], practice)

    def write(self) -> None:
        """Writes aside what is now held of the practices that changed."""
        for practice_code, practice in sorted(self.touched.items()):
            self.store.write(practice.pending, quarantine_path(self.store.settings, "emis", practice_code))
        practices = sorted(self.touched.values(), key=lambda practice: (practice.icb_code, practice.practice_code))
        for icb_code in sorted({*self.left, *(practice.icb_code for practice in practices)}):
            write_roster(self.store, icb_code, practices)
        rows = [{name: getattr(practice, name) for name in APPLIED} for practice in practices]
        kept = self.applied.filter(~pl.col("practice_code").is_in(sorted(self.touched)))
        applied = pl.concat([kept, pl.DataFrame(rows, schema=APPLIED)]).sort("practice_code")
        self.store.write(applied, self.store.state_path("emis_practices"))


def read_practice(store: Store, *, feed: str, practice_code: str, icb_code: str) -> Practice:
    """What is held of one practice: its roster, its withheld records, its rows of one feed in quarantine."""
    own = pl.col("practice_code") == practice_code
    return Practice(
        practice_code=practice_code,
        icb_code=icb_code,
        people=store.read(people_path(store.settings, icb_code), PEOPLE).filter(own),
        withheld=store.read(withheld_path(store.settings, icb_code), WITHHELD).filter(own),
        pending=store.read(quarantine_path(store.settings, feed, practice_code), QUARANTINE),
    )


def write_roster(store: Store, icb_code: str, practices: list[Practice]) -> None:
    """Writes aside the people and withheld records of an ICB, with those of these practices as they are now.

    A practice that is now in another ICB leaves this one.
    """
    is_kept = ~pl.col("practice_code").is_in([practice.practice_code for practice in practices])
    own = [practice for practice in practices if practice.icb_code == icb_code]
    for path, schema, frames in (
        (people_path(store.settings, icb_code), PEOPLE, [practice.people for practice in own]),
        (withheld_path(store.settings, icb_code), WITHHELD, [practice.withheld for practice in own]),
    ):
        kept = store.read(path, schema).filter(is_kept)
        store.write(pl.concat([kept, *frames]).sort("practice_code", "record_id"), path)
