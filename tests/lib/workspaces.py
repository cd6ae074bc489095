"""Workspaces of made-up people for tests: extracts landed and, if asked, ingested."""

import csv
import datetime as dt
import hashlib
from collections.abc import Mapping
from pathlib import Path

from pipelines.definitions import defs
from pipelines.defs.headless import run_job
from pipelines.io.identity import make_key
from pipelines.settings import Settings
from pipelines.synthetic.write import Format, write_extracts
from tests.lib.canaries import plant

AS_OF = dt.date(2026, 11, 16)


EXTRACTS: tuple[Format, ...] = ("emis", "hospital", "reference", "opt_out")


def land(
    home: Path,
    *,
    people: int = 300,
    practices: int = 2,
    seed: int = 5,
    key: Path | None = None,
    formats: tuple[Format, ...] = EXTRACTS,
) -> Settings:
    """The settings of a workspace with made-up extracts landed, and a key: its own, or a copy of another's."""
    settings = Settings(home=home)
    write_extracts(people=people, practices=practices, seed=seed, as_of=AS_OF, formats=formats, out=home)
    make_key(settings.key_file)
    if key:
        settings.key_file.chmod(0o600)
        settings.key_file.write_bytes(key.read_bytes())
    return settings


def list_practices(settings: Settings, icbs: Mapping[str, str]) -> None:
    """Lands a national list of these made-up practices, each with its ICB."""
    listed = settings.landing / "reference" / "epraccur.csv"
    listed.parent.mkdir(parents=True)
    with listed.open("w", encoding="utf-8", newline="") as file:
        rows = [[code, f"{code} SURGERY", "", icb, *[""] * 8, "A", *[""] * 14] for code, icb in icbs.items()]
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows(rows)


def make_workspace(home: Path, *, people: int = 300, practices: int = 2, key: Path | None = None) -> Settings:
    """The settings of a workspace with made-up extracts ingested, in which words are planted."""
    settings = land(home, people=people, practices=practices, key=key)
    plant(settings.landing)
    outcome = run_job(defs(), "ingest", settings)
    assert outcome.succeeded, outcome.failures
    return settings


def digests(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file under a folder, by its path there."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
