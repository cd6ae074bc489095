"""The ``casefinder`` command: thin, one function per verb. What a verb does lies in the layers below."""

import datetime as dt
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from pipelines.settings import Settings

if TYPE_CHECKING:
    import polars as pl

    from models.report import Judged

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    help="Ranked, explained lists of people who would gain from being contacted first. "
    "For case finding and planning, not for diagnosis: a clinician decides.",
)
out = Console()
WIDE = 120
"""Columns that a table of counts is given even where the terminal, or a file, has fewer."""
err = Console(stderr=True)

codelists = typer.Typer(no_args_is_help=True, help="Load published codelists, and see how well they fit the data.")
app.add_typer(codelists, name="codelists")
releases = typer.Typer(no_args_is_help=True, help="Look at what was published; send it on.")
app.add_typer(releases, name="releases")


def _count(text: str) -> int:
    """A whole number as people write it: 20000, 20,000 or 63e6."""
    refused = ValueError(f"expected a whole number, such as 20000 or 63e6; found {text}")
    try:
        number = float(text.replace(",", ""))
    except ValueError:
        raise refused from None
    if not number.is_integer() or number < 1:
        raise refused
    return int(number)


StudyFolder = Annotated[
    Path | None,
    typer.Option(help="A folder with people, person_features and outcome as Parquet, in place of this workspace."),
]
Explained = Annotated[str | None, typer.Option(help="Why a leak alarm is no fault; it goes on record.")]
EXTRACTS = ("emis", "systmone", "hospital", "reference", "opt_out")
AsOf = Annotated[dt.datetime, typer.Option("--as-of", formats=["%Y-%m-%d"], help="A Monday: what may be known.")]
LeavesOn = Annotated[
    dt.datetime | None, typer.Option("--on", formats=["%Y-%m-%d"], help="The day it leaves. Default: today.")
]
BENCH = [100_000]
FEW_PEOPLE, FEW_PRACTICES = 75_000, 8
LEAST_SHARE = 0.02
"""How much must be done before the time left is told."""
DEMO_AS_OF = dt.datetime(2026, 11, 16)


@app.command()
def demo(
    people: Annotated[
        int, typer.Option(min=5_000, help="How many people to make up; fewer train no model.")
    ] = 20_000,
) -> None:
    """Make up an ICB, write its extracts, run the whole pipeline and say what was published and where."""
    settings = Settings()
    synth(people=people, out=settings.home, as_of=DEMO_AS_OF)
    if not settings.key_file.exists():
        key()
    try:
        ingest()
    except typer.Exit:
        _fail(f"If {settings.home} holds a demo of other people or of another version: make clean, and once more.")
    train(as_of=DEMO_AS_OF)
    run(as_of=DEMO_AS_OF)


@app.command()
def synth(
    people: Annotated[int, typer.Option(parser=_count, help="How many people to make up, such as 20000 or 63e6.")] = (
        20_000
    ),
    practices: Annotated[
        int | None,
        typer.Option(
            help="How many practices they are registered at. Default: 8; from 75,000 people, one for 9,300."
        ),
    ] = None,
    icb: Annotated[
        list[str] | None, typer.Option(help="Write only this ICB of all that are planned; may be repeated.")
    ] = None,
    format: Annotated[
        list[str] | None,
        typer.Option(
            help="emis, systmone, hospital (HES), sus, reference, opt_out or history; may be repeated. "
            "Default: all but sus and history."
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="The workspace to write to.")] = Path("workspace"),
    seed: Annotated[int, typer.Option(help="Same seed, same people.")] = 1,
    truth: Annotated[bool, typer.Option(help="Write the true risks beside them, which takes longer.")] = True,
    systmone_share: Annotated[
        float, typer.Option(min=0, max=1, help="With both emis and systmone: the share of practices on SystmOne.")
    ] = 0.25,
    as_of: AsOf = DEMO_AS_OF,
) -> None:
    """Make up a population whose true risk is known, and write it as the suppliers write their extracts."""
    from pipelines.io.progress import heard_by
    from pipelines.synthetic.write import write_extracts

    _check_monday(as_of)
    formats: Any = format or EXTRACTS
    with _plain_errors(), _progress() as progress:
        text = f"making up {people:,} people"
        task = progress.add_task(text)

        def listen(done: int, of: int) -> None:
            left = _left(progress.tasks[task].elapsed, done / of)
            progress.update(task, description=text + _done(done, of, what="people") + left)

        with heard_by(listen):
            write_extracts(
                people=people,
                practices=practices or (FEW_PRACTICES if people < FEW_PEOPLE else None),
                only=icb,
                seed=seed,
                as_of=as_of.date(),
                formats=formats,
                out=out,
                with_truth=truth,
                systmone_share=systmone_share,
            )


