"""OMOP common data model 5.3 and 5.4: one drop of several practices, from its files to staged history rows.

A drop replaces all that an earlier one of the same source gave: the model knows no deletions, and its ids start anew.
"""

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial

import pandera.polars as pa
import polars as pl

from data_contracts.registry import HISTORY
from data_contracts.tables import staging as contracts
from pipelines.io.history import GONE_KEYS, GONE_PEOPLE, Change
from pipelines.io.identity import PEOPLE, record_ids
from pipelines.io.landing import omop_rows
from pipelines.io.landing.errors import LandingError
from pipelines.io.landing.feeds import load_feed
from pipelines.io.landing.practices import PracticeFeed
from pipelines.io.landing.protocol import Bench, Delivery, Loaded, Practice
from pipelines.io.landing.quarantine import QUARANTINE
from pipelines.io.landing.reading import FileCount, read_texts
from pipelines.io.landing.staging import OUTCOME, Gathered, decide, gather, tally
from pipelines.io.landing.store import Schema
from pipelines.io.landing.synthea_mappings import load_mappings, mappings_digest

NAME = "omop"
SOURCE = {"source": pl.String}
ROSTER = {
    "person": pl.String,
    "person_id": pl.Int64,
    "practice_code": pl.String,
    "icb_code": pl.String,
    "birth_date": pl.Date,
}
GIVEN = {"table": pl.String, "practice_code": pl.String, "record_id": pl.Int64}
SHARED: Mapping[str, Schema] = {
    "concepts": {**SOURCE, **omop_rows.CONCEPTS},
    "links": {**SOURCE, **omop_rows.LINKS},
    "methods": {**SOURCE, **omop_rows.METHODS},
    "roster": {**SOURCE, **ROSTER},
    "given": {**SOURCE, **GIVEN},
}
"""What is kept of each source's last drop: its vocabulary, its roster, and the keys of what must go with it.

Rows about people in the practice's own tables go with the people; ``given`` are the others.
"""
WITH_PEOPLE = ("events", "medications", "contacts")
ENTRIES = (
    ("condition_occurrence", omop_rows.type_findings),
    ("procedure_occurrence", omop_rows.type_findings),
    ("measurement", omop_rows.type_values),
    ("observation", omop_rows.type_values),
)
ENTRY_TABLES = (*(table for table, _ in ENTRIES), "drug_exposure", "visit_occurrence")
VISITS = {"contact": "contacts", "attendance": "emergency_attendances", "spell": "spells"}
DATES = {
    "events": "event_date",
    "medications": "issued_date",
    "contacts": "contact_date",
    "spells": "admitted_date",
    "emergency_attendances": "arrived_date",
}
Convert = Callable[[pl.DataFrame], pl.DataFrame]


def load_drop(delivery: Delivery, bench: Bench) -> Loaded:
    """One drop (nothing to try held rows again), staged as Parquet by table and ICB.

    Raises:
        LandingError: a table is missing without which nobody can be told from anybody; the whole drop waits.
    """
    drop = _Drop(delivery=delivery, bench=bench)
    if delivery.files:
        _check_whole(delivery)
        drop.load_whole()
    drop.load_entries()
    return drop.result()


FEED = PracticeFeed(name=NAME, load=load_drop, shared=SHARED, mappings=lambda places: mappings_digest())


def _check_whole(delivery: Delivery) -> None:
    found = {file.table for file in delivery.files}
    missing = [name for name, table in load_feed(NAME).tables.items() if table.is_needed and name not in found]
    if missing:
        raise LandingError(
            expected="a whole drop with the key table that says who each person is and where registered",
            found=f"no {', '.join(missing)}",
            where=f"landing/{NAME}/{delivery.source}_{delivery.moment}: nothing of it is used until it is there",
        )


