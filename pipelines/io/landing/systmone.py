"""SystmOne strategic reporting extract: one set of files of one or several practices, to staged history rows."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import pandera.polars as pa
import polars as pl

from data_contracts.tables import staging as contracts
from pipelines.io.identity import PEOPLE
from pipelines.io.landing import systmone_rows
from pipelines.io.landing.errors import LandingError
from pipelines.io.landing.feeds import load_feed
from pipelines.io.landing.files import LandedFile
from pipelines.io.landing.places import CTV3_CODES, Places
from pipelines.io.landing.practice_loading import PracticeLoading, columns_of, latest_rows, untouched
from pipelines.io.landing.practices import PracticeFeed
from pipelines.io.landing.protocol import Bench, Delivery, Loaded, Practice
from pipelines.io.landing.reading import TextTable, read_texts
from pipelines.io.landing.staging import Decided
from pipelines.io.landing.store import Schema
from pipelines.io.landing.systmone_rows import MAPPED_WORDS, PARTS, ROOM

NAME = "systmone"
MANIFEST = "SRManifest"
OWNER = "visible_to"
"""The column that says whose a row is."""
KEPT: dict[str, Schema] = {
    "patients": {"record_id": pl.Int64, "sex": pl.String, "death_date": pl.Date},
    "registrations": {
        "record_id": pl.Int64,
        "patient_record_id": pl.Int64,
        "registered_date": pl.Date,
        "deregistered_date": pl.Date,
        "registration_type": pl.String,
    },
    "homes": {
        "record_id": pl.Int64,
        "patient_record_id": pl.Int64,
        "clinical_date": pl.Date,
        "ended_date": pl.Date,
        "lsoa_code": pl.String,
    },
    "windows": {"window_end": pl.String},
}
"""What is kept of each practice, since a delta of one of these tables changes rows made of all of them."""
CODE_MAP = {"record_id": pl.Int64, **CTV3_CODES}
Texts = Mapping[str, TextTable]


@dataclass(frozen=True)
class _Source:
    """One history table's share of a SystmOne table: its contract and how its rows are typed."""

    table: str
    history: str
    contract: type[pa.DataFrameModel]
    convert: Callable[..., pl.DataFrame]


SOURCES = (
    _Source("SRCode", "events", contracts.StagedCodedEntries, systmone_rows.type_codes),
    _Source("SRImmunisation", "events", contracts.StagedCodedEntries, systmone_rows.type_immunisations),
    _Source("SRPrimaryCareMedication", "medications", contracts.StagedIssues, systmone_rows.type_medications),
    _Source("SREvent", "contacts", contracts.StagedContacts, systmone_rows.type_events),
    _Source("SRAppointment", "contacts", contracts.StagedAppointments, systmone_rows.type_appointments),
    _Source("SRVisit", "contacts", contracts.StagedContacts, systmone_rows.type_visits),
)


@dataclass(frozen=True)
class _Window:
    """What the manifest says of a set: which tables are whole, and the time it ends."""

    whole: frozenset[str] = frozenset()
    end: str | None = None


def load_delivery(delivery: Delivery, bench: Bench) -> Loaded:
    """One set of one source (none to try held rows again), practice by practice, staged as Parquet.

    Raises:
        LandingError: the set is not complete or cannot be trusted; nothing of it may be used.
    """
    alone = bench.practice(delivery.source, delivery)
    # A set of several practices may be as large as an ICB: each practice's rows are taken from it in turn.
    spooled_by = None if alone else OWNER
    read = read_texts(_each_once(delivery), con=bench.con, work=bench.work, spooled_by=spooled_by)
    texts = {text.file.table: text for text in read}
    patients = _patients_by_owner(texts)
    practices = _practices(patients, delivery, bench, alone=alone)
    window = _check_set(texts, practices, patients, delivery) if delivery.files else _Window()
    shared, results = dict(delivery.shared), []
    for number, practice in enumerate(practices):
        own = _rows_of(texts, practice.practice_code, practices if number == 0 else None)
        moment = delivery.moment or practice.applied_moment
        loading = _Loading(own, replace(practice, applied_moment=moment), bench, window=window, shared=shared)
        loading.run(is_first=number == 0)
        shared = loading.shared
        results.append(loading)
    return Loaded(
        outcomes=pl.concat([frame for loading in results for frame in loading.outcomes]),
        files=tuple(text.count for text in texts.values()),
        changes=tuple(loading.change() for loading in results),
        practices=tuple(replace(loading.practice, pending=pl.concat(loading.pending)) for loading in results),
        shared=shared,
    )


