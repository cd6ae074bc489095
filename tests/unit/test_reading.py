"""How landed files are laid out for reading."""

import tempfile
import zipfile
from pathlib import Path

import duckdb
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from pipelines.io.landing.feeds import load_feed
from pipelines.io.landing.files import LandedFile
from pipelines.io.landing.reading import as_plain, read_text

CONTENT = b'"RowIdentifier","Mapping"\r\n'
VISITS = load_feed("systmone").tables["SRVisit"]
HEADER = ",".join(f'"{header}"' for header in VISITS.columns.values()).encode("cp1252")
VALUES = st.sampled_from(
    [b'"1"', b'"Z00001"', b'"Z00002"', b"", b'"', b"a", b"\0", b"\xe9", b'"two\r\nlines"', b'""']
)
LINES = st.one_of(
    st.lists(VALUES, min_size=len(VISITS.columns), max_size=len(VISITS.columns)), st.lists(VALUES, max_size=9)
)


def test_two_members_of_one_content_have_a_copy_each_while_they_are_read(tmp_path: Path) -> None:
    archive, work = tmp_path / "SRExtract.zip", tmp_path / "work"
    work.mkdir()
    names = ("SRMapping.csv", "SRMappingGroup.csv")
    with zipfile.ZipFile(archive, "w") as made:
        for name in names:
            made.writestr(name, CONTENT)
    first, second = (
        LandedFile(
            path=archive,
            name=f"SRExtract.zip/{name}",
            feed="systmone",
            practice_code=None,
            table="SRMapping",
            moment="20261116",
            rank=0,
            sha256="0" * 64,
            size=len(CONTENT),
            member=name,
        )
        for name in names
    )
    with as_plain(first, work) as one:
        with as_plain(second, work) as other:
            assert one != other
        assert one.read_bytes() == CONTENT
    assert list(work.iterdir()) == []


@given(st.lists(LINES, max_size=12), st.sampled_from([b"\r\n", b"\n", b""]))
def test_a_table_that_is_kept_in_a_file_is_what_it_would_be_in_memory(lines: list[list[bytes]], end: bytes) -> None:
    content = b"\r\n".join([HEADER, *(b",".join(line) for line in lines)]) + end
    with tempfile.TemporaryDirectory() as folder, duckdb.connect(config={"threads": 2}) as con:
        work = Path(folder)
        path = work / "SRVisit.csv"
        path.write_bytes(content)
        file = LandedFile(
            path=path,
            name=path.name,
            feed="systmone",
            practice_code=None,
            table="SRVisit",
            moment="20261116",
            rank=0,
            sha256="0" * 64,
            size=len(content),
        )
        held = read_text(file, con=con, work=work)
        spooled = read_text(file, con=con, work=work, spooled_by="visible_to")
        assert_frame_equal(spooled.rows.sort("line"), held.rows)
        assert_frame_equal(spooled.rows, held.rows.sort("visible_to", "line", nulls_last=True))
        assert_frame_equal(spooled.bad, held.bad)
        assert spooled.count == held.count
