"""What practices have answered, as it is held: pseudonyms only, in the identity zone."""

import datetime as dt
from pathlib import Path

import polars as pl

from pipelines.settings import Settings

ANSWERS = {
    "practice_code": pl.String,
    "person_id": pl.Int64,
    "decision": pl.String,
    "decided_date": pl.Date,
}
"""One row per answer."""


def answers_path(settings: Settings) -> Path:
    """Where the answers lie."""
    return settings.identity / "feedback.parquet"


def read_answers(settings: Settings, *, as_of: dt.date) -> pl.DataFrame:
    """One row per answer made before the as-of date: practice_code, person_id, decision, decided_date."""
    path = answers_path(settings)
    answers = pl.read_parquet(path) if path.is_file() else pl.DataFrame(schema=ANSWERS)
    return answers.filter(pl.col("decided_date") < as_of)
