"""Claims about time and memory, each as a whole process measured from outside."""

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

from tests.benchmarks import ingestion
from tests.benchmarks.against import every_finding
from tests.prove.claims import Finding, at_least, at_most, proves


@proves("speed")
def the_demo_takes_minutes(folder: Path) -> list[Finding]:
    seconds, peak = _measure(["demo"], folder)
    return [
        at_most("seconds for the demo: 20,000 people in 8 practices, extracts to release", seconds, 180),
        at_most("peak memory of the demo", peak, 6, unit="GiB"),
    ]


@proves("speed")
def a_million_people_are_made_in_minutes(folder: Path) -> list[Finding]:
    verb = ["synth", "--people", "1000000", "--practices", "110", "--format", "history", "--out", str(folder)]
    seconds, peak = _measure(verb, folder)
    size = sum(path.stat().st_size for path in folder.rglob("*.parquet")) / 2**20
    return [
        at_most("seconds to make a million people's history", seconds, 120),
        at_most("peak memory while making them", peak, 6, unit="GiB"),
        at_most("size of their history and truth", size, 1_000, unit="MiB", digits=4),
    ]


@proves("speed")
def what_people_use_instead_answers_the_same_and_takes_longer(folder: Path) -> list[Finding]:
    return [
        at_least(f"times that {found.way} takes for {found.question}", found.seconds / found.ours, 1)
        for found in every_finding(folder)
    ]


@proves("speed")
def ingestion_keeps_up_with_reading_the_files(folder: Path) -> list[Finding]:
    found = [at_least("million rows a second split into good and held", ingestion.rows_validated_a_second() / 1e6, 5)]
    for people, practices in ingestion.SIZES:
        settings = ingestion.land(folder / f"{people}", people=people, practices=practices)
        as_text = ingestion.seconds_as_text(settings, folder)
        full, records = ingestion.seconds_to_ingest(settings)
        ingestion.land_delta(settings)
        delta, sent = ingestion.seconds_to_ingest(settings)
        loaded = f"{records:,} EMIS records of {practices} practices"
        found += [
            at_least(f"speed of a full load of {loaded}, beside DuckDB's as text", as_text / full, 0.5),
            at_most(
                f"cost of a delta of {sent:,} at all of them, beside that load", 100 * delta / full, 10, unit="%"
            ),
        ]
    return found


def _measure(arguments: list[str], home: Path) -> tuple[float, float]:
    """Seconds and peak GiB of one casefinder command."""
    environment = os.environ | {"CASEFINDER_HOME": str(home)}
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "pipelines.cli", *arguments], env=environment, check=True)
    return time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
