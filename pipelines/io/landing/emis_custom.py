"""The history of registrations that EMIS makes on request: when each patient joined and left before the last time.

The bulk extract tells the latest registration only. This file tells the earlier ones, which become rows of their own;
it says nothing of who is registered now.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import polars as pl

from data_contracts.tables import staging as contracts
from pipelines.io.history import GONE_KEYS, Change, history_path
from pipelines.io.identity import PEOPLE, WITHHELD, record_ids
from pipelines.io.landing.emis_rows import record_message
from pipelines.io.landing.errors import LandingError
from pipelines.io.landing.feeds import load_feed
from pipelines.io.landing.files import LandedFile
from pipelines.io.landing.loading import load_delivery
from pipelines.io.landing.practice_loading import columns_of
from pipelines.io.landing.protocol import APPLIED, Bench, Delivery, Landing, Loaded, Stage
from pipelines.io.landing.quarantine import QUARANTINE, is_retried, quarantine_path
from pipelines.io.landing.reading import read_text
from pipelines.io.landing.staging import OUTCOME, decide, gather, tally
from pipelines.io.landing.store import Store

NAME, TABLE = "emis_custom", "RegistrationStatus"
MOMENTS = ("%d/%m/%Y %H:%M:%S", "%d/%m/%Y %H:%M", "%d/%m/%Y")
STATUSES = {
    "source": pl.String,
    "moment": pl.String,
    "patient_record_id": pl.Int64,
    "changed_at": pl.Datetime,
    "processing_order": pl.Int64,
    "line": pl.UInt32,
    "status": pl.String,
    "registration_type": pl.String,
}
"""What is remembered of each change of a patient's registration: one row per record of the file."""
MADE = {"record_id": pl.Int64, "icb_code": pl.String}
"""What is remembered of the registrations made from them: one row per earlier registration."""
ROSTER = {
    "patient_record_id": pl.Int64,
    "practice_code": pl.String,
    "birth_date": pl.Date,
    "person_state": pl.String,
}


def load_statuses(delivery: Delivery, bench: Bench) -> Loaded:
    """One drop (no files to try held rows again): its changes of registration, typed, and what is held of it.

    Raises:
        LandingError: a file is empty or unreadable, or lacks most of the patients that the last one had.
    """
    roster, held = delivery.shared["roster"], delivery.shared["statuses"]
    texts = [read_text(file, con=bench.con, work=bench.work) for file in delivery.files]
    if len(texts) > 1:
        raise LandingError(expected="one file of registrations a drop", found="two", where=texts[1].file.name)
    columns = load_feed(NAME).tables[TABLE].names
    superseded = delivery.pending if texts else delivery.pending.clear()
    gathered = gather(texts, pending=delivery.pending.clear() if texts else delivery.pending, columns=columns)
    rows = gathered.rows.with_columns(
        record_ids(bench.con, gathered.rows.select(record_message("patient_guid")).to_series(), bench.key).alias(
            "patient_record_id"
        ),
        record_ids(bench.con, gathered.rows.select(_row_message(columns)).to_series(), bench.key).alias("record_id"),
    ).join(gathered.files.select("file_no", "moment"), on="file_no", how="left", maintain_order="left")
    typed = _typed(rows.join(roster, on="patient_record_id", how="left", validate="m:1", maintain_order="left"))
    decided = decide(typed, gathered, contract=contracts.StagedStatuses, columns=columns)
    good = decided.good.with_columns(source=pl.lit(delivery.source)).select(list(STATUSES))
    if texts:
        _check_whole(good, held, where=texts[0].file.name)
    practices = pl.concat(frame.select("record_id", "practice_code") for frame in (typed, delivery.pending))
    named = practices.drop_nulls("record_id").unique("record_id", keep="first", maintain_order=True)
    pending = decided.pending.join(named, on="record_id", how="left", maintain_order="left")
    pending = pending.with_columns(feed=pl.lit(NAME), table=pl.lit(TABLE))
    return Loaded(
        outcomes=pl.concat([pl.DataFrame(schema=OUTCOME), decided.outcomes, tally(superseded, "superseded")]),
        files=tuple(text.count for text in texts),
        pending=pending.select(list(QUARANTINE)),
        shared={"statuses": good if texts else pl.concat([held, good])},
    )


def _row_message(columns: list[str]) -> pl.Expr:
    """What the pseudonym of a record is made of: all that it says. A record that is there twice counts once."""
    return pl.concat_str([pl.col(f"text_{name}").fill_null("") for name in columns], separator="|")


