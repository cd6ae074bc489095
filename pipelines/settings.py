"""The one frozen settings object. The environment is read here and nowhere else."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Mesh(BaseModel):
    """The MESH mailbox that lists are sent from, and what was given out with it: ``CASEFINDER_MESH__<NAME>``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str
    """Address of the MESH service, such as its integration environment."""
    mailbox: str
    """Mailbox that sends."""
    password: SecretStr
    """Password of the mailbox."""
    shared_key: SecretStr
    """Key of the environment, by which each request is signed."""
    workflow: str
    """Workflow id by which practices receive lists; their mailboxes are looked up by it."""
    certificate: Path | None = None
    """File with the client's certificate."""
    certificate_key: Path | None = None
    """File with the key of that certificate."""
    authority: Path | None = None
    """File with the authority that signed the service's certificate."""


class Settings(BaseSettings):
    """Where things lie and the few choices an ICB makes, each overridable as ``CASEFINDER_<NAME>``."""

    model_config = SettingsConfigDict(
        env_prefix="CASEFINDER_", env_nested_delimiter="__", frozen=True, extra="forbid"
    )

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
    stay_band: float = 2.0
    """A member of complex care keeps the place until others, ranking above rank / stay band, fill them; 1 is off."""
    memory_limit: str = "4GB"
    """DuckDB's memory limit; work past it spills to ``<home>/spill``."""
    threads: int = 2
    """Threads that DuckDB may use."""

    reuse: bool = True
    """Whether a run leaves a part of a weekly table as it is while all that it is made from is as it was."""

    extract_gib: int = 12
    """Memory in GiB that loading one delivery may ask for, about twice what it uses; one that needs more is refused.
    Two are loaded at once."""
    extract_batch: int = Field(default=500_000, ge=1)
    """Records of one table of a delivery that are decided at once; fewer take less memory and more time."""
    extract_seconds: int = 7200
    """Seconds that loading one delivery may take; one that needs more is refused."""
    extract_file_gib: int = 200
    """Largest file in GiB that loading one delivery may write while it works."""

    mesh: Mesh | None = None
    """How practices are sent their lists; None: they fetch them."""
    icb_store: str | None = None
    """Address to which ICB folders go, such as s3://bucket/casefinder, az://container/casefinder or file:///share."""

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
    def sent(self) -> Path:
        """What became of each list that was sent: ``sent/<as-of date>/<practice_code>-<hash>.json``."""
        return self.home / "sent"

    @property
    def workbook_passwords(self) -> Path:
        """CSV of ods_code and password; with it every workbook is encrypted before it is sent."""
        return self.home / "keys" / "workbook_passwords.csv"

    @property
    def catalogue(self) -> Path:
        """The DuckDB file that analysts open: views over history and the latest week's tables."""
        return self.home / "casefinder.duckdb"

    @property
    def key_file(self) -> Path:
        """The file that holds the pseudonym key."""
        return self.pseudonym_key_file or self.home / "keys" / "pseudonym.key"
