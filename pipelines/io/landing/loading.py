"""Loads one delivery: counts the files of tables that nothing is taken from, and hands the feed the others."""

from dataclasses import replace

from pipelines.io.landing.feeds import load_feed
from pipelines.io.landing.protocol import Bench, Delivery, Load, Loaded
from pipelines.io.landing.reading import count_all_unused


def load_delivery(delivery: Delivery, bench: Bench, *, load: Load) -> Loaded:
    """What a delivery led to, every file of it counted.

    Raises:
        LandingError: the delivery as a whole cannot be trusted; nothing of it may be used.
    """
    unused = load_feed(delivery.feed).unused_tables
    counts = count_all_unused([file for file in delivery.files if file.table in unused], bench.work)
    used = tuple(file for file in delivery.files if file.table not in unused)
    loaded = load(replace(delivery, files=used), bench)
    return replace(loaded, files=(*loaded.files, *counts))
