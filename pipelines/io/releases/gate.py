"""Who may appear in a release: opt-outs are asked for again here, and what is missing stops the release."""

import datetime as dt
from dataclasses import dataclass

import polars as pl

from data_contracts.codelists import codes_of
from pipelines.io.identity import opt_out_path
from pipelines.io.releases.options import ReleaseOptions, ReleaseRefusedError
from pipelines.settings import Settings

ASK_AGAIN = "send the list to the national opt-out service, put its answer in landing/national_opt_out, and ingest it"


@dataclass(frozen=True)
class Allowed:
    """Who may appear, in one ICB."""

    practice_lists: pl.DataFrame
    """person_id of people without a Type 1 opt-out."""
    icb_files: pl.DataFrame
    """person_id of those whom the national opt-out service also allows."""


def read_national_answer(settings: Settings, *, as_of: dt.date, options: ReleaseOptions) -> pl.DataFrame | None:
    """The people whom the national opt-out answer allows; None when the options say that there is no answer.

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
    oldest = as_of - dt.timedelta(days=options.answer_days)
    fresh = answer.filter(pl.col("answered_date") >= oldest)
    if fresh.is_empty():
        raise ReleaseRefusedError(
            f"the national opt-out answer in {path} is older than {options.answer_days} days on {as_of}; {ASK_AGAIN}"
        )
    return fresh.select("person_id").unique()


def decide_allowed(
    settings: Settings, people: pl.DataFrame, answer: pl.DataFrame | None, *, icb: str, options: ReleaseOptions
) -> Allowed:
    """Who of one ICB's people may appear in practice lists and in ICB files.

    Raises:
        ReleaseRefusedError: the national answer allows too few to be a whole answer.
    """
    may_list = people.select("person_id").join(read_dissent(settings, people, icb=icb), on="person_id", how="anti")
    if answer is None:
        return Allowed(practice_lists=may_list, icb_files=may_list)
    may_leave = may_list.join(answer, on="person_id", how="semi")
    if may_leave.height < options.least_allowed_share * may_list.height:
        raise ReleaseRefusedError(
            f"the national opt-out answer allows {may_leave.height} of {may_list.height} people of {icb}, less than "
            f"{options.least_allowed_share:.0%}: a short answer, or one to another question; {ASK_AGAIN}"
        )
    return Allowed(practice_lists=may_list, icb_files=may_leave)


def read_dissent(settings: Settings, people: pl.DataFrame, *, icb: str) -> pl.DataFrame:
    """One row per person with a Type 1 opt-out at the practice of registration, whatever its date.

    It reads everything that has landed: an opt-out that arrived while the week was being made holds.
    """
    codes = codes_of("type_1_opt_out")
    return (
        pl.scan_parquet(settings.history / "events" / f"{icb}.parquet")
        .filter(pl.col("concept_id").is_in(codes))
        .select("person_id", "practice_code")
        .unique()
        .join(people.lazy().select("person_id", "practice_code"), on=["person_id", "practice_code"], how="semi")
        .select("person_id")
        .collect()
    )
