"""Claims about the published scores: agreement with second implementations, speed and memory."""

import datetime as dt
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq

from data_contracts.clinical.scores.definition import load_table
from models.published.prevention import prevention_scores
from models.published.registry import RowScore, load_scores
from pipelines.io.codelists import ListOrigin, load_files
from pipelines.io.warehouse import empty_table
from pipelines.settings import Settings
from tests.benchmarks.scores import against_c, every_score, made_up
from tests.lib import reference_scores as reference
from tests.prove.claims import Finding, at_least, at_most, exactly, proves

PEOPLE = 200_000
AS_OF = dt.date(2026, 11, 16)


@proves("scores")
def risk_equations_equal_a_c_program(folder: Path) -> list[Finding]:
    qrisk3 = load_scores()["qrisk3"]
    equations: list[tuple[RowScore, pl.DataFrame]] = [
        (qrisk3, load_table(qrisk3.definition, "qrisk3_coefficients")),
        *_qdiabetes(),
    ]
    return [
        at_most(
            f"{score.definition.name}: greatest difference from C with the same coefficients, {PEOPLE:,} people",
            against_c(score, rows, PEOPLE, times=1)[2],
            1e-9,
            unit="percentage points",
        )
        for score, rows in equations
    ]


def _qdiabetes() -> list[tuple[RowScore, pl.DataFrame]]:
    """The scores of the package that is not installed with the rest, with their coefficients."""
    sys.path.insert(0, str(reference.REPOSITORY / "packages" / "casefinder-qdiabetes"))
    from casefinder_qdiabetes.scores import SCORES  # type: ignore[import-not-found]

    folder = reference.REPOSITORY / "packages" / "casefinder-qdiabetes" / "casefinder_qdiabetes"
    rows = pl.read_csv(folder / "coefficients.csv", infer_schema=False)
    return [(score, rows.filter(pl.col("model") == score.definition.name[-1].upper())) for score in SCORES]


@proves("scores")
def hospital_scores_equal_a_plain_program(folder: Path) -> list[Finding]:
    dice = random.Random(2018)
    prefixes = [code for name in ("charlson_quan", "charlson_shmi", "acsc_conditions") for code in _prefixes(name)]
    codes = [f"{code.ljust(3, '0')}{dice.choice(['', '0', '9'])}"[:4] for code in prefixes]
    codes += load_table(load_scores()["hfrs"].definition, "hfrs_weights")["icd10_code"].to_list()
    people = [dice.choices(codes, k=dice.randint(1, 12)) for _ in range(10_000)]
    long = pl.DataFrame({"person_id": range(len(people)), "icd10_code": people}).explode("icd10_code")
    long = long.with_columns(age_years=pl.lit(80))
    charlson = load_scores()["charlson"].score(long).to_dicts()
    hfrs = load_scores()["hfrs"].score(long)["hfrs_tenths"].to_list()
    wrong_charlson = sum(
        any(row[name] != value for name, value in reference.charlson(mine, 80).items())
        for row, mine in zip(charlson, people, strict=True)
    )
    wrong_hfrs = sum(found != reference.hfrs_tenths(mine) for found, mine in zip(hfrs, people, strict=True))
    spells = pl.DataFrame({"spell_id": range(len(people)), "diagnosis_codes": ["|".join(mine) for mine in people]})
    spells = spells.with_columns(admission_method=pl.lit("21"), procedure_codes=pl.lit(None, dtype=pl.String))
    acsc = load_scores()["acsc"].score(spells)
    wrong_acsc = sum(
        (found or "") != "|".join(reference.acsc("21", mine, []))
        for found, mine in zip(acsc["acsc_conditions"], people, strict=True)
    )
    return [
        exactly("people of 10,000 whose Charlson columns differ from a plain program", wrong_charlson, 0),
        exactly("people of 10,000 whose Hospital Frailty Risk Score differs in tenths", wrong_hfrs, 0),
        exactly("spells of 10,000 whose avoidable conditions differ", wrong_acsc, 0),
    ]


def _prefixes(name: str) -> list[str]:
    path = reference.SCORE_DATA / f"{name}.csv"
    return [code for row in reference.read_rows(path) for code in row["icd10_prefixes"].split("|")]


