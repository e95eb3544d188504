"""`penstock jobs browse`, `slices`, `slice`, `retry-failed`, `log`, `preview`, …: what the console's pages show."""

from pathlib import Path

import click

from penstock.cli.options import (
    app_option,
    id_argument,
    import_app_in_force,
    json_option,
    kind_option,
    store_option,
    where_option,
)  # fmt: skip
from penstock.cli.output import cell_text, emit, printable, show_table, show_view
from penstock.cli.whoami import me
from penstock.errors import InputError
from penstock.ids import parse_id
from penstock.service.forms import list_kinds
from penstock.service.job_view import failures_of_job, log_of_job, strip_of_slices, view_job
from penstock.service.jobs import View
from penstock.service.listing import PAGE, ListAsked, page_of_jobs
from penstock.service.previews import preview_output
from penstock.service.records import retry_failures, show_failed_slice
from penstock.service.times import span_text
from penstock.service.uploads import PREVIEW_BYTES, preview_upload
from penstock.service.working import work_under_way
from penstock.store import current_store
from penstock.store.browsing import Listing

MARKS = {"done": "=", "running": ">", "queued": ".", "failed": "!"}


@click.command("browse")
@click.argument("listing", metavar="[LIST]", default="all", type=click.Choice([str(each) for each in Listing]))
@kind_option
@where_option
@click.option("--search", metavar="TEXT", help="Text in the kind or description, or the id of a job.")
@click.option("--order", metavar="FIELD", help="By this field, -FIELD for descending.  [default: the list's own]")
@click.option("--after", metavar="PLACE", help="Where the page before ended: `next` of its JSON.")
@click.option("--limit", type=click.IntRange(1, 500), default=PAGE, show_default=True, help="At most so many jobs.")
@app_option
@json_option
@store_option
def browse_command(
    listing: str,
    kinds: tuple[str, ...],
    conditions: tuple[str, ...],
    search: str | None,
    order: str | None,
    after: str | None,
    limit: int,
    app: tuple[str, ...],
    as_json: bool,
) -> None:
    """Show a page of a list of jobs, which costs the same however many there are.

    Example: penstock jobs browse failed --search invoice
    """  # fmt: skip
    import_app_in_force(app, only_to_look=True)
    asked = ListAsked(listing, kinds, conditions, search, order, after, limit)
    emit(page_of_jobs(current_store(), asked), _show_page, as_json=as_json)


def _show_page(page: View) -> None:
    titles = ("id", "kind", "state", "prio", "description")
    lines = [
        [it["id"], it["kind"], it["state"], str(it["priority"]), str(it["description"] or "")] for it in page["jobs"]
    ]
    show_table(titles, lines, none="no jobs here")
    for note in page["notes"]:
        click.echo(note, err=True)
    if page["next"]:
        click.echo(f"more: --after {page['next']}", err=True)


@click.command("view")
@id_argument
@app_option
@json_option
@store_option
def view_command(job_id: str, app: tuple[str, ...], as_json: bool) -> None:
    """Show a job as the console does: with its timeline, its pace, and what may be done; quick for jobs of any size.

    Example: penstock jobs view 01a1fbf7-6f14-7862-94d2-f0a999c73cbb
    """
    import_app_in_force(app, only_to_look=True)
    emit(view_job(current_store(), parse_id(job_id), by=me()), show_view, as_json=as_json)


@click.command("working")
@json_option
@store_option
def working_command(as_json: bool) -> None:
    """Show what is worked on now, where, and since when; longest first.

    Example: penstock jobs working
    """
    emit(work_under_way(current_store()), _show_working, as_json=as_json)


def _show_working(found: list[View]) -> None:
    lines = [[it["id"], it["kind"], it["worker"] or it["server"] or "-", span_text(it["seconds"])] for it in found]
    show_table(("id", "kind", "worker", "for"), lines, none="nothing runs")


@click.command("slices")
@id_argument
@click.option("--parts", type=click.IntRange(1, 500), default=80, show_default=True, help="Parts of the strip.")
@json_option
@store_option
def slices_command(job_id: str, parts: int, as_json: bool) -> None:
    """Show the slices of a batch job as a strip: = done, > running, . queued, ! failed; and what failed, by exception.

    Example: penstock jobs slices 01a1fbf7-6f14-7862-94d2-f0a999c73cbb
    """
    store, found = current_store(), parse_id(job_id)
    view = {
        "strip": strip_of_slices(store, found, parts=parts),
        "failures": failures_of_job(store, found),
    }
    emit(view, _show_slices, as_json=as_json)


def _show_slices(view: View) -> None:
    click.echo("".join(MARKS[part["state"]] for part in view["strip"]) or "no slices")
    for group in view["failures"]["groups"]:
        places = ", ".join(str(it["slice"]) for it in group["examples"])
        click.echo(printable(f"{group['count']:,} {group['class_name']} in slices {places}"))


