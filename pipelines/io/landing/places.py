"""What is known of places while an ingest runs: practices, areas, postcodes."""

from dataclasses import dataclass, field

import polars as pl

POSTCODES = {"postcode": pl.String, "lsoa_code": pl.String}


@dataclass(frozen=True)
class Places:
    """What is known of places: one row per practice, LSOA and postcode."""

    practices: pl.DataFrame
    lsoas: pl.DataFrame
    postcodes: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=POSTCODES))
