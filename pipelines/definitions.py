"""The Dagster entry point: every definition under ``pipelines/defs``, loaded."""

from pathlib import Path

import dagster as dg


@dg.definitions
def defs() -> dg.Definitions:
    """All of Casefinder's assets, checks, jobs, schedules and sensors."""
    return dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
