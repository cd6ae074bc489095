"""Claims about what leaves: whole, repeatable, without identifiers, without formulas."""

import datetime as dt
import shutil
from pathlib import Path

import openpyxl
import polars as pl

from pipelines.definitions import defs
from pipelines.defs.headless import run_job
from pipelines.io.releases import verify_release
from pipelines.io.releases.canary import find_identifiers
from pipelines.io.studies import Question
from pipelines.io.training import train_model
from pipelines.io.warehouse import Warehouse
from pipelines.io.weekly_build import build_tables
from pipelines.settings import Settings
from pipelines.synthetic.write import write_extracts
from tests.lib.canaries import plant
from tests.lib.workspaces import AS_OF, digests, land, make_workspace
from tests.prove.claims import Finding, at_most, exactly, proves

WEEK = AS_OF.isoformat()
STUDY = "avoidable_admission_12m"


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


@proves("releases")
def complex_care_is_steady_from_week_to_week(folder: Path) -> list[Finding]:
    """200,000 people, scored by a model that learned from 50,000 others."""
    learned, settings = Settings(home=folder / "learned"), Settings(home=folder / "week")
    for home, people, seed in ((learned.home, 50_000, 2), (settings.home, 200_000, 1)):
        write_extracts(
            people=people, practices=None, seed=seed, as_of=AS_OF, formats=["history"], out=home, with_truth=False
        )
    train_model(learned, STUDY, Question(as_of=AS_OF))
    shutil.copytree(learned.models, settings.models)
    warehouse, weeks = Warehouse(settings), (AS_OF - dt.timedelta(days=7), AS_OF)
    for week in weeks:
        build_tables(warehouse, week, upto="cohort_moves")
    before = warehouse.read("complex_care", weeks[0]).collect().height
    moves = warehouse.read("cohort_moves", AS_OF).collect()
    own = pl.col("reason").is_in(["others ranked higher", "places came free"]).not_()
    came_or_went = pl.col("move").is_in(["joined", "left"])
    shares = {move: moves.filter(pl.col("move") == move).height / before for move in ("joined", "left")}
    return [
        exactly(
            f"of {before:,} places in complex care, moves in a week that nothing on the person's own record explains",
            moves.filter(came_or_went & ~own).height,
            0,
        ),
        at_most("people who joined in a week, of all places", 100 * shares["joined"], 2, unit="%"),
        at_most("people who left in a week, of all places", 100 * shares["left"], 2, unit="%"),
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
