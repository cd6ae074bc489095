"""The request to the national opt-out service: its form, its place, and what is refused."""

import datetime as dt
import stat
from xml.etree import ElementTree

import polars as pl
import pytest

from pipelines.io.identity import PEOPLE, IdentityError
from pipelines.io.landing.feeds import load_feed
from pipelines.io.opt_out_request import write_request
from pipelines.settings import Settings
from tests.lib.release_frames import nhs_numbers

DAY = dt.date(2026, 11, 16)
NUMBERS = sorted(nhs_numbers(3))


@pytest.fixture
def settings(tmp_path):
    settings = Settings(home=tmp_path)
    (settings.identity / "people").mkdir(parents=True)
    for icb, numbers in {"QZA": NUMBERS[:2], "QZB": NUMBERS[1:]}.items():
        rows = pl.DataFrame({"nhs_number": [*numbers, None]}, schema={"nhs_number": pl.String})
        frame = rows.select(
            pl.col("nhs_number") if name == "nhs_number" else pl.lit(None, dtype=kind).alias(name)
            for name, kind in PEOPLE.items()
        )
        frame.write_parquet(settings.identity / "people" / f"{icb}.parquet")
    return settings


def test_each_number_stands_once_on_a_line_of_its_own(settings):
    request = write_request(settings, mailbox="X26ABC1", on=DAY)
    assert request.data.read_bytes() == "".join(f"{number},\n" for number in NUMBERS).encode()
    assert (request.data.name, request.numbers) == ("X26ABC1_20261116_0001.dat", 3)


def test_the_request_lies_in_the_identity_zone_for_its_owner_only(settings):
    request = write_request(settings, mailbox="X26ABC1", on=DAY)
    for path in (request.data, request.control):
        assert settings.identity in path.parents
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(settings.identity.stat().st_mode) == 0o700


def test_the_control_file_names_sender_receiver_and_workflow(settings):
    request = write_request(settings, mailbox="X26ABC1", on=DAY, sequence=12)
    control = ElementTree.parse(request.control)
    found = {field.tag: field.text for field in control.getroot()}
    assert (found["From_DTS"], found["To_DTS"]) == ("X26ABC1", "X26HC065")
    assert found["WorkflowId"] == "SPINE_NTT_UPHOLDING"
    assert found["LocalId"] == found["Subject"] == "X26ABC1_20261116_0012"


def test_the_answer_may_come_back_under_the_name_of_the_request(settings):
    request = write_request(settings, mailbox="X26ABC1", on=DAY)
    assert load_feed("national_opt_out").match(request.data.name)


@pytest.mark.parametrize(
    ("mailbox", "sequence"), [("x26", 1), ("X26:1", 1), ("", 1), ("X26ABC1", 0), ("X26ABC1", 10_000)]
)
def test_what_would_bring_no_answer_is_refused(settings, mailbox, sequence):
    with pytest.raises(ValueError, match="expected your MESH mailbox"):
        write_request(settings, mailbox=mailbox, on=DAY, sequence=sequence)


def test_nobody_to_ask_about_is_an_error(tmp_path):
    with pytest.raises(IdentityError, match="ingest extracts first"):
        write_request(Settings(home=tmp_path), mailbox="X26ABC1", on=DAY)
