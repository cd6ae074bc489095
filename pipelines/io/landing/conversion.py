"""Turns text columns (``text_<name>``) into typed values; what cannot be read is null."""

import polars as pl

TRUE_WORDS = ("true", "1")
FALSE_WORDS = ("false", "0")


def date_of(name: str) -> pl.Expr:
    """An ISO date; null if the text is none."""
    return pl.col(f"text_{name}").str.to_date("%Y-%m-%d", strict=False)


def day_of(name: str) -> pl.Expr:
    """The day of an ISO date or timestamp; null if the text is neither."""
    pattern = r"^(\d{4}-\d{2}-\d{2})(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?)?$"
    return pl.col(f"text_{name}").str.strip_chars().str.extract(pattern).str.to_date("%Y-%m-%d", strict=False)


def are_days(*names: str) -> pl.Expr:
    """True where each text is blank or names a day."""
    return pl.all_horizontal(pl.col(f"text_{name}").is_null() | day_of(name).is_not_null() for name in names)


def compact_date_of(name: str) -> pl.Expr:
    """A date of eight digits, year first; null if the text is none."""
    return pl.col(f"text_{name}").str.strip_chars().str.to_date("%Y%m%d", strict=False)


def flag_of(name: str) -> pl.Expr:
    """True, false, or null if the text is neither; a blank is false."""
    text = pl.col(f"text_{name}").str.to_lowercase()
    return pl.when(text.is_in(TRUE_WORDS)).then(True).when(text.is_null() | text.is_in(FALSE_WORDS)).then(False)


def number_of(name: str) -> pl.Expr:
    """A finite number; null if the text is none."""
    number = pl.col(f"text_{name}").str.strip_chars().cast(pl.Float64, strict=False)
    return pl.when(number.is_finite()).then(number)


def whole_of(name: str) -> pl.Expr:
    """A whole number of 64 bits; null if the text is none."""
    return pl.col(f"text_{name}").str.strip_chars().cast(pl.Int64, strict=False)


def are_readable(typed: dict[str, pl.Expr]) -> pl.Expr:
    """True where each text column is blank or could be typed."""
    return pl.all_horizontal(pl.col(f"text_{name}").is_null() | value.is_not_null() for name, value in typed.items())


def word_of(name: str, words: dict[str, str], default: str | None = None) -> pl.Expr:
    """Our word for the supplier's, spaces around it ignored; the default, or null, if it has none."""
    return pl.col(f"text_{name}").str.strip_chars().replace_strict(words, default=default, return_dtype=pl.String)
