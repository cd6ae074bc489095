"""Every feed, in the order in which they are taken: the only such list. A new feed is a line here."""

from pipelines.io.landing import (
    emis,
    emis_custom,
    feedback,
    history_parquet,
    hospital,
    national_opt_out,
    omop,
    reference,
    superseded_numbers,
    synthea,
    systmone,
)
from pipelines.io.landing.protocol import Feed

FEEDS: tuple[Feed, ...] = (
    reference.FEED,
    superseded_numbers.FEED,
    emis.FEED,
    systmone.FEED,
    synthea.FEED,
    omop.FEED,
    history_parquet.FEED,
    emis_custom.FEED,
    hospital.FEED,
    national_opt_out.FEED,
    feedback.FEED,
)
