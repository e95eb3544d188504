"""The table of the API: every operation, with what it takes and the function of the service that it calls."""

from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from penstock.errors import BadRequest, InvalidMove, JobNotFound
from penstock.ids import parse_id
from penstock.service.auditing import list_audit, trail_of_job
from penstock.service.dirmon import (
    add_entry,
    copy_entry,
    disable_entry,
    edit_entry,
    enable_entry,
    list_entries,
    look_at_entries,
    remove_entry,
)  # fmt: skip
from penstock.service.editing import create_job, edit_job, find_target
from penstock.service.environment import show_settings
from penstock.service.forms import describe_kind, list_kinds
from penstock.service.job_view import failures_of_job, log_of_job, strip_of_slices, view_job
from penstock.service.listing import MOST_PAGE, PAGE, ListAsked, counts_of_jobs, page_of_jobs
from penstock.service.moving import ACTIONS, Acted, act_on_jobs, act_on_list
from penstock.service.overview import figures_of, show_overview
from penstock.service.people import demand
from penstock.service.previews import preview_output
from penstock.service.records import (
    delete_failed_record,
    edit_failed_text,
    reject_failed_record,
    retry_failures,
    show_failed_slice,
)  # fmt: skip
from penstock.service.schedules import edit_schedule, list_schedules, run_schedule_now
from penstock.service.servers import ask_servers, find_servers, list_servers, remove_dead_server
from penstock.states import Command
from penstock.store.browsing import Listing
from penstock.web.api import bodies
from penstock.web.api.operations import MOST_WHOLE, Call, Operation, Parameter
from penstock.web.api.transfers import receive, receive_corrected, send

_LIMIT = Parameter("limit", "At most so many.", {"type": "integer", "minimum": 1, "maximum": MOST_PAGE})
_LISTED = (
    Parameter("list", "Which list.", {"type": "string", "enum": [str(each) for each in Listing]}),
    Parameter("kind", "Only jobs of this kind.", repeated=True),
    Parameter("where", "Only jobs that meet this, as priority__lt=50 or username=ada.", repeated=True),
    Parameter("search", "Text in the kind or description, or the id of a job."),
    Parameter("order", "A field, with - before it for descending. Long lists are sorted as far as they are read."),
    Parameter("after", "`next` of the page before."),
    _LIMIT,
)
_CATEGORY = Parameter("category", "The output; without it the first.")
_PARTIAL = Parameter("partial", "Give what there is of a job that is not completed.", {"type": "boolean"})


def _page(call: Call) -> Any:
    query = call.query
    return page_of_jobs(
        call.store,
        ListAsked(
            query.get("list", Listing.ALL), query.get("kind", []), query.get("where", []), query.get("search"),
            query.get("order"), query.get("after"), query.get("limit", PAGE),
        ),
    )  # fmt: skip


def _create(call: Call) -> Any:
    return create_job(call.store, _class(call.body.kind), call.body.fields, by=call.person, source=call.body.input)


def _class(kind: str) -> Any:
    if ":" in kind:
        raise BadRequest(f"kind {kind!r}: a module is named when the console starts, with --app")
    return find_target(kind)


def _act_on_one(call: Call) -> Any:
    action = call.path["action"]
    if action not in ACTIONS:
        raise BadRequest(f"there is no action {action!r}; known: {', '.join(ACTIONS)}")
    message = call.body.message if call.body else ""
    if call.store.job(call.job_id) is None:
        raise JobNotFound(f"there is no job {call.job_id}; it may have been completed and destroyed")
    demand(call.person, ACTIONS[action].right, call.store.job(call.job_id))
    acted = act_on_jobs(call.store, action, [call.job_id], by=call.person, message=message)
    if acted.refused:
        raise InvalidMove(acted.refused[0].reason)
    return {"id": str(call.job_id), "action": action}


def _act_on_many(call: Call) -> Any:
    body: bodies.Acts = call.body
    if (body.ids is None) is (body.all is None):
        raise BadRequest("name jobs in `ids`, or a list in `all`; one of them")
    if body.all is not None:
        return _told(act_on_list(call.store, body.action, body.all.asked(), by=call.person, message=body.message))
    ids = [_job_id(text) for text in body.ids or ()]
    return _told(act_on_jobs(call.store, body.action, ids, by=call.person, message=body.message))


def _job_id(text: str) -> UUID:
    try:
        return parse_id(text)
    except Exception:
        raise BadRequest(f"ids: {text!r} is no id of a job") from None


def _told(acted: Acted) -> Any:
    refused = [{"id": str(each.job_id), "reason": each.reason} for each in acted.refused]
    return {"done": acted.done, "refused": refused, "next": acted.next}