def _typed(rows: pl.DataFrame) -> pl.DataFrame:
    """The records with the columns of StagedStatuses."""
    words = load_feed(NAME).words
    text = pl.col("text_changed_at").str.strip_chars()
    moments = [text.str.to_datetime(form, strict=False, time_unit="us") for form in MOMENTS]
    kind = pl.col("text_registration_type").str.strip_chars()
    return rows.with_columns(
        changed_at=pl.coalesce(moments),
        extract_date=pl.col("moment").str.to_date("%Y%m%d", strict=False),
        status=_word("status", words["status"]),
        registration_type=pl.when(kind.is_in(words["dummy_registration_types"]))
        .then(pl.lit("other"))
        .otherwise(_word("registration_type", words["registration_type"])),
        processing_order=pl.col("text_processing_order").str.strip_chars().cast(pl.Int64, strict=False),
        person_state=pl.when(kind.is_in(words["dummy_registration_types"]) & (pl.col("person_state") == "held"))
        .then(pl.lit("dummy_patient"))
        .otherwise("person_state"),
        is_deleted=pl.lit(False),
        is_blank=pl.lit(False),
    ).with_columns(changed_date=pl.col("changed_at").dt.date())


def _word(name: str, words: dict[str, list[str]]) -> pl.Expr:
    """Our word for the supplier's number, null if it has none."""
    ours = {number: word for word, numbers in words.items() for number in numbers}
    return pl.col(f"text_{name}").str.strip_chars().replace_strict(ours, default=None, return_dtype=pl.String)


def _check_whole(good: pl.DataFrame, held: pl.DataFrame, *, where: str) -> None:
    before, now = (frame.select("patient_record_id").unique() for frame in (held, good))
    kept = before.join(now, on="patient_record_id", how="semi").height
    if kept < load_feed(NAME).words["least_share_kept"] * before.height:
        raise LandingError(
            expected="the registrations of all patients",
            found=f"those of {kept} of the {before.height} patients held: a truncated file",
            where=f"{where}; ask for it to be sent again",
        )


def earlier_registrations(statuses: pl.DataFrame, registrations: pl.DataFrame) -> pl.DataFrame:
    """One row per registration that ended before the patient's registration in the extract began.

    Both frames go by patient record: ``statuses`` as STATUSES, ``registrations`` as the history table, whose columns
    the rows have; ``record_id`` is still the patient record's. A registration begins with the first change to a
    registered status and ends with the next to another type or to one that is not registered. One that the file
    leaves open, or that reaches into the registration of the extract, is the extract's to tell.
    """
    order = ["patient_record_id", "changed_at", "processing_order", "line"]
    held_type = pl.when(pl.col("status") == "registered").then("registration_type").otherwise(pl.lit(""))
    changes = statuses.sort(order).with_columns(held_type=held_type, day=pl.col("changed_at").dt.date())
    before = pl.col("held_type").shift(1).over("patient_record_id")
    runs = changes.filter(before.is_null() | (pl.col("held_type") != before))
    until = pl.col("day").shift(-1).over("patient_record_id")
    ended = runs.with_columns(until=until).filter(pl.col("held_type") != "", pl.col("day") < pl.col("until"))
    joined = ended.select("patient_record_id", "day", "until", "held_type").join(
        registrations, left_on="patient_record_id", right_on="record_id", how="inner", maintain_order="left"
    )
    earlier = joined.filter(pl.col("until") <= pl.col("registered_date")).with_columns(
        registered_date="day", deregistered_date="until", registration_type="held_type", record_id="patient_record_id"
    )
    return earlier.select(registrations.columns)


