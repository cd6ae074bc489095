"""Claims about ingestion: every record accounted for, the same file changes nothing, nothing leaks."""

from pathlib import Path

import polars as pl

from pipelines.io.landing.ingest import ingest
from pipelines.io.ledger import read_ledger
from pipelines.io.releases.canary import find_identifiers
from tests.lib.counting import uncounted_files
from tests.lib.defects.answer_key import plant, plant_systmone
from tests.lib.fuzz import fuzz
from tests.lib.workspaces import digests, land
from tests.prove.claims import Finding, at_least, exactly, proves

SAMPLE = 100


@proves("ingest")
def made_up_extracts_are_accounted_for(folder: Path) -> list[Finding]:
    settings = land(folder, people=20_000, practices=8)
    ingest(settings)
    ledger = read_ledger(settings.home)
    wrong = uncounted_files(settings.home)
    before = digests(settings.history)
    ingest(settings)
    numbers = [number for path in settings.identity.glob("people/*.parquet") for number in _numbers(path)]
    return [
        exactly(f"files of {ledger['records'].sum():,} records whose ledger does not balance", len(wrong), 0),
        exactly("history files changed by ingesting the same extracts again", _changed(before, settings.history), 0),
        exactly(
            f"of {SAMPLE} of the {len(numbers):,} NHS numbers, found in history in any of twenty forms",
            sum(find_identifiers([settings.history], numbers[:: len(numbers) // SAMPLE][:SAMPLE]).values()),
            0,
        ),
    ]


@proves("ingest")
def garbled_files_are_accounted_for(folder: Path) -> list[Finding]:
    files, wrong = fuzz(folder, files=20_000, seed=1_000_000)
    told = (
        f"of {files:,} garbled files: ledgers that do not balance, files opened outside landing, SQL run from a name"
    )
    return [exactly(told, len(wrong), 0)]


@proves("ingest")
def planted_defects_are_caught(folder: Path) -> list[Finding]:
    scores = {
        "EMIS and hospital": plant(folder / "emis", each=6, people=4_000, practices=24, seed=11).grade(),
        "SystmOne": plant_systmone(folder / "systmone", each=5, people=3_000, practices=15, seed=11).grade(),
    }
    findings = []
    for supplier, score in scores.items():
        kinds = len({defect.kind for defect in score.caught})
        planted = f"{len(score.caught) + len(score.missed)} defects of {kinds} kinds planted in {supplier} extracts"
        findings += [
            at_least(f"{supplier}: kinds of planted defect", kinds, 35),
            exactly(f"of {planted}, not caught by the rule meant for them", len(score.missed), 0),
            exactly(f"records, rows and files that {planted} do not explain", len(score.touched), 0),
        ]
    return findings


def _numbers(path: Path) -> list[str]:
    return pl.read_parquet(path)["nhs_number"].drop_nulls().to_list()


def _changed(before: dict[str, str], folder: Path) -> int:
    return len(set(before.items()) ^ set(digests(folder).items()))
