"""The search for planted identifiers, however they are written or packed."""

import base64
import gzip
import hashlib
import io
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from pipelines.io.releases.canary import find_identifiers
from tests.lib.release_frames import nhs_numbers

NUMBER = nhs_numbers(500)[-1]
SPACED = f"{NUMBER[:3]} {NUMBER[3:6]} {NUMBER[6:]}"

PLANTS: dict[str, bytes] = {
    "plain": NUMBER.encode(),
    "spaced": SPACED.encode(),
    "dashed": SPACED.replace(" ", "-").encode(),
    "dotted": SPACED.replace(" ", ".").encode(),
    "hard spaces": SPACED.replace(" ", "\u00a0").encode(),
    "entities": SPACED.replace(" ", "&nbsp;").encode(),
    "in an address": SPACED.replace(" ", "%20").encode(),
    "reversed": NUMBER[::-1].encode(),
    "UTF-16": NUMBER.encode("utf-16-le"),
    "UTF-16 the other way": NUMBER.encode("utf-16-be"),
    "spaced UTF-16": SPACED.encode("utf-16-le"),
    "base64": base64.b64encode(NUMBER.encode()),
    "base32": base64.b32encode(NUMBER.encode()),
    "hexadecimal": NUMBER.encode().hex().encode(),
    "MD5": hashlib.md5(NUMBER.encode()).hexdigest().encode(),
    "SHA-1": hashlib.sha1(NUMBER.encode()).hexdigest().encode(),
    "SHA-256": hashlib.sha256(NUMBER.encode()).hexdigest().encode(),
    "SHA-256 in capitals": hashlib.sha256(NUMBER.encode()).hexdigest().upper().encode(),
    "SHA-256 as bytes": hashlib.sha256(NUMBER.encode()).digest(),
    "SHA-512": hashlib.sha512(NUMBER.encode()).hexdigest().encode(),
}


def zipped(content: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inside", content)
    return packed.getvalue()


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zipped, zlib.compress], ids=["bare", "gzip", "zip", "zlib"])
@pytest.mark.parametrize("plant", PLANTS.values(), ids=PLANTS)
def test_a_planted_identifier_is_found(tmp_path: Path, plant: bytes, pack: Callable[[bytes], bytes]) -> None:
    (tmp_path / "log.txt").write_bytes(pack(b"before " + plant + b" after"))
    assert sum(find_identifiers([tmp_path], [NUMBER]).values()) == 1


@pytest.mark.parametrize("text", ["Quillfeather", "AB1 2CD", "07700 900123", "1950-02-03"])
def test_names_postcodes_telephones_and_birth_dates_are_found(tmp_path: Path, text: str) -> None:
    (tmp_path / "trace.log").write_text(f"failed on {text.upper()}", encoding="utf-8")
    assert sum(find_identifiers([tmp_path], [text]).values()) == 1


def test_a_number_in_a_parquet_column_is_found(tmp_path: Path) -> None:
    pl.DataFrame({"n": [int(NUMBER)]}).write_parquet(tmp_path / "cells.parquet")
    pl.DataFrame({"n": [1]}).write_parquet(tmp_path / "footer.parquet", metadata={"note": NUMBER})
    pl.DataFrame({"n": [["a", NUMBER]], "s": [{"x": 1}]}).write_parquet(tmp_path / "lists.parquet")
    assert len(find_identifiers([tmp_path], [NUMBER])) == 3


def test_many_identifiers_are_looked_for_as_well_as_one(tmp_path: Path) -> None:
    (tmp_path / "log.txt").write_text(f"a {SPACED} b {nhs_numbers(3)[2]}", encoding="utf-8")
    assert sum(find_identifiers([tmp_path], nhs_numbers(500)).values()) == 2


def test_nothing_is_found_where_nothing_is(tmp_path: Path) -> None:
    (tmp_path / "log.txt").write_text("ranked 8,000 people of 2 ICBs", encoding="utf-8")
    assert find_identifiers([tmp_path, tmp_path / "log.txt"], [NUMBER]) == {}


@pytest.mark.parametrize(
    ("text", "is_found"),
    [
        ("9990000018", True),
        ("20261116,9990000018,1", True),
        ("x9990000018x", True),
        ("12349990000018", True),
        ("4999000001812345678", False),
        ("1234567899990000018", False),
    ],
)
def test_digits_inside_a_number_as_long_as_a_pseudonym_are_chance(tmp_path, text, is_found):
    (tmp_path / "file.csv").write_text(text, "utf-8")
    assert bool(find_identifiers([tmp_path], ["9990000018"])) is is_found
