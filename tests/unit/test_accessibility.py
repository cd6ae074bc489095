"""The pages of a release, checked in a browser against WCAG 2.2 AA as axe knows it."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, sync_playwright

from data_contracts.actions import load_actions
from pipelines.io.releases import write_release
from pipelines.steps.lists import build_target_lists
from tests.lib.release_frames import AS_OF, PRACTICES, weekly_rows, weekly_tables, write_workspace

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine to open the pages in")


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = weekly_rows(400)
    lists = build_target_lists(weekly_tables(rows), rules=load_actions(), previous=None)
    return write_release(write_workspace(tmp_path_factory.mktemp("pages"), rows, lists), AS_OF)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


def faults(browser: Browser, page: Path) -> list[str]:
    """Each rule that the page breaks, with how often and the first place."""
    context = browser.new_context(offline=True)
    tab = context.new_page()
    tab.goto(page.as_uri())
    found = Axe().run(tab, options=RULES).response["violations"]
    context.close()
    return [f"{each['id']} x{len(each['nodes'])}: {each['nodes'][0]['target']}" for each in found]


@pytest.mark.parametrize("name", ["summary.html", "quality.html"])
def test_an_icb_page_breaks_no_rule(release: Path, browser: Browser, name: str) -> None:
    assert faults(browser, next(release.glob(f"icb/*/{name}"))) == []


def test_a_practice_page_breaks_no_rule(release: Path, browser: Browser) -> None:
    assert faults(browser, release / "practices" / next(iter(PRACTICES)) / "target_list.html") == []


def test_a_fault_would_be_found(browser: Browser, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("<!doctype html><html><title>t</title><img src='data:,'><p style='color:#ddd'>faint", "utf-8")
    assert {fault.split(" ")[0] for fault in faults(browser, page)} == {
        "html-has-lang",
        "image-alt",
        "color-contrast",
    }
