"""What is known from reference files while an ingest runs: practices, areas, postcodes, the national code map."""

from dataclasses import dataclass, field

import polars as pl

from data_contracts.tables.history import ListSizes

POSTCODES = {"postcode": pl.String, "lsoa_code": pl.String}
LIST_SIZES = {name: column.dtype.type for name, column in ListSizes.to_schema().columns.items()}
CTV3_CODES = {"ctv3_code": pl.String, "concept_id": pl.Int64}


@dataclass(frozen=True)
class Places:
    """What is known of places: one row per practice, LSOA, postcode, public list size and CTV3 code."""

    practices: pl.DataFrame
    lsoas: pl.DataFrame
    postcodes: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=POSTCODES))
    list_sizes: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=LIST_SIZES))
    ctv3_codes: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=CTV3_CODES))