def _digest(places: Places) -> str:
    return str(places.ctv3_codes.hash_rows().sum()) if places.ctv3_codes.height else ""


FEED = PracticeFeed(
    name=NAME,
    load=load_delivery,
    shared={"ctv3": CODE_MAP, "mappings": MAPPED_WORDS},
    kept=KEPT,
    mappings=_digest,
)


def _each_once(delivery: Delivery) -> list[LandedFile]:
    tables = [file.table for file in delivery.files]
    twice = sorted({table for table in tables if tables.count(table) > 1})
    if twice:
        raise _refusal("each table once", f"two of {', '.join(twice)}", delivery)
    return list(delivery.files)


def _refusal(expected: str, found: str, delivery: Delivery) -> LandingError:
    where = f"landing/{NAME}/{delivery.source}/{delivery.moment}"
    return LandingError(expected=expected, found=found, where=where)


def _practices(patients: pl.DataFrame, delivery: Delivery, bench: Bench, *, alone: Practice | None) -> list[Practice]:
    """The practices of a set: the one that its folder names, else those held from it and those it now names."""
    seen = set(patients[OWNER].drop_nulls())
    if alone is not None:
        if seen and delivery.source not in seen:
            found = f"patients visible to {', '.join(sorted(code[:12] for code in seen)[:3])}"
            raise _refusal(f"the extract of {delivery.source}, as its folder says", found, delivery)
        return [alone]
    named = (bench.practice(code, delivery) for code in sorted(seen | set(delivery.practices)))
    practices = [practice for practice in named if practice is not None]
    if not practices:
        found = ", ".join(sorted(code[:12] for code in seen)[:3]) or "no patients"
        raise _refusal("practices of the national list", found, delivery)
    return practices


def _patients_by_owner(texts: Texts) -> pl.DataFrame:
    """One row per practice that patients of a set are visible to: how many (``patients``)."""
    if "SRPatient" not in texts:
        return pl.DataFrame(schema={OWNER: pl.String, "patients": pl.UInt32})
    return texts["SRPatient"].held.group_by(OWNER).agg(patients=pl.len()).sort(OWNER).collect()


def _rows_of(texts: Texts, practice_code: str, others: list[Practice] | None) -> Texts:
    """The rows that are visible to one practice. ``others`` marks the first of them, which has all that is left."""
    own = {}
    codes = [practice.practice_code for practice in others or []]
    for table, text in texts.items():
        is_own = pl.lit(others is not None)
        if OWNER in load_feed(NAME).tables[table].names:
            is_own = (pl.col(OWNER) == practice_code).fill_null(False)
            if others is not None:
                is_own |= ~pl.col(OWNER).is_in(codes).fill_null(False)
        own[table] = replace(text.where(is_own), bad=text.bad if others is not None else text.bad.clear())
    return own


def _check_set(texts: Texts, practices: list[Practice], patients: pl.DataFrame, delivery: Delivery) -> _Window:
    """What the manifest says, if the set is complete, follows the last one and can be believed."""
    if MANIFEST not in texts:
        raise _refusal("SRManifest.csv, without which the set is not complete yet", "none", delivery)
    manifest = texts[MANIFEST].rows
    _check_listed(manifest["file_name"].drop_nulls().to_list(), set(texts), delivery)
    window = _window(manifest, delivery)
    starts = manifest.filter(pl.col("is_delta") == "Y")["window_start"].drop_nulls()
    for practice in practices:
        _check_follows(practice, min(starts.to_list(), default=None), window, set(texts), delivery)
        _check_share(practice, patients, window, delivery)
    return window