@click.command("slice")
@id_argument
@click.argument("number", type=click.IntRange(min=1))
@app_option
@json_option
@store_option
def slice_command(job_id: str, number: int, app: tuple[str, ...], as_json: bool) -> None:
    r"""Show a failed slice with its records: control bytes as \xHH, a backslash twice; > is the one that failed.

    Example: penstock jobs slice 01a1fbf7-6f14-7862-94d2-f0a999c73cbb 3
    """
    import_app_in_force(app, only_to_look=True)
    emit(show_failed_slice(current_store(), parse_id(job_id), number, by=me()), _show_slice, as_json=as_json)


def _show_slice(view: View) -> None:
    click.echo(printable(f"slice {view['slice']}: {view['error']}"))
    for record in view["records"]:
        mark = ">" if record["failed"] else " "
        click.echo(f"{mark} {record['record_number']:>8} {printable(record['text'])}")


@click.command("retry-failed")
@id_argument
@click.option("--class", "class_name", metavar="NAME", help="Those that failed by this class of exception.")
@click.option("--slice", "numbers", type=click.IntRange(min=1), multiple=True, help="This slice. May be repeated.")
@app_option
@json_option
@store_option
def retry_failed_command(
    job_id: str, class_name: str | None, numbers: tuple[int, ...], app: tuple[str, ...], as_json: bool
) -> None:
    """Retry some of the failed slices of a batch job; the others stay failed.

    Example: penstock jobs retry-failed 01a1fbf7-6f14-7862-94d2-f0a999c73cbb --class TimeoutError
    """
    if (class_name is None) is (not numbers):
        raise click.UsageError("name the exception with --class, or slices with --slice")
    import_app_in_force(app)
    view = retry_failures(current_store(), parse_id(job_id), by=me(), class_name=class_name, numbers=numbers)
    emit(view, lambda told: click.echo(f"{told['retried']:,} slices are queued again"), as_json=as_json)


@click.command("log")
@id_argument
@click.option("--after", type=click.IntRange(min=0), default=0, metavar="ID", help="Only lines behind this one.")
@json_option
@store_option
def log_command(job_id: str, after: int, as_json: bool) -> None:
    """Show the last lines that a job logged. Of jobs that seal anything nothing is kept.

    Example: penstock jobs log 01a1fbf7-6f14-7862-94d2-f0a999c73cbb
    """
    emit(log_of_job(current_store(), parse_id(job_id), after=after), _show_log, as_json=as_json)


def _show_log(lines: list[View]) -> None:
    for line in lines:
        first, *more = line["text"].splitlines() or [""]
        click.echo(f"{cell_text('at_at', line['at'])} {line['level'].upper():<8} {printable(first)}")
        for text in more:
            click.echo(f"    {printable(text)}")


@click.command("preview")
@id_argument
@click.option("--category", metavar="NAME", help="The output.  [default: the first]")
@app_option
@json_option
@store_option
def preview_command(job_id: str, category: str | None, app: tuple[str, ...], as_json: bool) -> None:
    """Show the first records of an output, whole or not yet.

    Example: penstock jobs preview 01a1fbf7-6f14-7862-94d2-f0a999c73cbb
    """
    import_app_in_force(app, only_to_look=True)
    view = preview_output(current_store(), parse_id(job_id), by=me(), category=category)
    emit(view, _show_preview, as_json=as_json)


def _show_preview(view: View) -> None:
    for text in view["records"]:
        click.echo(printable(text))


@click.command("preview-input")
@click.argument("file", type=click.Path(path_type=Path))
@json_option
def preview_input_command(file: Path, as_json: bool) -> None:
    """Show what a file seems to be, and the first records in it, without storing anything.

    Example: penstock jobs preview-input orders.csv.gz
    """
    try:
        with file.open("rb") as opened:
            beginning = opened.read(PREVIEW_BYTES)
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}") from error
    emit(preview_upload(beginning, file.name), show_view, as_json=as_json)


@click.command("kinds")
@app_option
@json_option
@store_option
def kinds_command(app: tuple[str, ...], as_json: bool) -> None:
    """List the kinds of jobs that are known here, or to servers that live.

    Example: penstock jobs kinds --app my_jobs
    """
    import_app_in_force(app, only_to_look=True)
    emit(list_kinds(current_store()), _show_kinds, as_json=as_json)


def _show_kinds(found: list[View]) -> None:
    lines = [[it["kind"], str(len(it["servers"])), str(it["summary"] or "")] for it in found]
    show_table(("kind", "servers", "what"), lines, none="no kinds")


LOOKING = [
    browse_command, view_command, working_command, slices_command, slice_command, retry_failed_command, log_command,
    preview_command, preview_input_command, kinds_command,
]  # fmt: skip
