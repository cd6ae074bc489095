"""The hospital records held, by kind and ICB, and the spells and attendances that follow from them.

A record is an episode, a stay or an attendance as one source told it last. What a delivery changes is worked out for
the people it touches alone, some at a time, and told to history as rows to replace and keys to take out.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from data_contracts.registry import HISTORY
from pipelines.io.history import GONE_KEYS, Change
from pipelines.io.identity import record_ids, renamed_people
from pipelines.io.landing.hospital_known import Known
from pipelines.io.landing.store import Store
from pipelines.steps import stays
from pipelines.steps.stays import Precedence

SLICE = 1_000_000
"""About how many records are worked on at a time."""

HELD = {
    "table": pl.String(),
    "source": pl.String(),
    "record_id": pl.Int64(),
    "version": pl.Int64(),
    "financial_year": pl.String(),
    "person_id": pl.Int64(),
    "practice_code": pl.String(),
    "provider_code": pl.String(),
    "start_date": pl.Date(),
    "entered_date": pl.Date(),
}
CODE_LISTS = {name: pl.List(pl.String()) for name in stays.CODES.values()}
STAY_CODES = {"record_id": pl.Int64(), **CODE_LISTS}
"""Codes from tables of their own, one row a stay; a null list says nothing, an empty one that there is none."""


INDEX = {"table": pl.String(), "record_id": pl.Int64(), "version": pl.Int64(), "icb_code": pl.String()}


@dataclass(frozen=True)
class Kind:
    """One kind of record: its name, columns, the history table that follows from it, and how."""

    name: str
    columns: dict[str, pl.DataType]
    history: str
    key: list[str]
    content: list[str]
    told: Callable[[pl.DataFrame, Precedence], pl.DataFrame]
    make: Callable[[pl.DataFrame], pl.DataFrame]


ADMISSIONS = Kind(
    name="admissions",
    columns=HELD
    | {name: pl.String() for name in ("provider_spell", "admission_method", "discharge_method")}
    | {"discharged_date": pl.Date(), "episode_order": pl.Int64(), "episode_started_date": pl.Date()}
    | {"is_finished": pl.Boolean(), **CODE_LISTS},
    history="spells",
    key=stays.SPELL,
    content=stays.SPELL_ROW,
    told=stays.told_admissions,
    make=stays.make_spells,
)
ATTENDANCES = Kind(
    name="attendances",
    columns=HELD | {"arrived_time": pl.String(), "department_type": pl.String()},
    history="emergency_attendances",
    key=stays.VISIT,
    content=["arrived_date", "department_type"],
    told=stays.told_attendances,
    make=lambda told: told,
)
KINDS = (ADMISSIONS, ATTENDANCES)


def stage(rows: pl.DataFrame, kind: Kind, work: Path, name: str) -> None:
    """Writes records aside, one file an ICB."""
    missing = [
        pl.lit(None, dtype).alias(column) for column, dtype in kind.columns.items() if column not in rows.columns
    ]
    whole = rows.with_columns(*missing)
    for (icb_code,), own in whole.group_by("icb_code", maintain_order=True):
        path = work / kind.name / f"{icb_code}" / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        own.select(list(kind.columns)).write_parquet(path, compression="lz4")


@dataclass(frozen=True)
class Records:
    """The records held in one workspace during one ingest."""

    store: Store
    precedence: Precedence

    def path(self, kind: Kind, icb_code: str) -> Path:
        """Where the records of one kind and ICB lie: in the identity zone, as they hold each source's own words."""
        return self.store.state_path(f"hospital_{kind.name}/{icb_code}")

    def icb_codes(self, kind: Kind) -> list[str]:
        """The ICBs of which records are held."""
        return [path.stem for path in self.store.switch.finals(self.path(kind, "any").parent)]

    def held(self, kind: Kind, icb_code: str) -> pl.LazyFrame:
        """The records of one kind and ICB as this ingest has left them so far."""
        path = self.store.switch.current(self.path(kind, icb_code))
        return pl.scan_parquet(path) if path.exists() else pl.LazyFrame(schema=kind.columns)

    def index(self) -> pl.DataFrame:
        """Every record held, in a few words: ``INDEX``."""
        own = [
            self.held(kind, code).select(*[name for name in INDEX if name != "icb_code"], icb_code=pl.lit(code))
            for kind in KINDS
            for code in self.icb_codes(kind)
        ]
        return pl.concat([pl.LazyFrame(schema=INDEX), *own]).collect()

    def write(self, frame: pl.LazyFrame, kind: Kind, icb_code: str) -> None:
        """Writes the records of one kind and ICB aside; the frame may read the file it replaces."""
        target = self.store.switch.aside(self.path(kind, icb_code))
        fresh = target.with_name(f"{target.name}.new")
        frame.sink_parquet(fresh, compression="zstd")
        fresh.chmod(0o600)
        fresh.replace(target)

    def follow(self, roster: pl.DataFrame) -> None:
        """Moves records to the ICB where the person is registered now."""
        homes = roster.lazy().select("person_id", home="icb_code")
        for kind in KINDS:
            for icb_code in self.icb_codes(kind):
                held = self.held(kind, icb_code)
                away = held.join(homes, on="person_id", how="inner").filter(pl.col("home") != icb_code).collect()
                if away.is_empty():
                    continue
                for (home,), own in away.group_by("home", maintain_order=True):
                    self.write(pl.concat([self.held(kind, str(home)), own.drop("home").lazy()]), kind, str(home))
                self.write(held.join(away.lazy(), on="record_id", how="anti"), kind, icb_code)

    def rename(self, superseded: pl.DataFrame, roster: pl.DataFrame, work: Path) -> list[Change]:
        """Keeps records of superseded people under the numbers that hold now; returns what changes in history.

        What two numbers of one person tell of a stay is told apart anew, as if it had come under one.
        """
        concerned = pl.concat([superseded["person_id"], superseded["new_person_id"]]).unique().to_frame().lazy()
        homes = roster.select("person_id", home="icb_code")
        changes = []
        for kind in KINDS:
            codes = self.icb_codes(kind)
            parts = [self.held(kind, code).with_columns(lay=pl.lit(code)) for code in codes]
            held = pl.concat([pl.LazyFrame(schema=kind.columns | {"lay": pl.String()}), *parts])
            before = held.join(concerned, on="person_id", how="semi").collect()
            if before.join(superseded, on="person_id", how="semi").is_empty():
                continue
            after = renamed_people(before, superseded).join(homes, on="person_id", how="left", maintain_order="left")
            after = after.with_columns(home=pl.coalesce("home", "lay")).drop("lay")
            others = {code: self.held(kind, code).join(concerned, on="person_id", how="anti") for code in codes}
            for (home,), own in after.group_by("home", maintain_order=True):
                merger = _Merger(self, kind, str(home), work, Known({}), roster)
                old = before.join(own, on="record_id", how="semi", maintain_order="left").drop("lay")
                told, change = merger.work_out(old, own.drop("home").sort("person_id", "record_id"), work, 0)
                changes.append(change)
                empty = pl.LazyFrame(schema=kind.columns)
                others[str(home)] = pl.concat([others.get(str(home), empty), told.lazy()])
            for code, frame in others.items():
                self.write(frame, kind, code)
        return changes

    def apply(self, kind: Kind, work: Path, known: Known, roster: pl.DataFrame) -> list[Change]:
        """Takes in what one delivery staged, deleted or replaced, ICB by ICB; returns what changes in history."""
        numbers = {name: kind.columns[name] for name in ("record_id", "version")}
        told = [pl.scan_parquet(path).select(list(numbers)) for path in sorted(work.glob(f"{kind.name}/*/*.parquet"))]
        news = pl.concat([pl.LazyFrame(schema=numbers), *told]).collect()
        news = pl.concat([news, known["replaced"].select(list(numbers))])
        news = news.group_by("record_id").agg(pl.col("version").max())
        icb_codes = {*self.icb_codes(kind), *(folder.name for folder in work.glob(f"{kind.name}/*"))}
        changes = []
        for icb_code in sorted(icb_codes):
            changes += _Merger(self, kind, icb_code, work, known, roster).merge(news)
        return changes