def _check_listed(listed: list[str], present: set[str], delivery: Delivery) -> None:
    feed = load_feed(NAME)
    tables = {feed.table_named(name) for name in listed} & set(feed.tables)
    missing = sorted(name for name in tables if name is not None and name not in present)
    extra = sorted(present - tables - set(feed.words["not_in_manifest"]))
    if missing or extra:
        found = f"no {', '.join(missing)}" if missing else f"{', '.join(extra)}, which it does not name"
        raise _refusal("the files that SRManifest names", found, delivery)


def _window(manifest: pl.DataFrame, delivery: Delivery) -> _Window:
    ends = sorted(manifest["window_end"].drop_nulls().unique())
    moments = [*ends, *manifest["window_start"].drop_nulls()]
    if len(ends) != 1 or not all(re.fullmatch(r"\d{8}_\d{4}", moment) for moment in moments):
        raise _refusal("one end of all tables' windows, as a date and time", f"{len(ends)} ends", delivery)
    if not manifest["is_delta"].is_in(["Y", "N"]).all():
        raise _refusal("Y or N for each table in SRManifest (IsDelta)", "something else", delivery)
    feed = load_feed(NAME)
    whole = manifest.filter(pl.col("is_delta") == "N")["file_name"].drop_nulls()
    named = {feed.table_named(name) for name in whole}
    return _Window(whole=frozenset(name for name in named if name), end=ends[0])


def _check_follows(
    practice: Practice, start: str | None, window: _Window, present: set[str], delivery: Delivery
) -> None:
    """Refuses a set that repeats the last one or leaves a gap after it, and a first one that is not whole."""
    ended = _ended(practice)
    if ended is None:
        needed = {name for name, table in load_feed(NAME).tables.items() if table.is_needed} - {MANIFEST}
        lacking = sorted(needed - (present & window.whole))
        if lacking:
            expected = f"all needed tables whole in the first set of {practice.practice_code}"
            raise _refusal(expected, f"no whole {', '.join(lacking)}", delivery)
    elif window.end is not None and window.end <= ended:
        raise _refusal(
            f"a window that ends after {ended}, where the last one ended", f"one to {window.end}", delivery
        )
    elif start is not None and start > ended:
        raise _refusal(f"a window that starts by {ended}, where the last one ended", f"one from {start}", delivery)


def _check_share(practice: Practice, patients: pl.DataFrame, window: _Window, delivery: Delivery) -> None:
    """Refuses a whole patient table that lacks too many of those held: such a flag has been wrong."""
    held = practice.people.height + practice.withheld.height
    if "SRPatient" not in window.whole or not held:
        return
    found = patients.filter(pl.col(OWNER) == practice.practice_code)["patients"].sum()
    least = load_feed(NAME).words["least_share_of_patients"] * held
    if found < least:
        expected = (
            f"at least {int(least)} patients in a whole SRPatient of {practice.practice_code}, which has {held}"
        )
        raise _refusal(expected, f"{found}", delivery)


def _kept(practice: Practice, name: str) -> pl.DataFrame:
    return practice.kept.get(name, pl.DataFrame(schema=dict(KEPT[name])))


def _ended(practice: Practice) -> str | None:
    """When the window of the last set ended, None before the first."""
    return max(_kept(practice, "windows")["window_end"].drop_nulls().to_list(), default=None)


