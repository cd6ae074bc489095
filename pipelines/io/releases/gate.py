"""Who may appear in a release: opt-outs are asked for again here, and what is missing stops the release."""

import datetime as dt
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from data_contracts.registry import RELEASE
from pipelines.io.identity import opt_out_path, people_path
from pipelines.io.progress import heard_by, nobody
from pipelines.io.releases.options import ReleaseOptions, ReleaseRefusedError
from pipelines.io.warehouse import Warehouse
from pipelines.io.weekly_build import build_tables
from pipelines.settings import Settings

ASK_AGAIN = "send the list to the national opt-out service, put its answer in landing/national_opt_out, and ingest it"
LATEST = dt.date.max
"""The as-of date by which everything that has landed is known."""
LEDGER = list(RELEASE["opt_out_ledger"].to_schema().columns)


@dataclass(frozen=True)
class Allowed:
    """Who may appear, in one ICB."""

    practice_lists: pl.DataFrame
    """person_id of people without a Type 1 opt-out, who are registered where the week says."""
    icb_files: pl.DataFrame
    """person_id of those whom the national opt-out service also allows."""
    ledger: pl.DataFrame
    """The opt-out ledger of the ICB: practice, stage and rule, how many people were left out."""


def read_national_answer(settings: Settings, *, day: dt.date, options: ReleaseOptions) -> pl.DataFrame | None:
    """The people whom the national opt-out answer allows on a day; None when the options say that there is no answer.

    Raises:
        ReleaseRefusedError: the answer is missing, empty or older than the options allow.
    """
    if options.national_opt_out == "none":
        return None
    path = opt_out_path(settings)
    if not path.is_file():
        raise ReleaseRefusedError(f"no national opt-out answer: expected {path}; {ASK_AGAIN}")
    answer = pl.read_parquet(path, columns=["person_id", "answered_date"])
    if answer.is_empty():
        raise ReleaseRefusedError(f"the national opt-out answer in {path} is empty; {ASK_AGAIN}")
    oldest = day - dt.timedelta(days=options.answer_days)
    fresh = answer.filter(pl.col("answered_date") >= oldest)
    if fresh.is_empty():
        raise ReleaseRefusedError(
            f"the national opt-out answer in {path} is older than {options.answer_days} days on {day}; {ASK_AGAIN}"
        )
    return fresh.select("person_id").unique()


def check_not_from_later(settings: Settings, *, day: dt.date) -> None:
    """Passes if the national opt-out answer is of the day or earlier: a later date would hide its age.

    Raises:
        ReleaseRefusedError: it is dated later.
    """
    latest = pl.read_parquet(opt_out_path(settings), columns=["answered_date"])["answered_date"].max()
    if isinstance(latest, dt.date) and latest > day:
        raise ReleaseRefusedError(
            f"the national opt-out answer is dated {latest}, after {day}, so its age cannot be told; {ASK_AGAIN}"
        )


@contextmanager
def eligibility_now(settings: Settings) -> Iterator[Warehouse]:
    """A warehouse whose table ``eligibility`` of the latest date knows all that has landed, whatever its date.

    It is made by the same SQL as the week's: an opt-out that arrived while the week was being made holds, and so do a
    death, a move or a pause of sharing that another ICB or a later extract tells of.

    Raises:
        ReleaseRefusedError: an ICB has registrations but no events, so nobody can tell who opted out.
    """
    codes = icb_codes(settings)
    events = [settings.history / "events" / f"{icb}.parquet" for icb in codes]
    missing = [str(path) for path in events if not path.is_file()]
    if missing or not codes:
        found = ", ".join(missing) or f"nothing in {settings.history / 'registrations'}"
        raise ReleaseRefusedError(
            f"expected events of every ICB, to ask again who may appear; missing: {found}; ingest again"
        )
    spill = settings.home / "spill"
    spill.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(dir=spill) as folder:
        now = Warehouse(settings, tables=Path(folder))
        # How far the release has come does not show in how far these have.
        with heard_by(nobody):
            build_tables(now, LATEST, upto="eligibility")
        yield now


def decide_allowed(
    week: Warehouse,
    now: Warehouse,
    answer: pl.DataFrame | None,
    *,
    as_of: dt.date,
    icb: str,
    stopped: pl.DataFrame,
    options: ReleaseOptions,
) -> Allowed:
    """Who of one ICB's people of the week may appear in practice lists and in ICB files, and who was left out why.

    ``stopped`` are the practices (practice_code) whose data are too bad to be used.

    Raises:
        ReleaseRefusedError: the national answer allows too few to be a whole answer.
    """
    asked = _ask_again(week.read("people", as_of, icb).collect(), now, icb=icb, stopped=stopped)
    may_list = asked.filter(pl.col("rule").is_null())
    refused = may_list.clear() if answer is None else may_list.join(answer, on="person_id", how="anti")
    may_leave = may_list.join(refused, on="person_id", how="anti")
    if may_leave.height < options.least_allowed_share * may_list.height:
        raise ReleaseRefusedError(
            f"the national opt-out answer allows {may_leave.height} of {may_list.height} people of {icb}, less than "
            f"{options.least_allowed_share:.0%}: a short answer, or one to another question; {ASK_AGAIN}"
        )
    before = week.read("eligibility", as_of, icb).select("practice_code", rule="left_out_by").collect()
    refused = refused.with_columns(rule=pl.lit("national_opt_out"))
    return Allowed(
        practice_lists=may_list.select("person_id"),
        icb_files=may_leave.select("person_id"),
        ledger=pl.concat(
            [_count(before, icb=icb, stage="week"), _count(pl.concat([asked, refused]), icb=icb, stage="release")]
        ),
    )


def _ask_again(people: pl.DataFrame, now: Warehouse, *, icb: str, stopped: pl.DataFrame) -> pl.DataFrame:
    """One row per person of the week: person_id, practice_code, rule (null if they may still appear)."""
    eligible = now.read("eligibility", LATEST, icb).select("person_id", "practice_code", rule="left_out_by")
    known = eligible.with_columns(is_known=True).collect()
    named = pl.read_parquet(people_path(now.settings, icb)).select("person_id", "practice_code").unique()
    return (
        people.select("person_id", "practice_code")
        .join(known, on=["person_id", "practice_code"], how="left", validate="1:1", maintain_order="left")
        .join(named.with_columns(is_named=True), on=["person_id", "practice_code"], how="left", validate="1:1")
        .select(
            "person_id",
            "practice_code",
            rule=pl.when(pl.col("is_known").is_null() | (pl.col("is_named").is_null() & pl.col("rule").is_null()))
            .then(pl.lit("not_registered_now"))
            .when(pl.col("rule").is_null() & pl.col("practice_code").is_in(stopped["practice_code"].implode()))
            .then(pl.lit("practice_stopped_for_data_quality"))
            .otherwise("rule"),
        )
    )


def _count(rows: pl.DataFrame, *, icb: str, stage: str) -> pl.DataFrame:
    """The ledger's rows of one stage."""
    counted = rows.drop_nulls("rule").group_by("practice_code", "rule").agg(people=pl.len().cast(pl.Int64))
    named = counted.with_columns(icb_code=pl.lit(icb), stage=pl.lit(stage))
    return named.select(LEDGER).sort("practice_code", "rule")


def icb_codes(settings: Settings) -> list[str]:
    """The ICBs of which people are held, sorted."""
    return sorted(path.stem for path in (settings.history / "registrations").glob("*.parquet"))
