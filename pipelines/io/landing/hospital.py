"""Hospital Episode Statistics: spells from episodes, and emergency attendances, of people on a roster."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pandera.polars as pa
import polars as pl

from data_contracts.registry import HISTORY
from data_contracts.tables import staging as contracts
from pipelines.io.history import Change
from pipelines.io.identity import person_ids, record_ids, valid_nhs_numbers
from pipelines.io.landing.conversion import are_readable, date_of, whole_of
from pipelines.io.landing.feeds import load_feed
from pipelines.io.landing.people import PeopleFeed
from pipelines.io.landing.protocol import Bench, Delivery, Loaded
from pipelines.io.landing.quarantine import QUARANTINE
from pipelines.io.landing.reading import TextTable, read_text
from pipelines.io.landing.staging import OUTCOME, Decided, decide, gather

SPELL_KEY = ["person_id", "provider_code", "start_date", "spell_no"]
TABLES = {"HES_APC": "spells", "HES_AE": "emergency_attendances"}


def load_hospital(delivery: Delivery, bench: Bench) -> Loaded:
    """The hospital files of one moment (none to try held rows again), staged as Parquet by table and ICB.

    Raises:
        LandingError: a file is empty, unreadable or lacks a required column.
    """
    texts = {file.table: read_text(file, con=bench.con, work=bench.work) for file in delivery.files}
    outcomes, held, staged = [pl.DataFrame(schema=OUTCOME)], [pl.DataFrame(schema=QUARANTINE)], {}
    for table, convert, contract, finish in STEPS:
        decided = _decide(table, texts, delivery.pending, bench, convert=convert, contract=contract)
        outcomes.append(decided.outcomes)
        held.append(_named(decided.pending, table))
        staged[TABLES[table]] = finish(decided.good, bench)
    return Loaded(
        outcomes=pl.concat(outcomes),
        files=tuple(text.count for text in texts.values()),
        changes=tuple(_change(icb_code, staged, bench) for icb_code in sorted(_icbs(staged))),
        pending=pl.concat(held),
    )


FEED = PeopleFeed(name="hospital", load=load_hospital)


def _decide(
    table: str,
    texts: dict[str, TextTable],
    pending: pl.DataFrame,
    bench: Bench,
    *,
    convert: Callable[[pl.DataFrame, dict[str, Any]], pl.DataFrame],
    contract: type[pa.DataFrameModel],
) -> Decided:
    feed = load_feed("hospital")
    own = pending.filter(pl.col("table") == table)
    read = [texts[table]] if table in texts else []
    columns = _text_columns(table, read, own)
    gathered = gather([_widened(text, columns) for text in read], pending=own, columns=columns)
    files = gathered.files.select("file_no", extract_date=pl.col("moment").str.to_date("%Y%m%d"))
    rows = gathered.rows.join(files, on="file_no", how="left", validate="m:1", maintain_order="left")
    typed = _with_person(convert(rows, feed.words), bench)
    return decide(typed, gathered, contract=contract, columns=columns)


def _text_columns(table: str, read: list[TextTable], pending: pl.DataFrame) -> list[str]:
    """The contract's columns, and the numbered ones of the file and of held rows."""
    contract = load_feed("hospital").tables[table]
    found = {name for text in read for name in text.rows.columns if name[:-3] in contract.numbered}
    held = pending["raw"].drop_nulls()
    for name in contract.numbered:
        found |= set(held.str.extract_all(rf"{name}_\d\d").explode(empty_as_null=True).drop_nulls().unique())
    return [*contract.names, *sorted(found)]


def _widened(text: TextTable, columns: list[str]) -> TextTable:
    missing = [name for name in columns if name not in text.rows.columns]
    return replace(text, rows=text.rows.with_columns(pl.lit(None, dtype=pl.String).alias(name) for name in missing))


def _with_person(rows: pl.DataFrame, bench: Bench) -> pl.DataFrame:
    """The rows with the person, the practice where the person is registered now, and the record's pseudonym."""
    numbers = valid_nhs_numbers(rows["text_nhs_number"])
    typed = rows.with_columns(person_ids(numbers, bench.key), is_valid_nhs_number=numbers.is_not_null())
    joined = typed.join(bench.roster, on="person_id", how="left", validate="m:1", maintain_order="left")
    return joined.with_columns(
        record_ids(bench.con, joined["record_key"], bench.key).alias("record_id"),
        person_state=pl.when(pl.col("practice_code").is_not_null() | ~pl.col("is_valid_nhs_number")).then(
            pl.lit("held")
        ),
        is_deleted=False,
        is_blank=False,
    )


def _clean(name: str, words: dict[str, Any]) -> pl.Expr:
    """Text without spaces around it; null where it is a sign for unknown."""
    text = pl.col(f"text_{name}").str.strip_chars()
    return pl.when(~text.is_in([*words["unknown_texts"], ""])).then(text).alias(name)


def _date(name: str, words: dict[str, Any]) -> pl.Expr:
    date = date_of(name)
    return pl.when(~date.is_in(words["masked_dates"])).then(date)


def _entered(words: dict[str, Any], last: str) -> pl.Expr:
    """When the record reached us: its load date, else a lag after the stay; never after the extract."""
    received = _date("received_date", words)
    guessed = (pl.coalesce(last, "start_date") + pl.duration(days=words["lag_days"])).cast(pl.Date)
    known = pl.when(received >= pl.col("start_date")).then(received)
    return pl.min_horizontal(pl.coalesce(known, guessed), "extract_date")


