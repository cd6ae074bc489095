"""Makes one row a stay, and one row a visit to an emergency department, of all records that tell of it.

A record is an episode or a whole stay, of any source and version; which record is believed is data. Nothing here
knows a file format.
"""

import polars as pl
from pydantic import BaseModel, ConfigDict

DAY = ["person_id", "provider_code", "start_date"]
SPELL = [*DAY, "is_same_day", "stay_no"]
"""What tells stays apart."""
VISIT = [*DAY, "visit_no"]
"""What tells attendances apart."""
CODES = {"diagnosis_codes": "diagnoses", "procedure_codes": "procedures"}
SPELL_ROW = ["admitted_date", "discharged_date", "admission_method", "discharge_method", *CODES]
OWN = ["source", *DAY, "own_stay"]


class Precedence(BaseModel):
    """Which record of a stay is believed: the order of comparison, and the sources from first to last."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sources: list[str]
    stays: list[str]
    attendances: list[str]

    def sort(self, rows: pl.DataFrame, by: list[str], *ties: str) -> pl.DataFrame:
        """The rows, the most believed first; ``ties`` break ties."""
        place = pl.col("source").replace_strict(self.sources, range(len(self.sources), 0, -1), return_dtype=pl.Int64)
        return (
            rows.with_columns(source_place=place)
            .sort(*by, *ties, descending=[*[True] * len(by), *[False] * len(ties)], nulls_last=True)
            .drop("source_place")
        )


def told_admissions(records: pl.DataFrame, precedence: Precedence) -> pl.DataFrame:
    """The records that are believed, with the stay that each belongs to (``SPELL``); the others are left out.

    Within a source, episodes of a stay go together. Then, at one provider, of one person, from one day: there is one
    stay that lasts beyond the day, as nobody lies in two beds, unless one delivery tells of two by another method;
    those that ended on the day are told apart by method and number. The nth stay of one source is the nth of another.
    """
    episodes = _number_own_stays(_newest(records))
    told = _believed(_own_stays(episodes), precedence)
    return episodes.join(told, on=OWN, how="inner", validate="m:1", maintain_order="left").drop("own_stay")


def _newest(records: pl.DataFrame) -> pl.DataFrame:
    """The records that count: an unfinished episode gives way to the finished one, an old one to the new one."""
    is_whole = pl.all_horizontal(pl.col("provider_spell", "episode_order", "episode_started_date").is_null())
    whole = pl.when(is_whole).then("record_id")
    episode = ["source", *DAY, "provider_spell", "admission_method", "episode_order", "episode_started_date", "whole"]
    placed = records.with_columns(whole=whole)
    finished = placed.filter(pl.col("is_finished") == pl.col("is_finished").max().over(episode))
    return finished.filter(pl.col("version") == pl.col("version").max().over(episode))


def _number_own_stays(episodes: pl.DataFrame) -> pl.DataFrame:
    """``own_stay``: the provider's own number; without one, the nth episode of the same order is of the nth stay.

    All episodes of a stay have its admission method. A record without number and order is a stay by itself.
    """
    place = ["source", *DAY, "provider_spell", "admission_method"]
    nth = pl.struct("episode_started_date", "record_id").rank("ordinal").over([*place, "episode_order"])
    is_told = pl.col("provider_spell").is_not_null() | pl.col("episode_order").is_null()
    number = pl.when(is_told).then(pl.col("whole").fill_null(1)).otherwise(nth).cast(pl.String)
    told = pl.coalesce("provider_spell", pl.col("admission_method"))
    own = pl.concat_str(told, number, separator="|")
    return episodes.with_columns(own_stay=own).drop("whole")


def _in_order(episodes: pl.DataFrame) -> pl.DataFrame:
    return episodes.sort("episode_order", "episode_started_date", "record_id", nulls_last=True)


def _own_stays(episodes: pl.DataFrame) -> pl.DataFrame:
    """One row per stay as one source tells it."""
    return (
        _in_order(episodes)
        .group_by(OWN, maintain_order=True)
        .agg(
            pl.col("admission_method").first(),
            pl.col("discharged_date", "version").max(),
            is_coded=(pl.col("diagnoses").list.len() > 0).any(),
            primary_code=pl.col("diagnoses").list.first().drop_nulls().first(),
        )
        .with_columns(
            is_discharged=pl.col("discharged_date").is_not_null(),
            is_same_day=(pl.col("discharged_date") == pl.col("start_date")).fill_null(False),
        )
    )


def _believed(stays: pl.DataFrame, precedence: Precedence) -> pl.DataFrame:
    """One row per stay: the source's own stay that is believed, with the stay's number of the day."""
    best = precedence.sort(stays.filter(~_gives_way()), precedence.stays, "own_stay")
    kin = [*DAY, "is_same_day"]
    nth = pl.col("own_stay").rank("dense").over([*kin, "source", "admission_method", "version"]).cast(pl.String)
    short = pl.concat_str("admission_method", nth, separator="|")
    methods = pl.col("admission_method").rank("dense").over([*kin, "source", "version"]).cast(pl.String)
    one_each = best.with_columns(place=pl.when("is_same_day").then(short).otherwise(methods)).unique(
        ["source", *kin, "place"], keep="first", maintain_order=True
    )
    order = pl.struct("admission_method", "primary_code", "place")
    numbered = one_each.with_columns(stay_no=order.rank("ordinal").over(["source", *kin]))
    return numbered.unique([*kin, "stay_no"], keep="first", maintain_order=True).select(
        *OWN, "is_same_day", pl.col("stay_no").cast(pl.Int64)
    )


def _gives_way() -> pl.Expr:
    """True for a stay without an end where another record of it has one: same method, or it lasted beyond the day."""
    ended = pl.col("is_discharged")
    return ~ended & (ended.any().over([*DAY, "admission_method"]) | (ended & ~pl.col("is_same_day")).any().over(DAY))


def make_spells(told: pl.DataFrame) -> pl.DataFrame:
    """One row per spell: method of its first episode, discharge of its last, all codes in order."""
    codes = {
        name: pl.col(column)
        .list.explode(keep_nulls=False, empty_as_null=False)
        .unique(maintain_order=True)
        .str.join("|")
        .replace("", None)
        for name, column in CODES.items()
    }
    return (
        _in_order(told)
        .group_by(SPELL, maintain_order=True)
        .agg(
            pl.col("practice_code", "admission_method").first(),
            pl.col("discharge_method").drop_nulls().last(),
            pl.col("discharged_date", "entered_date").max(),
            **codes,
        )
        .with_columns(admitted_date="start_date")
        .sort(SPELL)
    )


def told_attendances(records: pl.DataFrame, precedence: Precedence) -> pl.DataFrame:
    """The records that are believed, one an attendance, with ``VISIT``.

    Within a source, one time of arrival is one attendance. The nth attendance of a day in one source is the nth in
    another.
    """
    best = precedence.sort(records, precedence.attendances, "record_id")
    own = pl.coalesce("arrived_time", pl.col("record_id").cast(pl.String))
    one_each = best.with_columns(own=own).unique(["source", *DAY, "own"], keep="first", maintain_order=True)
    order = pl.struct("arrived_time", "department_type", "entered_date", "record_id")
    nth = order.rank("ordinal").over(["source", *DAY]).cast(pl.Int64)
    return (
        one_each.with_columns(visit_no=nth)
        .unique(VISIT, keep="first", maintain_order=True)
        .with_columns(arrived_date="start_date")
        .drop("own")
        .sort(VISIT, nulls_last=True)
    )


def keep_known_dates(rows: pl.DataFrame, before: pl.DataFrame, content: list[str]) -> pl.DataFrame:
    """The rows; what was told before in the same words keeps the day it was first known."""
    known = before.select("record_id", *content, known_date="entered_date")
    joined = rows.join(
        known, on=["record_id", *content], how="left", validate="1:1", nulls_equal=True, maintain_order="left"
    )
    return joined.with_columns(entered_date=pl.min_horizontal("entered_date", "known_date")).drop("known_date")
