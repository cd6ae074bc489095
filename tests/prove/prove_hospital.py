"""Claims about hospital activity: one stay is one row, whatever form it came in."""

from pathlib import Path

import polars as pl

from pipelines.io.landing.ingest import ingest
from pipelines.settings import Settings
from pipelines.synthetic.write import Format
from tests.lib.workspaces import land
from tests.prove.claims import Finding, exactly, proves

TABLES = ("spells", "emergency_attendances")
FORMS: dict[str, tuple[Format, ...]] = {"Unified SUS": ("sus",), "HES and Unified SUS": ("hospital", "sus")}


@proves("ingest")
def a_stay_is_one_row_in_any_form(folder: Path) -> list[Finding]:
    hes = _ingested(folder / "hes", ("hospital",))
    expected = {name: _rows(hes, name) for name in TABLES}
    findings = []
    for form, formats in FORMS.items():
        other = _ingested(folder / form.replace(" ", "_"), formats, key=hes.key_file)
        for name, rows in expected.items():
            differ = len(set(rows.rows()) ^ set(_rows(other, name).rows()))
            findings.append(exactly(f"rows of {name} that differ, of {rows.height:,}: {form} against HES", differ, 0))
    return findings


def _ingested(home: Path, hospital: tuple[Format, ...], key: Path | None = None) -> Settings:
    settings = land(home, people=5_000, practices=4, key=key, formats=("emis", "reference", *hospital))
    ingest(settings)
    return settings


def _rows(settings: Settings, name: str) -> pl.DataFrame:
    return pl.concat([pl.read_parquet(path) for path in sorted((settings.history / name).glob("*.parquet"))])
