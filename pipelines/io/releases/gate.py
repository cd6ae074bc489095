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
    people: pl.DataFrame, answer: pl.DataFrame | None, *, dissent: pl.DataFrame, icb: str, options: ReleaseOptions
) -> Allowed:
    """Who of one ICB's people may appear in practice lists and in ICB files.

    Raises:
        ReleaseRefusedError: the national answer allows too few to be a whole answer.
    """
    may_list = people.select("person_id").join(dissent, on="person_id", how="anti")
    if answer is None:
        return Allowed(practice_lists=may_list, icb_files=may_list)
    may_leave = may_list.join(answer, on="person_id", how="semi")
    if may_leave.height < options.least_allowed_share * may_list.height:
        raise ReleaseRefusedError(
            f"the national opt-out answer allows {may_leave.height} of {may_list.height} people of {icb}, less than "
            f"{options.least_allowed_share:.0%}: a short answer, or one to another question; {ASK_AGAIN}"
        )
    return Allowed(practice_lists=may_list, icb_files=may_leave)


def read_dissent(settings: Settings) -> pl.DataFrame:
    """One row per person with a Type 1 opt-out at any practice of any ICB, whatever its date.

    It reads everything that has landed: an opt-out that arrived while the week was being made holds, and so does one
    that stayed behind when the person moved.

    Raises:
        ReleaseRefusedError: an ICB has registrations but no events, so nobody can tell who opted out.
    """
    codes = codes_of("type_1_opt_out")
    dissent = _scan_history(settings, "events").filter(pl.col("concept_id").is_in(codes))
    return dissent.select("person_id").unique().collect()


def registered_now(settings: Settings, people: pl.DataFrame) -> pl.DataFrame:
    """The people of one ICB who are alive and whose latest open regular registration, in any ICB, is still there.

    Like the dissent it reads everything that has landed, so a person whom two ICBs hold is in one of them only.

    Raises:
        ReleaseRefusedError: there are no registrations.
    """
    own = people.lazy().select("person_id")
    rows = _scan_history(settings, "registrations").join(own, on="person_id", how="semi")
    dead = rows.filter(pl.col("death_date").is_not_null()).select("person_id")
    latest = (
        rows.filter((pl.col("registration_type") == "regular") & pl.col("deregistered_date").is_null())
        .sort("person_id", "registered_date", "practice_code", descending=[False, True, False])
        .unique("person_id", keep="first", maintain_order=True)
        .join(dead, on="person_id", how="anti")
        .select("person_id", "practice_code")
        .collect()
    )
    return people.join(latest, on=["person_id", "practice_code"], how="semi", maintain_order="left")


def icb_codes(settings: Settings) -> list[str]:
    """The ICBs of which people are held, sorted."""
    return sorted(path.stem for path in (settings.history / "registrations").glob("*.parquet"))


def _scan_history(settings: Settings, table: str) -> pl.LazyFrame:
    """A history table of all ICBs."""
    paths = [settings.history / table / f"{icb}.parquet" for icb in icb_codes(settings)]
    missing = [str(path) for path in paths if not path.is_file()]
    if missing or not paths:
        found = ", ".join(missing) or f"nothing in {settings.history / 'registrations'}"
        raise ReleaseRefusedError(
            f"expected {table} of every ICB, to ask again who may appear; missing: {found}; ingest again"
        )
    return pl.scan_parquet(paths, glob=False)
