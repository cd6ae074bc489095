"""Makes the pseudonyms that a release uses in place of people: keyed, and others for each recipient."""

import hashlib
import hmac
from contextlib import closing

import duckdb
import polars as pl

from pipelines.io.identity import hmac_pads

PSEUDONYMS = """
select
    people.person_id,
    translate(
        substr(sha256($outer || unhex(sha256($inner || unhex(format('{:016x}', people.person_id))))), 1, 32),
        '0123456789abcdef',
        'bcdfghjklmnpqrst'
    ) as pseudonym
from people
order by people.person_id
"""


def recipient_key(key: bytes, *, icb_code: str, scheme: str) -> bytes:
    """The key that makes one ICB's pseudonyms, derived from the secret key; another scheme gives others."""
    return hmac.new(key, f"pseudonyms for {icb_code}, scheme {scheme}".encode(), hashlib.sha256).digest()


def pseudonyms(person_ids: pl.Series, *, key: bytes) -> pl.DataFrame:
    """One row per distinct person: person_id, pseudonym (HMAC-SHA-256 cut to 128 bits, 32 letters).

    Letters only, so that no pseudonym can be taken for an NHS number.
    """
    with closing(duckdb.connect()) as con:
        con.register("people", pl.DataFrame({"person_id": person_ids.unique()}))
        made: pl.DataFrame = con.sql(PSEUDONYMS, params=hmac_pads(key)).pl()
    return made