@app.command()
def key() -> None:
    """Make the secret key that turns NHS numbers into person ids. Keep it safe and apart from the data."""
    from pipelines.io.identity import make_key

    with _plain_errors():
        make_key(Settings().key_file)


@app.command()
def ingest() -> None:
    """Register, check and load what has landed; every record is accounted for."""
    settings = Settings()
    _run("ingest")
    if not _show_ledger(settings):
        _fail("Other practices were loaded; history holds nothing of the files that are held or were refused.")


@app.command("opt-out-request")
def opt_out_request(
    mailbox: Annotated[str, typer.Option(help="Your MESH mailbox.")],
    on: Annotated[dt.datetime, typer.Option(formats=["%Y-%m-%d"], help="The day of the request.")],
    sequence: Annotated[int, typer.Option(help="1, or the next number for a second request of the day.")] = 1,
) -> None:
    """Write the request to the national opt-out service into the identity zone: it holds NHS numbers."""
    from pipelines.io.opt_out_request import write_request

    with _plain_errors():
        request = write_request(Settings(), mailbox=mailbox, on=on.date(), sequence=sequence)
    out.print(
        f"{request.numbers:,} NHS numbers: {request.data}",
        f"MESH control file: {request.control}",
        sep="\n",
        soft_wrap=True,
    )


@app.command()
def run(as_of: AsOf) -> None:
    """Make one week: from people to the release. Exits 0 only if a release was published."""
    _check_monday(as_of)
    _run("weekly", partition=f"{as_of:%Y-%m-%d}")
    _show_release(Settings(), as_of.date())


@app.command()
def train(
    study: Annotated[
        str, typer.Argument(help="A study design of models/specs, or the path of a YAML file.")
    ] = "avoidable_admission_12m",
    as_of: AsOf = DEMO_AS_OF,
    input: StudyFolder = None,
    explained: Explained = None,
) -> None:
    """Fit and judge the model of a study on outcomes complete by the as-of date; save it with its card."""
    _check_monday(as_of)
    if input:
        from pipelines.io.studies import Question
        from pipelines.io.training import train_model

        with _plain_errors(), _steps("training") as on_step:
            question = Question(as_of=as_of.date(), source=input, explained=explained)
            trained = train_model(Settings(), study, question, on_step=on_step)
        out.print(f"Card: {trained.folder / 'card.html'}", soft_wrap=True)
    else:
        choice = {"study": study, "as_of": f"{as_of:%Y-%m-%d}"} | ({"explained": explained} if explained else {})
        _run("train", config={"risk_model": choice})
    _show_models(Settings())


@app.command()
def evaluate(
    model: Annotated[str, typer.Argument(help="A saved model: the name of its folder under <home>/models.")],
    as_of: AsOf = DEMO_AS_OF,
    input: StudyFolder = None,
    wide: Annotated[
        bool, typer.Option("--wide", help="Also ICBs left out, resampled practices, frozen scores, week to week.")
    ] = False,
    explained: Explained = None,
) -> None:
    """Judge a saved model on people whose outcomes are known by the as-of date; write the report.

    Exits 1 if the result is too good to be true, unless you explain why it is not.
    """
    from models.report import calibration_words
    from pipelines.io.evaluating import evaluate_model
    from pipelines.io.studies import Question

    _check_monday(as_of)
    question = Question(as_of=as_of.date(), source=input, is_wide=wide, explained=explained)
    with _plain_errors(), _steps("evaluating") as on_step:
        judged, folder = evaluate_model(Settings(), model, question, on_step=on_step)
    _show_judgement(judged)
    out.print(calibration_words(judged.evaluation), f"Report: {folder / 'report.html'}", sep="\n", soft_wrap=True)
    if judged.evaluation.alarms and not explained:
        _fail(*judged.evaluation.alarms, 'Once you know why, say so with --explained "...".')


