"""Types the text rows of hospital tables: dates, codes, marks for unknown, when a record reached us. Pure."""

from collections.abc import Callable
from typing import Any

import polars as pl

from pipelines.io.landing.conversion import are_readable, flag_of, whole_of

Words = dict[str, Any]
Convert = Callable[[pl.DataFrame, Words], pl.DataFrame]
TEN_DIGITS = r"^\d{3}[ -]?\d{3}[ -]?\d{4}$"


def type_episodes(rows: pl.DataFrame, words: Words) -> pl.DataFrame:
    """One row per episode of admitted care in HES columns."""
    order = pl.when(~pl.col("text_episode_order").is_in(words["unordered_episodes"])).then(whole_of("episode_order"))
    typed = _type_admissions(rows, words)
    return typed.with_columns(
        episode_started_date=_day("episode_started_date", words),
        episode_order=order,
        is_finished=(pl.col("text_episode_status").str.strip_chars() == words["finished_status"]).fill_null(False),
        diagnoses=_codes(rows, "diagnosis", words),
        procedures=_codes(rows, "procedure", words),
        version=_extract_version(),
    )


def type_stays(rows: pl.DataFrame, words: Words) -> pl.DataFrame:
    """One row per stay; its codes come in other tables."""
    typed = _type_admissions(rows, words)
    return typed.with_columns(
        episode_started_date=pl.lit(None, dtype=pl.Date),
        episode_order=pl.lit(None, dtype=pl.Int64),
        is_finished=pl.col("discharged_date").is_not_null(),
        version=whole_of("import_id"),
    )


def _type_admissions(rows: pl.DataFrame, words: Words) -> pl.DataFrame:
    dates = ["admitted_date", "discharged_date"] + ["episode_started_date"] * (
        "text_episode_started_date" in rows.columns
    )
    return rows.with_columns(
        *[_clean(name, words) for name in ("record_key", "admission_method", "discharge_method", "provider_spell")],
        _provider(words),
        start_date=_day("admitted_date", words),
        discharged_date=_day("discharged_date", words),
        has_readable_dates=_are_days(dates),
        last_date=_day("discharged_date", words),
    )


def type_attendances(rows: pl.DataFrame, words: Words) -> pl.DataFrame:
    """One row per attendance at an emergency department, of any source."""
    digits = pl.col("text_arrived_time").str.replace_all(r"[^\d]", "").str.slice(0, 4).str.zfill(4)
    version = whole_of("import_id") if "text_import_id" in rows.columns else _extract_version()
    return rows.with_columns(
        _clean("record_key", words),
        _clean("department_type", words),
        _provider(words),
        start_date=_day("arrived_date", words),
        has_readable_dates=_are_days(["arrived_date"]),
        last_date=pl.lit(None, dtype=pl.Date),
        arrived_time=pl.when(digits < "2400").then(digits),
        version=version,
    )


def type_parts(rows: pl.DataFrame, words: Words) -> pl.DataFrame:
    """One row per episode of a stay."""
    return rows.with_columns(
        _clean("stay_key", words),
        _clean("episode_key", words),
        version=whole_of("import_id"),
        episode_order=whole_of("episode_order"),
        part_key=pl.col("text_episode_key"),
    )


def type_diagnoses(rows: pl.DataFrame, words: Words) -> pl.DataFrame:
    """One row per diagnosis of an episode; one that is not known keeps its place."""
    typed = _type_codes(rows, words)
    return typed.with_columns(
        code=pl.when(pl.col("text_code").is_not_null()).then(pl.col("code").fill_null(words["unknown_diagnosis"]))
    )


def type_procedures(rows: pl.DataFrame, words: Words) -> pl.DataFrame:
    """One row per procedure of an episode; text that stands for none is blank."""
    typed = _type_codes(rows, words)
    return typed.with_columns(is_blank=pl.col("text_code").is_not_null() & pl.col("code").is_null())


def _type_codes(rows: pl.DataFrame, words: Words) -> pl.DataFrame:
    return rows.with_columns(
        _clean("stay_key", words),
        _clean("episode_key", words),
        version=whole_of("import_id"),
        position=whole_of("position"),
        part_key=pl.concat_str("text_episode_key", "text_position", separator="|"),
        code=_code(pl.col("text_code"), words),
    )


def type_deletions(rows: pl.DataFrame, words: Words) -> pl.DataFrame:
    """One row per entry of the log; an entry that tells of an insert is blank."""
    flag, version = flag_of("is_deleted"), pl.coalesce(whole_of("deleted_import_id"), whole_of("import_id"))
    return rows.with_columns(
        _clean("record_key", words),
        version=version,
        has_readable_flags=flag.is_not_null(),
        is_deleted=(flag & version.is_not_null()).fill_null(False),
        is_blank=(~flag).fill_null(False),
    )


