"""Reads a table that people or other programs wrote as the table a score takes; what a score means is elsewhere.

Text is read as numbers, dates, yes or no, and codes in any case; other programs' names of columns are known. A cell
that cannot be read is marked beside its row and named there as the reason for having no score.
"""

import polars as pl

from data_contracts.clinical.scores.definition import ScoreDefinition, ScoreInput

UNREAD = "_unread_"
"""Begins the name of the column that is true where an input could not be read."""
CODE_LISTS = {"icd10_code": "icd10_codes"}
"""An input of one code a row, and the column that may hold any number of codes in its place."""
_BETWEEN_CODES = r"[|,;\s]+"
_YES_OR_NO = {"true": True, "t": True, "yes": True, "y": True, "1": True, "1.0": True} | {
    "false": False,
    "f": False,
    "no": False,
    "n": False,
    "0": False,
    "0.0": False,
}
_READ_AS = {
    "whole": "a number",
    "number": "a number",
    "flag": "true or false",
    "date": "a date such as 2026-01-31",
}


def columns_wanted(found: list[str], definition: ScoreDefinition) -> list[str]:
    """The columns of a file that the score can use, under the file's own names."""
    names = set(definition.columns()) | {other for column in definition.inputs for other in column.also_called}
    return [name for name in found if name in names | _lists_of(definition)]


def as_contract(frame: pl.DataFrame, definition: ScoreDefinition) -> pl.DataFrame:
    """The table in the score's own names and types, one code a row.

    Raises:
        ValueError: an input stands under two names, or rows that belong together hold what cannot be read.
    """
    named = _one_code_a_row(frame.rename(_renamed(frame.columns, definition)), definition)
    texts = [column for column in definition.inputs if column.name in named.columns and _is_foreign(named, column)]
    read = named.with_columns(_read(named, column) for column in texts)
    marks = {
        f"{UNREAD}{column.name}": _is_filled(named[column.name]) & read[column.name].is_null() for column in texts
    }
    bad = {name: mark for name, mark in marks.items() if mark.any()}
    if bad and definition.rows == "many_per_key":
        wrong = ", ".join(f"{name.removeprefix(UNREAD)} in {int(mark.sum())} rows" for name, mark in bad.items())
        raise ValueError(f"score {definition.name}: cannot read {wrong}; see --describe for the types")
    return _spelt_as_codes(read.with_columns(**bad), definition)


def unread_words(column: ScoreInput) -> str:
    """What a cell should have been, in words."""
    return _READ_AS.get(column.kind, column.accepted)


def _renamed(found: list[str], definition: ScoreDefinition) -> dict[str, str]:
    """Other programs' names of columns to the score's own."""
    renamed: dict[str, str] = {}
    for column in definition.inputs:
        others = [name for name in column.also_called if name in found]
        if len(others) + (column.name in found) > 1:
            raise ValueError(f"score {definition.name}: {column.name} also stands there as {', '.join(others)}")
        renamed |= dict.fromkeys(others, column.name)
    return renamed


def _one_code_a_row(frame: pl.DataFrame, definition: ScoreDefinition) -> pl.DataFrame:
    """The rows with lists of codes taken apart; somebody without a code keeps one row."""
    for one, many in CODE_LISTS.items():
        if (
            one in {column.name for column in definition.inputs}
            and many in frame.columns
            and one not in frame.columns
        ):
            codes = (
                frame[many] if frame[many].dtype == pl.List else frame[many].cast(pl.String).str.strip_chars(" |,;")
            )
            if codes.dtype == pl.String:
                codes = codes.str.replace_all(_BETWEEN_CODES, "|").str.split("|")
            return frame.drop(many).with_columns(codes.alias(one)).explode(one, empty_as_null=True)
    return frame


def _lists_of(definition: ScoreDefinition) -> set[str]:
    return {CODE_LISTS[column.name] for column in definition.inputs if column.name in CODE_LISTS}


def _is_foreign(frame: pl.DataFrame, column: ScoreInput) -> bool:
    """True for text where the score takes a number, a date, yes or no, or a number as code."""
    is_text = frame[column.name].dtype in (pl.String, pl.Categorical, pl.Enum)
    return is_text and (column.kind in _READ_AS or (column.kind == "category" and _has_numbers(column)))


def _has_numbers(column: ScoreInput) -> bool:
    return isinstance(next(iter(column.codes)), int)


def _is_filled(values: pl.Series) -> pl.Series:
    words = values.cast(pl.String).str.strip_chars()
    return words.is_not_null() & (words != "")


def _read(frame: pl.DataFrame, column: ScoreInput) -> pl.Expr:
    """Text as the kind of value that the input has; null where it is none."""
    words = pl.col(column.name).cast(pl.String).str.strip_chars()
    if column.kind == "flag":
        return words.str.to_lowercase().replace_strict(_YES_OR_NO, default=None, return_dtype=pl.Boolean)
    if column.kind == "date":
        return words.str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False)
    return words.cast(pl.Float64, strict=False)


def _spelt_as_codes(frame: pl.DataFrame, definition: ScoreDefinition) -> pl.DataFrame:
    """The table with words such as Female or M, 2a, or a number 21, as the codes they stand for."""
    changed = []
    for column in definition.inputs:
        if column.kind != "category" or column.name not in frame.columns or _has_numbers(column):
            continue
        values = frame[column.name]
        codes = {str(code) for code in column.codes}
        if not values.dtype.is_numeric() and set(values.cast(pl.String).unique().drop_nulls()) <= codes:
            continue
        words = values.cast(pl.Int64, strict=False) if values.dtype.is_float() else values
        spellings = {code.lower(): code for code in codes} | dict(column.spellings)
        spelt = words.cast(pl.String).str.strip_chars()
        known = spelt.str.to_lowercase().replace_strict(spellings, default=None, return_dtype=pl.String)
        changed.append(known.fill_null(spelt.replace("", None)).alias(column.name))
    return frame.with_columns(changed)
