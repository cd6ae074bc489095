"""The contract of a feed: file names, format, tables and columns, as data. Nothing here opens a landed file."""

import csv
import re
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from data_contracts.clinical.definitions import read_definition
from data_contracts.yaml_text import parse_yaml
from pipelines.io.landing.archives import ArchiveLimits

FEEDS = files("data_contracts.clinical") / "feeds"


class FileFormat(BaseModel):
    """How the bytes of a feed's files are laid out: one record a line unless quoted."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    encoding: Literal["utf-8", "windows-1252"] = "utf-8"
    delimiter: str
    quote: str | None
    has_header: bool
    needs_last_line_end: bool


class FeedTable(BaseModel):
    """The columns that are read from one table: our name to the header's name, or to a position from 1.

    A column that has been called otherwise in another version has all its names, with | between them. A file may have
    several of them: the first named is read. A file without a header has ``width`` columns, or, by its first record,
    fewer, but at least ``least_width``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    is_needed: bool = False
    columns: dict[str, str] = {}
    optional: dict[str, str] = {}
    numbered: dict[str, str] = {}
    positions: dict[str, int] = {}
    width: int | None = None
    least_width: int | None = None
    header_starts_with: str | None = None
    edition: str | None = None

    def named(self, headers: list[str]) -> list[str | None]:
        """Our name of each header, without regard to case or the spaces around it; None for those not read."""
        found = [header.strip().lower() for header in headers]
        ours = {}
        for name, spellings in {**self.columns, **self.optional}.items():
            spelled = [text.lower() for text in spellings.split("|")]
            ours[next((text for text in spelled if text in found), spelled[0])] = name
        for name, starts in self.numbered.items():
            runs = [[text for text in found if _is_numbered(text, start.lower())] for start in starts.split("|")]
            ours |= {text: f"{name}_{text[-2:]}" for text in next((run for run in runs if run), [])}
        return [ours.get(text) for text in found]

    @property
    def names(self) -> list[str]:
        """Our names of the fixed columns, in the contract's order."""
        return [*self.columns, *self.optional, *self.positions]


class Archive(ArchiveLimits):
    """What a feed's archives are called and may hold. ``ignored`` are members that are junk, by their full name.

    ``part_name`` is what the earlier parts of an archive that was cut are called; the last has its own name.
    """

    file_name: str
    part_name: str | None = None
    ignored: str | None = None


class FeedContract(BaseModel):
    """One feed's contract, with its provenance.

    ``split_by`` says what a folder of the feed is: a practice, a drop of several practices (its path is named by
    ``drop_name``, with groups source and moment), or, if neither, that files lie in the feed's folder itself.
    ``drop_of_practice`` is true if the source of a drop of one practice is its code. ``formats`` are those of names
    with another ending; ``year_made`` is the month and day after a financial year's end on which a file that is named
    by the year is taken to have been made.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    feed: str
    source: str
    version: str
    licence: str
    reviewer: str
    effective_from: Any
    folder: str
    split_by: Literal["practice", "drop"] | None = None
    drop_name: str | None = None
    drop_of_practice: bool = False
    file_name: str
    archive: Archive | None = None
    most_records: int = 100_000_000
    year_made: str | None = None
    format: FileFormat
    formats: dict[str, FileFormat] = {}
    tables: dict[str, FeedTable]
    unused_tables: list[str] = Field(default_factory=list)
    words: dict[str, Any]

    def practice_of(self, source: str) -> str | None:
        """The practice that a source is by its name, None if it is a drop of several or the feed."""
        may_be = self.split_by == "practice" or (self.split_by == "drop" and self.drop_of_practice)
        return source if may_be and is_ods_code(source) else None

    def match(self, file_name: str) -> dict[str, str] | None:
        """The parts of a file name that meets the contract, None if it does not."""
        found = re.fullmatch(self.file_name, file_name, flags=re.ASCII)
        if found is None:
            return None
        named = found.groupdict()
        if year := named.pop("year", None):
            named["moment"] = f"{'19' if year[2:] > '80' else '20'}{year[2:]}{self.year_made}"
        return named

    def layout(self, file_name: str) -> FileFormat:
        """How a file of this name is laid out."""
        return self.formats.get(file_name.rpartition(".")[2].lower(), self.format)

    def table_named(self, text: str) -> str | None:
        """The contract's spelling of a table name, without regard to case or a plural s; None if unknown."""
        spelled = {name.lower(): name for name in [*self.tables, *self.unused_tables]}
        return spelled.get(text.lower()) or spelled.get(text.lower().removesuffix("s"))


def _is_numbered(text: str, start: str) -> bool:
    digits = text.removeprefix(start)
    return text.startswith(start) and len(digits) == 2 and digits.isascii() and digits.isdigit()


def is_ods_code(text: str) -> bool:
    """True if a text can be the code of an organisation: it names files and folders."""
    return text.isascii() and text.isalnum() and text == text.upper() and 3 <= len(text) <= 8


@cache
def known_headers(feed: str, table: str) -> frozenset[str]:
    """Headers in lower case that a table is known to have had in some version, read or not."""
    lines = csv.DictReader(read_definition("feeds/known_columns.csv").splitlines())
    return frozenset(line["column"].lower() for line in lines if (line["feed"], line["table"]) == (feed, table))


@cache
def load_feed(name: str) -> FeedContract:
    """The contract of one feed, from data_contracts/clinical/feeds."""
    return FeedContract(**parse_yaml((FEEDS / f"{name}.yaml").read_text("utf-8")))
