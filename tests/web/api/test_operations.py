"""What programs do through the API: make jobs, watch them, mend what failed, take the results."""

import gzip
import json

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from penstock import BatchJob, Cron, Job, field
from penstock.errors import StoreUnavailable
from penstock.service.auditing import list_audit
from penstock.testing import drain
from penstock.web.api import health_routes


class ApiJob(Job):
    """Ours."""

    destroy_on_complete = False
    size: int = field(1, user_editable=True, ge=1)
    login: str | None = None

    def perform(self):
        return None


class ApiLines(BatchJob):
    slice_size = 2
    collect_output = True
    destroy_on_complete = False

    def perform(self, line):
        if line == "bad":
            raise ValueError("bad line")
        return line.upper()


class ApiNightly(Cron, Job):
    cron_schedule = "0 1 * * *"

    def perform(self):
        return None


def test_a_job_is_made_seen_edited_moved_and_removed(api, configured_store):
    made = api("POST", "/jobs", json={"kind": "ApiJob", "fields": {"size": 3, "priority": 9}})
    assert made.status_code == 201
    job_id = made.json()["id"]
    listed = api("GET", "/jobs?list=queued&kind=ApiJob&where=priority__lt=10").json()
    assert [it["id"] for it in listed["jobs"]] == [job_id]
    assert api("PATCH", f"/jobs/{job_id}", json={"fields": {"size": 5}}).status_code == 200
    shown = api("GET", f"/jobs/{job_id}").json()
    fields = {it["name"]: it["value"] for it in shown["fields"]}
    assert (fields["size"], fields["login"]) == (5, "ada")
    assert shown["actions"] == ["pause", "abort", "fail", "destroy", "edit"]
    assert api("POST", f"/jobs/{job_id}/actions/pause").json() == {"id": job_id, "action": "pause"}
    assert api("POST", f"/jobs/{job_id}/actions/pause").status_code == 409
    assert api("GET", "/jobs/counts").json()["paused"] == 1
    assert api("POST", f"/jobs/{job_id}/actions/destroy").status_code == 200
    assert api("GET", f"/jobs/{job_id}").status_code == 404
    trail = [line["action"] for line in api("GET", f"/jobs/{job_id}/audit").json()]
    assert trail == ["job.destroy", "job.pause", "job.pause", "job.edit", "job.create"]


def test_a_file_is_uploaded_mended_and_its_result_fetched(api):
    body = gzip.compress(b"a\nb\nbad\nc\n")
    made = api("POST", "/jobs/upload?kind=ApiLines&file_name=in.txt.gz", content=body)
    assert made.status_code == 201
    job = f"/jobs/{made.json()['id']}"
    drain(expect_failures=True)
    failures = api("GET", f"{job}/failures").json()
    (group,) = failures["groups"]
    assert (group["class_name"], group["count"], group["examples"][0]["record"]) == ("ValueError", 1, 3)
    assert [it["text"] for it in api("GET", f"{job}/slices/2").json()["records"]] == ["bad", "c"]
    assert api("GET", f"{job}/slices/1").status_code == 400
    assert api("GET", f"{job}/output").status_code == 409
    assert api("PUT", f"{job}/records/3", json={"record": "good"}).status_code == 200
    assert api("POST", f"{job}/failures/retry", json={"class_name": "ValueError"}).json()["retried"] == 1
    drain()
    assert api("GET", f"{job}/preview").json()["records"] == ["A", "B", "GOOD", "C"]
    output = api("GET", f"{job}/output")
    assert output.content == b"A\nB\nGOOD\nC\n"
    assert "attachment" in output.headers["content-disposition"]
    assert [it["state"] for it in api("GET", f"{job}/slices").json()] == ["done", "done"]


@pytest.mark.parametrize(("method", "place", "rejects"), [("POST", "records/2/reject", 1), ("DELETE", "records/2", 0)])
def test_a_record_is_rejected_or_deleted(api, method, place, rejects):
    made = api("POST", "/jobs/upload?kind=ApiLines", content=b"a\nbad")
    job = f"/jobs/{made.json()['id']}"
    drain(expect_failures=True)
    assert api(method, f"{job}/{place}", "manager").status_code == 403
    assert api(method, f"{job}/{place}", "editor").status_code == 200
    assert api(method, f"{job}/{place}").status_code == 400
    assert api("POST", f"{job}/actions/retry").status_code == 200
    drain()
    assert api("GET", f"{job}/output").content == b"A\n"
    assert len(api("GET", f"{job}/preview?category=rejects").json()["records"]) == rejects