def told_pseudonym(rows: pl.DataFrame, words: Words) -> pl.Expr:
    """The pseudonym that stands for the person: its own column, or the NHS number's where no number stands in it."""
    number = text_of("nhs_number", words)
    if "text_pseudonym" in rows.columns:
        return text_of("pseudonym", words)
    return pl.when(~number.str.contains(TEN_DIGITS)).then(number)


def known_date(rows: pl.DataFrame, words: Words) -> pl.Expr:
    """When the record reached us: its load date, else a lag after the stay; never after the extract.

    Once a year's activity was delivered (``first_extract_date``), what a later extract adds or changes reached us
    with that extract.
    """
    received = _day("received_date", words) if "text_received_date" in rows.columns else pl.lit(None, pl.Date)
    guessed = (pl.coalesce("last_date", "start_date") + pl.duration(days=words["lag_days"])).cast(pl.Date)
    told = pl.when(received >= pl.col("start_date")).then(received)
    first = pl.min_horizontal(pl.coalesce(told, guessed), "extract_date")
    is_late = (pl.col("first_extract_date") < pl.col("extract_date")).fill_null(False)
    return pl.when(is_late).then("extract_date").otherwise(first)


def activity_year() -> pl.Expr:
    """The financial year of the day that a stay or attendance began, by the year it starts in."""
    day = pl.col("start_date")
    return (day.dt.year() - (day.dt.month() < 4).cast(pl.Int32)).cast(pl.Int64)


def _extract_version() -> pl.Expr:
    return pl.col("extract_date").to_physical().cast(pl.Int64)


def text_of(name: str, words: Words) -> pl.Expr:
    """Text without spaces around it; null where it is a sign for unknown."""
    text = pl.col(f"text_{name}").str.strip_chars()
    return pl.when(~text.is_in([*words["unknown_texts"], ""])).then(text)


def _clean(name: str, words: Words) -> pl.Expr:
    return text_of(name, words).alias(name)


def _provider(words: Words) -> pl.Expr:
    """The provider as a whole, whichever of its sites the code names."""
    code = text_of("provider_code", words).str.to_uppercase().str.slice(0, words["provider_characters"])
    return code.alias("provider_code")


def _any_day(name: str) -> pl.Expr:
    """An ISO date, with or without a time behind it."""
    text = pl.col(f"text_{name}").str.strip_chars()
    is_day = text.str.len_chars().eq(10) | text.str.contains(r"^.{10}[T ]\d{2}:\d{2}")
    return pl.when(is_day).then(text.str.slice(0, 10)).str.to_date("%Y-%m-%d", strict=False)


def _day(name: str, words: Words) -> pl.Expr:
    date = _any_day(name)
    return pl.when(~date.is_in(words["masked_dates"])).then(date)


def _are_days(names: list[str]) -> pl.Expr:
    return are_readable({name: _any_day(name) for name in names})


def _code(text: pl.Expr, words: Words) -> pl.Expr:
    """A code without dot or spaces; null where the text stands for none."""
    code = text.str.strip_chars().str.replace_all(".", "", literal=True).str.to_uppercase()
    is_none = pl.any_horizontal(code.str.starts_with(start) for start in words["no_code"])
    return pl.when(~is_none & (code != "")).then(code)


def _codes(rows: pl.DataFrame, name: str, words: Words) -> pl.Expr:
    """The codes of a numbered column in order; a primary diagnosis that is not known keeps its place."""
    columns = sorted(column for column in rows.columns if column.startswith(f"text_{name}_"))
    if not columns:
        return pl.lit([], dtype=pl.List(pl.String))
    codes = [_code(pl.col(column), words) for column in columns]
    if name == "diagnosis":
        codes[0] = codes[0].fill_null(words["unknown_diagnosis"])
    return known_codes(pl.concat_list(codes), words)


def known_codes(codes: pl.Expr, words: Words) -> pl.Expr:
    """The codes of one episode in order; none if all it says is that they are unknown."""
    told = codes.list.drop_nulls()
    is_unknown = told.list.eval(pl.element() == words["unknown_diagnosis"]).list.all()
    return pl.when(~is_unknown).then(told).otherwise(pl.lit([], dtype=pl.List(pl.String)))


def is_withheld_identity(rows: pl.DataFrame, words: Words) -> pl.Expr:
    """True where the sender says that the person's identity is withheld, with the reason."""
    if "text_withheld_reason" not in rows.columns:
        return pl.lit(False)
    return text_of("withheld_reason", words).is_not_null()
