"""NHS numbers that another has taken the place of: what is held under the old one moves, what comes is read anew."""

from dataclasses import dataclass

import polars as pl

from data_contracts.tables import staging as contracts
from pipelines.io.feedback import ANSWERS, answers_path
from pipelines.io.history import MOVED_PEOPLE, Change
from pipelines.io.identity import (
    PEOPLE,
    SUPERSEDED,
    current_numbers,
    person_ids,
    renamed_people,
    superseded_path,
    valid_nhs_numbers,
)
from pipelines.io.landing.errors import LandingError
from pipelines.io.landing.feeds import load_feed
from pipelines.io.landing.files import LandedFile
from pipelines.io.landing.protocol import Bench, Landing, Stage
from pipelines.io.landing.quarantine import QUARANTINE, quarantine_path
from pipelines.io.landing.reading import FileCount, read_text
from pipelines.io.landing.staging import decide, gather

NAME, TABLE = "superseded_numbers", "pairs"
HAVE_PEOPLE = ("registrations", "spells", "emergency_attendances")
"""History tables that together name everybody on record, with the practices that their rows carry."""


@dataclass(frozen=True)
class Pairs:
    """What one file says: pairs that can be used, records that are held, outcomes, the file as counted."""

    good: pl.DataFrame
    pending: pl.DataFrame
    outcomes: pl.DataFrame
    count: FileCount


@dataclass(frozen=True)
class SupersededFeed:
    """Superseded numbers: each file adds to what is known, and the latest that is said of a number holds."""

    name: str = NAME
    stage: Stage = "places"

    def take(self, landing: Landing) -> None:
        """Loads or refuses every new file in order, and moves all that is held of the people concerned."""
        store, path = landing.store, superseded_path(landing.store.settings)
        held = store.read(path, SUPERSEDED)
        before = current_numbers(held)
        for file in sorted([file for file in landing.new if file.feed == self.name], key=lambda file: file.moment):
            landing.tell(f"superseded numbers of {file.moment}")
            try:
                pairs = landing.run(load_pairs, file, work=store.work(self.name, file.sha256))
            except LandingError as error:
                landing.register.refuse([file], source="superseded numbers", reason=str(error))
                continue
            landing.register.account([pairs.count], pairs.outcomes, practice_code=None)
            waiting = quarantine_path(store.settings, self.name, self.name)
            store.write(pl.concat([store.read(waiting, QUARANTINE), pairs.pending]), waiting)
            held = _with_news(held, pairs.good)
            store.write(held, path)
        landing.superseded = current_numbers(held)
        if not landing.superseded.equals(before):
            _move(landing)


FEED = SupersededFeed()


def load_pairs(file: LandedFile, bench: Bench) -> Pairs:
    """The pairs of one file; one that is not two NHS numbers, or leads in a circle, is held in quarantine.

    Raises:
        LandingError: the file is empty, unreadable or lacks a column.
    """
    text = read_text(file, con=bench.con, work=bench.work)
    columns = load_feed(NAME).tables[TABLE].names
    gathered = gather([text], pending=pl.DataFrame(schema=QUARANTINE), columns=columns)
    old, new = (valid_nhs_numbers(gathered.rows[f"text_{name}"]) for name in ("superseded_nhs_number", "nhs_number"))
    typed = gathered.rows.with_columns(
        person_ids(old, bench.key),
        person_ids(new, bench.key).alias("new_person_id"),
        new_nhs_number=new,
        is_deleted=pl.lit(False),
        is_blank=pl.lit(False),
    ).with_columns(
        record_id=pl.struct("person_id", "new_person_id").rank("dense").cast(pl.Int64),
        has_one_successor=pl.col("new_person_id").n_unique().over("person_id") == 1,
    )
    said = typed.select(list(SUPERSEDED)).drop_nulls().unique("person_id", keep="last", maintain_order=True)
    rows = typed.with_columns(
        is_circle=pl.col("person_id").is_in(_circles(current_numbers(said))["person_id"].implode()).fill_null(False)
    )
    decided = decide(rows, gathered, contract=contracts.StagedSupersededNumbers, columns=columns)
    pending = decided.pending.with_columns(
        feed=pl.lit(NAME), practice_code=pl.lit(None, dtype=pl.String), table=pl.lit(TABLE)
    )
    good = decided.good.select(list(SUPERSEDED))
    return Pairs(good, pending.select(list(QUARANTINE)), decided.outcomes, text.count)


def _with_news(held: pl.DataFrame, news: pl.DataFrame) -> pl.DataFrame:
    """All that is known; of older pairs, those that would now lead in a circle are forgotten."""
    older = held.join(news, on="person_id", how="anti")
    turned = _circles(current_numbers(pl.concat([older, news])))
    return pl.concat([older.join(turned, on="person_id", how="anti"), news]).sort("person_id")


def _circles(followed: pl.DataFrame) -> pl.DataFrame:
    """The pairs whose chain does not end."""
    return followed.join(followed.select(new_person_id="person_id"), on="new_person_id", how="semi")


def _move(landing: Landing) -> None:
    """Moves roster, history and answers of superseded people to the number that holds now."""
    store, settled = landing.store, landing.superseded
    renamed = settled.select("person_id", "new_person_id")
    for path in store.switch.finals(store.settings.identity / "people"):
        store.write(renamed_people(store.read(path, PEOPLE), settled), path)
    answers = store.read(answers_path(store.settings), ANSWERS)
    if answers.height:
        moved = renamed_people(answers, settled).unique().sort(list(ANSWERS))
        store.write(moved, answers_path(store.settings))
    found: dict[str, list[pl.DataFrame]] = {}
    for table in HAVE_PEOPLE:
        for path in store.switch.finals(store.settings.history / table):
            people = pl.scan_parquet(store.switch.current(path)).select("practice_code", "person_id")
            named = people.join(renamed.lazy(), on="person_id", how="inner").unique().collect()
            found.setdefault(path.stem, []).append(named.select(list(MOVED_PEOPLE)))
    for icb_code, parts in sorted(found.items()):
        moved_people = pl.concat(parts).unique().sort(list(MOVED_PEOPLE))
        if moved_people.height:
            landing.changes.append(Change(icb_code=icb_code, moved_people=moved_people, is_one_person=True))
            landing.has_new_people = True
