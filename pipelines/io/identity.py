"""The identity zone: the key, NHS numbers, the people behind the pseudonyms. Nowhere else are they joined."""

import hmac
import os
import secrets
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path

import duckdb
import nhs_number
import polars as pl

from pipelines.settings import Settings

KEY_BYTES = 32
BLOCK_BYTES = 64
BATCH_ROWS = 50_000
PEOPLE = {
    "nhs_number": pl.String,
    "person_id": pl.Int64,
    "practice_code": pl.String,
    "birth_date": pl.Date,
    "given_name": pl.String,
    "surname": pl.String,
    "registered_date": pl.Date,
    "record_id": pl.Int64,
}
"""Columns of the identity store: one row per person and patient record."""
WITHHELD = {"record_id": pl.Int64, "practice_code": pl.String, "reason": pl.String}
"""Columns of the list of patient records that are kept out: one row per record."""
SUPERSEDED = {"person_id": pl.Int64, "new_person_id": pl.Int64, "new_nhs_number": pl.String}
"""Columns of the list of superseded NHS numbers: one row per number that another has taken the place of."""
CHAIN_DOUBLINGS = 6
"""Chains of up to 64 superseded numbers are followed to their end."""
OPT_OUT_REPLY = {"person_id": pl.Int64, "answered_date": pl.Date}
"""Columns of the national opt-out allow list: one row per person who may stay in."""

HMAC_SQL = """
select
    (
        ('0x' || substr(sha256($outer || unhex(sha256($inner || encode(message)))), 1, 16))::ubigint >> 1
    )::bigint as pseudonym
from messages
"""


class IdentityError(Exception):
    """Says what is wrong with the key or the identity store; holds no identifier."""


def make_key(path: Path) -> None:
    """Writes a new secret key that only its owner can read; an existing key is never replaced.

    Raises:
        IdentityError: there is a key already.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise IdentityError(
            f"expected no key yet; found one at {path}; a new key makes every person id of the old one useless"
        ) from None
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(secrets.token_hex(KEY_BYTES) + "\n")


def load_key(settings: Settings) -> bytes:
    """The secret key of 32 bytes that turns NHS numbers into person ids.

    Raises:
        IdentityError: no key file, or one that does not hold 64 hexadecimal digits.
    """
    path = settings.key_file
    if not path.is_file():
        raise IdentityError(f"expected a key file; found none at {path}; make one with: casefinder key")
    try:
        key = bytes.fromhex(path.read_text("ascii").strip())
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise IdentityError(
            f"expected 64 hexadecimal digits in the key file; found something else; look at {path}, "
            "and restore the key that made the history: a new one would not match it"
        )
    return key


def person_id(nhs_number_text: str, key: bytes) -> int:
    """The person id of one ten-digit NHS number: 63 bits of its HMAC-SHA-256."""
    digest = hmac.digest(key, nhs_number_text.encode("ascii"), "sha256")
    return int.from_bytes(digest[:8], "big") >> 1


def person_ids(nhs_numbers: Iterable[str | None], key: bytes) -> pl.Series:
    """Person ids (Int64) in the order given; null where the number is null. Each distinct number is hashed once."""
    numbers = pl.Series("nhs_number", list(nhs_numbers), dtype=pl.String)
    distinct = numbers.drop_nulls().unique().sort()
    ids = [person_id(number, key) for number in distinct]
    return numbers.replace_strict(
        distinct, pl.Series(ids, dtype=pl.Int64), default=None, return_dtype=pl.Int64
    ).alias("person_id")


def valid_nhs_numbers(texts: pl.Series) -> pl.Series:
    """Ten-digit NHS numbers in the order given; null where the check digit fails or all digits are the same."""
    distinct = texts.drop_nulls().unique()
    numbers = pl.Series([_valid_nhs_number(text) for text in distinct], dtype=pl.String)
    return texts.replace_strict(distinct, numbers, default=None, return_dtype=pl.String)


@lru_cache(maxsize=200_000)
def _valid_nhs_number(text: str) -> str | None:
    number: str = nhs_number.standardise_format(text)
    is_good = bool(number) and len(set(number)) > 1 and nhs_number.is_valid(number)
    return number if is_good else None


def hmac_pads(key: bytes) -> dict[str, bytes]:
    """The two blocks, inner and outer, with which SQL makes the HMAC-SHA-256 of a key of at most one block."""
    block = key.ljust(BLOCK_BYTES, b"\0")
    return {"inner": bytes(byte ^ 0x36 for byte in block), "outer": bytes(byte ^ 0x5C for byte in block)}


def record_ids(con: duckdb.DuckDBPyConnection, messages: pl.Series, key: bytes) -> pl.Series:
    """Keyed pseudonyms (Int64) of supplier record ids, in the order given: the same HMAC, made in bulk by DuckDB."""
    con.register("messages", _in_batches(pl.DataFrame({"message": messages})))
    try:
        hashed: pl.DataFrame = con.sql(HMAC_SQL, params=hmac_pads(key)).pl()
        return hashed["pseudonym"]
    finally:
        con.unregister("messages")


def _in_batches(frame: pl.DataFrame) -> pl.DataFrame:
    """The same rows in pieces, so that each of the engine's threads has some."""
    return pl.concat(frame.iter_slices(BATCH_ROWS), rechunk=False) if frame.height > BATCH_ROWS else frame