@app.command()
def recalibrate(
    model: Annotated[str, typer.Argument(help="A saved model: the name of its folder under <home>/models.")],
    as_of: AsOf = DEMO_AS_OF,
    input: StudyFolder = None,
) -> None:
    """Fit a model's probabilities to this place: same ranking, a new curve, saved as a candidate with its report."""
    from pipelines.io.evaluating import recalibrate_model
    from pipelines.io.studies import Question

    _check_monday(as_of)
    with _plain_errors(), _steps("recalibrating") as on_step:
        question = Question(as_of=as_of.date(), source=input)
        local, judged, folder = recalibrate_model(Settings(), model, question, on_step=on_step)
    _show_judgement(judged)
    out.print(f"Saved as candidate: {local.version}", f"Report: {folder / 'report.html'}", sep="\n", soft_wrap=True)


@app.command()
def promote(
    version: Annotated[str, typer.Argument(help="A saved model: the name of its folder under <home>/models.")],
    by: Annotated[str, typer.Option(help="Who decides.")],
    on: Annotated[dt.datetime, typer.Option(formats=["%Y-%m-%d"], help="The day of the decision.")],
    reason: Annotated[str, typer.Option(help="Why, in a sentence: it goes on record.")],
) -> None:
    """Make a saved model the champion, which scores from the next week on; the decision is recorded."""
    from pipelines.io.training import promote_model

    with _plain_errors():
        out.print(promote_model(Settings(), version, decided_by=by, decided_on=on.date(), reason=reason))


@app.command()
def score(
    name: Annotated[str | None, typer.Argument(help="A published score.")] = None,
    input: Annotated[Path | None, typer.Option(help="A Parquet file that meets the score's input contract.")] = None,
    output: Annotated[Path | None, typer.Option(help="The Parquet file to write.")] = None,
    key: Annotated[
        str | None, typer.Option(help="The column that names a row; default: what --describe says.")
    ] = None,
    option: Annotated[list[str] | None, typer.Option(help="An option as NAME=VALUE; may be repeated.")] = None,
    list_all: Annotated[bool, typer.Option("--list", help="Name the scores.")] = False,
    describe: Annotated[bool, typer.Option("--describe", help="Print its columns, codings and units.")] = False,
) -> None:
    """Compute one published score over a Parquet file of people."""
    from pipelines.io.scoring import describe_score, list_scores, score_file

    with _plain_errors():
        if list_all:
            table = Table("score", "what it is", "version", "licence")
            for one in list_scores():
                table.add_row(one.name, one.title, one.version, one.licence)
            out.print(table)
        elif name and describe:
            out.print(describe_score(name), highlight=False, markup=False, soft_wrap=True)
        elif name and input and output:
            options = dict(part.split("=", 1) for part in option or [])
            done = score_file(name, input, output, key=key, options=options)
            out.print(f"{done.rows_written:,} rows written, {done.rows_without_score:,} without a score: {output}")
            if done.unused:
                err.print(f"columns that {name} does not know, not used: {', '.join(done.unused)}", highlight=False)
        else:
            _fail("expected NAME with --input and --output, NAME --describe, or --list")


@codelists.command("load")
def load_codelists(
    paths: Annotated[
        list[Path], typer.Argument(help="Files or folders: PCD refset content from TRUD, or CSV lists.")
    ],
    released: Annotated[
        dt.datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="Release date of the lists; default: the date in each file's name."),
    ] = None,
    source: Annotated[str | None, typer.Option(help="Where they come from; not needed for TRUD's refsets.")] = None,
    licence: Annotated[str | None, typer.Option(help="Their licence; not needed for TRUD's refsets.")] = None,
    reviewer: Annotated[str, typer.Option(help="Who checked them.")] = "not yet reviewed by a clinician",
    name: Annotated[str | None, typer.Option(help="The list's name; default: the file's.")] = None,
) -> None:
    """Load codelists into the workspace, with their release date; the next week uses them."""
    from pipelines.io.codelists import ListOrigin, load_files

    origin = ListOrigin(released.date() if released else None, source, licence, reviewer, name)
    with _plain_errors():
        outcomes = load_files(Settings(), paths, origin)
    refused = [outcome for outcome in outcomes if outcome.refused]
    lists, codes = sum(outcome.lists for outcome in outcomes), sum(outcome.codes for outcome in outcomes)
    out.print(f"{lists:,} lists with {codes:,} codes loaded from {len(outcomes) - len(refused):,} files")
    if refused or not outcomes:
        _fail(
            *(f"refused {outcome.file}: {outcome.refused}" for outcome in refused),
            *([] if outcomes else ["no CSV or text file found"]),
        )


