"""Says what changed from one release to another: files, rows, and people who joined or left each list and cohort."""

import json
from pathlib import Path

import polars as pl

from pipelines.io.releases.manifest import MANIFEST

SCHEMA = {
    "path": pl.String,
    "change": pl.String,
    "rows_before": pl.Int64,
    "rows_after": pl.Int64,
    "joined": pl.Int64,
    "left": pl.Int64,
}


def diff_releases(before: Path, after: Path) -> pl.DataFrame:
    """One row per file of either release: added, removed, changed or same; rows; who joined or left a list or cohort.

    Cohorts are told apart by pseudonym, so all of one that is under another scheme has left and joined.

    Raises:
        FileNotFoundError: one of the folders is not a whole release.
    """
    old, new = _files(before), _files(after)
    rows = [_row(name, old.get(name), new.get(name), before, after) for name in sorted(old.keys() | new.keys())]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def _files(release: Path) -> dict[str, dict[str, object]]:
    """The manifest's entries by path."""
    path = release / MANIFEST
    if not path.is_file():
        raise FileNotFoundError(f"no {MANIFEST} in {release}: not a whole release")
    return {entry["path"]: entry for entry in json.loads(path.read_text("utf-8"))["files"]}


def _row(
    name: str, old: dict[str, object] | None, new: dict[str, object] | None, before: Path, after: Path
) -> tuple[object, ...]:
    change = "added" if old is None else "removed" if new is None else _change(old, new)
    joined, left = _movers(before / name, after / name)
    return (name, change, old and old["rows"], new and new["rows"], joined, left)


def _change(old: dict[str, object], new: dict[str, object]) -> str:
    return "same" if old["sha256"] == new["sha256"] else "changed"


def _movers(before: Path, after: Path) -> tuple[int | None, int | None]:
    """How many people joined and how many left one list or cohort; None of a file without people."""
    old, new = _people(before), _people(after)
    if old is None or new is None:
        return None, None
    return new.filter(~new.is_in(old.implode())).len(), old.filter(~old.is_in(new.implode())).len()


def _people(file: Path) -> pl.Series | None:
    """The distinct people of a list or cohort, nobody if the file is not there."""
    if file.name != "target_list.csv" and file.suffix != ".parquet":
        return None
    if not file.is_file():
        return pl.Series(dtype=pl.String)
    if file.suffix == ".parquet":
        return pl.read_parquet(file, columns=["pseudonym"])["pseudonym"].unique()
    return pl.read_csv(file, infer_schema=False)["NHS number"].unique()
