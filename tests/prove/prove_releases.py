"""Claims about what leaves: whole, repeatable, without identifiers, without formulas."""

from pathlib import Path

import openpyxl
import polars as pl

from pipelines.definitions import defs
from pipelines.defs.headless import run_job
from pipelines.io.releases import verify_release
from pipelines.io.releases.canary import find_identifiers
from pipelines.settings import Settings
from tests.lib.canaries import plant
from tests.lib.workspaces import AS_OF, digests, land, make_workspace
from tests.prove.claims import Finding, exactly, proves

WEEK = AS_OF.isoformat()


@proves("releases")
def a_release_is_whole_repeatable_and_private(folder: Path) -> list[Finding]:
    first = make_workspace(folder / "first", people=2_000, practices=8)
    second = make_workspace(folder / "second", people=2_000, practices=8, key=first.key_file)
    for settings in (first, second):
        outcome = run_job(defs(), "weekly", settings, partition=WEEK)
        assert outcome.succeeded, outcome.failures
    release = first.releases / WEEK
    numbers = pl.read_parquet(list(first.identity.glob("people/*.parquet")))["nhs_number"].to_list()[::10]
    outside = [first.history, first.tables, first.home / "dagster", first.home / "spill", release / "icb"]
    outside += [first.models] if first.models.exists() else []
    words = list(plant(land(folder / "words", people=2_000, practices=8).landing).values())
    return [
        exactly(
            f"of {len(words)} words planted in names, addresses and free text, found outside identity and landing",
            sum(find_identifiers([*(path for path in outside if path.exists()), release], words).values()),
            0,
        ),
        exactly("files that differ between two runs from the same extracts and key", _differing(first, second), 0),
        exactly("problems that independent code finds in the release", len(verify_release(release)), 0),
        exactly(
            f"of {len(numbers):,} NHS numbers (every tenth), found outside identity, landing, practices' lists",
            sum(find_identifiers([path for path in outside if path.exists()], numbers).values()),
            0,
        ),
        exactly("cells of the practices' workbooks that could run as formulas", _formulas(release), 0),
        exactly("people on another practice's list", _strangers(first, release), 0),
    ]


def _differing(first: Settings, second: Settings) -> int:
    pairs = [(digests(getattr(first, part)), digests(getattr(second, part))) for part in ("history", "tables")]
    pairs.append((digests(first.releases / WEEK), digests(second.releases / WEEK)))
    return sum(len(set(one.items()) ^ set(other.items())) for one, other in pairs)


def _formulas(release: Path) -> int:
    books = [openpyxl.load_workbook(path) for path in release.glob("practices/*/target_list.xlsx")]
    cells = [cell for book in books for page in book for row in page.iter_rows() for cell in row]
    return sum(cell.data_type == "f" for cell in cells)


def _strangers(settings: Settings, release: Path) -> int:
    people = pl.read_parquet(list(settings.identity.glob("people/*.parquet")))
    strangers = 0
    for path in release.glob("practices/*/target_list.csv"):
        listed = pl.read_csv(path, infer_schema=False)["NHS number"].str.replace_all(" ", "")
        own = people.filter(pl.col("practice_code") == path.parent.name)["nhs_number"]
        strangers += int((~listed.is_in(own.to_list())).sum())
    return strangers