@codelists.command("report")
def report_codelists(
    as_of: Annotated[dt.datetime, typer.Option("--as-of", formats=["%Y-%m-%d"], help="Which lists are in force.")],
) -> None:
    """Show codes that no list knows, lists that match nothing, and prevalence by supplier beside the published."""
    from pipelines.io.codelist_report import report_codelists as report
    from pipelines.io.warehouse import Warehouse

    with _plain_errors():
        found = report(Warehouse(Settings()), as_of.date())
    _show("How much of the record the lists know", found.coverage)
    _show("Codes that no list knows, most used first", found.unknown)
    _show("Lists that match nothing", found.unmatched)
    _show("Prevalence by supplier, beside the published figure for England", found.prevalence)


@app.command()
def explain(
    practice: Annotated[str, typer.Option(help="The practice's ODS code.")],
    as_of: AsOf,
    nhs_number: Annotated[str, typer.Option(prompt=True, hide_input=True, help="Asked for if it is not given.")],
) -> None:
    """Say why someone is, or is not, on a practice's list: rule by rule."""
    from pipelines.io.explanations import explain_nhs_number
    from pipelines.io.warehouse import Warehouse

    _check_monday(as_of)
    with _plain_errors():
        explanation = explain_nhs_number(
            Warehouse(Settings()), practice_code=practice, nhs_number=nhs_number, as_of=as_of.date()
        )
    marks = {True: "yes", False: "no", None: ""}
    rules = Table("rule", "holds", "what was found")
    for finding in explanation.findings:
        rules.add_row(finding.rule, marks[finding.holds], finding.says)
    kept = Table(*explanation.kept.columns, title="People of the practice that each rule keeps")
    for row in explanation.kept.iter_rows():
        kept.add_row(*map(str, row))
    out.print(rules, kept)


@app.command()
def quality(as_of: AsOf) -> None:
    """Show how far each practice's data can be trusted in a week that was made, and what waits in landing."""
    from pipelines.io.warehouse import Warehouse
    from pipelines.steps.quality import say, stand

    with _plain_errors():
        scorecard = Warehouse(Settings()).read("data_quality", as_of.date())
        standing, rows = stand(scorecard), scorecard.collect()
    table = Table("practice", "feed", "known up to", "standing", "past a limit", title="Data quality", box=SIMPLE)
    for practice in standing.iter_rows(named=True):
        own = rows.filter(rows["practice_code"] == practice["practice_code"])
        past = own.filter(own["measure"].is_in(practice["past"].split("|")))
        told = "\n".join(say(row) for row in past.iter_rows(named=True))
        table.add_row(*(str(practice[name]) for name in ("practice_code", "feed", "data_as_of", "verdict")), told)
    out.print(table)


@app.command()
def quarantine(
    practice: Annotated[str | None, typer.Option(help="Only this practice's records, by ODS code.")] = None,
    table: Annotated[str | None, typer.Option(help="Only records of this table of the feed.")] = None,
    rule: Annotated[str | None, typer.Option(help="Only records that break this rule.")] = None,
) -> None:
    """Show how many records are held, by practice, table and rule; what they say stays in the identity zone."""
    from pipelines.io.landing.quarantine import count_quarantine

    wanted = {"practice_code": practice, "table": table, "rule": rule}
    held = count_quarantine(Settings()).filter(**{name: value for name, value in wanted.items() if value})
    if held.is_empty():
        out.print("No record is held.")
        return
    _show("Records held, by rule; a record may break several", held)


