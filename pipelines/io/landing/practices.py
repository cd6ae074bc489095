"""Feeds of practices: applies deliveries in order, and keeps what is held of each practice between them."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import polars as pl

from pipelines.io.history import CHILDREN, GONE_KEYS, RENEWED, Change, history_path
from pipelines.io.identity import PEOPLE, WITHHELD, people_path, withheld_path
from pipelines.io.landing.dissent import is_dissent
from pipelines.io.landing.errors import LandingError
from pipelines.io.landing.feeds import load_feed
from pipelines.io.landing.files import LandedFile
from pipelines.io.landing.holding import Gate, HeldError, read_accepted
from pipelines.io.landing.loading import load_delivery
from pipelines.io.landing.places import Places
from pipelines.io.landing.protocol import APPLIED, Delivery, Landing, Load, Loaded, Practice, Stage
from pipelines.io.landing.quarantine import QUARANTINE, is_retried, quarantine_path
from pipelines.io.landing.store import Schema, Store
from pipelines.io.landing.workshop import Begun


def _accept(landing: Landing, loaded: Loaded) -> None:
    """Finds nothing wrong with what a delivery led to."""


@dataclass(frozen=True)
class PracticeFeed:
    """A feed of practices: one folder a practice, or one a drop of several.

    ``shared`` are tables that the feed keeps over all practices (its code tables), ``kept`` those of one practice.
    ``mappings`` gives a digest of stated mappings: when it or a shared table changes, held rows are tried again.
    ``check`` raises LandingError if a delivery that was loaded cannot stand beside what is held.
    """

    name: str
    load: Load
    shared: Mapping[str, Schema] = field(default_factory=dict)
    kept: Mapping[str, Schema] = field(default_factory=dict)
    mappings: Callable[[Places], str] = lambda places: ""
    check: Callable[[Landing, Loaded], None] = _accept
    stage: Stage = "practices"

    def take(self, landing: Landing) -> None:
        """Loads or refuses every new delivery, each source's in order, then tries held rows again."""
        practices = _Practices(feed=self, landing=landing)
        practices.follow()
        refused: set[str] = set()
        deliveries = landing.deliveries(self.name)
        for n, (source, moment, files) in enumerate(deliveries):
            practices.next = deliveries[n + 1] if n + 1 < len(deliveries) else None
            landing.tell(f"{self.name} {source}, delivery {moment}" if moment else f"{self.name} {source}")
            if source in refused:
                landing.register.refuse(
                    files, source=source, reason="waits for an earlier delivery, which is held or was refused"
                )
            elif not practices.apply(source, moment, files):
                refused.add(source)
        practices.retry()
        practices.write()


