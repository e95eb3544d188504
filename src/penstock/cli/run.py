"""`penstock run`: one job, from its input file to its output files."""

import json
import shlex
import sys
from typing import Any
from uuid import UUID

import click
from pydantic import ValidationError

from penstock import events
from penstock.cli.options import app_in_force, json_option, store_option
from penstock.cli.progress import Shown, progress_for
from penstock.cli.signals import stopped_by_signals
from penstock.config import settings
from penstock.errors import ConfigurationError, PenstockError, Stopped
from penstock.ids import parse_id
from penstock.server.app import import_app, import_target
from penstock.server.options import cores
from penstock.service.batch_run import Run, RunRequest
from penstock.service.jobs import View
from penstock.states import State
from penstock.store import without_password

MOST_NAMED = 20
"""Failed records that are named one by one."""
NEWEST = "newest"


@click.command()
@click.argument("target", required=False, metavar="[MODULE:CLASS_OR_FUNCTION]")
@click.option(
    "--input",
    "-i",
    "source",
    metavar="F",
    help="The input file; - is standard input. Its extensions choose how it is read.",
)
@click.option(
    "--output",
    "-o",
    "outputs",
    multiple=True,
    metavar="[NAME=]F",
    help="The output file; - is standard output. NAME= chooses an output category.",
)
@click.option("--set", "assignments", multiple=True, metavar="FIELD=VALUE", help="A field of the job. May be repeated.")
@click.option("--app", multiple=True, metavar="MODULE", help="More modules for the workers to import. May be repeated.")
@click.option("--workers", "-w", type=click.IntRange(min=1), help="Pieces of work at once.  [default: the cores]")
@click.option("--processes", type=click.IntRange(min=1), help="Processes that share them.  [default: the cores]")
@click.option(
    "--overlap",
    is_flag=True,
    help="Process and write while the input is still being read; for work without side effects.",
)
@click.option(
    "--resume",
    is_flag=False,
    flag_value=NEWEST,
    metavar="[ID]",
    help="Go on with a job where it stopped, the newest by default.",
)
@click.option(
    "--format",
    "input_format",
    metavar="NAME",
    help="Read the input as rows: csv, jsonl, parquet and so on; auto by its name.  [default: what the class says]",
)
@click.option("--encoding", default="utf-8", show_default=True, help="The text encoding of the input.")
@click.option(
    "--encoding-errors",
    type=click.Choice(["refuse", "replace", "clean"]),
    default="refuse",
    show_default=True,
    help="What is done about bytes that are not text.",
)
@click.option(
    "--grace",
    type=click.FloatRange(min=0),
    default=30.0,
    show_default=True,
    help="Seconds to finish what runs after Ctrl-C.",
)
@json_option
@store_option
def run(
    target: str | None,
    source: str | None,
    outputs: tuple[str, ...],
    assignments: tuple[str, ...],
    app: tuple[str, ...],
    workers: int | None,
    processes: int | None,
    overlap: bool,
    resume: str | None,
    input_format: str | None,
    encoding: str,
    encoding_errors: str,
    grace: float,
    as_json: bool,
) -> None:
    """Run one job in this process group and exit 0, or 1 with the failed records named.

    Example: penstock run reverse:ReverseJob --input names.csv.gz --output reversed.txt.gz
    """
    modules = app_in_force(app) if target is None else (target, *app)
    cls = _imported(target, modules, resume)
    request = RunRequest(
        app=_importable(target, modules),
        cls=cls,
        values=_values(assignments),
        input=source,
        outputs=outputs,
        upload={"encoding": encoding, "encoding_errors": encoding_errors},
        workers=workers or cores(),
        processes=processes,
        grace=grace,
        overlap=overlap,
        input_format=input_format,
        resume=_resume_id(resume),
        resume_newest=resume == NEWEST,
    )
    shown = progress_for(sys.stderr, quiet=as_json)
    if not as_json:
        click.echo(f"store: {without_password(settings().store)}", err=True)
    view = _run(request, shown)
    _tell_result(view, request, as_json)
    if view["state"] != State.COMPLETED:
        raise click.exceptions.Exit(1)


