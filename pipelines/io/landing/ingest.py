"""Ingests what has landed: every file into the ledger, every record into history or quarantine, all of it or none."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby
from typing import TypeVar

import duckdb
import polars as pl

from pipelines.io import identity
from pipelines.io.history import GONE_KEYS, Change, Switch, merge, open_switch
from pipelines.io.landing.errors import LandingError
from pipelines.io.landing.files import LandedFile, find_files
from pipelines.io.landing.hospital import ROSTER, Ward, load_hospital
from pipelines.io.landing.national_opt_out import load_reply
from pipelines.io.landing.practices import Practices
from pipelines.io.landing.quarantine import QUARANTINE, count_quarantine, is_retried, quarantine_path
from pipelines.io.landing.reference import Places, load_places
from pipelines.io.landing.register import Refusal, Register
from pipelines.io.landing.store import Store
from pipelines.io.landing.synthea_practices import SyntheaPractices
from pipelines.io.ledger import OUTCOMES, ledger_path, read_ledger
from pipelines.settings import Settings

Key = TypeVar("Key", str, tuple[str, str])
Progress = Callable[[str, int, int], None]
HOSPITAL_TABLES = ("spells", "emergency_attendances")


@dataclass(frozen=True)
class IngestReport:
    """What one ingest did. ``files`` are its ledger rows; ``quarantine`` counts all that is held, by rule."""

    ingest: int
    files: pl.DataFrame
    changed: dict[str, list[str]]
    refused: tuple[Refusal, ...]
    quarantine: pl.DataFrame

    @property
    def totals(self) -> dict[str, int]:
        """Records by outcome, over the files of this ingest."""
        return {name: int(self.files[name].sum()) for name in ("records", *OUTCOMES)}


def ingest(settings: Settings, on_progress: Progress | None = None) -> IngestReport:
    """Loads all that has landed since the last ingest; what was loaded before changes nothing.

    ``on_progress`` is called with what is being done, how many steps are done, and how many there are.

    Raises:
        LandingError: there is nothing in the landing folder.
        IdentityError: there is no sound key.
        HistoryError: another ingest is running.
        LedgerError: the records of a file are not all accounted for; nothing was changed.
    """
    key = identity.load_key(settings)
    with open_switch(settings) as switch:
        known, unknown = find_files(settings.landing)
        register = Register(read_ledger(settings.home))
        for file in unknown:
            register.refuse_unknown(file)
        with duckdb.connect(config=_engine(settings, switch)) as con:
            con.execute("set enable_progress_bar = false")
            store = Store(settings=settings, switch=switch, con=con, key=key)
            changed = _load(store, register, known, on_progress or (lambda what, done, steps: None))
        store.write(register.result(), ledger_path(settings.home))
        switch.commit()
    return IngestReport(
        ingest=register.number,
        files=register.files(),
        changed=changed,
        refused=tuple(register.refused),
        quarantine=count_quarantine(settings),
    )


def _engine(settings: Settings, switch: Switch) -> dict[str, str | bool | int | float | list[str]]:
    return {
        "threads": settings.threads,
        "memory_limit": settings.memory_limit,
        "temp_directory": str(switch.folder / "spill"),
    }


def _load(store: Store, register: Register, known: list[LandedFile], tell: Progress) -> dict[str, list[str]]:
    """Loads feed by feed, each after those it needs; returns which ICBs changed, by history table."""
    new = register.unseen(known)
    deliveries = _group(
        [file for file in new if file.feed == "emis"], lambda file: (file.practice_code or "", file.moment)
    )
    made_up = _group([file for file in new if file.feed == "synthea"], lambda file: file.practice_code or "")
    steps = len(deliveries) + len(made_up) + 3
    tell("reference files", 0, steps)
    places = _load_places(store, register, known, new)
    practices = Practices(store, register, places)
    practices.follow()
    refused: set[str] = set()
    for done, ((practice_code, moment), files) in enumerate(deliveries, start=1):
        tell(f"practice {practice_code}, delivery {moment}", done, steps)
        if practice_code in refused:
            register.refuse(files, source=practice_code, reason="waits for an earlier delivery, which was refused")
        elif not practices.apply(practice_code, moment, files):
            refused.add(practice_code)
    practices.retry()
    synthea = SyntheaPractices(store, register, places, others=practices.touched)
    for done, (practice_code, files) in enumerate(made_up, start=len(deliveries) + 1):
        tell(f"made-up practice {practice_code}", done, steps)
        synthea.apply(practice_code, files)
    synthea.retry()
    tell("history", steps - 2, steps)
    changed = merge(store.con, store.settings, store.switch, [*practices.changes, *synthea.changes])
    practices.write()
    synthea.write()
    tell("hospital records", steps - 1, steps)
    changes = _load_hospital(store, register, new, places=places, has_new_people=bool(practices.changes))
    changed |= merge(store.con, store.settings, store.switch, changes)
    _load_replies(store, register, new)
    tell("done", steps, steps)
    return changed


def _group(files: list[LandedFile], key: Callable[[LandedFile], Key]) -> list[tuple[Key, list[LandedFile]]]:
    return [(name, list(own)) for name, own in groupby(sorted(files, key=key), key=key)]


def _load_places(store: Store, register: Register, known: list[LandedFile], new: list[LandedFile]) -> Places:
    held = store.read_places()
    news = [file for file in new if file.feed == "reference"]
    if not news:
        return held
    try:
        loaded = load_places([file for file in known if file.feed == "reference"], held=held, con=store.con)
    except LandingError as error:
        register.refuse(news, source="reference", reason=str(error))
        return held
    register.account(loaded.texts.values(), loaded.outcomes, practice_code=None)
    store.write(loaded.pending, quarantine_path(store.settings, "reference", "reference"))
    store.write_places(loaded.places)
    return loaded.places


def _load_hospital(
    store: Store, register: Register, new: list[LandedFile], *, places: Places, has_new_people: bool
) -> list[Change]:
    """The changes to hospital tables: records of people who moved ICB, new deliveries, held rows tried again."""
    path = quarantine_path(store.settings, "hospital", "hospital")
    pending = store.read(path, QUARANTINE)
    deliveries = _group([file for file in new if file.feed == "hospital"], lambda file: file.moment)
    if has_new_people and not deliveries and pending.filter(is_retried()).height:
        deliveries = [("", [])]
    if not (deliveries or has_new_people):
        return []
    roster = _current_practices(store, places)
    changes = _follow_people(store, roster)
    for moment, files in deliveries:
        ward = Ward(con=store.con, key=store.key, roster=roster, work=store.work("hospital", moment or "retried"))
        try:
            loaded = load_hospital(files, pending=pending, ward=ward)
        except LandingError as error:
            register.refuse(files, source=f"hospital {moment}", reason=str(error))
            break
        register.account(loaded.texts.values(), loaded.outcomes, practice_code=None)
        pending = loaded.pending
        changes += loaded.changes
    store.write(pending, path)
    return changes


def _current_practices(store: Store, places: Places) -> pl.DataFrame:
    """One row per person: the practice of the latest open regular registration, else of the latest there is."""
    paths = store.switch.finals(store.settings.history / "registrations")
    if not paths:
        return pl.DataFrame(schema=ROSTER)
    registrations = pl.scan_parquet([store.switch.current(path) for path in paths])
    return (
        registrations.with_columns(
            is_regular=pl.col("registration_type") == "regular", is_open=pl.col("deregistered_date").is_null()
        )
        .sort("is_regular", "is_open", "registered_date", "practice_code", descending=[True, True, True, False])
        .unique("person_id", keep="first", maintain_order=True)
        .select("person_id", "practice_code")
        .join(places.practices.select("practice_code", "icb_code").lazy(), on="practice_code", how="inner")
        .sort("person_id")
        .collect()
    )


def _follow_people(store: Store, roster: pl.DataFrame) -> list[Change]:
    """Moves hospital records to the ICB where the person is registered now: a record lies in one ICB only."""
    changes = []
    for table in HOSPITAL_TABLES:
        for path in store.switch.finals(store.settings.history / table):
            homes = roster.lazy().select("person_id", "icb_code")
            rows = pl.scan_parquet(path).join(homes, on="person_id", how="inner").collect()
            away = rows.filter(pl.col("icb_code") != path.stem)
            if away.is_empty():
                continue
            gone = away.select(table=pl.lit(table), record_id="record_id").select(list(GONE_KEYS))
            changes.append(Change(icb_code=path.stem, gone_keys=gone))
            for icb_code in away["icb_code"].unique().sort():
                staged = store.work("moved", f"{table}_{path.stem}_{icb_code}") / f"{table}.parquet"
                away.filter(pl.col("icb_code") == icb_code).drop("icb_code").write_parquet(staged)
                changes.append(Change(icb_code=icb_code, staged={table: staged}))
    return changes


def _load_replies(store: Store, register: Register, new: list[LandedFile]) -> None:
    """Takes the newest sound reply of the national opt-out service in place of the held one."""
    replies = sorted(
        (file for file in new if file.feed == "national_opt_out"), key=lambda file: (file.moment, file.rank)
    )
    for file in replies:
        try:
            held = store.read(identity.opt_out_path(store.settings), identity.OPT_OUT_REPLY)
            reply = load_reply(file, key=store.key, con=store.con, after=held["answered_date"].max())
        except LandingError as error:
            register.refuse([file], source="national opt-out", reason=str(error))
            continue
        counts = pl.DataFrame({"sha256": [file.sha256], "outcome": ["loaded"], "records": [reply.text.records]})
        register.account([(file, reply.text)], counts, practice_code=None)
        store.write(reply.allowed, identity.opt_out_path(store.settings))
