"""Merges changes into the history files and switches to the new files all at once, even across a crash."""

import json
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import polars as pl

from data_contracts.registry import HISTORY
from pipelines.io.durable import hold_lock, sync, write_aside
from pipelines.settings import Settings

DATES = {
    "registrations": "registered_date",
    "events": "event_date",
    "medications": "issued_date",
    "contacts": "contact_date",
    "spells": "admitted_date",
    "emergency_attendances": "arrived_date",
}
CHILDREN = ("events", "medications", "contacts")
ROW_GROUP = 200_000
GONE_KEYS = {"table": pl.String, "record_id": pl.Int64}
GONE_PEOPLE = {"practice_code": pl.String, "person_id": pl.Int64}
MOVED_PEOPLE = {"practice_code": pl.String, "person_id": pl.Int64, "new_person_id": pl.Int64}
RENEWED = {"table": pl.String, "practice_code": pl.String, "part": pl.Int64, "parts": pl.Int64}
"""Rows of a practice that a whole delivery replaces: their record id leaves ``part`` when divided by ``parts``."""


class HistoryError(Exception):
    """Says why history cannot be written now."""


@dataclass(frozen=True)
class Change:
    """What one delivery changes in one ICB: staged rows by table, keys and people to take out, people renamed.

    With ``is_one_person`` both names of the renamed are one person's, so registrations and hospital records move too.
    A row in ``staged`` replaces an older one with the same record id. Of a table that is ``renewed`` the older rows
    of the practice go, but for those whose keys are ``spared``. Changes apply in the order given.
    """

    icb_code: str
    staged: dict[str, Path] = field(default_factory=dict)
    gone_keys: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=GONE_KEYS))
    gone_people: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=GONE_PEOPLE))
    moved_people: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=MOVED_PEOPLE))
    renewed: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=RENEWED))
    spared: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=GONE_KEYS))
    is_one_person: bool = False


def history_path(settings: Settings, table: str, icb_code: str) -> Path:
    """Where one table of one ICB lies."""
    return settings.history / table / f"{icb_code}.parquet"


class Switch:
    """A set of new files, written aside, that becomes visible by renames recorded beforehand.

    The list of renames is on disk before the first of them, so a crash before it leaves all as it was, and after it
    the next start finishes the work.
    """

    def __init__(self, home: Path) -> None:
        self.folder = home / "ingest"
        self.intent = self.folder / "intent.json"
        self.home = home
        self._moves: dict[Path, Path] = {}

    def start(self) -> None:
        """Finishes or discards what an earlier, interrupted ingest left, and makes room for this one."""
        if self.intent.exists():
            self._finish(json.loads(self.intent.read_text("utf-8")))
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True, mode=0o700)

    def discard(self) -> None:
        """Takes away what was written aside, unless it has been decided that it becomes visible."""
        if not self.intent.exists():
            shutil.rmtree(self.folder, ignore_errors=True)

    def aside(self, final: Path) -> Path:
        """The path to write to, so that it becomes ``final`` at the switch."""
        staged = self.folder / f"{len(self._moves):05d}_{final.name}"
        return self._moves.setdefault(final, staged)

    def current(self, final: Path) -> Path:
        """The new file if one was written aside, else the file as it is."""
        return self._moves.get(final, final)

    def finals(self, folder: Path) -> list[Path]:
        """Every file that will be in a folder after the switch, sorted."""
        return sorted({*folder.glob("*.parquet"), *(final for final in self._moves if final.parent == folder)})

    def commit(self) -> None:
        """Makes all the files visible, in the order they were first named."""
        for staged in self._moves.values():
            sync(staged)
        moves = [
            [staged.relative_to(self.home).as_posix(), final.relative_to(self.home).as_posix()]
            for final, staged in self._moves.items()
        ]
        with write_aside(self.intent) as draft:
            draft.write_text(json.dumps(moves), encoding="utf-8")
        self._finish(moves)
        self.intent.unlink()

    def _finish(self, moves: list[list[str]]) -> None:
        for staged, final in moves:
            source, target = self.home / staged, self.home / final
            if source.exists():
                make_folder(target.parent, private_from=self.home / "identity")
                source.replace(target)
                sync(target.parent)


@contextmanager
def open_switch(settings: Settings) -> Iterator[Switch]:
    """A switch for one ingest, under the write lock; what an interrupted one had decided is finished first.

    Raises:
        HistoryError: another ingest is running.
    """
    with write_lock(settings):
        switch = Switch(settings.home)
        switch.start()
        try:
            yield switch
        finally:
            switch.discard()


def recover(settings: Settings) -> None:
    """Finishes a switch that a crash interrupted, so that history is whole; call before reading it.

    Raises:
        HistoryError: an ingest is running, and is making its files visible.
    """
    if Switch(settings.home).intent.exists():
        with open_switch(settings):
            pass


def make_folder(folder: Path, *, private_from: Path) -> None:
    """Makes a folder; the identity zone and all below it is for its owner only."""
    folder.mkdir(parents=True, exist_ok=True)
    if private_from == folder or private_from in folder.parents:
        private_from.chmod(0o700)


def write_lock(settings: Settings) -> AbstractContextManager[None]:
    """Holds the one write lock of this workspace; the system lets it go when the process ends, however it ends.

    Raises:
        HistoryError: another ingest holds it.
    """
    return _only(settings, "ingest")