def _retry(call: Call) -> Any:
    body: bodies.Failures = call.body
    if (body.class_name is None) is (body.slices is None):
        raise BadRequest("name a `class_name`, or `slices` by their numbers; one of them")
    return retry_failures(
        call.store, call.job_id, by=call.person, class_name=body.class_name, numbers=body.slices or ()
    )


def _ask_server(call: Call) -> Any:
    name, command = call.path["server"], call.path["command"]
    if command not in list(Command):
        raise BadRequest(f"there is no command {command!r}; known: {', '.join(Command)}")
    demand(call.person, f"server.{command}")
    servers = find_servers(call.store, [name])
    answers = ask_servers(call.store, Command(command), servers, by=call.person, timeout=None)
    return [{"server": answer.server, "command": str(command), "answer": answer.text} for answer in answers]


def _add_entry(call: Call) -> Any:
    return add_entry(call.store, call.body.values(), _texts(call), by=call.person)


def _texts(call: Call) -> Mapping[str, Any]:
    properties: Mapping[str, Any] = call.body.properties
    return properties


def _form(call: Call) -> Any:
    kind = call.path["kind"]
    _class(kind)
    return describe_kind(kind)


def _audit(call: Call) -> Any:
    asked = {name: call.query.get(name) for name in ("target", "who", "action", "before")}
    return list_audit(call.store, **asked, limit=call.query.get("limit", 100))


def _entry(name: str, act: Callable[..., Any], about: str) -> Operation:
    def run(call: Call) -> Any:
        return act(call.store, call.path["name"], by=call.person)

    return Operation(f"{name}_entry", "POST", f"/dirmon/{{name}}/{name}", about, run)