@dataclass
class _Practices:
    """The practices of one feed while its deliveries are applied."""

    feed: PracticeFeed
    landing: Landing
    touched: dict[str, Practice] = field(default_factory=dict)
    left: set[str] = field(default_factory=set)
    unplaced: dict[str, pl.DataFrame] = field(default_factory=dict)
    loads: int = 0
    by_practice: dict[Path, dict[str, pl.DataFrame]] = field(default_factory=dict)
    next: tuple[str, str, list[LandedFile]] | None = None
    ahead: tuple[Delivery, Begun[Loaded]] | None = None

    def __post_init__(self) -> None:
        self.store, self.register, self.places = self.landing.store, self.landing.register, self.landing.places
        self.applied = self.store.read(self._state("practices"), APPLIED)
        self.shared = {name: self.store.read(self._state(name), schema) for name, schema in self.feed.shared.items()}
        self.gate = Gate(landing=self.landing, accepted=read_accepted(self.store.settings))
        self.looks_ahead = self.store.settings.threads > 1 and all(frame.height for frame in self.shared.values())

    def _state(self, name: str) -> Path:
        return self.store.state_path(f"{self.feed.name}_{name}")

    def _kept_path(self, practice_code: str, name: str) -> Path:
        return self.store.state_path(f"{self.feed.name}/{practice_code}_{name}")

    def apply(self, source: str, moment: str, files: list[LandedFile]) -> bool:
        """Loads one delivery, or holds or refuses it; returns False if the later ones of its source have to wait.

        One that is not later than what was applied is refused too, but nothing waits for it.
        """
        stale = self._staleness(source, moment)
        if stale is not None:
            self.register.refuse(files, source=source, reason=stale)
            return True
        problem = self._problem(source)
        if problem is None:
            try:
                self._load(source, moment, files)
            except HeldError as held:
                self.register.hold(files, source=source, reason=str(held))
                return False
            except LandingError as error:
                problem = str(error)
        if problem is not None:
            self.register.refuse(files, source=source, reason=problem)
        return problem is None

    def follow(self) -> None:
        """Moves practices whose ICB has changed in the national list, with all that is held of them."""
        listed = dict(self.places.practices.select("practice_code", "icb_code").iter_rows())
        for practice_code, icb_code in self.applied.select("practice_code", "icb_code").iter_rows():
            if listed.get(practice_code, icb_code) != icb_code:
                self._move(self._held(practice_code), listed[practice_code])

    def _move(self, practice: Practice, icb_code: str) -> None:
        work = self.store.work(self.feed.name, f"{practice.practice_code}_moved")
        gone, staged = [pl.DataFrame(schema=GONE_KEYS)], {}
        for table in ("registrations", *CHILDREN):
            path = self.store.switch.current(history_path(self.store.settings, table, practice.icb_code))
            if path.exists():
                rows = pl.scan_parquet(path).filter(pl.col("practice_code") == practice.practice_code).collect()
                gone.append(rows.select(table=pl.lit(table), record_id="record_id"))
                staged[table] = work / f"{table}.parquet"
                rows.write_parquet(staged[table], compression="lz4")
        self._note(Change(icb_code=practice.icb_code, gone_keys=pl.concat(gone)))
        self._note(Change(icb_code=icb_code, staged=staged))
        self.left.add(practice.icb_code)
        self._touch(replace(practice, icb_code=icb_code))

    def _note(self, change: Change) -> None:
        self.landing.changes.append(change)
        self.landing.has_new_people = True

    def _problem(self, source: str) -> str | None:
        """Why a delivery cannot be applied, whatever its files hold."""
        is_practice = load_feed(self.feed.name).split_by == "practice"
        if is_practice and source not in {*self.places.practices["practice_code"], *self.applied["practice_code"]}:
            return (
                f"expected a practice of the national list; found {source}, which is not in it; "
                "look at landing/reference/epraccur.csv"
            )
        return None

    def _staleness(self, source: str, moment: str) -> str | None:
        """Why a delivery comes too late, whatever its files hold."""
        last = max((practice.applied_moment or "" for practice in self._of_source(source).values()), default="")
        if moment and moment <= last:
            return (
                f"expected a delivery later than {last}; found one of {moment}; "
                f"look at landing/{self.feed.name}/{source}"
            )
        return None

    def _of_source(self, source: str) -> dict[str, Practice]:
        """The practices held from one source, with what this ingest has done so far."""
        codes = set(self.applied.filter(pl.col("source") == source)["practice_code"])
        codes |= {code for code, practice in self.touched.items() if practice.source == source}
        return {code: self._held(code) for code in sorted(codes)}

    def _held(self, practice_code: str) -> Practice:
        """What is held of a practice of this feed, with what this ingest has done so far."""
        if practice_code in self.touched:
            return self.touched[practice_code]
        own = pl.col("practice_code") == practice_code
        row = self.applied.filter(own).row(0, named=True)
        icb_code, settings = row["icb_code"], self.store.settings
        return Practice(
            **row,
            people=self._own(people_path(settings, icb_code), PEOPLE, practice_code),
            withheld=self._own(withheld_path(settings, icb_code), WITHHELD, practice_code),
            pending=self.store.read(quarantine_path(settings, self.feed.name, practice_code), QUARANTINE),
            kept={
                name: self.store.read(self._kept_path(practice_code, name), schema)
                for name, schema in self.feed.kept.items()
            },
        )

    def _own(self, path: Path, schema: Schema, practice_code: str) -> pl.DataFrame:
        """A practice's rows of an ICB's table, which is read once: it changes only when this feed is done."""
        if path not in self.by_practice:
            rows = self.store.read(path, schema)
            self.by_practice[path] = {
                code: own for (code,), own in rows.partition_by("practice_code", as_dict=True).items()
            }
        return self.by_practice[path].get(practice_code, pl.DataFrame(schema=dict(schema)))

    def _start(self, source: str, moment: str, files: list[LandedFile]) -> tuple[Delivery, Begun[Loaded]]:
        """A delivery that a child has begun to load, by what is known now."""
        delivery = Delivery(
            feed=self.feed.name,
            source=source,
            moment=moment,
            files=tuple(files),
            practices=self._of_source(source),
            pending=self._unplaced(source),
            shared=dict(self.shared),
        )
        self.loads += 1
        load = partial(load_delivery, load=self.feed.load)
        work = self.store.work(self.feed.name, f"{source}_{self.loads}")
        return delivery, self.landing.start(load, delivery, work=work)

    def _begun(self, source: str, moment: str, files: list[LandedFile]) -> tuple[Delivery, Begun[Loaded]]:
        """A delivery that a child is loading; the next one is begun beside it if the last taught the feed nothing.

        What was begun early is used only if the feed still knows just what it was begun with.
        """
        ahead, self.ahead = self.ahead, None
        if ahead and not _is_as_begun(ahead[0], source, moment, self.shared):
            ahead[1].drop()
            ahead = None
        begun = ahead or self._start(source, moment, files)
        if self.next and self.next[0] != source and self.looks_ahead and self._is_sound(*self.next[:2]):
            self.ahead = self._start(*self.next)
        return begun

    def _is_sound(self, source: str, moment: str) -> bool:
        return self._staleness(source, moment) is None and self._problem(source) is None

    def _load(self, source: str, moment: str, files: list[LandedFile]) -> None:
        delivery, begun = self._begun(source, moment, files)
        loaded = begun.result()
        moved = self._moved_here(loaded, delivery)
        self.feed.check(self.landing, loaded)
        self.gate.check(delivery, loaded)
        for practice in loaded.practices:
            if practice.practice_code in moved:
                self._check_dissents(practice, loaded)
        for code, before in moved.items():
            self._take_over(code, before)
        news = {name: frame for name, frame in loaded.shared.items() if not frame.equals(self.shared[name])}
        self.shared |= news
        self.looks_ahead = self.store.settings.threads > 1 and not news
        for change in loaded.changes:
            self._note(change)
        practice_code = load_feed(self.feed.name).practice_of(source)
        self.register.account(loaded.files, loaded.outcomes, practice_code=practice_code)
        known = self._knowledge()
        for practice in loaded.practices:
            self._touch(replace(practice, source=source, tried_with=known))
        if load_feed(self.feed.name).split_by == "drop":
            self.unplaced[source] = loaded.pending

    def _unplaced(self, source: str) -> pl.DataFrame:
        """The held rows of a drop that belong to no practice that is known."""
        if load_feed(self.feed.name).split_by == "practice":
            return pl.DataFrame(schema=QUARANTINE)
        path = quarantine_path(self.store.settings, self.feed.name, f"of_no_practice_{source}")
        return self.unplaced[source] if source in self.unplaced else self.store.read(path, QUARANTINE)

    def _moved_here(self, loaded: Loaded, delivery: Delivery) -> dict[str, str]:
        """The practices of a delivery that have moved to this feed, as someone accepted, and the feed of each before.

        A practice is never held from two feeds, nor from two folders of one: its people would be there twice.

        Raises:
            HeldError: another feed holds a practice; it waits until someone accepts that the practice has moved.
            LandingError: another folder of this feed holds one.
        """
        new = {practice.practice_code for practice in loaded.practices} - set(delivery.practices)
        holders = {code: self.landing.feeds_of([code]) for code in sorted(new)}
        holders = {code: feeds for code, feeds in holders.items() if feeds}
        where, found = f"landing/{self.feed.name}/{delivery.source}", f"{', '.join(list(holders)[:3])} held from"
        sources = {self.landing.touched[code].source for code in new & set(self.touched)}
        if sources or any(self.feed.name in feeds for feeds in holders.values()):
            others = ", ".join(sorted(sources | {self.feed.name}))
            raise LandingError(
                expected="practices that come from one feed and folder only",
                found=f"{found} {others} too",
                where=where,
            )
        if holders and not self.gate.is_accepted(delivery):
            raise HeldError(
                expected="practices that come from one feed only",
                found=f"{found} {', '.join(sorted(set[str]().union(*holders.values())))} too",
                where=f"{where}; if they moved to this supplier, casefinder accept drops what the other delivered",
            )
        return {code: feed for code, feeds in holders.items() for feed in feeds}

    def _take_over(self, practice_code: str, feed: str) -> None:
        """Lets go of all that another feed delivered of a practice."""
        path = self.store.state_path(f"{feed}_practices")
        state, own = self.store.read(path, APPLIED), pl.col("practice_code") == practice_code
        icb_code = state.filter(own)["icb_code"].item()
        tables = ("registrations", *CHILDREN)
        everything = {"practice_code": practice_code, "part": 0, "parts": 1}
        renewed = pl.DataFrame([{"table": table} | everything for table in tables], schema=RENEWED)
        self._note(Change(icb_code=icb_code, renewed=renewed))
        self.left.add(icb_code)
        self.store.write(state.filter(~own), path)
        held = quarantine_path(self.store.settings, feed, practice_code)
        pending = self.store.read(held, QUARANTINE)
        self.register.let_go(pending, practice_code=practice_code)
        self.store.write(pending.clear(), held)
        for kept in self.store.switch.finals(self.store.state_path(feed).with_suffix("")):
            if kept.stem.startswith(f"{practice_code}_"):
                self.store.write(pl.read_parquet(self.store.switch.current(kept)).clear(), kept)

    def _check_dissents(self, practice: Practice, loaded: Loaded) -> None:
        """Refuses a practice from a new supplier if a dissent that is held of its people did not come with them."""
        switch = self.store.switch
        # Wherever they lie: the practice may have changed ICB too.
        settled = [switch.current(path) for path in switch.finals(self.store.settings.history / "events")]
        held = settled + [change.staged["events"] for change in self.landing.changes if "events" in change.staged]
        brought = [change.staged["events"] for change in loaded.changes if "events" in change.staged]
        before, now = self._dissenters(held, practice), self._dissenters(brought, practice)
        if lost := len(before - now):
            raise LandingError(
                expected=f"the Type 1 dissents that are held of {practice.practice_code}, {len(before)} people",
                found=f"{lost} of them without one; the new supplier's extract must hold them",
                where=f"landing/{self.feed.name}",
            )

    def _dissenters(self, paths: list[Path], practice: Practice) -> set[int]:
        """The practice's people with a dissent in any of these tables of events."""
        columns = {"practice_code": pl.String, "person_id": pl.Int64, "concept_id": pl.Int64}
        found = [pl.scan_parquet(path).select(list(columns)) for path in paths]
        entries = pl.concat([pl.LazyFrame(schema=columns), *found])
        own = entries.filter(pl.col("practice_code") == practice.practice_code, is_dissent())
        here = own.join(practice.people.lazy().select("person_id"), on="person_id", how="semi")
        return set(here.select(pl.col("person_id").unique()).collect()["person_id"])

    def _touch(self, practice: Practice) -> None:
        self.touched[practice.practice_code] = self.landing.touched[practice.practice_code] = practice

    def _knowledge(self) -> str:
        """A digest of the codes and mappings as they are now."""
        digest = hashlib.sha256(self.feed.mappings(self.places).encode())
        for name in sorted(self.shared):
            digest.update(self.shared[name].hash_rows().to_numpy().tobytes())
        return digest.hexdigest()[:16]

    def retry(self) -> None:
        """Tries held rows again in every source whose rows wait for codes and were tried with older ones."""
        known = self._knowledge()
        waits = is_retried() & pl.col("reasons").str.contains("code_not_", literal=True)
        sources = set(self.applied.filter(pl.col("tried_with").ne_missing(known))["source"])
        sources |= {practice.source for practice in self.touched.values() if practice.tried_with != known}
        for source in sorted(sources):
            own = self._of_source(source)
            if any(practice.pending.filter(waits).height for practice in own.values()):
                self._load(source, max(practice.applied_moment or "" for practice in own.values()), [])
        self.applied = self.applied.with_columns(tried_with=pl.lit(known))
        self.touched = {code: replace(practice, tried_with=known) for code, practice in self.touched.items()}

    def write(self) -> None:
        """Writes aside what is now held of the practices that changed, and what the feed knows."""
        for practice_code, practice in sorted(self.touched.items()):
            self.store.write(practice.pending, quarantine_path(self.store.settings, self.feed.name, practice_code))
            for name, frame in practice.kept.items():
                self.store.write(frame, self._kept_path(practice_code, name))
        for source, pending in sorted(self.unplaced.items()):
            path = quarantine_path(self.store.settings, self.feed.name, f"of_no_practice_{source}")
            self.store.write(pending, path)
        practices = sorted(self.touched.values(), key=lambda practice: (practice.icb_code, practice.practice_code))
        for icb_code in sorted({*self.left, *(practice.icb_code for practice in practices)}):
            write_roster(self.store, icb_code, practices)
        rows = [{name: getattr(practice, name) for name in APPLIED} for practice in practices]
        kept = self.applied.filter(~pl.col("practice_code").is_in(sorted(self.touched)))
        applied = pl.concat([kept, pl.DataFrame(rows, schema=APPLIED)]).sort("practice_code")
        if applied.height:
            self.store.write(applied, self._state("practices"))
            self._write_paused(applied)
        for name, frame in self.shared.items():
            if frame.height:
                self.store.write(frame, self._state(name))

    def _write_paused(self, applied: pl.DataFrame) -> None:
        """Writes aside which practices' sharing agreements are paused, with those of other feeds as they were."""
        path = self.store.settings.history / "paused_practices.parquet"
        schema = {"practice_code": pl.String, "paused_from": pl.Date}
        held = self.store.read(path, schema)
        others = held.filter(~pl.col("practice_code").is_in(applied["practice_code"].implode()))
        own = applied.select(list(schema)).drop_nulls("paused_from")
        if held.height or own.height:
            self.store.write(pl.concat([others, own]).sort("practice_code"), path)


def _is_as_begun(delivery: Delivery, source: str, moment: str, shared: Mapping[str, pl.DataFrame]) -> bool:
    """True if a delivery is this one, and was begun with what the feed knows now."""
    is_known = all(delivery.shared[name] is frame for name, frame in shared.items())
    return (delivery.source, delivery.moment) == (source, moment) and is_known


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
