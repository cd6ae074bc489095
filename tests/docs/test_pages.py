"""The pages under docs are what the code would write today; the asset graph's page is the graph's snapshot."""

import pytest

from pipelines.generated import DOCS, pages
from pipelines.io.releases.verify import ALWAYS_THERE
from pipelines.settings import Settings

PAGES = pages()


@pytest.mark.parametrize("name", PAGES)
def test_generated_page_is_current(name: str) -> None:
    assert (DOCS / name).read_text("utf-8") == PAGES[name], "run `make docs`"


def test_every_link_between_pages_leads_somewhere() -> None:
    root = DOCS.parent
    for page in [root / "README.md", *DOCS.rglob("*.md")]:
        for part in page.read_text("utf-8").split("](")[1:]:
            target = part.split(")")[0].split("#")[0]
            if target and "://" not in target:
                assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_setting_stands_in_a_page() -> None:
    text = "".join(page.read_text("utf-8") for page in [DOCS.parent / "README.md", *DOCS.rglob("*.md")])
    assert [name for name in Settings.model_fields if f"CASEFINDER_{name.upper()}" not in text] == []


def test_the_icb_leads_page_names_every_file_that_an_icb_gets() -> None:
    page = (DOCS / "icb-lead.md").read_text("utf-8")
    assert [name for name in ALWAYS_THERE if f"`{name}`" not in page] == []
