"""The one frozen settings object. The environment is read here and nowhere else."""

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Where things lie and the few choices an ICB makes, each overridable as ``CASEFINDER_<NAME>``."""

    model_config = SettingsConfigDict(env_prefix="CASEFINDER_", frozen=True, extra="forbid")

    home: Path = Path("workspace")
    """The one folder that holds everything Casefinder writes."""
    pseudonym_key_file: Path | None = None
    """File with the secret key that turns NHS numbers into person ids; default: ``<home>/keys/pseudonym.key``."""
    places_in_england: int = 800_000
    """Places in the complex-care cohort for the whole of England."""
    registered_in_england: int = 63_000_000
    """Registered people in England: the denominator by which places are shared out."""
    share_of_adults: float = Field(default=0, ge=0, le=1)
    """Places as a share of registered adults, such as 0.02, in place of the run's share of England's; 0 is off."""
    places_by: Literal["all", "icb", "network", "practice"] = "all"
    """Where places are shared out by rank: over the whole run, or within each ICB, network or practice."""
    deprived_floor: float = Field(default=0, ge=0, le=1)
    """Share of the places that at least go to people of the two most deprived tenths, if there are so many."""
    stay_band: float = 1.25
    """A member of complex care keeps the place until others, ranking above rank / stay band, fill them; 1 is off."""
    memory_limit: str = "4GB"
    """DuckDB's memory limit; work past it spills to ``<home>/spill``."""
    threads: int = 2
    """Threads that DuckDB may use."""

    extract_gib: int = 8
    """Memory in GiB that loading one delivery may take; one that needs more is refused."""
    extract_seconds: int = 7200
    """Seconds that loading one delivery may take; one that needs more is refused."""
    extract_file_gib: int = 200
    """Largest file in GiB that loading one delivery may write while it works."""

    @property
    def landing(self) -> Path:
        """Extract files as delivered: read, never changed."""
        return self.home / "landing"

    @property
    def history(self) -> Path:
        """One Parquet file per table and ICB: ``history/<table>/<icb_code>.parquet``."""
        return self.home / "history"

    @property
    def identity(self) -> Path:
        """NHS numbers, names, postcodes, quarantined raw rows: readable by its owner only."""
        return self.home / "identity"

    @property
    def tables(self) -> Path:
        """Tables of each week: ``tables/<as-of date>/<table>/<icb_code>.parquet``."""
        return self.home / "tables"

    @property
    def models(self) -> Path:
        """Trained models, one folder each."""
        return self.home / "models"

    @property
    def releases(self) -> Path:
        """Published releases: ``releases/<as-of date>/``."""
        return self.home / "releases"

    @property
    def catalogue(self) -> Path:
        """The DuckDB file that analysts open: views over history and the latest week's tables."""
        return self.home / "casefinder.duckdb"

    @property
    def key_file(self) -> Path:
        """The file that holds the pseudonym key."""
        return self.pseudonym_key_file or self.home / "keys" / "pseudonym.key"