def test_rejected_records_come_back_corrected(api):
    made = api("POST", "/jobs/upload?kind=ApiLines", content=b"a\nbad")
    job = f"/jobs/{made.json()['id']}"
    drain(expect_failures=True)
    api("POST", f"{job}/records/2/reject")
    api("POST", f"{job}/actions/retry")
    drain()
    assert api("GET", job).json()["rejected"] == 1
    corrected = api("GET", f"{job}/output?category=rejects").content.replace(b",bad", b",good")
    assert api("POST", f"{job}/resubmit", "manager", content=corrected).status_code == 403
    assert api("POST", f"{job}/resubmit?file_name=a.jsonl", content=corrected).status_code == 400
    assert api("POST", f"{job}/resubmit", content=corrected).json()["resubmitted"] == 1
    drain()
    assert api("GET", f"{job}/output").content == b"A\nGOOD\n"
    assert [line["action"] for line in api("GET", f"{job}/audit").json()].count("record.resubmit") == 3


def test_several_jobs_are_acted_on_by_id_or_by_list(api):
    made = [ApiJob.create(size=n + 1) for n in range(4)]
    acted = api("POST", "/jobs/act", json={"action": "pause", "ids": [str(made[0].id), str(made[0].id)]}).json()
    assert acted == {"done": 1, "refused": [], "next": None}
    everything = {"action": "pause", "all": {"listing": "queued", "where": ["size__ge=3"], "kinds": ["ApiJob"]}}
    assert api("POST", "/jobs/act", json=everything).json()["done"] == 2
    assert [job.reload().state for job in made] == ["paused", "queued", "paused", "paused"]
    assert api("POST", "/jobs/act", json={"action": "pause"}).status_code == 400


def test_schedules_servers_audit_kinds_settings_and_the_overview_are_told(api):
    job = ApiNightly.ensure()
    (schedule,) = api("GET", "/schedules").json()
    assert schedule["schedule"] == "0 1 * * *"
    assert api("PUT", f"/schedules/{job.id}", json={"schedule": "0 25 * * *"}).status_code == 400
    assert api("PUT", f"/schedules/{job.id}", json={"schedule": "0 2 * * *"}).json()["schedule"] == "0 2 * * *"
    assert api("POST", f"/schedules/{job.id}/run-now").status_code == 200
    assert api("GET", "/servers").json() == []
    assert api("POST", "/servers/none/pause").status_code == 404
    assert "ApiJob" in [it["kind"] for it in api("GET", "/kinds").json()]
    assert "size" in [it["name"] for it in api("GET", "/kinds/ApiJob").json()["fields"]]
    assert api("GET", "/kinds/None").status_code == 400
    assert "store" in [it["name"] for it in api("GET", "/settings").json()]
    assert api("GET", "/overview").json()["counts"]["queued_now"] == 1
    assert api("GET", "/audit?action=job.run-now").json() != []


def test_watched_folders_are_kept(api, tmp_path):
    import penstock

    tmp_path /= "in"
    tmp_path.mkdir()
    values = {"name": "in", "pattern": f"{tmp_path}/*", "kind": "ApiLines"}
    assert api("POST", "/dirmon", json=values).status_code == 400
    penstock.configure(allowed_roots=[str(tmp_path)])
    assert api("POST", "/dirmon", json=values).status_code == 201
    assert api("POST", "/dirmon", json=values).status_code == 409
    assert api("PATCH", "/dirmon/in", json={"after": "delete"}).json()["after"] == "delete"
    assert api("POST", "/dirmon/in/copy", json={"name": "two", "pattern": f"{tmp_path}/x*"}).status_code == 201
    assert api("POST", "/dirmon/in/enable").json()["state"] == "enabled"
    (tmp_path / "a.txt").write_text("a\n")
    (looked,) = api("GET", "/dirmon/in/look").json()
    assert [it["file"] for it in looked["files"]] == [str(tmp_path / "a.txt")]
    assert api("POST", "/dirmon/in/disable").json()["state"] == "disabled"
    assert api("DELETE", "/dirmon/in").status_code == 200
    assert [it["name"] for it in api("GET", "/dirmon").json()] == ["two"]
    assert api("DELETE", "/dirmon/none").status_code == 404


# Keys ---------------------------------------------------------------------------------------------


def test_a_job_is_made_once_for_each_key_and_answered_alike(api):
    body, key = {"kind": "ApiJob"}, {"Idempotency-Key": "k1"}
    first = api("POST", "/jobs", json=body, headers=key)
    again = api("POST", "/jobs", json=body, headers=key)
    assert (first.status_code, first.json()) == (again.status_code, again.json())
    assert again.headers["idempotency-replayed"] == "true"
    assert ApiJob.query.count() == 1
    other = api("POST", "/jobs", json={"kind": "ApiJob", "fields": {"size": 2}}, headers=key)
    assert (other.status_code, other.json()["error"]["type"]) == (409, "KeyReused")
    assert api("POST", "/jobs", json=body, headers=key, login="bob").status_code == 201
    assert ApiJob.query.count() == 2