@dataclass
class _Drop:
    """One drop while it is being loaded: what its ids mean, then who its people are, then what is about them."""

    delivery: Delivery
    bench: Bench
    counts: dict[str, FileCount] = field(default_factory=dict)
    outcomes: list[pl.DataFrame] = field(default_factory=lambda: [pl.DataFrame(schema=OUTCOME)])
    pending: list[pl.DataFrame] = field(default_factory=lambda: [pl.DataFrame(schema=QUARANTINE)])
    parts: dict[str, list[pl.DataFrame]] = field(default_factory=lambda: {name: [] for name in HISTORY})
    people: pl.DataFrame | None = None

    def __post_init__(self) -> None:
        held = [practice.pending for practice in self.delivery.practices.values()]
        self.held = pl.concat([self.delivery.pending, *held])
        own = pl.col("source") == self.delivery.source
        self.known = {name: self.delivery.shared[name].filter(own).drop("source") for name in SHARED}
        self.words = load_feed(NAME).words

    def load_whole(self) -> None:
        """Reads what replaces all that is held of this source: vocabulary, stated methods, keys and people."""
        self._supersede()
        self.known["roster"] = pl.DataFrame(schema=ROSTER)
        for name, table, contract, convert in (
            ("concepts", "concept", contracts.StagedConcepts, partial(omop_rows.type_concepts, words=self.words)),
            (
                "links",
                "concept_relationship",
                contracts.StagedConceptLinks,
                partial(omop_rows.type_links, words=self.words),
            ),
            ("methods", "admission_method", contracts.StagedMethodRules, omop_rows.type_methods),
        ):
            if any(file.table == table for file in self.delivery.files):
                good = self._decide(table, contract, convert)
                self.known[name] = good.select([column for column in SHARED[name] if column != "source"])
        self._load_people(self._load_keys())

    def _supersede(self) -> None:
        """Counts what is held of the drop before as superseded: this one says it all again."""
        self.outcomes.append(tally(self.held, "superseded"))
        self.held = self.held.clear()

    def _load_keys(self) -> pl.DataFrame:
        """The sound keys, one row a person_source_value, with person and area."""
        practices = self.bench.places.practices.select("practice_code", "icb_code")

        def convert(rows: pl.DataFrame) -> pl.DataFrame:
            return omop_rows.type_keys(rows, practices)

        good = self._decide("person_key", contracts.StagedPersonKeys, convert).drop("record_id")
        return (
            self.bench.with_people(good)
            .join(self.bench.places.postcodes, on="postcode", how="left", validate="m:1", maintain_order="left")
            .select(
                "person_source",
                "nhs_number",
                "person_id",
                "practice_code",
                "icb_code",
                "given_name",
                "surname",
                "lsoa_code",
                "key_registered_date",
                "key_deregistered_date",
            )
        )

    def _load_people(self, keys: pl.DataFrame) -> None:
        """Makes the roster and the registrations: a person needs a key and an observation period."""
        persons, periods = self._gather("person"), self._gather("observation_period")
        typed = omop_rows.type_people(persons.rows, keys, self._setting())
        self._set_roster(typed.filter(pl.col("person_id").is_not_null()).unique("person", keep="last"))
        typed = omop_rows.type_periods(periods.rows, self._setting())
        sound = typed.filter(omop_rows.is_sound_period())["person"].unique()

        def convert(rows: pl.DataFrame) -> pl.DataFrame:
            people = omop_rows.type_people(rows, keys, self._setting())
            has_key = pl.col("person_id").is_not_null()
            return people.with_columns(has_period=~has_key | pl.col("person").is_in(sound.implode()))

        people = self._decide("person", contracts.StagedOmopPeople, convert, gathered=persons)
        self._set_roster(people)
        registered = self._decide(
            "observation_period",
            contracts.StagedPeriods,
            partial(omop_rows.type_periods, setting=self._setting()),
            gathered=periods,
        )
        deaths = self._decide(
            "death", contracts.StagedDeaths, partial(omop_rows.type_deaths, setting=self._setting())
        )
        registrations = omop_rows.make_registrations(people, registered, deaths)
        self.parts["registrations"].append(registrations)
        latest = registrations.filter("is_last").select("person", "registered_date", "record_id")
        self.people = people.drop("record_id").join(latest, on="person", how="inner", validate="1:1")

    def _set_roster(self, people: pl.DataFrame) -> None:
        self.known["roster"] = people.select(list(ROSTER))

    def load_entries(self) -> None:
        """Stages what is about people."""
        setting = self._setting()
        conditions = self._gather("condition_occurrence")
        diagnoses = omop_rows.diagnoses_of(conditions.rows, setting)
        for table, convert in ENTRIES:
            gathered = conditions if table == "condition_occurrence" else self._gather(table)
            good = self._decide(
                table, contracts.StagedOmopEntries, partial(convert, setting=setting), gathered=gathered
            )
            self.parts["events"].append(good)
        exposures = self._decide(
            "drug_exposure", contracts.StagedOmopEntries, partial(omop_rows.type_exposures, setting=setting)
        )
        is_medicine = pl.col("product_id").is_not_null()
        self.parts["medications"].append(exposures.filter(is_medicine))
        self.parts["events"].append(exposures.filter(~is_medicine))
        self._load_visits(setting, diagnoses)

    def _load_visits(self, setting: omop_rows.Setting, diagnoses: pl.DataFrame) -> None:
        stated = pl.DataFrame(self.words["admission"]["methods"], schema=omop_rows.METHODS)
        convert = partial(
            omop_rows.type_visits,
            setting=setting,
            methods=pl.concat([self.known["methods"], stated]),
            diagnoses=diagnoses,
        )
        visits = self._decide("visit_occurrence", contracts.StagedVisits, convert)
        for kind, history in VISITS.items():
            own = visits.filter(pl.col("kind") == kind)
            is_with_people = history in WITH_PEOPLE
            self.parts[history].append(own if is_with_people else own.with_columns(self._stable_ids(own)))

    def _stable_ids(self, visits: pl.DataFrame) -> pl.Series:
        """Record ids of stays and attendances that are the same in the next drop, wherever the person is by then."""
        place = ["person_id", "kind", "clinical_date", "discharged_date", "text_concept", "text_visit_source_value"]
        parts = [pl.col(name).cast(pl.String).fill_null("") for name in place]
        nth = pl.col("record_id").rank("ordinal").over(place).cast(pl.String)
        message = pl.concat_str(pl.lit(f"{NAME}|{self.delivery.source}|visit"), *parts, nth, separator="|")
        ids = record_ids(self.bench.con, visits.select(message).to_series(), self.bench.key)
        return ids.alias("record_id")

    @cached_property
    def vocabulary(self) -> omop_rows.Vocabulary:
        """What the drop's concept ids mean; ask for it only after the vocabulary's tables have been read."""
        return omop_rows.make_vocabulary(self.known["concepts"], self.known["links"], self.words)

    def _setting(self) -> omop_rows.Setting:
        return omop_rows.Setting(
            extract_date=dt.datetime.strptime(self.delivery.moment, "%Y%m%d").date(),
            words=self.words,
            mappings=load_mappings(),
            vocabulary=self.vocabulary,
            roster=self.known["roster"],
        )

    def _gather(self, table: str) -> Gathered:
        """One table's rows as text, read now so that no two tables need be in memory; held rows come first."""
        columns = load_feed(NAME).tables[table].names
        files = [file for file in self.delivery.files if file.table == table]
        read = read_texts(files, con=self.bench.con, work=self.bench.work)
        self.counts |= {text.file.name: text.count for text in read}
        return gather(read, pending=self.held.filter(pl.col("table") == table), columns=columns)

    def _decide(
        self,
        table: str,
        contract: type[pa.DataFrameModel],
        convert: Convert,
        *,
        gathered: Gathered | None = None,
    ) -> pl.DataFrame:
        """The good rows of one table; its outcomes and what is held are noted, each with its practice if known."""
        columns = load_feed(NAME).tables[table].names
        gathered = gathered or self._gather(table)
        messages = gathered.rows.select(omop_rows.record_message(table, self.delivery.source)).to_series()
        keyed = gathered.rows.with_columns(record_ids(self.bench.con, messages, self.bench.key).alias("record_id"))
        rows = convert(keyed).with_columns(is_deleted=pl.lit(False))
        missing = {"is_blank": pl.lit(False), "practice_code": pl.lit(None, dtype=pl.String)}
        rows = rows.with_columns(**{name: value for name, value in missing.items() if name not in rows.columns})
        decided = decide(rows, gathered, contract=contract, columns=columns)
        self.outcomes.append(decided.outcomes)
        tried = rows.join(gathered.files, on="file_no").select("sha256", "line", "practice_code")
        kept = self.held.filter(pl.col("table") == table).select("sha256", "line", "practice_code")
        places = pl.concat([tried, kept.join(tried, on=["sha256", "line"], how="anti")])
        named = decided.pending.join(places, on=["sha256", "line"], how="left", validate="m:1", maintain_order="left")
        self.pending.append(
            named.with_columns(feed=pl.lit(NAME), table=pl.lit(table)).select(list(QUARANTINE)).cast(QUARANTINE)  # type: ignore[arg-type]
        )
        return decided.good

    def result(self) -> Loaded:
        """What the drop led to: first all that the last one gave goes, then what this one gives comes."""
        staged = {name: self._rows_of(name) for name in HISTORY}
        gone = self._gone() if self.delivery.files else []
        untried = {*ENTRY_TABLES} if not self.delivery.files else {*load_feed(NAME).tables}
        self.pending.append(self.held.filter(~pl.col("table").is_in(sorted(untried))))
        shared = dict(self.known)
        shared["given"] = self._given(staged)
        codes = {*self.delivery.practices, *self.known["roster"]["practice_code"].unique()}
        is_placed = pl.col("practice_code").is_in(sorted(codes))
        pending = pl.concat(self.pending).with_columns(practice_code=pl.when(is_placed).then("practice_code"))
        return Loaded(
            outcomes=pl.concat(self.outcomes),
            files=tuple(self.counts.values()),
            changes=(*gone, *self._changes(staged)),
            practices=tuple(self._practices(codes, pending)),
            pending=pending.filter(pl.col("practice_code").is_null()),
            shared={name: self._with_others(name, frame) for name, frame in shared.items()},
        )

    def _rows_of(self, table: str) -> pl.DataFrame:
        """The new rows of one history table, with the ICB they lie in."""
        columns = [*HISTORY[table].to_schema().columns, "icb_code"]
        named = [frame.rename(_renamed(table, frame)).select(columns) for frame in self.parts[table]]
        return pl.concat(named) if named else pl.DataFrame()

    def _changes(self, staged: Mapping[str, pl.DataFrame]) -> list[Change]:
        changes = []
        codes = {code for rows in staged.values() if rows.height for code in rows["icb_code"].unique()}
        for icb_code in sorted(codes):
            paths = {}
            for table, rows in staged.items():
                own = rows.filter(pl.col("icb_code") == icb_code).drop("icb_code") if rows.height else rows
                if own.height:
                    paths[table] = self.bench.work / f"{table}_{icb_code}.parquet"
                    own.write_parquet(paths[table], compression="lz4")
            changes.append(Change(icb_code=icb_code, staged=paths))
        return changes

    def _gone(self) -> list[Change]:
        """All that the source's last drop gave, by the ICB where each practice lies now."""
        changes = []
        practices = self.delivery.practices.values()
        for icb_code in sorted({practice.icb_code for practice in practices}):
            own = [practice for practice in practices if practice.icb_code == icb_code]
            people = pl.concat([practice.people for practice in own]).select(list(GONE_PEOPLE)).unique()
            codes = [practice.practice_code for practice in own]
            keys = self.known["given"].filter(pl.col("practice_code").is_in(codes)).select(list(GONE_KEYS))
            changes.append(Change(icb_code=icb_code, gone_keys=keys, gone_people=people.sort("person_id")))
        return changes

    def _given(self, staged: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
        """The keys of rows that do not go with people, of this drop and, if nothing new was read, of the last."""
        new = [
            rows.select(pl.lit(table).alias("table"), "practice_code", "record_id")
            for table, rows in staged.items()
            if table not in WITH_PEOPLE and rows.height
        ]
        kept = self.known["given"].clear() if self.delivery.files else self.known["given"]
        return pl.concat([kept, *new]).unique().sort("table", "practice_code", "record_id")

    def _practices(self, codes: set[str], pending: pl.DataFrame) -> list[Practice]:
        """Every practice of this source, with its people and held rows as they are now."""
        found = []
        for code in sorted(codes):
            practice = self.bench.practice(code, self.delivery)
            if practice is None:  # keys of practices that are not listed were held
                raise LandingError(expected="a practice of the national list", found=code, where="epraccur.csv")
            own = pl.col("practice_code") == code
            people = (
                self.people.filter(own).select(list(PEOPLE)).sort("record_id") if self.people is not None else None
            )
            found.append(
                replace(
                    practice,
                    applied_moment=self.delivery.moment,
                    people=practice.people if people is None else people,
                    pending=pending.filter(own),
                )
            )
        return found

    def _with_others(self, name: str, frame: pl.DataFrame) -> pl.DataFrame:
        """What is known of this source, with what is known of others."""
        others = self.delivery.shared[name].filter(pl.col("source") != self.delivery.source)
        own = frame.with_columns(source=pl.lit(self.delivery.source)).select(others.columns)
        return pl.concat([others, own])


def _renamed(table: str, frame: pl.DataFrame) -> dict[str, str]:
    """The staged columns whose history name differs."""
    return {"clinical_date": DATES[table]} if "clinical_date" in frame.columns else {}