@app.command()
def accept(
    practice: Annotated[str, typer.Option(help="The delivery's folder in landing: the practice, or the drop.")],
    moment: Annotated[str, typer.Option(help="Digits of the delivery's moment, as in its file names.")],
    by: Annotated[str, typer.Option(help="Who decides.")],
    on: Annotated[dt.datetime, typer.Option(formats=["%Y-%m-%d"], help="The day of the decision.")],
    reason: Annotated[str, typer.Option(help="Why, in a sentence: it goes on record.")],
    feed: Annotated[str, typer.Option(help="The feed.")] = "emis",
) -> None:
    """Accept a held delivery although it reaches a limit: the next ingest loads it."""
    from pipelines.io.landing.holding import accept_delivery

    with _plain_errors():
        delivery = {"feed": feed, "source": practice, "moment": moment}
        path = accept_delivery(Settings(), **delivery, accepted_by=by, accepted_on=on.date(), reason=reason)
        out.print(f"Recorded in {path}; `casefinder ingest` loads it.")


@app.command()
def ui(port: Annotated[int, typer.Option(help="Port on this machine.")] = 3000) -> None:
    """Open Dagster's pages on this workspace, on this machine only."""
    from pipelines.defs.headless import prepare_instance

    prepare_instance(Settings())
    dagster = [sys.executable, "-m", "dagster", "dev", "--module-name", "pipelines.definitions"]
    os.execv(dagster[0], [*dagster, "--host", "127.0.0.1", "--port", str(port)])  # noqa: S606 - no shell


@app.command()
def verify(
    release: Annotated[Path, typer.Argument(help="A release: its folder, its date, or the latest.")] = Path("latest"),
) -> None:
    """Re-check a release with code that shares nothing with its writer."""
    from pipelines.io.releases import verify_release

    release = _release(release)
    problems = verify_release(release)
    for problem in problems:
        err.print(f"[red]{problem}")
    if problems:
        raise typer.Exit(1)
    out.print(f"{release}: hashes, rows, contracts and privacy hold")


@releases.command()
def diff(
    before: Annotated[Path, typer.Argument(help="A release: its folder or its date.")],
    after: Annotated[Path, typer.Argument(help="A later one.")] = Path("latest"),
) -> None:
    """Say what changed from one release to another: files, rows, people who joined or left each list and cohort."""
    import polars as pl

    from pipelines.io.releases.diff import diff_releases

    before, after = _release(before), _release(after)
    with _plain_errors():
        changes = diff_releases(before, after)
    # A practice's workbook and page hold what its CSV holds.
    is_copy = pl.col("path").str.contains(r"target_list\.(xlsx|html)$")
    _show(f"From {before.name} to {after.name}", changes.filter(~is_copy))


def _release(named: Path) -> Path:
    """The folder of a release that is named by its folder, or by its date in this workspace."""
    return named if named.is_dir() else Settings().releases / named


@releases.command()
def send(as_of: AsOf, on: LeavesOn = None) -> None:
    """Send each practice its list by MESH, at most once, and say what became of each."""
    from pipelines.io.releases import renew_release
    from pipelines.io.releases.send import not_sent, send_lists

    settings, day = Settings(), _day(on)
    with _plain_errors():
        release = renew_release(settings, as_of.date(), leaves_on=day)
        receipts = send_lists(settings, release, as_of=as_of.date(), on=day)
    table = Table("practice", "list", "mailbox", title=f"Lists of {as_of:%Y-%m-%d}", box=SIMPLE)
    for receipt in receipts:
        table.add_row(receipt.practice_code, receipt.state, receipt.mailbox or "")
    out.print(table)
    if left := not_sent(receipts):
        _fail(f"{len(left):,} of {len(receipts):,} lists did not arrive or may not have: see docs/analyst.md")


@releases.command()
def upload(as_of: AsOf, on: LeavesOn = None) -> None:
    """Copy each ICB's folder to the store of CASEFINDER_ICB_STORE: a folder, S3 or Azure."""
    from pipelines.io.releases import renew_release
    from pipelines.io.releases.upload import upload_icb_files

    settings = Settings()
    with _plain_errors():
        release = renew_release(settings, as_of.date(), leaves_on=_day(on))
        uploads = upload_icb_files(release, settings.icb_store)
    table = Table("ICB", "files", "bytes", title=f"{release.resolve().name} to {settings.icb_store}", box=SIMPLE)
    for each in uploads:
        table.add_row(each.icb_code, f"{each.files:,}", f"{each.bytes:,}")
    out.print(table)