@proves("scores")
def scoring_is_quick(folder: Path) -> list[Finding]:
    qrisk3 = load_scores()["qrisk3"]
    ours, c, _ = against_c(qrisk3, load_table(qrisk3.definition, "qrisk3_coefficients"), 1_000_000)
    return [
        at_most("seconds of QRISK3 for a million people over those of the equation in C on one core", ours / c, 1.0),
        at_most("seconds for every published score of a million people", sum(every_score(1_000_000).values()), 1.5),
    ]


@proves("scores")
def a_week_is_scored_quickly(folder: Path) -> list[Finding]:
    people, inputs = _a_week(1_000_000)
    began = time.perf_counter()
    prevention_scores(people, inputs, as_of=AS_OF)
    seconds = time.perf_counter() - began
    return [at_most("seconds for QRISK3 and the Health Check of a million people from their record", seconds, 3.0)]


def _a_week(people: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Adults of every age with six answers each, in the columns of the weekly tables."""
    dice = np.random.default_rng(2026)
    born = np.datetime64("1936-01-01") + dice.integers(0, 25_000, people)
    frame = (
        empty_table("people")
        .clear(people)
        .with_columns(
            person_id=pl.int_range(people),
            birth_date=pl.Series(born).cast(pl.Date),
            age_years=pl.Series((np.datetime64(AS_OF) - born).astype(int) // 366).cast(pl.Int16),
            sex=pl.Series(np.where(dice.random(people) < 0.5, "female", "male")),
        )
    )
    answers = {"smoking": (0, 5), "bmi": (18, 40), "systolic_bp": (100, 180), "systolic_bp_sd": (1, 20)}
    parts = [
        frame.select(
            "person_id",
            score=pl.lit("qrisk3"),
            input=pl.lit(name),
            value=pl.Series(dice.integers(low, high, people)).cast(pl.Float64),
            recorded_date=pl.lit(AS_OF),
        )
        for name, (low, high) in answers.items()
    ]
    flags = [
        parts[0].with_columns(score=pl.lit(score), input=pl.lit(name), value=pl.lit(1.0)).gather_every(9, place)
        for place, (score, name) in enumerate([("qrisk3", "migraine"), ("nhs_health_check", "statin")])
    ]
    return frame, pl.concat([*parts, *flags]).sort("person_id")


@proves("scores")
def published_lists_load(folder: Path) -> list[Finding]:
    shared = os.environ.get("CASEFINDER_SHARED_DATA")
    if not shared:
        return []
    origin = ListOrigin(AS_OF, "OpenSAFELY", "MIT; SNOMED CT under the UK licence")
    settings = Settings(home=folder)
    folders = sorted((Path(shared) / "codelists").glob("opensafely+*"))
    outcomes = [outcome for each in folders for outcome in load_files(settings, [each], origin)]
    unexplained = [outcome for outcome in outcomes if outcome.codes == 0 and not outcome.refused]
    loaded = {outcome.file for outcome in outcomes if outcome.codes}
    return [
        at_least("OpenSAFELY lists of SNOMED CT or dm+d codes that load", len(loaded), 110),
        exactly("lists that neither load nor are refused with a reason", len(unexplained), 0),
    ]


@proves("scores")
def memory_does_not_grow_with_the_file(folder: Path) -> list[Finding]:
    million = made_up(load_scores()["qrisk3"].definition, 1_000_000, unknown=0.02).to_arrow()
    peaks = []
    for copies in (1, 10):
        path = folder / f"{copies}.parquet"
        with pq.ParquetWriter(path, million.schema) as writer:
            for _ in range(copies):
                writer.write_table(million, row_group_size=250_000)
        peaks.append(_peak_of_scoring(path, folder / "out.parquet"))
    return [at_most("peak memory of scoring 10 million people over that of 1 million", peaks[1] / peaks[0], 1.2)]


def _peak_of_scoring(path: Path, output: Path) -> float:
    """Peak bytes of a fresh process that scores one file."""
    code = (
        "import resource, sys; from pathlib import Path; from pipelines.io.scoring import score_file; "
        "score_file('qrisk3', Path(sys.argv[1]), Path(sys.argv[2])); "
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    run = subprocess.run([sys.executable, "-c", code, str(path), str(output)], capture_output=True, check=True)
    return float(run.stdout)
