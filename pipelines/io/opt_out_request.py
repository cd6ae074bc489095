"""Writes the request to the national opt-out service: the NHS numbers that are held, in the identity zone only."""

import datetime as dt
import re
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import polars as pl

from pipelines.io.durable import write_aside
from pipelines.io.history import make_folder
from pipelines.io.identity import PEOPLE, IdentityError
from pipelines.io.landing.feeds import load_feed
from pipelines.settings import Settings

MAILBOX = re.compile(r"[A-Z0-9]{4,20}")


@dataclass(frozen=True)
class Request:
    """A request as written: the data file, the control file for the MESH client, how many numbers it asks about."""

    data: Path
    control: Path
    numbers: int


def write_request(settings: Settings, *, mailbox: str, on: dt.date, sequence: int = 1) -> Request:
    """One request about everyone who is held, the dead too: one number, comma and line feed a line, no header.

    The answer comes back under the same local id; put it into ``landing/national_opt_out`` and ingest.

    Raises:
        ValueError: the mailbox is no mailbox, or the sequence has not one to four digits.
        IdentityError: nobody is held.
    """
    if not MAILBOX.fullmatch(mailbox) or not 0 < sequence <= 9999:
        raise ValueError(
            "expected your MESH mailbox (capital letters and digits) and a sequence from 1 to 9999; "
            f"found a mailbox of {len(mailbox)} characters and {sequence}"
        )
    paths = sorted((settings.identity / "people").glob("*.parquet"))
    people = pl.concat([pl.LazyFrame(schema=PEOPLE), *(pl.scan_parquet(path) for path in paths)])
    numbers = people.select("nhs_number").drop_nulls().unique().sort("nhs_number").collect()["nhs_number"]
    if numbers.is_empty():
        raise IdentityError(
            f"expected people under {settings.identity / 'people'}, found none: ingest extracts first"
        )
    folder = settings.identity / "opt_out_requests"
    make_folder(folder, private_from=settings.identity)
    name = f"{mailbox}_{on:%Y%m%d}_{sequence:04}"
    data = _write(folder / f"{name}.dat", "".join(f"{number},\n" for number in numbers))
    control = _write(folder / f"{name}.ctl", _control(mailbox, name))
    return Request(data, control, len(numbers))


def _control(mailbox: str, name: str) -> str:
    """The control file: who sends what to whom. No subject or local id has a colon: that brings no answer."""
    words = load_feed("national_opt_out").words
    fields = {
        "Version": "1.0",
        "AddressType": "DTS",
        "MessageType": "Data",
        "From_DTS": mailbox,
        "To_DTS": words["mailbox"],
        "Subject": name,
        "LocalId": name,
        "WorkflowId": words["workflow"],
        "Compress": "Y",
        "Encrypted": "N",
    }
    root = ElementTree.Element("DTSControl")
    for field, value in fields.items():
        ElementTree.SubElement(root, field).text = value
    return ElementTree.tostring(root, encoding="unicode")


def _write(path: Path, text: str) -> Path:
    with write_aside(path) as draft:
        draft.touch(mode=0o600)
        draft.write_bytes(text.encode("ascii"))
    return path
