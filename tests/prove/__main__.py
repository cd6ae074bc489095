"""Runs every claim's long check, prints claim, figure, target and whether it holds, and writes docs/figures.md."""

import importlib
import pkgutil
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

import tests.prove as package
from tests.prove.claims import CHECKS, TOPICS, Finding

FIGURES = Path(__file__).parents[2] / "docs" / "figures.md"
HEADER = """# Figures

Made by `make prove`; the README quotes figures from here only. Each row is a claim, what the check found on this
version, the target, and whether it holds. Checks on made-up people say nothing about accuracy on real ones.
"""


def main(topics: list[str]) -> int:
    """Runs the topics' checks; returns 0 if every claim holds."""
    for module in pkgutil.iter_modules(package.__path__):
        if module.name.startswith("prove_"):
            importlib.import_module(f"tests.prove.{module.name}")
    found = {topic: _run(topic) for topic in topics}
    _write(found)
    findings = [finding for topic in found.values() for finding in topic]
    failed = sum(not finding.holds for finding in findings)
    Console().print(f"{len(findings) - failed} passed, {failed} failed")
    return int(failed > 0)


def _run(topic: str) -> list[Finding]:
    """The findings of one topic, printed as they come."""
    findings = []
    for check in CHECKS[topic]:
        with tempfile.TemporaryDirectory() as folder:
            began = time.perf_counter()
            found = check(Path(folder))
            seconds = time.perf_counter() - began
        for finding in found:
            mark = "[green]holds[/]" if finding.holds else "[red]FAILS[/]"
            Console().print(f"{mark}  {topic}: {finding.claim}: {finding.figure} ({finding.target})", highlight=False)
        Console().print(f"       {check.__name__} took {seconds:.0f} s", style="dim", highlight=False)
        findings += found
    return findings


def _write(found: dict[str, list[Finding]]) -> None:
    """Rewrites the sections of the topics that ran; the others stay as they were."""
    sections = _sections()
    for topic, findings in found.items():
        rows = [f"| {f.claim} | {f.figure} | {f.target} | {'yes' if f.holds else '**no**'} |" for f in findings]
        table = ["| Claim | Figure | Target | Holds |", "| --- | --- | --- | --- |", *rows]
        sections[topic] = "\n".join(table)
    text = HEADER + "".join(f"\n## {topic}\n\n{sections[topic]}\n" for topic in TOPICS if sections.get(topic))
    FIGURES.parent.mkdir(exist_ok=True)
    FIGURES.write_text(text, "utf-8")


def _sections() -> dict[str, str]:
    """The table of each topic in the figures file as it stands."""
    if not FIGURES.exists():
        return {}
    parts = FIGURES.read_text("utf-8").split("\n## ")[1:]
    return {part.split("\n", 1)[0]: part.split("\n", 1)[1].strip() for part in parts}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or TOPICS))
