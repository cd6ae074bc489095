"""Gathers the diagnoses and procedures of stays that come in tables of their own: one list a stay, in order."""

from collections.abc import Iterator
from pathlib import Path

import pandera.polars as pa
import polars as pl

from data_contracts.tables import staging as contracts
from pipelines.io.landing.hospital_records import CODE_LISTS, STAY_CODES
from pipelines.io.landing.hospital_round import Round
from pipelines.io.landing.hospital_rows import Convert, known_codes, type_diagnoses, type_parts, type_procedures

ORDER = {"stay_id": pl.Int64(), "episode_key": pl.String(), "episode_order": pl.Int64()}
CODE_TABLES: dict[str, tuple[str, Convert]] = {
    "diagnoses": ("clinical_coding.diagnosis.icd", type_diagnoses),
    "procedures": ("clinical_coding.procedure.opcs", type_procedures),
}


def stage_codes(round_: Round, stays: pl.DataFrame, table: str) -> None:
    """Writes the code lists of stays aside, one file an ICB. ``stays`` are those just read; others may be held."""
    held = round_.delivery.shared["held"].filter(pl.col("table") == table).select("record_id", "icb_code")
    homes = pl.concat([held, stays])
    homes = homes.unique("record_id", keep="last", maintain_order=True)
    episodes = f"{table}.episodes"
    order = [pl.DataFrame(schema=ORDER)]
    for parts in _take_parts(round_, homes, episodes, type_parts, contracts.StagedStayPart, of=table):
        order.append(parts.select(list(ORDER)))
    numbers = pl.concat(order).unique(["stay_id", "episode_key"], keep="last", maintain_order=True)
    lists = []
    for name, (end, convert) in CODE_TABLES.items():
        own = f"{episodes}.{end}"
        told = [pl.DataFrame(schema={"record_id": pl.Int64, name: CODE_LISTS[name]})]
        for codes in _take_parts(round_, homes, own, convert, contracts.StagedStayCodes, of=table):
            told.append(_in_lists(codes, numbers, round_, name))
        whole = pl.concat(told)
        lists.append(pl.concat([whole, _without_any(stays, whole, name)]) if round_.has(own) else whole)
    both = lists[0].join(
        lists[1], on="record_id", how="full", coalesce=True, validate="1:1", maintain_order="left_right"
    )
    placed = both.join(homes, on="record_id", how="inner", validate="1:1", maintain_order="left")
    for (icb_code,), own_codes in placed.group_by("icb_code", maintain_order=True):
        path: Path = round_.bench.work / "codes" / f"{icb_code}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        own_codes.select(list(STAY_CODES)).write_parquet(path, compression="lz4")


def _take_parts(
    round_: Round, homes: pl.DataFrame, table: str, convert: Convert, contract: type[pa.DataFrameModel], *, of: str
) -> Iterator[pl.DataFrame]:
    """The good parts of stays that are held; those of an older import than the newest of the stay are superseded."""
    held = homes.select(stay_id="record_id", stay_state=pl.lit("held"))
    versions = round_.delivery.shared["held"].select(stay_id="record_id", held_version="version")
    stay, part = pl.col("stay_key"), pl.col("part_key")
    for gathered, rows in round_.read(table, key="stay_key"):
        typed = convert(rows, round_.words)
        typed = typed.with_columns(
            round_.ids(typed, pl.lit(table), stay, part), round_.ids(typed, pl.lit(of), stay).alias("stay_id")
        )
        told = typed.join(versions, on="stay_id", how="left", validate="m:1", maintain_order="left")
        newest = pl.max_horizontal(pl.col("version").max().over("stay_id"), "held_version")
        is_old = told.select((pl.col("version") < newest).fill_null(False)).to_series()
        round_.account("superseded", typed.filter(is_old), gathered)
        typed = typed.filter(~is_old)
        typed = typed.with_columns(is_deleted=round_.is_deleted(typed, of, "stay_id"))
        typed = typed.join(held, on="stay_id", how="left", validate="m:1", maintain_order="left")
        yield round_.decide(table, typed, gathered, contract)


def _in_lists(codes: pl.DataFrame, order: pl.DataFrame, round_: Round, name: str) -> pl.DataFrame:
    """One row a stay: its codes by episode, then by place."""
    placed = codes.join(order, on=["stay_id", "episode_key"], how="left", validate="m:1", maintain_order="left")
    number = pl.coalesce("episode_order", pl.col("episode_key").cast(pl.Int64, strict=False))
    by_episode = (
        placed.with_columns(number=number)
        .sort("stay_id", "number", "episode_key", "position", nulls_last=True)
        .group_by("stay_id", "number", "episode_key", maintain_order=True)
        .agg(pl.col("code").alias(name))
        .with_columns(known_codes(pl.col(name), round_.words).alias(name))
    )
    lists = by_episode.group_by("stay_id", maintain_order=True).agg(
        pl.col(name).list.explode(keep_nulls=False, empty_as_null=False)
    )
    return lists.select(pl.col("stay_id").alias("record_id"), name)


def _without_any(stays: pl.DataFrame, told: pl.DataFrame, name: str) -> pl.DataFrame:
    """The stays just read whose codes came, and of which there are none: an empty list each."""
    none = stays.select("record_id").join(told, on="record_id", how="anti", maintain_order="left")
    return none.with_columns(pl.lit([], CODE_LISTS[name]).alias(name))
