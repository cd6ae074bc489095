"""Writes made-up spells and attendances as a HES delivery: pipe-delimited, one row an episode."""

from pathlib import Path

import numpy as np
import polars as pl

from pipelines.synthetic.diagnoses import spell_codes
from pipelines.synthetic.history import attendance_rows, department_types, hospital_view
from pipelines.synthetic.identifiers import nhs_numbers
from pipelines.synthetic.population import Population
from pipelines.synthetic.world import stream

DIAGNOSES = 20
PROCEDURES = 24
PROVIDER = "RZZ00"
APC_COLUMNS = [
    "NEWNHSNO", "EPIKEY", "ADMIDATE", "DISDATE", "ADMIMETH", "DISMETH", "EPIORDER", "EPISTAT", "EPISTART", "EPIEND",
    "SPELBGIN", "SPELEND", "CLASSPAT", *[f"DIAG_{n:02d}" for n in range(1, DIAGNOSES + 1)],
    *[f"OPERTN_{n:02d}" for n in range(1, PROCEDURES + 1)], "GPPRAC", "PROCODE", "SUSRECID", "SUSLDDATE", "EPITYPE",
]  # fmt: skip


def admitted_episodes(population: Population) -> pl.DataFrame:
    """One row per consultant episode in HES columns; a long emergency stay may have two."""
    view, codes = hospital_view(population), spell_codes(population)
    spells = population.lives.spells.take(view.rows)
    draw = stream(population.plan.seed, population.chunk.number, "episodes")
    days = spells.discharged_day - spells.admitted_day
    double = (draw.random(len(view.rows)) < population.world.number("stay.second_episode") * 3) & (days >= 3)
    key = np.arange(len(view.rows), dtype=np.int64) + population.chunk.number * 10**9
    frame = pl.DataFrame(
        {
            "NEWNHSNO": nhs_numbers(population.people.index[spells.person], population.plan.seed),
            "SUSRECID": (key + 10**18).astype(str),
            "ADMIDATE": pl.Series(spells.admitted_day).cast(pl.Date),
            "DISDATE": pl.Series(spells.discharged_day).cast(pl.Date),
            "ADMIMETH": pl.Series(codes.admission_method[view.rows].tolist(), dtype=pl.String),
            "DISMETH": pl.Series(codes.discharge_method[view.rows].tolist(), dtype=pl.String),
            "CLASSPAT": np.where(spells.is_emergency | (days > 0), "1", "2"),
            "GPPRAC": population.plan.practices["practice_code"].gather(view.practice),
            "SUSLDDATE": pl.Series(view.entered_day).cast(pl.Date),
            "diagnoses": pl.Series(codes.diagnosis_codes[view.rows].tolist(), dtype=pl.String),
            "episodes": np.where(double, 2, 1),
        }
    )
    return _as_episodes(frame)


def _as_episodes(spells: pl.DataFrame) -> pl.DataFrame:
    """Spells laid out as episodes: order, dates, first and last marks, diagnoses in their places."""
    middle = pl.col("ADMIDATE") + pl.duration(days=(pl.col("DISDATE") - pl.col("ADMIDATE")).dt.total_days() // 2)
    rows = spells.with_columns(EPIORDER=pl.int_ranges(1, pl.col("episodes") + 1)).explode("EPIORDER")
    is_first, is_last = pl.col("EPIORDER") == 1, pl.col("EPIORDER") == pl.col("episodes")
    parts = pl.col("diagnoses").str.split("|")
    rows = rows.with_columns(
        *[parts.list.get(n, null_on_oob=True).alias(f"DIAG_{n + 1:02d}") for n in range(DIAGNOSES)],
        *[pl.lit("").alias(f"OPERTN_{n:02d}") for n in range(1, PROCEDURES + 1)],
        EPIKEY=pl.col("SUSRECID").str.slice(0, 18) + pl.format("{}{}", pl.col("SUSRECID").str.slice(18), "EPIORDER"),
        EPISTAT=pl.lit("3"),
        EPITYPE=pl.lit("1"),
        EPISTART=pl.when(is_first).then("ADMIDATE").otherwise(middle),
        EPIEND=pl.when(is_last).then("DISDATE").otherwise(middle),
        SPELBGIN=pl.when(is_first).then(pl.lit("2")).otherwise(pl.lit("0")),
        SPELEND=pl.when(is_last).then(pl.lit("Y")).otherwise(pl.lit("N")),
        PROCODE=pl.lit(PROVIDER),
    )
    return rows.select(pl.col(column).cast(pl.String).fill_null("") for column in APC_COLUMNS)


def attendances(population: Population) -> pl.DataFrame:
    """One row per emergency attendance in HES columns."""
    rows, entered = attendance_rows(population)
    person = population.lives.attendance_person[rows]
    kinds = department_types(population, len(rows))
    key = np.arange(len(rows), dtype=np.int64) + population.chunk.number * 10**9
    return pl.DataFrame(
        {
            "NEWNHSNO": nhs_numbers(population.people.index[person], population.plan.seed),
            "AEKEY": (key + 3 * 10**18).astype(str),
            "ARRIVALDATE": pl.Series(population.lives.attendance_day[rows]).cast(pl.Date),
            "AEDEPTTYPE": pl.Series(["01", "03"]).gather(kinds),
            "AEATTENDCAT": pl.Series(["1"]).gather(np.zeros(len(rows), dtype=np.int64)),
            "GPPRAC": population.plan.practices["practice_code"].gather(population.people.practice[person]),
            "PROCODE": pl.Series([PROVIDER]).gather(np.zeros(len(rows), dtype=np.int64)),
            "SUSLDDATE": pl.Series(entered).cast(pl.Date),
        }
    ).select(pl.all().cast(pl.String))


def write_pipes(frame: pl.DataFrame, file: Path, *, is_first: bool) -> None:
    """Append a frame to a pipe-delimited file, with its header when first."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb" if is_first else "ab") as target:
        frame.write_csv(target, separator="|", include_header=is_first, quote_style="never")
