"""What is known of places while an ingest runs: practices, areas, postcodes."""

from dataclasses import dataclass, field

import polars as pl

from data_contracts.tables.history import ListSizes

POSTCODES = {"postcode": pl.String, "lsoa_code": pl.String}
LIST_SIZES = {name: column.dtype.type for name, column in ListSizes.to_schema().columns.items()}


@dataclass(frozen=True)
class Places:
    """What is known of places: one row per practice, LSOA, postcode, and practice with a public list size."""

    practices: pl.DataFrame
    lsoas: pl.DataFrame
    postcodes: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=POSTCODES))
    list_sizes: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=LIST_SIZES))
