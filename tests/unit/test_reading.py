"""How landed files are laid out for reading."""

import zipfile
from pathlib import Path

from pipelines.io.landing.files import LandedFile
from pipelines.io.landing.reading import as_plain

CONTENT = b'"RowIdentifier","Mapping"\r\n'


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
