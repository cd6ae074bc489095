"""Reads ICD-10 codes as hospitals send them: with or without dot, X padding and trailing marks."""

from collections.abc import Mapping

import polars as pl

_CODE = "[A-Z][0-9][0-9A-Z]{1,5}"
_FORM = f"^{_CODE}$"
LIST_FORM = rf"^{_CODE}(?:\|{_CODE})*$"
"""What a list of codes joined by | looks like once dots and spaces are out."""


def clean_code(raw: pl.Expr) -> pl.Expr:
    """The code in capitals without dots, spaces, X padding (I10X is I10), dagger and star; null if it was blank."""
    bare = raw.cast(pl.String).str.to_uppercase().str.replace_all(r"[.\s]", "").str.strip_chars_end("-*+†")
    unpadded = pl.when(bare.str.slice(3, 1) == "X").then(bare.str.head(3)).otherwise(bare)
    return pl.when(unpadded != "").then(unpadded)


def has_form(code: pl.Expr) -> pl.Expr:
    """True for a clean code that looks like ICD-10."""
    return code.str.contains(_FORM)


def prefix_mask(code: pl.Expr, prefixes: Mapping[str, int]) -> pl.Expr:
    """The bits of every prefix that the clean code starts with, joined by or."""
    masks = pl.lit(0, dtype=pl.UInt32)
    for length in sorted({len(prefix) for prefix in prefixes}):
        same = {prefix: bits for prefix, bits in prefixes.items() if len(prefix) == length}
        masks = masks | code.str.head(length).replace_strict(same, default=0, return_dtype=pl.UInt32)
    return masks


def bits_by_prefix(table: pl.DataFrame) -> dict[str, int]:
    """For each prefix in a table's ``icd10_prefixes``, the bits of the rows that list it."""
    bits: dict[str, int] = {}
    for place, prefixes in enumerate(table["icd10_prefixes"]):
        for prefix in prefixes.split("|"):
            bits[prefix] = bits.get(prefix, 0) | 1 << place
    return bits