_JOB = "/jobs/{job_id}"
OPERATIONS: tuple[Operation, ...] = (
    Operation("overview", "GET", "/overview", "How things stand.", lambda call: show_overview(call.store)),
    Operation("list_figures", "GET", "/figures", "What servers did, minute by minute, the oldest first.",
              lambda call: figures_of(call.store, minutes=call.query.get("minutes", 60)),
              query=(Parameter("minutes", "How far back.", {"type": "integer", "minimum": 1, "maximum": 10_080}),)),
    Operation("list_kinds", "GET", "/kinds", "The kinds of which jobs can be made.",
              lambda call: list_kinds(call.store)),
    Operation("describe_kind", "GET", "/kinds/{kind}", "What a new job of a kind takes.", _form),
    Operation("count_jobs", "GET", "/jobs/counts", "How many jobs are in each list; counting stops at 10,000.",
              lambda call: counts_of_jobs(call.store)),
    Operation("list_jobs", "GET", "/jobs", "A page of a list of jobs.", _page, query=_LISTED),
    Operation("create_job", "POST", "/jobs", "Make a job, and queue it.", _create, bodies.NewJob, status=201,
              idempotent_by_key=True),
    Operation("upload_job", "POST", "/jobs/upload",
              "Make a batch job of the file that is the body of the request; it is stored as it comes.", receive,
              query=(
                  Parameter("kind", "Its kind."),
                  Parameter("file_name", "What the file is called: its extensions say how it is read."),
                  Parameter("fields", "Values of its fields, a JSON object."),
              ), status=201, idempotent_by_key=True, streams="upload", errors=(400, 401, 403, 409, 413, 503)),
    Operation("act_on_jobs", "POST", "/jobs/act", "Do something to several jobs.", _act_on_many, bodies.Acts),
    Operation("show_job", "GET", _JOB, "Everything about a job.",
              lambda call: view_job(call.store, call.job_id, by=call.person)),
    Operation("edit_job", "PATCH", _JOB, "Change fields of a job.",
              lambda call: edit_job(call.store, call.job_id, call.body.fields, by=call.person), bodies.Fields),
    Operation("act_on_job", "POST", f"{_JOB}/actions/{{action}}", "Do something to a job.", _act_on_one, bodies.Why),
    Operation("slices_of_job", "GET", f"{_JOB}/slices", "The slices of a batch job, as runs.",
              lambda call: strip_of_slices(call.store, call.job_id)),
    Operation("log_of_job", "GET", f"{_JOB}/log", "The last lines that a job logged.",
              lambda call: log_of_job(call.store, call.job_id, after=call.query.get("after", 0)),
              query=(Parameter("after", "Only lines behind this id.",
                               {"type": "integer", "minimum": 0, "maximum": MOST_WHOLE}),)),
    Operation("audit_of_job", "GET", f"{_JOB}/audit", "What people did to a job.",
              lambda call: trail_of_job(call.store, call.job_id)),
    Operation("failures_of_job", "GET", f"{_JOB}/failures", "Failed slices of a batch job, by exception.",
              lambda call: failures_of_job(call.store, call.job_id)),
    Operation("retry_failures", "POST", f"{_JOB}/failures/retry", "Retry some of the failed slices.", _retry,
              bodies.Failures),
    Operation("show_failed_slice", "GET", f"{_JOB}/slices/{{slice_number}}",
              "A failed slice with its records; control bytes are written as \\xHH, a backslash twice.",
              lambda call: show_failed_slice(call.store, call.job_id, call.path["slice_number"], by=call.person)),
    Operation("edit_failed_record", "PUT", f"{_JOB}/records/{{record_number}}",
              "Correct a record of a failed slice, written as it is shown.",
              lambda call: edit_failed_text(
                  call.store, call.job_id, call.path["record_number"], call.body.record, by=call.person),
              bodies.NewRecord),
    Operation("delete_failed_record", "DELETE", f"{_JOB}/records/{{record_number}}",
              "Drop the record at which a slice stopped, for good.",
              lambda call: delete_failed_record(
                  call.store, call.job_id, call.path["record_number"], by=call.person)),
    Operation("reject_failed_record", "POST", f"{_JOB}/records/{{record_number}}/reject",
              "Reject the record at which a slice stopped: it is in the output of rejects.",
              lambda call: reject_failed_record(
                  call.store, call.job_id, call.path["record_number"], by=call.person)),
    Operation("resubmit_records", "POST", f"{_JOB}/resubmit",
              "Perform rejected records again, as they are in the body: an output of rejects, corrected.",
              receive_corrected,
              query=(Parameter("file_name", "What the file is called; csv where its name tells no format."),),
              streams="upload", errors=(400, 401, 403, 404, 409, 413, 503)),
    Operation("preview_output", "GET", f"{_JOB}/preview", "The first records of an output.",
              lambda call: preview_output(call.store, call.job_id, by=call.person, category=call.query.get("category")),
              query=(_CATEGORY,)),
    Operation("download_output", "GET", f"{_JOB}/output", "An output, as it is written.", send,
              query=(_CATEGORY, _PARTIAL), streams="download"),
    Operation("list_schedules", "GET", "/schedules", "All schedules, and when they run next.",
              lambda call: list_schedules(call.store)),
    Operation("edit_schedule", "PUT", "/schedules/{job_id}", "Give a schedule another text.",
              lambda call: edit_schedule(call.store, call.job_id, call.body.schedule, by=call.person),
              bodies.Schedule),
    Operation("run_schedule_now", "POST", "/schedules/{job_id}/run-now", "Let a schedule's job start at once.",
              lambda call: run_schedule_now(call.store, call.job_id, by=call.person)),
    Operation("list_servers", "GET", "/servers", "All servers.", lambda call: list_servers(call.store)),
    Operation("ask_server", "POST", "/servers/{server}/{command}", "Ask a server for something; it acts when it can.",
              _ask_server),
    Operation("remove_server", "DELETE", "/servers/{server}", "Remove a dead server.",
              lambda call: remove_dead_server(call.store, call.path["server"], by=call.person)),
    Operation("list_entries", "GET", "/dirmon", "All watched folders.", lambda call: list_entries(call.store)),
    Operation("add_entry", "POST", "/dirmon", "Add a watched folder, pending.", _add_entry, bodies.Entry, status=201,
              idempotent_by_key=True),
    Operation("edit_entry", "PATCH", "/dirmon/{name}", "Change a watched folder.",
              lambda call: edit_entry(
                  call.store, call.path["name"], call.body.values(), _texts(call), by=call.person), bodies.Entry),
    Operation("copy_entry", "POST", "/dirmon/{name}/copy", "Add a watched folder like another.",
              lambda call: copy_entry(
                  call.store, call.path["name"], call.body.values(), _texts(call), by=call.person),
              bodies.Entry, status=201, idempotent_by_key=True),
    _entry("enable", enable_entry, "Have a folder watched."),
    _entry("disable", disable_entry, "Have a folder no longer watched."),
    Operation("remove_entry", "DELETE", "/dirmon/{name}", "Remove a watched folder.",
              lambda call: remove_entry(call.store, call.path["name"], by=call.person)),
    Operation("look_at_entry", "GET", "/dirmon/{name}/look", "What a look into a watched folder would do now.",
              lambda call: look_at_entries(call.store, [call.path["name"]])),
    Operation("list_audit", "GET", "/audit", "What people did, the newest first.", _audit,
              query=(
                  Parameter("target", "Only of this, as `job 01a1…`."), Parameter("who", "Only of this person."),
                  Parameter("action", "Only this action."),
                  Parameter("before", "Only lines with a lower id.",
                            {"type": "integer", "minimum": 1, "maximum": MOST_WHOLE}),
                  _LIMIT,
              )),
    Operation("show_settings", "GET", "/settings", "The settings in force, without secrets.",
              lambda call: show_settings()),
)  # fmt: skip
"""Every operation. Of two that fit a path, the first is meant."""