@app.command()
def bench(
    people: Annotated[
        list[int], typer.Option(parser=_count, help="How many made-up people; may be given more than once.")
    ] = BENCH,
    work: Annotated[Path, typer.Option(help="Where the made-up people are kept between runs.")] = Path("bench"),
    memory: Annotated[str, typer.Option(help="DuckDB's memory limit; work past it spills to disk.")] = "4GB",
    threads: Annotated[int, typer.Option(help="Threads that DuckDB may use.")] = 2,
    page: Annotated[Path | None, typer.Option(help="A Markdown page to write, with its chart beside it.")] = None,
    limits: Annotated[
        Path | None, typer.Option(help="A CSV of part and times_floor; exit 1 if a part, or the week, takes more.")
    ] = None,
    set_limits: Annotated[
        bool, typer.Option(help="Write the limits from this run instead of keeping to them.")
    ] = False,
) -> None:
    """Print what each table of a week costs on made-up people: rows, seconds, memory, and times one scan."""
    import polars as pl

    from pipelines.bench import LIMITS, bill, limits_of, over_limits, write_bills

    if set_limits and not limits:
        _fail("expected --limits FILE with --set-limits; found none: it names the file that is written")
    settings, bills = Settings().model_copy(update={"memory_limit": memory, "threads": threads}), {}
    for size in people:
        with _plain_errors(), _steps("starting") as on_step:
            bills[size] = bill(size, work, settings=settings, on_step=on_step)
        bills[size].write_csv(work / f"people-{size}" / "bill.csv", float_precision=3)
        _show(f"A week of {size:,} people", bills[size].with_columns(pl.col(pl.Float64).round(2)))
    if page:
        write_bills(bills, page)
    if limits and set_limits:
        limits_of(bills[max(bills)]).write_csv(limits)
    elif limits:
        kept = pl.read_csv(limits, schema=LIMITS)
        over = [problem for table in bills.values() for problem in over_limits(table, kept)]
        if over:
            _fail(*over)


def _show(title: str, frame: "pl.DataFrame") -> None:
    """Prints a frame of counts as a table."""
    table = Table(*frame.columns, title=title, title_justify="left", box=SIMPLE)
    for row in frame.iter_rows():
        table.add_row(
            *("" if value is None else f"{value:,}" if isinstance(value, int) else str(value) for value in row)
        )
    Console(width=max(out.width, WIDE)).print(table)


def _run(job: str, *, partition: str | None = None, config: dict[str, dict[str, str]] | None = None) -> None:
    """Runs a job with progress; exits 1 with the reasons if it fails."""
    from pipelines.definitions import defs
    from pipelines.defs.headless import Standing, run_job

    with _plain_errors(), _progress() as progress:
        task = progress.add_task(f"starting {job}")

        def on_progress(standing: Standing) -> None:
            text = f"{job}: {standing.step}{_done(standing.done, standing.of)}"
            progress.update(task, description=text + _left(progress.tasks[task].elapsed, standing.share))

        outcome = run_job(defs(), job, Settings(), partition=partition, config=config, on_progress=on_progress)
    if not outcome.succeeded:
        _fail(*outcome.failures, "The last release and the history are as they were.")


@contextmanager
def _plain_errors() -> Iterator[None]:
    """Turns an error into its message and exit code 1: our messages say what to do and hold no person's value."""
    try:
        yield
    except (ValueError, OSError, RuntimeError) as error:
        _fail(str(error))


def _day(given: dt.datetime | None) -> dt.date:
    """The day given, or today in London."""
    return given.date() if given else dt.datetime.now(tz=ZoneInfo("Europe/London")).date()


def _check_monday(as_of: dt.datetime) -> None:
    """Exits 1 unless the date is a Monday."""
    if as_of.weekday() != 0:
        _fail(f"expected a Monday, found {as_of:%A %Y-%m-%d}: weeks are named by their Monday")


def _show_ledger(settings: Settings) -> bool:
    """Prints what became of the records of each feed; True if no file was refused."""
    from pipelines.io.ledger import NOT_LOADED, read_ledger

    ledger = read_ledger(settings.home)
    outcomes = {
        "records": ["records"],
        "loaded": ["loaded"],
        "quarantined": ["quarantined"],
        "superseded or deleted": ["superseded", "deleted"],
        "not used": ["blank"],
    }
    table = Table("feed", "files", *outcomes, title="The ledger", box=SIMPLE)
    for (feed,), rows in ledger.group_by("feed", maintain_order=True):
        counts = (sum(rows[column].sum() for column in columns) for columns in outcomes.values())
        table.add_row(str(feed), f"{rows.height:,}", *(f"{count:,}" for count in counts))
    out.print(table)
    refused = ledger.filter(ledger["status"].is_in(NOT_LOADED))
    for status, file, reason in refused.select("status", "file", "reason").iter_rows():
        err.print(f"[red]{status} {file}: {reason}", highlight=False)
    return refused.is_empty()


