"""The smallest sound files of feeds that come from others' tools: Synthea and OMOP."""

from tests.pipeline import test_omop_ingest, test_synthea_ingest


def synthea_tables() -> dict[str, bytes]:
    """Synthea's tables by file name."""
    return {f"{name}.csv": text.lstrip().encode() for name, text in test_synthea_ingest.FILES.items()}


def omop_tables(drop: int = 0) -> dict[str, bytes]:
    """OMOP tables by file name; each drop holds practices of its own, Y9<drop>001 to Y9<drop>003."""
    texts = {name: text.lstrip().replace("Y90", f"Y9{drop}") for name, text in test_omop_ingest.TABLES.items()}
    return {f"{name.upper()}.csv": text.encode() for name, text in texts.items()}