@dataclass(frozen=True)
class EmisCustomFeed:
    """Files of all practices at once; each replaces what its source sent before."""

    name: str = NAME
    stage: Stage = "people"

    def take(self, landing: Landing) -> None:
        """Loads or refuses every new drop in order, then brings the earlier registrations up to what is held now."""
        store, state = landing.store, landing.store.state_path(f"{NAME}_statuses")
        statuses = store.read(state, STATUSES)
        new = landing.deliveries(NAME)
        waiting = {
            path.stem: store.read(path, QUARANTINE)
            for path in store.switch.finals(store.settings.identity / "quarantine" / NAME)
        }
        retried = [source for source, held in waiting.items() if held.filter(is_retried()).height]
        tries: list[tuple[str, str, list[LandedFile]]] = []
        if landing.has_new_people:
            tries = [(source, "", []) for source in retried]
        if not new and not tries and (statuses.is_empty() or "registrations" not in landing.changed):
            return
        roster = _roster(store)
        kept_out = roster.filter(pl.col("person_state") != "held")
        statuses = statuses.join(kept_out, on="patient_record_id", how="anti", maintain_order="left")
        for source, moment, files in [*tries, *new]:
            own = pl.col("source") == source
            held = statuses.filter(own)
            shared = {"roster": roster, "statuses": held}
            pending = waiting.get(source, pl.DataFrame(schema=QUARANTINE))
            delivery = Delivery(NAME, source, moment, tuple(files), pending=pending, shared=shared)
            work = store.work(NAME, f"{source}_{moment or 'retried'}")
            try:
                _check_order(moment, held, source)
                loaded = landing.run(partial(load_delivery, load=load_statuses), delivery, work=work)
            except LandingError as error:
                landing.register.refuse(files, source=f"{NAME} {source}", reason=str(error))
                continue
            landing.register.account(loaded.files, loaded.outcomes, practice_code=None)
            statuses = pl.concat([statuses.filter(~own), loaded.shared["statuses"]])
            waiting[source] = loaded.pending
            store.write(loaded.pending, quarantine_path(store.settings, NAME, source))
        store.write(statuses, state)
        _bring_up(landing, statuses, is_all=bool(new or tries))


def _check_order(moment: str, held: pl.DataFrame, source: str) -> None:
    last = max(held["moment"].to_list(), default="")
    if moment and moment <= last:
        raise LandingError(
            expected=f"a file later than {last}", found=f"one of {moment}", where=f"landing/{NAME}/{source}_{moment}"
        )


def _roster(store: Store) -> pl.DataFrame:
    """One row per patient record that EMIS practices hold or keep out."""
    codes = store.read(store.state_path("emis_practices"), APPLIED)["practice_code"].implode()
    found = [pl.DataFrame(schema=ROSTER)]
    for name, schema in (("people", PEOPLE), ("withheld", WITHHELD)):
        for path in store.switch.finals(store.settings.identity / name):
            rows = store.read(path, schema).filter(pl.col("practice_code").is_in(codes))
            state = pl.lit("held") if name == "people" else pl.col("reason")
            found.append(rows.rename({"record_id": "patient_record_id"}).with_columns(person_state=state))
    return pl.concat([frame.select([c for c in ROSTER if c in frame.columns]) for frame in found], how="diagonal")


def _bring_up(landing: Landing, statuses: pl.DataFrame, *, is_all: bool) -> None:
    """Notes, ICB by ICB, the earlier registrations that history lacks and those that it should not have."""
    store, path = landing.store, landing.store.state_path(f"{NAME}_registrations")
    made = store.read(path, MADE)
    folder = store.settings.history / "registrations"
    changed = [final.stem for final in store.switch.finals(folder)] if is_all else landing.changed["registrations"]
    for icb_code in changed:
        current = store.switch.current(history_path(store.settings, "registrations", icb_code))
        rows = pl.read_parquet(current)
        is_made = pl.col("record_id").is_in(made["record_id"].implode())
        there = rows.filter(is_made)
        wanted = earlier_registrations(statuses, rows.filter(~is_made))
        wanted = wanted.with_columns(_record_ids(store, wanted)).sort("record_id")
        made = pl.concat(
            [
                made.filter(pl.col("icb_code") != icb_code),
                wanted.select("record_id", icb_code=pl.lit(icb_code)),
            ]
        )
        if wanted.equals(there.sort("record_id")):
            continue
        gone = there.join(wanted, on="record_id", how="anti").select(
            table=pl.lit("registrations"), record_id="record_id"
        )
        landing.changes.append(
            Change(icb_code=icb_code, staged=_staged(store, wanted, icb_code), gone_keys=gone.select(list(GONE_KEYS)))
        )
    store.write(made.sort("record_id"), path)


def _record_ids(store: Store, rows: pl.DataFrame) -> pl.Series:
    """A pseudonym of each earlier registration: of the patient record and the first day."""
    message = pl.concat_str(pl.lit(NAME), pl.col("record_id"), pl.col("registered_date"), separator="|")
    return record_ids(store.con, rows.select(message).to_series(), store.key).alias("record_id")


def _staged(store: Store, rows: pl.DataFrame, icb_code: str) -> dict[str, Path]:
    if rows.is_empty():
        return {}
    path = store.work(NAME, f"registrations_{icb_code}") / "registrations.parquet"
    rows.select(columns_of("registrations")).write_parquet(path, compression="lz4")
    return {"registrations": path}


FEED = EmisCustomFeed()