def _done(done: int, of: int, *, what: str = "registrations") -> str:
    """How far a step has come, in words; nothing where it does not say."""
    return f", {done:,} of {of:,} {what}" if of else ""


def _left(seconds: float | None, share: float) -> str:
    """The time left in words, once enough is done to tell."""
    if not seconds or share < LEAST_SHARE:
        return ""
    left = dt.timedelta(seconds=round(seconds * (1 - share) / share))
    return f", about {left} left"


@contextmanager
def _steps(beginning: str) -> Iterator[Callable[[str], None]]:
    """Shows each step as it begins, and how far it has come, by the function that it gives."""
    from pipelines.io.progress import heard_by

    with _progress() as progress:
        task, step = progress.add_task(beginning), beginning

        def on_step(name: str) -> None:
            nonlocal step
            step = name
            progress.update(task, description=name)

        with heard_by(lambda done, of: progress.update(task, description=step + _done(done, of))):
            yield on_step


def _show_judgement(judged: "Judged") -> None:
    """Prints the headline figures, as they are and recalibrated."""
    cut = judged.model.design.judgement.alarm_cut
    figures = {
        "C-statistic": ("c_statistic", None),
        f"PPV at {cut:.0%}": ("positive_predictive_value", cut),
        "observed over expected": ("observed_over_expected", None),
        "calibration slope": ("calibration_slope", None),
        "calibration index (ICI)": ("calibration_index", None),
    }
    title = f"{judged.model.version} as of {judged.index_date}: {judged.whom}"
    table = Table("figure", "as it is", "recalibrated", title=title, box=SIMPLE)
    for name, (metric, at) in figures.items():
        after = f"{judged.recalibrated.value(metric, cut=at):.3f}" if judged.recalibrated else ""
        table.add_row(name, f"{judged.evaluation.value(metric, cut=at):.3f}", after)
    out.print(table)


def _show_models(settings: Settings) -> None:
    """Prints each saved model's state and its figures on practices it never saw."""
    from pipelines.io.training import list_models

    table = Table(
        "model",
        "state",
        "C-statistic",
        "calibration slope",
        "PPV at 2%",
        title="Models, judged on practices they never saw",
        box=SIMPLE,
    )
    for model in list_models(settings):
        table.add_row(model.version, model.state, *(f"{figure:.2f}" for figure in model.figures))
    out.print(table)


def _show_release(settings: Settings, as_of: dt.date) -> None:
    """Prints how many people each table of the week holds, and where the release lies."""
    import polars as pl

    from pipelines.io.warehouse import Warehouse

    warehouse = Warehouse(settings)
    table = Table("table", "people", "rows", title=f"The week of {as_of}", box=SIMPLE)
    for name in ("people", "complex_care", "non_responders", "lifestyle_risk", "target_lists"):
        rows = warehouse.read(name, as_of).select("person_id").collect()
        table.add_row(name, f"{rows['person_id'].n_unique():,}", f"{rows.height:,}")
    out.print(table)
    drifted = warehouse.read("model_drift", as_of).filter(pl.col("is_over")).collect()
    for kind, name in drifted.select("kind", "name").unique(maintain_order=True).iter_rows():
        err.print(f"[yellow]the model's {kind} {name} is past its limit: look at model_drift, see docs/models.md")
    out.print(f"Release: {settings.releases / as_of.isoformat()}", f"Analysts: {settings.catalogue}", sep="\n")


def _progress() -> Progress:
    """A one-line progress display with the time so far."""
    return Progress(
        SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=err, transient=True
    )


def _fail(*lines: str) -> None:
    """Prints each line in red and exits 1."""
    for line in lines:
        err.print(f"[red]{line}", highlight=False)
    raise typer.Exit(1)


if __name__ == "__main__":
    app()
