"""The ``casefinder`` command: thin, one function per verb. What a verb does lies in the layers below."""

import datetime as dt
import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from pipelines.settings import Settings

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    help="Ranked, explained lists of people who would gain from being contacted first. For case finding and planning, "
    "not for diagnosis: a clinician decides.",
)
out = Console()
err = Console(stderr=True)

AsOf = Annotated[dt.datetime, typer.Option("--as-of", formats=["%Y-%m-%d"], help="A Monday: what may be known.")]
DEMO_AS_OF = dt.datetime(2026, 11, 16)  # noqa: DTZ001 - a date, by typer's types
DEMO_TRAINED_AS_OF = dt.date(2025, 9, 15)


@app.command()
def demo(people: Annotated[int, typer.Option(help="How many people to make up.")] = 20_000) -> None:
    """Make up an ICB, write its extracts, run the whole pipeline and say what was published and where."""
    settings = Settings()
    synth(people=people, out=settings.home, as_of=DEMO_AS_OF)
    if not settings.key_file.exists():
        key()
    ingest()
    train("avoidable_admission_12m", as_of=dt.datetime.combine(DEMO_TRAINED_AS_OF, dt.time()))
    run(as_of=DEMO_AS_OF)


@app.command()
def synth(
    people: Annotated[int, typer.Option(help="How many people to make up.")] = 20_000,
    practices: Annotated[int, typer.Option(help="How many practices they are registered at.")] = 8,
    format: Annotated[str, typer.Option(help="emis, hospital, reference, opt_out, history; joined by commas.")] = (
        "emis,hospital,reference,opt_out"
    ),
    out: Annotated[Path, typer.Option(help="The workspace to write to.")] = Path("workspace"),
    seed: Annotated[int, typer.Option(help="Same seed, same people.")] = 1,
    as_of: AsOf = DEMO_AS_OF,
) -> None:
    """Make up a population whose true risk is known, and write it as the suppliers write their extracts."""
    from pipelines.synthetic.write import write_extracts

    with _progress() as progress:
        progress.add_task(f"making up {people:,} people in {practices} practices")
        write_extracts(
            people=people, practices=practices, seed=seed, as_of=as_of.date(), formats=format.split(","), out=out
        )


@app.command()
def key() -> None:
    """Make the secret key that turns NHS numbers into person ids. Keep it safe and apart from the data."""
    from pipelines.io.identity import make_key

    make_key(Settings().key_file)


@app.command()
def ingest(
    landing: Annotated[Path | None, typer.Option(help="Where the extracts lie; default: <home>/landing.")] = None,
) -> None:
    """Register, check and load what has landed; every record is accounted for."""
    _run("ingest", None)


@app.command()
def run(as_of: AsOf) -> None:
    """Make one week: from people to the release. Exits 0 only if a release was published."""
    if as_of.weekday() != 0:
        _fail(f"expected a Monday, found {as_of:%A %Y-%m-%d}: weeks are named by their Monday")
    _run("weekly", f"{as_of:%Y-%m-%d}")
    _report(Settings(), as_of.date())


@app.command()
def ui(port: Annotated[int, typer.Option(help="Port on this machine.")] = 3000) -> None:
    """Open Dagster's pages on this workspace, on this machine only."""
    from pipelines.defs.headless import prepare_instance

    prepare_instance(Settings())
    args = ["dagster", "dev", "--module-name", "pipelines.definitions", "--host", "127.0.0.1", "--port", str(port)]
    os.execvp(args[0], args)  # noqa: S606 - no shell


@app.command()
def verify(release: Annotated[Path, typer.Argument(help="A release folder, such as workspace/releases/latest.")]) -> None:
    """Re-check a release with code that shares nothing with its writer."""
    from pipelines.io.releases import verify_release

    problems = verify_release(release)
    for problem in problems:
        err.print(f"[red]{problem}")
    if problems:
        raise typer.Exit(1)
    out.print(f"{release}: hashes, rows, contracts and privacy hold")


def _run(job: str, partition: str | None) -> None:
    """Runs a job with progress; exits 1 with the reasons if it fails."""
    from pipelines.defs.headless import run_job

    with _progress() as progress:
        task = progress.add_task(f"starting {job}")
        outcome = run_job(
            job, Settings(), partition=partition, on_step=lambda step: progress.update(task, description=step)
        )
    if not outcome.succeeded:
        _fail(*outcome.failures, "The last release and the history are as they were.")


def _progress() -> Progress:
    """A one-line progress display with the time so far."""
    return Progress(SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=err, transient=True)


def _fail(*lines: str) -> None:
    """Prints each line in red and exits 1."""
    for line in lines:
        err.print(f"[red]{line}", highlight=False)
    raise typer.Exit(1)