def test_what_was_refused_may_be_sent_again_with_its_key_and_leaves_a_line(api, configured_store):
    key = {"Idempotency-Key": "k1"}
    assert api("POST", "/jobs", json={"kind": "ApiJob", "fields": {"size": 0}}, headers=key).status_code == 400
    assert list_audit(configured_store, action="create_job")[0]["error"]
    assert api("POST", "/jobs", json={"kind": "ApiJob"}, headers=key).status_code == 201


def test_a_file_is_uploaded_once_for_each_key(api):
    key = {"Idempotency-Key": "up"}
    made = [api("POST", "/jobs/upload?kind=ApiLines", content=b"a\n", headers=key) for _ in range(2)]
    assert made[0].json() == made[1].json()
    assert ApiLines.query.count() == 1
    assert api("POST", "/jobs/upload?kind=ApiLines&file_name=x", content=b"a\n", headers=key).status_code == 409


# Health -------------------------------------------------------------------------------------------


def test_health_means_that_work_is_done(client, configured_store, clock):
    from penstock.clock import now
    from penstock.store.rows import FigureRow, ServerRow

    assert client.get("/healthz").json() == {"ok": True, "reason": None, "servers": 0, "waiting": False}
    ApiJob.create()
    answer = client.get("/healthz")
    assert (answer.status_code, answer.json()["reason"]) == (503, "jobs are due, and no server works")
    presence = configured_store.appear("s1")
    configured_store.register_server(ServerRow("s1", "here", 1, "running", now(), 0, 1, 1))
    assert client.get("/healthz").status_code == 200
    clock.advance(600)
    assert client.get("/healthz").json()["reason"] == "a job has waited for more than 5 min, and nothing ended"
    configured_store.add_figures(FigureRow(now().replace(second=0), completed=1))
    assert client.get("/healthz").status_code == 200
    presence.close()


def test_a_store_that_cannot_be_asked_is_no_health():
    def store():
        raise StoreUnavailable("postgresql://10.1.2.3/jobs: it does not answer")

    with TestClient(Starlette(routes=health_routes(store))) as asked:
        answer = asked.get("/healthz")
    # Whoever asks from outside is not told where the store is.
    assert (answer.status_code, answer.json()) == (503, {"ok": False, "reason": "StoreUnavailable"})


def test_figures_take_a_token_where_they_are_not_open(configured_store, token):
    with TestClient(Starlette(routes=health_routes(lambda: configured_store, open_figures=False))) as asked:
        assert asked.get("/metrics").status_code == 401
        assert asked.get("/metrics", headers={"Authorization": "Bearer pst_wrong"}).status_code == 401
        answer = asked.get("/metrics", headers={"Authorization": f"bearer {token('view')}"})
        assert (answer.status_code, "penstock_progress" in answer.text) == (200, True)
        assert asked.get("/healthz").status_code == 200


def test_figures_are_told_to_prometheus(client):
    ApiJob.create()
    text = client.get("/metrics").text
    assert 'penstock_jobs_stored{state="queued"} 1\n' in text
    assert "penstock_progress 0\n" in text
    parser = pytest.importorskip("prometheus_client.parser")
    families = {family.name for family in parser.text_string_to_metric_families(text)}
    assert {"penstock_jobs_stored", "penstock_servers", "penstock_oldest_waiting_seconds"} <= families


# The description ----------------------------------------------------------------------------------


def test_the_description_names_every_operation_and_needs_no_token(client):
    from penstock.web.api.table import OPERATIONS

    told = client.get("/api/v1/openapi.json").json()
    described = {it["operationId"] for methods in told["paths"].values() for it in methods.values()}
    assert described == {operation.name for operation in OPERATIONS}
    json.dumps(told)
    assert told["openapi"] == "3.1.0"


def test_what_there_is_not_is_told_as_json(api):
    assert api("GET", "/none").json()["error"]["type"] == "NotFound"
    answer = api("DELETE", "/overview")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")


def test_a_body_of_another_sort_is_refused(api):
    for content, kind in ((b"{", "application/json"), (b"[]", "application/json"), (b"{}", "text/plain"),
                          (b'{"kind": "ApiJob", "more": 1}', "application/json"), (b"\xff", "application/json"),
                          (b'{"kind": "ApiJob", "fields": {"size": NaN}}', "application/json"),
                          (b'{"kind": "\\ud800"}', "application/json")):  # fmt: skip
        answer = api("POST", "/jobs", content=content, headers={"content-type": kind})
        assert (answer.status_code, answer.json()["error"]["type"]) == (400, "BadRequest"), content
