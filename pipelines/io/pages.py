"""Makes a self-contained HTML page of markdown and charts. What it says is made elsewhere."""

from collections.abc import Mapping
from html import escape
from importlib.resources import files

from markdown_it import MarkdownIt

STYLE = files("pipelines.io.releases") / "summary.css"
PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<style>
{style}
</style>
</head>
<body>
<header class="nhsuk-header"><div class="nhsuk-width-container"><span class="service">Casefinder</span></div></header>
<div class="nhsuk-width-container">
<main class="nhsuk-main-wrapper" id="maincontent">
{body}
</main>
</div>
</body>
</html>
"""


def make_page(title: str, markdown: str, charts: Mapping[str, str]) -> str:
    """The page as text; a paragraph that is the image ``<name>.svg`` becomes the chart of that name."""
    body: str = MarkdownIt("commonmark").enable("table").render(markdown)
    for name, svg in charts.items():
        picture = f'<div class="chart" role="img" aria-label="{escape(name.replace("-", " "))}">{svg}</div>'
        body = body.replace(f'<p><img src="{name}.svg" alt="{name}" /></p>', picture)
    return PAGE.format(title=escape(title), style=STYLE.read_text("utf-8"), body=body)
