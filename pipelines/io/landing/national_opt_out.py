"""The national opt-out service's reply: who may stay in. Anything but a whole, sound reply is refused."""

import datetime as dt
from dataclasses import dataclass

import duckdb
import polars as pl

from pipelines.io.identity import OPT_OUT_REPLY, person_ids, valid_nhs_numbers
from pipelines.io.landing.errors import LandingError
from pipelines.io.landing.feeds import load_feed
from pipelines.io.landing.files import LandedFile
from pipelines.io.landing.reading import TextTable, read_text


@dataclass(frozen=True)
class Reply:
    """One reply: those who may stay in (person_id, answered_date), and the file as read."""

    allowed: pl.DataFrame
    text: TextTable


def load_reply(file: LandedFile, *, key: bytes, con: duckdb.DuckDBPyConnection, after: object = None) -> Reply:
    """The people of one reply, which may not be older than the one held (``after``, a date, if there is one).

    Raises:
        LandingError: the reply is old or empty, says that a job was created, reports an error, or holds anything that
            is not an NHS number.
    """
    answered = dt.datetime.strptime(file.moment, "%Y%m%d").date()
    if isinstance(after, dt.date) and answered < after:
        raise LandingError(expected=f"a reply of {after} or later", found=f"one of {answered}", where=file.name)
    feed = load_feed("national_opt_out")
    text = read_text(con, file, layout=feed.format, table=feed.tables[file.table])
    numbers = valid_nhs_numbers(text.rows["nhs_number"])
    bad = text.bad.height + numbers.null_count()
    if bad or numbers.is_empty():
        raise LandingError(
            expected="one valid NHS number and a comma on every line",
            found=f"{bad} of {text.records} lines that are not: a message or a damaged reply, not an answer",
            where=file.name,
        )
    people = pl.DataFrame({"person_id": person_ids(numbers, key)}).unique().sort("person_id")
    return Reply(allowed=people.with_columns(answered_date=pl.lit(answered)).cast(OPT_OUT_REPLY), text=text)  # type: ignore[arg-type]