def _type_episodes(rows: pl.DataFrame, words: dict[str, Any]) -> pl.DataFrame:
    """One row per episode, for StagedEpisodes."""
    dates = {name: date_of(name) for name in ("admitted_date", "discharged_date", "episode_started_date")}
    order = pl.when(~pl.col("text_episode_order").is_in(words["unordered_episodes"])).then(whole_of("episode_order"))
    typed = rows.with_columns(
        *[_clean(name, words) for name in ("record_key", "admission_method", "discharge_method", "provider_code")],
        _clean("provider_spell", words),
        start_date=_date("admitted_date", words),
        discharged_date=_date("discharged_date", words),
        episode_started_date=_date("episode_started_date", words),
        has_readable_dates=are_readable(dates),
        episode_order=order,
        is_finished=(pl.col("text_episode_status").str.strip_chars() == words["finished_status"]).fill_null(False),
        diagnoses=_codes(rows, "diagnosis", words),
        procedures=_codes(rows, "procedure", words),
    )
    return typed.with_columns(entered_date=_entered(words, "discharged_date"))


def _codes(rows: pl.DataFrame, name: str, words: dict[str, Any]) -> pl.Expr:
    """The codes of a numbered column in order; an episode that says only unknown has none."""
    columns = sorted(column for column in rows.columns if column.startswith(f"text_{name}_"))
    if not columns:
        return pl.lit([], dtype=pl.List(pl.String))
    texts = [pl.col(column).str.strip_chars().str.replace_all(".", "", literal=True) for column in columns]
    none = [*words["unknown_texts"], words["no_procedure"], ""]
    codes = pl.concat_list([pl.when(~text.is_in(none)).then(text) for text in texts]).list.drop_nulls()
    is_unknown = (codes.list.len() == 1) & codes.list.first().is_in(words["unknown_diagnoses"])
    return pl.when(~is_unknown.fill_null(False)).then(codes).otherwise(pl.lit([], dtype=pl.List(pl.String)))


def _type_attendances(rows: pl.DataFrame, words: dict[str, Any]) -> pl.DataFrame:
    """One row per attendance, for StagedAttendances."""
    typed = rows.with_columns(
        _clean("record_key", words),
        _clean("department_type", words),
        start_date=_date("arrived_date", words),
        has_readable_dates=are_readable({"arrived_date": date_of("arrived_date")}),
    )
    return typed.with_columns(entered_date=_entered(words, "start_date"))


def number_spells(episodes: pl.DataFrame) -> pl.DataFrame:
    """The episodes with ``spell_no``, which tells stays apart that began on one day at one provider.

    The provider's own spell number decides where there is one. Otherwise the nth episode of the same order is of
    the nth stay; an unfinished episode gives way to the finished one that replaced it a year later.
    """
    place = ["person_id", "provider_code", "start_date", "provider_spell"]
    newest = episodes.sort("is_finished", "extract_date", "record_key", descending=[True, True, False]).unique(
        [*place, "episode_order", "episode_started_date"], keep="first", maintain_order=True
    )
    nth = pl.struct("episode_started_date", "record_key").rank("ordinal").over([*place, "episode_order"])
    is_told = pl.col("provider_spell").is_not_null() | pl.col("episode_order").is_null()
    return newest.with_columns(
        spell_no=pl.concat_str(
            pl.col("provider_spell").fill_null(""),
            pl.when(is_told).then(1).otherwise(nth).cast(pl.String),
            separator="|",
        )
    )


def make_spells(episodes: pl.DataFrame) -> pl.DataFrame:
    """One row per spell: method of its first episode, discharge of its last, all codes in order."""
    ordered = number_spells(episodes).sort(
        *SPELL_KEY, "episode_order", "episode_started_date", "record_key", nulls_last=True
    )
    codes = {
        name: pl.col(column)
        .list.explode(keep_nulls=False, empty_as_null=False)
        .unique(maintain_order=True)
        .str.join("|")
        .replace("", None)
        for name, column in (("diagnosis_codes", "diagnoses"), ("procedure_codes", "procedures"))
    }
    return ordered.group_by(SPELL_KEY, maintain_order=True).agg(
        pl.col("practice_code", "icb_code", "admission_method").first(),
        pl.col("discharge_method").drop_nulls().last(),
        pl.col("discharged_date", "entered_date").max(),
        **codes,
    )


def _finish_spells(episodes: pl.DataFrame, bench: Bench) -> pl.DataFrame:
    spells = make_spells(episodes)
    message = pl.concat_str([pl.lit("spell"), *[pl.col(name).cast(pl.String) for name in SPELL_KEY]], separator="|")
    ids = record_ids(bench.con, spells.select(message).to_series(), bench.key)
    return spells.with_columns(ids.alias("record_id"), admitted_date="start_date")


def _finish_attendances(rows: pl.DataFrame, bench: Bench) -> pl.DataFrame:
    return rows.with_columns(arrived_date="start_date")


STEPS = (
    ("HES_APC", _type_episodes, contracts.StagedEpisodes, _finish_spells),
    ("HES_AE", _type_attendances, contracts.StagedAttendances, _finish_attendances),
)


def _named(pending: pl.DataFrame, table: str) -> pl.DataFrame:
    names = {"feed": pl.lit("hospital"), "practice_code": pl.lit(None, dtype=pl.String), "table": pl.lit(table)}
    return pending.with_columns(**names).select(list(QUARANTINE))


def _icbs(staged: dict[str, pl.DataFrame]) -> set[str]:
    return {code for frame in staged.values() for code in frame["icb_code"].unique()}


def _change(icb_code: str, staged: dict[str, pl.DataFrame], bench: Bench) -> Change:
    paths = {}
    for table, frame in staged.items():
        rows = frame.filter(pl.col("icb_code") == icb_code).select(list(HISTORY[table].to_schema().columns))
        if rows.height:
            paths[table] = bench.work / f"{table}_{icb_code}.parquet"
            rows.write_parquet(paths[table], compression="lz4")
    return Change(icb_code=icb_code, staged=paths)