def people_path(settings: Settings, icb_code: str) -> Path:
    """Where the identity store of one ICB lies."""
    return settings.identity / "people" / f"{icb_code}.parquet"


def withheld_path(settings: Settings, icb_code: str) -> Path:
    """Where the list of withheld patient records of one ICB lies."""
    return settings.identity / "withheld" / f"{icb_code}.parquet"


def superseded_path(settings: Settings) -> Path:
    """Where the list of superseded NHS numbers lies."""
    return settings.identity / "superseded_numbers.parquet"


def current_numbers(pairs: pl.DataFrame) -> pl.DataFrame:
    """One row per superseded person, sorted, with the end of each chain; a circle stays one."""
    for _ in range(CHAIN_DOUBLINGS):
        further = pairs.select(new_person_id="person_id", last_id="new_person_id", last_number="new_nhs_number")
        joined = pairs.join(further, on="new_person_id", how="left", validate="m:1", maintain_order="left")
        pairs = joined.select(
            "person_id",
            new_person_id=pl.coalesce("last_id", "new_person_id"),
            new_nhs_number=pl.coalesce("last_number", "new_nhs_number"),
        )
    return pairs.sort("person_id")


def read_superseded(settings: Settings) -> pl.DataFrame:
    """One row per superseded person, with the person and NHS number that hold now."""
    path = superseded_path(settings)
    return current_numbers(pl.read_parquet(path) if path.is_file() else pl.DataFrame(schema=SUPERSEDED))


def renamed_people(rows: pl.DataFrame, superseded: pl.DataFrame) -> pl.DataFrame:
    """The rows with the person and NHS number that hold now; ``superseded`` has one row per superseded person."""
    if superseded.is_empty():
        return rows
    joined = rows.join(superseded, on="person_id", how="left", validate="m:1", maintain_order="left")
    now = {"person_id": pl.coalesce("new_person_id", "person_id")}
    if "nhs_number" in rows.columns:
        now["nhs_number"] = pl.coalesce("new_nhs_number", "nhs_number")
    return joined.with_columns(**now).select(rows.columns)


def opt_out_path(settings: Settings) -> Path:
    """Where the national opt-out allow list lies."""
    return settings.identity / "national_opt_out.parquet"


def read_people(settings: Settings, icb_codes: Sequence[str]) -> pl.LazyFrame:
    """The identity store of some ICBs: one row per person and patient record."""
    paths = [people_path(settings, code) for code in icb_codes if people_path(settings, code).exists()]
    return pl.concat([pl.LazyFrame(schema=PEOPLE), *(pl.scan_parquet(path) for path in paths)])