def run_lock(settings: Settings) -> AbstractContextManager[None]:
    """Holds the one run lock of this workspace: one job at a time, whoever started it.

    Raises:
        HistoryError: another run holds it.
    """
    return _only(settings, "run")


def _only(settings: Settings, what: str) -> AbstractContextManager[None]:
    lock = settings.home / f"{what}.lock"
    refusal = (
        f"expected to be the only {what}; found another one going; wait until it ends, then try again (lock: {lock})"
    )
    return hold_lock(lock, HistoryError(refusal))


def merge(
    con: duckdb.DuckDBPyConnection, settings: Settings, switch: Switch, changes: list[Change]
) -> dict[str, list[str]]:
    """Writes the changed ICB files aside; returns which ICBs changed, by table."""
    changed: dict[str, list[str]] = {}
    for icb_code in sorted({change.icb_code for change in changes}):
        own = [change for change in changes if change.icb_code == icb_code]
        for table in HISTORY:
            if _touches(own, table):
                _merge_table(con, settings, switch, table=table, icb_code=icb_code, changes=own)
                changed.setdefault(table, []).append(icb_code)
    return changed


def _touches(changes: list[Change], table: str) -> bool:
    is_child = table in CHILDREN
    return any(
        table in change.staged
        or (change.gone_keys["table"] == table).any()
        or (change.renewed["table"] == table).any()
        or (is_child and change.gone_people.height > 0)
        or ((is_child or change.is_one_person) and change.moved_people.height > 0)
        for change in changes
    )


def _merge_table(
    con: duckdb.DuckDBPyConnection,
    settings: Settings,
    switch: Switch,
    *,
    table: str,
    icb_code: str,
    changes: list[Change],
) -> None:
    final = history_path(settings, table, icb_code)
    existing = switch.current(final)
    frames = {
        **{
            name: _numbered([getattr(change, name).filter(pl.col("table") == table) for change in changes])
            for name in ("gone_keys", "renewed", "spared")
        },
        "gone_people": _numbered(
            [change.gone_people if table in CHILDREN else change.gone_people.clear() for change in changes]
        ),
        "moved_people": _numbered([change.moved_people for change in changes]),
    }
    staged = [(number, change.staged[table]) for number, change in enumerate(changes) if table in change.staged]
    paths = [str(existing)] * existing.exists() + [str(path) for _, path in staged]
    if not paths:
        return
    orders = [-1] * existing.exists() + [number for number, _ in staged]
    for name, frame in frames.items():
        con.register(name, frame)
    con.register(
        "parts", pl.DataFrame({"path": paths, "number": orders}, schema={"path": pl.String, "number": pl.Int64})
    )
    target = switch.aside(final)
    fresh = target.with_name(f"{target.name}.new")
    params = {"paths": paths, "staged": [str(path) for _, path in staged] or paths}
    con.sql(merge_sql(table), params=params).write_parquet(str(fresh), compression="zstd", row_group_size=ROW_GROUP)
    fresh.replace(target)
    for name in [*frames, "parts"]:
        con.unregister(name)


def _numbered(frames: list[pl.DataFrame]) -> pl.DataFrame:
    return pl.concat([frame.with_columns(number=pl.lit(n, dtype=pl.Int64)) for n, frame in enumerate(frames)])


def merge_sql(table: str) -> str:
    """A query for one history table after the changes, in the file's order. Names come from the contract alone.

    ``$paths`` are the file as it is and the staged ones, ``$staged`` the staged ones alone.
    """
    columns = list(HISTORY[table].to_schema().columns)
    listed = ", ".join(f"part.{name}" for name in columns if name != "person_id")
    return f"""
with renamed as (
    select {listed}, parts.number, coalesce(moved_people.new_person_id, part.person_id) as person_id
    from read_parquet($paths, filename = 'path') as part
    inner join parts using (path)
    left join moved_people
        on moved_people.practice_code = part.practice_code
        and moved_people.person_id = part.person_id
        and moved_people.number > parts.number
),

outdated as (
    select record_id, max(number) as until
    from (
        select record_id, number from gone_keys
        union all by name
        select part.record_id, parts.number
        from read_parquet($staged, filename = 'path') as part
        inner join parts using (path)
        where parts.number >= 0
    )
    group by record_id
),

left_people as (
    select practice_code, person_id, max(number) as until
    from gone_people
    group by practice_code, person_id
),

renewals as (
    select practice_code, max(number) as until, list({{part: part, parts: parts, number: number}}) as renewals
    from renewed
    group by practice_code
),

spared_keys as (
    select record_id, list(number) as numbers
    from spared
    group by record_id
)

select {", ".join(f"renamed.{name}" for name in columns)}
from renamed
left join renewals
    on renewals.practice_code = renamed.practice_code and renewals.until > renamed.number
left join spared_keys
    on spared_keys.record_id = renamed.record_id and renewals.until is not null
anti join outdated
    on outdated.record_id = renamed.record_id and outdated.until > renamed.number
anti join left_people
    on left_people.practice_code = renamed.practice_code
    and left_people.person_id = renamed.person_id
    and left_people.until > renamed.number
where
    renewals.until is null
    or len(list_filter(
        renewals.renewals,
        lambda renewal: renewal.number > renamed.number
            and renewal.part = coalesce(renamed.record_id, 0) % renewal.parts
            and not coalesce(list_contains(spared_keys.numbers, renewal.number), false)
    )) = 0
order by renamed.practice_code, renamed.person_id, renamed.{DATES[table]}, renamed.record_id
"""  # noqa: S608 - names come from the contract
