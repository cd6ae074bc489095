"""Made-up identifiers: NHS numbers of the range kept for tests, guids, postcodes."""

import zlib
from functools import cache

import numpy as np
import polars as pl

from pipelines.synthetic.world import Ints

TEST_RANGE = "999"
POSTCODES_PER_LSOA = 20
_STEP = 387_911


@cache
def _valid_numbers() -> Ints:
    """Every number of the test range whose check digit exists, check digit included; ten nines are nobody's."""
    middle = np.arange(1_000_000, dtype=np.int64)
    digits = [(middle // 10**place) % 10 for place in range(5, -1, -1)]
    total = sum(int(d) * w for d, w in zip(TEST_RANGE, (10, 9, 8), strict=True))
    weighted = total + sum(digit * weight for digit, weight in zip(digits, (7, 6, 5, 4, 3, 2), strict=True))
    check = (11 - weighted % 11) % 11
    keep = (check != 10) & (middle != 999_999)
    return np.asarray((int(TEST_RANGE) * 10**6 + middle[keep]) * 10 + check[keep])


def nhs_numbers(index: Ints, seed: int) -> pl.Series:
    """A valid, unique NHS number of the 999 range for each person's index, as text.

    Raises:
        ValueError: more people than the range has numbers.
    """
    numbers = _valid_numbers()
    if len(index) and int(index.max()) >= len(numbers):
        raise ValueError(
            f"the 999 range holds {len(numbers):,} NHS numbers and person {int(index.max()) + 1:,} was asked for; "
            "write extracts of fewer people, or write --format history, which needs none"
        )
    return pl.Series(numbers[(index * _STEP + seed * 7919) % len(numbers)]).cast(pl.String)


def guids(seed: int, kind: str, number: Ints) -> pl.Series:
    """A guid for each number of a kind of thing, upper case in braces."""
    salt = np.uint64(zlib.crc32(f"{seed}/{kind}".encode()) + 1)
    with np.errstate(over="ignore"):
        high = _mix(number.astype(np.uint64) + salt * np.uint64(0x9E3779B97F4A7C15))
        low = _mix(high ^ (salt * np.uint64(0xD6E8FEB86659FD93)))
    raw = np.column_stack([high, low]).astype(">u8").tobytes()
    text = raw.hex().upper()
    whole = (
        pl.Series([text]).str.extract_all(r"[0-9A-F]{32}").explode()
        if len(number)
        else pl.Series([], dtype=pl.String)
    )
    pieces = [whole.str.slice(start, length) for start, length in ((0, 8), (8, 4), (12, 4), (16, 4), (20, 12))]
    frame = pl.DataFrame({f"p{place}": piece for place, piece in enumerate(pieces)})
    return frame.select(
        pl.format("{}{}-{}-{}-{}-{}{}", pl.lit("{"), "p0", "p1", "p2", "p3", "p4", pl.lit("}"))
    ).to_series()


def _mix(value: np.ndarray) -> np.ndarray:
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(value ^ (value >> np.uint64(31)))


def postcodes(lsoa: Ints, number: Ints) -> pl.Series:
    """A made-up postcode of each area: area ZZ is no post town."""
    unit = lsoa * POSTCODES_PER_LSOA + number
    letters = "ABDEFGHJLNPQRSTUWXYZ"
    frame = pl.DataFrame(
        {
            "district": 1 + unit // 4000 % 99,
            "sector": unit // 400 % 10,
            "first": pl.Series(list(letters)).gather(unit // 20 % 20),
            "second": pl.Series(list(letters)).gather(unit % 20),
        }
    )
    return frame.select(pl.format("ZZ{} {}{}{}", "district", "sector", "first", "second")).to_series()