class _Loading(PracticeLoading):
    """One practice of a set: codes and words first, then patients, then what is about them."""

    def __init__(
        self,
        texts: Texts,
        practice: Practice,
        bench: Bench,
        *,
        window: _Window,
        shared: dict[str, pl.DataFrame],
    ) -> None:
        super().__init__(feed=NAME, practice=practice, bench=bench)
        self.texts, self.window, self.shared = texts, window, shared

    def run(self, *, is_first: bool) -> None:
        """Loads the tables in order; what is no practice's own is the first practice's to load."""
        if is_first:
            self._references()
        kept = {"patients": self._patients()}
        self.setting = self._setting()
        kept["registrations"] = self._state(
            "SRPatientRegistration", "registrations", contracts.StagedRegistrations, systmone_rows.type_registrations
        )
        kept["homes"] = self._state(
            "SRPatientAddressHistory", "homes", contracts.StagedAbout, systmone_rows.type_addresses
        )
        ended = self.window.end or _ended(self.practice)
        kept["windows"] = pl.DataFrame({"window_end": [ended]}, schema=dict(KEPT["windows"]))
        self._registrations(kept)
        self._entries()
        self.practice = replace(self.practice, kept=kept)

    def _setting(self) -> systmone_rows.Setting:
        words = load_feed(NAME).words
        dissents = words["dissent_ctv3"]
        named = pl.DataFrame({"ctv3_code": list(dissents), "concept_id": list(dissents.values())}, schema=CTV3_CODES)
        codes = [named, self.shared["ctv3"].select(list(CTV3_CODES)), self.bench.places.ctv3_codes]
        return systmone_rows.Setting(
            practice_code=self.practice.practice_code,
            extract_date=self.extract_date,
            words=words,
            postcodes=self.bench.places.postcodes,
            roster=self.roster,
            codes=pl.concat(codes).filter(pl.col("concept_id") > 0).unique("ctv3_code", keep="first"),
            mappings=self.shared["mappings"],
        )

    def _read(self, table: str) -> list[TextTable]:
        return [self.texts[table]] if table in self.texts else []

    def _decide(
        self,
        table: str,
        contract: type[pa.DataFrameModel],
        convert: Callable[[pl.DataFrame], pl.DataFrame],
        *,
        together: str | None = None,
    ) -> Decided:
        read, is_whole = self._read(table), self._is_whole(table)
        return self.decide(table, contract, convert, read=read, is_whole=is_whole, together=together)

    def _is_whole(self, table: str) -> bool:
        return table in self.window.whole and table in self.texts

    def _references(self) -> None:
        """Takes in the manifest, the words behind numbers and the extract's own map of codes."""
        for table in (MANIFEST, "SRMapping"):
            self.look_at(table, read=self._read(table))
        if "SRMapping" in self.texts:
            new = self.texts["SRMapping"].rows.select(mapping_key="record_key", words="words").drop_nulls()
            held = self.shared["mappings"].join(new, on="mapping_key", how="anti")
            mappings = pl.concat([held, new]).unique("mapping_key", keep="last", maintain_order=True)
            self.shared["mappings"] = mappings.sort("mapping_key")

        def convert(rows: pl.DataFrame) -> pl.DataFrame:
            message = systmone_rows.record_message("", "SRCtv3ToSnomed")
            return systmone_rows.type_code_map(rows.with_columns(self.pseudonyms(rows, message).alias("record_id")))

        decided = self._decide("SRCtv3ToSnomed", contracts.StagedCodeMap, convert)
        held = self.shared["ctv3"].clear() if self._is_whole("SRCtv3ToSnomed") else self.shared["ctv3"]
        held = untouched(held, pl.concat([decided.good["record_id"], decided.gone]))
        new = decided.good.select(list(CODE_MAP))
        self.shared["ctv3"] = latest_rows(pl.concat([held, new]), "ctv3_code", ["ctv3_code", "record_id"])

    def _patients(self) -> pl.DataFrame:
        """Brings the roster up to this delivery; returns what else is kept of each patient."""
        self.setting = self._setting()
        present: list[pl.Series] = []

        def convert(rows: pl.DataFrame) -> pl.DataFrame:
            typed = systmone_rows.type_patients(rows, self.setting)
            typed = typed.with_columns(
                self.pseudonyms(typed, self._message("SRPatient")).alias("record_id"),
                registered_date=pl.lit(None, dtype=pl.Date),
            )
            typed = self.bench.with_people(typed)
            present.append(typed["record_id"].drop_nulls())
            return typed

        decided = self._decide("SRPatient", contracts.StagedPeople, convert)
        self.keep_people(decided, present=present[0] if self._is_whole("SRPatient") else None)
        held = _kept(self.practice, "patients").join(decided.good, on="record_id", how="anti")
        kept = pl.concat([held, decided.good.select(list(KEPT["patients"]))])
        return kept.join(self.practice.people, on="record_id", how="semi").sort("record_id")

    def _message(self, table: str, key: str = "record_key") -> pl.Expr:
        return systmone_rows.record_message(self.practice.practice_code, table, key)

    def _about_patients(
        self, table: str, contract: type[pa.DataFrameModel], convert: Callable[..., pl.DataFrame]
    ) -> tuple[Decided, pl.Series]:
        """What became of one table's records, and the record ids that it holds."""
        present: list[pl.Series] = []

        def with_keys(rows: pl.DataFrame) -> pl.DataFrame:
            ids = systmone_rows.with_part(self.pseudonyms(rows, self._message(table)), table)
            present.append(ids.drop_nulls())
            message = self._message("SRPatient", "patient_key")
            patients = self.patient_pseudonyms(rows, ["text_patient_key"], message)
            keyed = rows.with_columns(ids.alias("record_id"), patients.alias("patient_record_id"))
            return convert(keyed, self.setting)

        decided = self._decide(table, contract, with_keys, together="text_patient_key")
        return decided, pl.concat(present)

    def _state(
        self, table: str, name: str, contract: type[pa.DataFrameModel], convert: Callable[..., pl.DataFrame]
    ) -> pl.DataFrame:
        """One of the kept tables after this delivery."""
        decided, present = self._about_patients(table, contract, convert)
        touched = pl.concat([decided.good["record_id"], decided.gone, decided.withheld["record_id"].drop_nulls()])
        held = untouched(_kept(self.practice, name), touched, present=present if self._is_whole(table) else None)
        new = decided.good.select(list(KEPT[name]))
        people = self.practice.people.select(patient_record_id="record_id")
        return pl.concat([held, new]).join(people, on="patient_record_id", how="semi").sort("record_id")

    def _registrations(self, kept: dict[str, pl.DataFrame]) -> None:
        """Stages the registrations of the practice anew, and puts the latest regular one's date on the roster."""
        homes = kept["homes"].with_columns(is_open=pl.col("ended_date").is_null())
        latest = latest_rows(homes, "patient_record_id", ["is_open", "clinical_date", "record_id"])
        people = self.practice.people.select("person_id", "practice_code", "birth_date", patient="record_id")
        rows = (
            kept["registrations"]
            .join(people, left_on="patient_record_id", right_on="patient", how="inner", validate="m:1")
            .join(
                kept["patients"].rename({"record_id": "patient_record_id"}),
                on="patient_record_id",
                how="inner",
                validate="m:1",
            )
            .join(latest.select("patient_record_id", "lsoa_code"), on="patient_record_id", how="left", validate="m:1")
        )
        self.renew("registrations")
        self.write("registrations", [rows.select(columns_of("registrations"))])
        ranked = rows.with_columns(is_regular=pl.col("registration_type") == "regular")
        dated = latest_rows(ranked, "patient_record_id", ["is_regular", "registered_date", "record_id"])
        dates = dated.select(record_id="patient_record_id", registered_date="registered_date")
        on_roster = self.practice.people.drop("registered_date").join(
            dates, on="record_id", how="left", validate="1:1", maintain_order="left"
        )
        self.practice = replace(self.practice, people=on_roster.select(list(PEOPLE)))

    def _entries(self) -> None:
        """Stages what is about patients."""
        decided: dict[str, list[Decided]] = {}
        for source in SOURCES:
            found, _ = self._about_patients(source.table, source.contract, source.convert)
            decided.setdefault(source.history, []).append(found)
            if self._is_whole(source.table):
                self.renew(source.history, part=PARTS[source.table], parts=ROOM)
                self.spare(source.history, found.pending["record_id"].drop_nulls())
        for history, parts in decided.items():
            self.stage(history, parts)
