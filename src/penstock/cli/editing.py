"""`penstock jobs create` and `penstock jobs edit`."""

import click

from penstock.cli import completion
from penstock.cli.options import (
    app_option,
    id_argument,
    import_app_in_force,
    json_option,
    parse_assignments,
    set_option,
    store_option,
)
from penstock.cli.output import cell_text, emit, show_table
from penstock.cli.whoami import me
from penstock.ids import parse_id
from penstock.service.editing import create_job, edit_job, find_target
from penstock.service.forms import describe_kind
from penstock.service.jobs import View
from penstock.store import current_store


@click.command("create")
@click.argument("target", metavar="KIND_OR_MODULE:CLASS", shell_complete=completion.kinds)
@set_option
@click.option("--input", "-i", "source", metavar="F", help="The file with the records of a batch job.")
@app_option
@json_option
@store_option
def create_command(
    target: str, assignments: tuple[str, ...], source: str | None, app: tuple[str, ...], as_json: bool
) -> None:
    """Make a job, queue it, and print its id.

    Values are JSON where that is what the field takes, else text. Nothing is stored unless all of them are valid.

    Example: penstock jobs create reports:ReportJob --set username=ada --set priority=10
    """
    texts = parse_assignments(assignments)
    import_app_in_force(app)
    view = create_job(current_store(), find_target(target), texts, by=me(), source=source)
    emit(view, lambda made: click.echo(made["id"]), as_json=as_json)


@click.command("fields")
@click.argument("target", metavar="KIND_OR_MODULE:CLASS", shell_complete=completion.kinds)
@click.option("--standard", is_flag=True, help="Those too that all jobs have with this default.")
@app_option
@json_option
def fields_command(target: str, standard: bool, app: tuple[str, ...], as_json: bool) -> None:
    """Show what a kind of job does and which fields it has, for --set: type, default, and what they mean.

    Example: penstock jobs fields Conversion --app penstock.jobs
    """
    import_app_in_force(app)
    view = describe_kind(find_target(target).kind)
    if not standard:
        view["fields"] = [it for it in view["fields"] if it["overridden"] or not it["standard"]]
    emit(view, _show_kind, as_json=as_json)


def _show_kind(view: View) -> None:
    click.echo(f"{view['kind']}{', a batch job' if view['batch'] else ''}")
    if view["text"]:
        click.echo(f"\n{view['text']}\n")
    rows = [[it["name"], it["type"], _default(it), it["description"] or ""] for it in view["fields"]]
    show_table(("field", "type", "default", "meaning"), rows, none="no fields of its own; --standard shows the others")


def _default(field: View) -> str:
    return "required" if field["required"] else cell_text("", field["default"])


@click.command("edit")
@id_argument
@set_option
@app_option
@json_option
@store_option
def edit_command(job_id: str, assignments: tuple[str, ...], app: tuple[str, ...], as_json: bool) -> None:
    """Change fields of a job that its class declares user_editable: all that are given, or none.

    Its class must be imported, with --app: only that can check values.

    Example: penstock jobs edit 01a1fbf7-6f14-7862-94d2-f0a999c73cbb --set priority=10 --app reports
    """
    texts = parse_assignments(assignments)
    if not texts:
        raise click.UsageError("name what to change, with --set FIELD=VALUE")
    import_app_in_force(app)
    view = edit_job(current_store(), parse_id(job_id), texts, by=me())
    emit(view, lambda edited: click.echo(f"{edited['id']} edited: {', '.join(texts)}"), as_json=as_json)