def _run(request: RunRequest, shown: Shown) -> View:
    try:
        job = Run(request, shown)
    except ValidationError as error:
        raise ConfigurationError(_told(error)) from None
    with (
        events.subscribed(events.WorkerOutput, lambda event: shown.line(event.line)),
        events.subscribed(events.WorkerDied, lambda event: shown.line(_obituary(event))),
        stopped_by_signals(job.stop, job.kill),
    ):
        try:
            return job.run()
        except Stopped as stopped:
            if str(stopped) != "stopped":
                raise
            raise Stopped(f"stopped; to go on: {_resume_command(job, request)}") from None
        except BrokenPipeError:
            click.echo(
                f"penstock: nobody reads the output; to write it again: {_resume_command(job, request)}", err=True
            )
            raise
        except PenstockError as error:
            if job.job.is_stored and not job.job.row.draft:
                click.echo(f"penstock: to go on: {_resume_command(job, request)}", err=True)
            raise error
        finally:
            shown.close()


def _obituary(event: events.WorkerDied) -> str:
    # Its last lines have been shown already, as it wrote them.
    how = event.evidence.partition("\n")[0]
    return f"{how}; what it worked on is tried again"


def _imported(target: str | None, modules: tuple[str, ...], resume: str | None) -> Any:
    if resume is not None:
        if not modules:
            raise ConfigurationError("--resume runs only classes it is told to import: name a module with --app")
        import_app(modules)
        return None
    if target is None:
        raise ConfigurationError("name what to run, as module:Class or module:function, or use --resume")
    import_app(modules[1:])
    if ":" not in target:
        raise ConfigurationError(f"{target!r}: name the class or function too, as {target}:Name")
    return import_target(target)


def _importable(target: str | None, modules: tuple[str, ...]) -> tuple[str, ...]:
    """Return what workers import: of a job class its module, of a function the function."""
    return tuple(dict.fromkeys((*((target,) if target else ()), *modules)))


def _values(assignments: tuple[str, ...]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for assignment in assignments:
        name, separator, text = assignment.partition("=")
        if not separator:
            raise ConfigurationError(f"--set {assignment}: write it as field=value")
        values[name] = _value(text)
    return values


def _value(text: str) -> Any:
    """Return JSON lists and objects as what they are; any other text is converted by the field's type."""
    if text[:1] in ("[", "{"):
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


def _resume_id(resume: str | None) -> UUID | None:
    return None if resume in (None, NEWEST) else parse_id(str(resume))


def _resume_command(job: Run, request: RunRequest) -> str:
    words = ["penstock", "run", "--resume", str(job.job.id)]
    for module in request.app:
        words += ["--app", module]
    for output in request.outputs:
        words += ["--output", output]
    words += ["--store", without_password(settings().store)]
    return shlex.join(words)


def _tell_result(view: View, request: RunRequest, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(view, indent=2, default=str), err="-" in request.outputs)
        return
    if view["state"] == State.COMPLETED:
        records = f"{view['records']:,} records in " if "records" in view else ""
        click.echo(f"{view['kind']} {view['id']} completed: {records}{view['seconds']:.1f} s", err=True)
        for name, output in view.get("outputs", {}).items():
            click.echo(f"  {name}: {output['records']:,} records in {output['file']}", err=True)
        if view.get("result") is not None:
            click.echo(json.dumps(view["result"], default=str))
        return
    click.echo(f"{view['kind']} {view['id']} failed: {view.get('error')}", err=True)
    for failed in view["failed"][:MOST_NAMED]:
        place = f"{failed['file']}:{failed['line']}" if failed["file"] else f"record {failed['record']}"
        click.echo(f"  {place}: {failed['error']}", err=True)
        for frame in failed["backtrace"][-1:]:
            click.echo(f"    {frame}", err=True)
    if len(view["failed"]) > MOST_NAMED:
        click.echo(f"  … and {len(view['failed']) - MOST_NAMED:,} more; penstock jobs show {view['id']}", err=True)
    apps = " ".join(f"--app {shlex.quote(module)}" for module in request.app)
    outputs = "".join(f" --output {shlex.quote(output)}" for output in request.outputs)
    store = shlex.quote(without_password(settings().store))
    click.echo(f"correct the code, then: penstock run --resume {view['id']} {apps}{outputs} --store {store}", err=True)


def _told(error: ValidationError) -> str:
    return "; ".join(f"--set {'.'.join(map(str, part['loc']))}: {part['msg']}" for part in error.errors())
