"""The national opt-out service's reply: who may stay in. Anything but a whole, sound reply is refused."""

import datetime as dt
from dataclasses import dataclass
from functools import partial

import polars as pl

from pipelines.io.identity import OPT_OUT_REPLY, opt_out_path, person_ids, valid_nhs_numbers
from pipelines.io.landing.errors import LandingError
from pipelines.io.landing.files import LandedFile
from pipelines.io.landing.protocol import Bench, Landing, Stage
from pipelines.io.landing.reading import FileCount, read_text


@dataclass(frozen=True)
class Reply:
    """One reply: those who may stay in (person_id, answered_date), and the file as read."""

    allowed: pl.DataFrame
    count: FileCount


@dataclass(frozen=True)
class OptOutFeed:
    """The replies of the service: the newest sound one takes the place of the held one."""

    name: str = "national_opt_out"
    stage: Stage = "replies"

    def take(self, landing: Landing) -> None:
        """Loads or refuses every new reply in order."""
        store, path = landing.store, opt_out_path(landing.store.settings)
        replies = [file for file in landing.new if file.feed == self.name]
        for file in sorted(replies, key=lambda file: (file.moment, file.rank)):
            landing.tell(f"reply of {file.moment}")
            after = store.read(path, OPT_OUT_REPLY)["answered_date"].max()
            try:
                work = store.work(self.name, file.sha256)
                reply = landing.run(partial(load_reply, after=after), file, work=work)
            except LandingError as error:
                landing.register.refuse([file], source="national opt-out", reason=str(error))
                continue
            counts = {
                "sha256": [file.sha256],
                "moment": [file.moment],
                "outcome": ["loaded"],
                "records": [reply.count.records],
            }
            landing.register.account([reply.count], pl.DataFrame(counts), practice_code=None)
            store.write(reply.allowed, path)


FEED = OptOutFeed()


def load_reply(file: LandedFile, bench: Bench, *, after: object = None) -> Reply:
    """The people of one reply, which may not be older than the one held (``after``, a date, if there is one).

    Raises:
        LandingError: the reply is old or empty, says that a job was created, reports an error, or holds anything that
            is not an NHS number.
    """
    answered = dt.datetime.strptime(file.moment, "%Y%m%d").date()
    if isinstance(after, dt.date) and answered < after:
        raise LandingError(expected=f"a reply of {after} or later", found=f"one of {answered}", where=file.name)
    text = read_text(file, con=bench.con, work=bench.work)
    numbers = valid_nhs_numbers(text.rows["nhs_number"])
    bad = text.bad.height + numbers.null_count()
    if bad or numbers.is_empty():
        raise LandingError(
            expected="one valid NHS number and a comma on every line",
            found=f"{bad} of {text.count.records} lines that are not: a message or a damaged reply, not an answer",
            where=file.name,
        )
    people = pl.DataFrame({"person_id": person_ids(numbers, bench.key)}).unique().sort("person_id")
    return Reply(allowed=people.with_columns(answered_date=pl.lit(answered)).cast(OPT_OUT_REPLY), count=text.count)  # type: ignore[arg-type]