@dataclass(frozen=True)
class _Merger:
    """Takes what is new of one kind and ICB into what is held of it."""

    records: Records
    kind: Kind
    icb_code: str
    work: Path
    known: Known
    roster: pl.DataFrame

    def merge(self, news: pl.DataFrame) -> list[Change]:
        """The changes of history, after the records were written aside; none if nobody is touched."""
        held = self.records.held(self.kind, self.icb_code)
        index = held.select("record_id", "person_id", "table", "financial_year", "version").collect()
        gone, fresh = self._gone(index, news), self._fresh()
        codes = self._codes()
        touched = index.join(codes.collect(), on="record_id", how="semi")
        people = pl.concat(
            [gone["person_id"], fresh.select("person_id").collect()["person_id"], touched["person_id"]]
        )
        people = people.unique().sort()
        if people.is_empty():
            return []
        work = self.work / "slices" / self.kind.name / self.icb_code
        work.mkdir(parents=True)
        changes, parts = [], [held.join(people.to_frame().lazy(), on="person_id", how="anti")]
        slices = 1 + (index.height + fresh.select(pl.len()).collect().item()) // SLICE
        for number in range(slices):
            own = people.filter(people % slices == number).to_frame().lazy()
            before = held.join(own, on="person_id", how="semi").collect()
            added = fresh.join(own, on="person_id", how="semi").collect()
            after, change = self.work_out(before, self._after(before, added, gone, codes), work, number)
            path = work / f"records_{number}.parquet"
            after.write_parquet(path, compression="lz4")
            parts.append(pl.scan_parquet(path))
            changes.append(change)
        self.records.write(pl.concat(parts), self.kind, self.icb_code)
        return changes

    def _gone(self, index: pl.DataFrame, news: pl.DataFrame) -> pl.DataFrame:
        """The records held that are replaced, deleted, or missing from a later refresh of their year."""
        deleted = self.known["deletions"].select("record_id", deleted="version")
        return (
            index.join(news.rename({"version": "replaced"}), on="record_id", how="left", validate="1:1")
            .join(deleted, on="record_id", how="left", validate="1:1")
            .join(self.known.refreshed, on=["table", "financial_year"], how="left", validate="m:1")
            .filter(
                (pl.col("replaced") >= pl.col("version"))
                | (pl.col("deleted") >= pl.col("version"))
                | (pl.col("refreshed") > pl.col("version"))
            )
            .select("record_id", "person_id")
        )

    def _fresh(self) -> pl.LazyFrame:
        """The staged records."""
        empty = pl.LazyFrame(schema=self.kind.columns)
        return pl.concat([empty, *(pl.scan_parquet(path) for path in self._staged())])

    def _staged(self) -> list[Path]:
        return sorted((self.work / self.kind.name / self.icb_code).glob("*.parquet"))

    def _codes(self) -> pl.LazyFrame:
        """Codes that came without their stay."""
        path = self.work / "codes" / f"{self.icb_code}.parquet"
        return pl.scan_parquet(path) if path.exists() else pl.LazyFrame(schema=STAY_CODES)

    def _after(
        self, before: pl.DataFrame, added: pl.DataFrame, gone: pl.DataFrame, codes: pl.LazyFrame
    ) -> pl.DataFrame:
        """The records of some people after the delivery."""
        after = pl.concat([before.join(gone, on="record_id", how="anti", maintain_order="left"), added])
        if self.kind is ADMISSIONS:
            for told, order in (
                (codes.collect(), ("told", "own")),
                (before.select(list(STAY_CODES)), ("own", "told")),
            ):
                after = _with_codes(after, told, order)
            after = after.with_columns(pl.coalesce(name, pl.lit([], dtype)) for name, dtype in CODE_LISTS.items())
        return after.sort("person_id", "record_id")

    def work_out(
        self, before: pl.DataFrame, after: pl.DataFrame, work: Path, number: int
    ) -> tuple[pl.DataFrame, Change]:
        """The records with the day each was first known, and what changes in history."""
        _, old = self._rows(before)
        told, new = self._rows(after)
        new = stays.keep_known_dates(new, old, self.kind.content)
        path = work / f"{self.kind.history}_{self.icb_code}_{number}.parquet"
        new.select(list(HISTORY[self.kind.history].to_schema().columns)).write_parquet(path, compression="lz4")
        gone = old.join(new, on="record_id", how="anti").select(
            table=pl.lit(self.kind.history), record_id="record_id"
        )
        change = Change(self.icb_code, staged={self.kind.history: path}, gone_keys=gone.select(list(GONE_KEYS)))
        days = told.select("record_id", *self.kind.key).join(
            new.select(*self.kind.key, known_date="entered_date"), on=self.kind.key, nulls_equal=True, how="inner"
        )
        dated = after.join(days.select("record_id", "known_date"), on="record_id", how="left", maintain_order="left")
        return dated.with_columns(pl.min_horizontal("entered_date", "known_date")).drop("known_date"), change

    def _rows(self, held: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """The records that are believed, and the history rows that follow, each with a key of its own."""
        store = self.records.store
        practices = self.roster.select("person_id", practice_now="practice_code")
        placed = held.join(practices, on="person_id", how="left", validate="m:1", maintain_order="left")
        placed = placed.with_columns(practice_code=pl.coalesce("practice_now", "practice_code"))
        told = self.kind.told(placed, self.records.precedence)
        made = self.kind.make(told)
        parts = [pl.lit(self.kind.history), *(pl.col(name).cast(pl.String).fill_null("") for name in self.kind.key)]
        message = made.select(pl.concat_str(parts, separator="|")).to_series()
        return told, made.with_columns(record_ids(store.con, message, store.key).alias("record_id"))


def _with_codes(rows: pl.DataFrame, told: pl.DataFrame, order: tuple[str, str]) -> pl.DataFrame:
    """The stays with code lists: their own or the told ones first, as ``order`` says; what nobody told is empty."""
    renamed = told.rename({name: f"told_{name}" for name in CODE_LISTS})
    joined = rows.join(renamed, on="record_id", how="left", validate="1:1", maintain_order="left")
    spelled = {"own": "{}", "told": "told_{}"}
    return joined.with_columns(
        pl.coalesce(spelled[which].format(name) for which in order).alias(name) for name in CODE_LISTS
    ).drop(f"told_{name}" for name in CODE_LISTS)
