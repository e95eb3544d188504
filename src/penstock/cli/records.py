"""`penstock jobs failed`, `edit-record`, `reject-record`, `delete-record` and `resubmit`: records that went wrong."""

import click

from penstock.cli.options import app_option, id_argument, import_app_in_force, json_option, store_option
from penstock.cli.output import emit, show_table
from penstock.cli.whoami import me
from penstock.ids import parse_id
from penstock.service.jobs import View
from penstock.service.records import (
    delete_failed_record,
    edit_failed_record,
    edit_failed_text,
    failed_of_job,
    reject_failed_record,
    resubmit_job,
)
from penstock.store import current_store

number_argument = click.argument("record_number", metavar="RECORD", type=click.IntRange(min=1))


@click.command("failed")
@id_argument
@app_option
@json_option
@store_option
def failed_command(job_id: str, app: tuple[str, ...], as_json: bool) -> None:
    """Show what went wrong in a batch job: exceptions by class, and the records at which slices stopped.

    Example: penstock jobs failed 01a1fbf7-6f14-7862-94d2-f0a999c73cbb
    """
    import_app_in_force(app, only_to_look=True)
    emit(failed_of_job(current_store(), parse_id(job_id), by=me()), _show_failed, as_json=as_json)


@click.command("edit-record")
@id_argument
@number_argument
@click.option("--value", required=True, metavar="TEXT", help="The record as it is to be: the whole line.")
@click.option("--escaped", is_flag=True, help="It is written as `penstock jobs slice` shows it: \\xHH is a byte.")
@app_option
@json_option
@store_option
def edit_record_command(
    job_id: str, record_number: int, value: str, escaped: bool, app: tuple[str, ...], as_json: bool
) -> None:
    """Correct a record of a failed slice; `penstock jobs retry` then performs it.

    Example: penstock jobs edit-record 01a1fbf7-6f14-7862-94d2-f0a999c73cbb 57 --value "57,ada"
    """
    import_app_in_force(app, only_to_look=True)
    edit = edit_failed_text if escaped else edit_failed_record
    view = edit(current_store(), parse_id(job_id), record_number, value, by=me())
    emit(
        view,
        lambda _: click.echo(f"record {record_number} is corrected; penstock jobs retry {job_id}"),
        as_json=as_json,
    )


@click.command("reject-record")
@id_argument
@number_argument
@app_option
@json_option
@store_option
def reject_record_command(job_id: str, record_number: int, app: tuple[str, ...], as_json: bool) -> None:
    """Reject the record at which a slice stopped; `penstock jobs retry` then goes on behind it.

    Example: penstock jobs reject-record 01a1fbf7-6f14-7862-94d2-f0a999c73cbb 57
    """
    import_app_in_force(app, only_to_look=True)
    view = reject_failed_record(current_store(), parse_id(job_id), record_number, by=me())
    emit(
        view, lambda _: click.echo(f"record {record_number} is rejected; penstock jobs retry {job_id}"), as_json=as_json
    )


@click.command("delete-record")
@id_argument
@number_argument
@app_option
@json_option
@store_option
def delete_record_command(job_id: str, record_number: int, app: tuple[str, ...], as_json: bool) -> None:
    """Drop the record at which a slice stopped, for good; `penstock jobs retry` then goes on behind it.

    No output has it; the audit keeps what it was, unless it is sealed. To keep it for later, use reject-record.

    Example: penstock jobs delete-record 01a1fbf7-6f14-7862-94d2-f0a999c73cbb 57
    """
    import_app_in_force(app, only_to_look=True)
    view = delete_failed_record(current_store(), parse_id(job_id), record_number, by=me())
    emit(
        view, lambda _: click.echo(f"record {record_number} is deleted; penstock jobs retry {job_id}"), as_json=as_json
    )


@click.command("resubmit")
@id_argument
@click.argument("file", type=click.Path())
@app_option
@json_option
@store_option
def resubmit_command(job_id: str, file: str, app: tuple[str, ...], as_json: bool) -> None:
    """Perform rejected records again, as they are in a file that `penstock jobs download --category rejects` wrote.

    Correct them in its column `record`; rows that are taken out stay rejected. Each result goes to its numbered place
    in the output.

    Example: penstock jobs resubmit 01a1fbf7-6f14-7862-94d2-f0a999c73cbb rejects.csv
    """
    import_app_in_force(app, only_to_look=True)
    view = resubmit_job(current_store(), parse_id(job_id), file, by=me())
    emit(view, lambda told: click.echo(f"{told['resubmitted']:,} records come back"), as_json=as_json)


def _show_failed(view: View) -> None:
    groups = [[group["class_name"], f"{len(group['records']):,}"] for group in view["exceptions"]]
    show_table(["exception", "slices"], groups, none="no slice has failed")
    if view["failed"]:
        click.echo()
        show_table(
            ["record", "place", "error", "as it is"],
            [
                [
                    f"{failed['record_number']:,}",
                    f"{failed['file']}:{failed['line']}" if failed["file"] else "",
                    failed["error"] or "",
                    str(failed["record"]),
                ]
                for failed in view["failed"]
            ],
            none="",
        )


RECORDS = (failed_command, edit_record_command, reject_record_command, delete_record_command, resubmit_command)
"""All of them."""
