"""Where an ingest reads what is held and writes what will be: always through the switch, privately where it must."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb
import polars as pl

from data_contracts.registry import REFERENCE
from pipelines.io.history import Switch
from pipelines.io.landing.places import CTV3_CODES, POSTCODES, Places
from pipelines.settings import Settings

Schema = Mapping[str, type[pl.DataType]]
PLACES = ("practices", "lsoas", "list_sizes")
"""The reference tables that the reference files make."""


@dataclass(frozen=True)
class Store:
    """One workspace during one ingest."""

    settings: Settings
    switch: Switch
    con: duckdb.DuckDBPyConnection
    key: bytes

    def read(self, path: Path, schema: Schema) -> pl.DataFrame:
        """A table as this ingest has left it so far; empty if there is none."""
        current = self.switch.current(path)
        return pl.read_parquet(current) if current.exists() else pl.DataFrame(schema=dict(schema))

    def write(self, frame: pl.DataFrame, path: Path) -> None:
        """Writes a table aside, unless it is as it was."""
        current = self.switch.current(path)
        if current.exists() and pl.read_parquet(current).equals(frame):
            return
        aside = self.switch.aside(path)
        frame.write_parquet(aside, compression="zstd")
        if self.settings.identity in path.parents:
            aside.chmod(0o600)

    def state_path(self, name: str) -> Path:
        """What a feed remembers between deliveries; it may hold suppliers' ids, so it lies in the identity zone."""
        return self.settings.identity / "feeds" / f"{name}.parquet"

    def work(self, *parts: str) -> Path:
        """A new private folder for staged files, gone after the ingest."""
        folder = self.switch.folder.joinpath("work", *parts)
        folder.mkdir(parents=True)
        return folder

    def read_places(self) -> Places:
        """Practices, areas and postcodes as held."""
        held = {name: self.read(self.settings.history / f"{name}.parquet", _schema(name)) for name in PLACES}
        postcodes = self.read(self.state_path("postcodes"), POSTCODES)
        return Places(**held, postcodes=postcodes, ctv3_codes=self.read(self.state_path("ctv3_codes"), CTV3_CODES))

    def write_places(self, places: Places) -> None:
        """Writes practices, areas and postcodes aside."""
        for name in PLACES:
            self.write(getattr(places, name), self.settings.history / f"{name}.parquet")
        self.write(places.postcodes, self.state_path("postcodes"))
        if places.ctv3_codes.height:
            self.write(places.ctv3_codes, self.state_path("ctv3_codes"))


def _schema(name: str) -> Schema:
    columns = REFERENCE[name].to_schema().columns
    return {column: details.dtype.type for column, details in columns.items()}
