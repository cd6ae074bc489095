"""Claims about ingestion: every record accounted for, the same file changes nothing, nothing leaks."""

from pathlib import Path

import polars as pl

from pipelines.io.landing.ingest import ingest
from pipelines.io.ledger import read_ledger
from pipelines.io.releases.canary import find_identifiers
from tests.lib.counting import physical_records
from tests.lib.workspaces import digests, land
from tests.prove.claims import Finding, exactly, proves

SAMPLE = 100
OUTCOMES = ["loaded", "quarantined", "superseded", "deleted", "blank"]


@proves("ingest")
def made_up_extracts_are_accounted_for(folder: Path) -> list[Finding]:
    settings = land(folder, people=20_000, practices=8)
    ingest(settings)
    ledger = read_ledger(settings.home)
    counted = [physical_records(settings.landing / name) for name in ledger["file"]]
    balance = ledger.select(pl.sum_horizontal(OUTCOMES) == pl.Series(counted)).to_series()
    before = digests(settings.history)
    ingest(settings)
    numbers = [number for path in settings.identity.glob("people/*.parquet") for number in _numbers(path)]
    return [
        exactly(f"files of {sum(counted):,} records whose ledger does not balance", int((~balance).sum()), 0),
        exactly("history files changed by ingesting the same extracts again", _changed(before, settings.history), 0),
        exactly(
            f"of {SAMPLE} of the {len(numbers):,} NHS numbers, found in history in any of twenty forms",
            sum(find_identifiers([settings.history], numbers[:: len(numbers) // SAMPLE][:SAMPLE]).values()),
            0,
        ),
    ]


def _numbers(path: Path) -> list[str]:
    return pl.read_parquet(path)["nhs_number"].drop_nulls().to_list()


def _changed(before: dict[str, str], folder: Path) -> int:
    return len(set(before.items()) ^ set(digests(folder).items()))
