"""Pseudonyms: keyed, exact, the same by every route, never told without the key."""

import hashlib
import hmac
import stat
from pathlib import Path

import duckdb
import polars as pl
import pytest

from pipelines.io.identity import (
    IdentityError,
    load_key,
    make_key,
    person_id,
    person_ids,
    read_people,
    record_ids,
    valid_nhs_numbers,
)
from pipelines.settings import Settings
from tests.lib.emis import nhs_number

KEY = bytes(range(32))


def test_a_person_id_is_63_bits_of_a_keyed_hash() -> None:
    number = nhs_number(1)
    digest = hmac.new(KEY, number.encode(), hashlib.sha256).digest()
    assert person_id(number, KEY) == int.from_bytes(digest[:8], "big") >> 1
    assert person_id(number, KEY) != person_id(number, KEY[::-1])


def test_person_ids_keep_order_and_nulls() -> None:
    numbers = [nhs_number(2), None, nhs_number(1), nhs_number(2)]
    found = person_ids(numbers, KEY)
    assert found.to_list() == [None if number is None else person_id(number, KEY) for number in numbers]
    assert found.dtype == pl.Int64
    assert person_ids([], KEY).to_list() == []


def test_the_engine_makes_the_same_hash_in_bulk() -> None:
    messages = ["A|B", "", "ü|ñ", None, "x" * 300]
    with duckdb.connect() as con:
        found = record_ids(con, pl.Series(messages, dtype=pl.String), KEY).to_list()
    digests = [hmac.digest(KEY, text.encode(), "sha256") if text is not None else None for text in messages]
    assert found == [None if digest is None else int.from_bytes(digest[:8], "big") >> 1 for digest in digests]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (nhs_number(1), nhs_number(1)),
        (f" {nhs_number(1)[:3]} {nhs_number(1)[3:6]}-{nhs_number(1)[6:]} ", None),
        (f"{nhs_number(1)[:3]} {nhs_number(1)[3:6]} {nhs_number(1)[6:]}", nhs_number(1)),
        ("9999999999", None),
        ("0000000000", None),
        ("9990000019", None),
        ("999000001", None),
        ("not a number", None),
        (None, None),
    ],
)
def test_only_sound_nhs_numbers_pass(text: str | None, number: str | None) -> None:
    assert valid_nhs_numbers(pl.Series([text], dtype=pl.String)).to_list() == [number]


def test_a_key_is_made_once_and_is_private(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    make_key(settings.key_file)
    key = load_key(settings)
    assert len(key) == 32
    assert stat.S_IMODE(settings.key_file.stat().st_mode) == 0o600
    with pytest.raises(IdentityError, match="expected no key yet"):
        make_key(settings.key_file)
    assert load_key(settings) == key


@pytest.mark.parametrize("text", ["", "abc", "zz" * 32, "ab" * 31, "é" * 64])
def test_a_spoilt_key_is_refused(tmp_path: Path, text: str) -> None:
    settings = Settings(home=tmp_path)
    make_key(settings.key_file)
    settings.key_file.write_text(text, "utf-8")
    with pytest.raises(IdentityError, match="expected 64 hexadecimal digits"):
        load_key(settings)


def test_an_identity_store_that_is_not_there_has_no_people(tmp_path: Path) -> None:
    assert read_people(Settings(home=tmp_path), ["QZZ"]).collect().is_empty()
