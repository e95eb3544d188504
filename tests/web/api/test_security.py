"""What somebody who means ill may try with the API, and is refused."""

import gc
import os
import tempfile
from pathlib import Path

import pytest

import penstock
from penstock import BatchJob, Job, field
from penstock.jobs import Conversion, CopyFile, UploadFile
from penstock.keyring import Keyring
from penstock.service.auditing import list_audit
from penstock.service.people import ROLES
from penstock.testing import drain
from penstock.web.api.table import OPERATIONS

MARK = b"xyzzy-plugh-4711"


class GuardedJob(Job):
    destroy_on_complete = False
    note: str = field("", user_editable=True)
    login: str | None = None

    def perform(self):
        return None


class GuardedLines(BatchJob):
    collect_output = True
    destroy_on_complete = False
    input_category = penstock.InputCategory(format="auto")
    encrypt = True

    def perform(self, row):
        return str(row)


@pytest.fixture(autouse=True)
def _keyring():
    keyring = Keyring.generate()
    penstock.configure(keyring=lambda: keyring)


# Who may what -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given", ["", "Bearer", "Bearer ", "Basic YTpi", "Bearer pst_none", "Bearer \u00e9", "bearer x y"]
)
def test_without_a_token_nothing_is_told(client, given):
    headers = {"Authorization": given.encode("latin-1")} if given else {}
    for operation in OPERATIONS:
        path = operation.path.replace("{job_id}", "01a1fbf7-6f14-7862-94d2-f0a999c73cbb")
        path = path.replace("{record_number}", "1").replace("{slice_number}", "1").replace("{", "").replace("}", "")
        answer = client.request(operation.method, f"/api/v1{path}", headers=headers)
        assert answer.status_code == 401, operation.name
        assert answer.headers["www-authenticate"] == "Bearer"


def test_a_token_that_was_removed_opens_nothing(api, configured_store):
    from penstock.service.tokens import remove_token

    assert api("GET", "/jobs").status_code == 200
    remove_token(configured_store, "ada admin", by="root")
    assert api("GET", "/jobs").status_code == 401


def test_a_token_is_not_stored(token, configured_store):
    secret = token("admin").encode()
    for path in Path(configured_store.url.removeprefix("sqlite:///")).parent.glob("penstock.db*"):
        if path.is_file():
            assert secret not in path.read_bytes()


ALLOWED = {
    "create": "admin", "destroy": "admin", "remove entry": "admin", "see records": "editor",
    "stop server": "operator", "fail": "manager", "edit": "manager", "schedule": "manager", "bulk": "manager",
    "add entry": "dirmon", "look": "view",
}  # fmt: skip


def tries(job_id):
    return {
        "create": ("POST", "/jobs", {"json": {"kind": "GuardedJob"}}),
        "destroy": ("POST", f"/jobs/{job_id}/actions/destroy", {}),
        "remove entry": ("DELETE", "/dirmon/none", {}),
        "see records": ("GET", f"/jobs/{job_id}/slices/1", {}),
        "stop server": ("POST", "/servers/s1/stop", {}),
        "fail": ("POST", f"/jobs/{job_id}/actions/fail", {}),
        "edit": ("PATCH", f"/jobs/{job_id}", {"json": {"fields": {"note": "x"}}}),
        "schedule": ("PUT", f"/schedules/{job_id}", {"json": {"schedule": "0 1 * * *"}}),
        "bulk": ("POST", "/jobs/act", {"json": {"action": "pause", "ids": [str(job_id)]}}),
        "add entry": ("POST", "/dirmon", {"json": {"name": "n", "pattern": "/x/*", "kind": "GuardedLines"}}),
        "look": ("GET", "/jobs", {}),
    }


@pytest.mark.parametrize("role", ROLES)
def test_no_role_does_what_is_above_it(api, role):
    order = list(ROLES)
    for name, needed in ALLOWED.items():
        job = GuardedJob.create()
        method, path, options = tries(job.id)[name]
        answer = api(method, path, role, **options)
        allowed = order.index(role) <= order.index(needed)
        if name == "bulk":
            assert (answer.json()["done"] == 1) is allowed, (role, answer.text)
        else:
            assert (answer.status_code != 403) is allowed, (role, name, answer.text)
        if allowed and name == "destroy":
            continue
        assert (job.reload().note == "x") is (allowed and name == "edit")
        job.delete()


def test_a_user_cannot_take_over_the_job_of_another(api):
    job = GuardedJob.create(login="bob")
    for body in ({"login": "ada"}, {"note": "x", "login": "ada"}, {"note": "x"}):
        assert api("PATCH", f"/jobs/{job.id}", "user", json={"fields": body}).status_code == 403
    assert api("POST", f"/jobs/{job.id}/actions/abort", "user").status_code == 403
    assert api("POST", f"/jobs/{job.id}/actions/abort", "user", login="bob").status_code == 200


def test_nobody_gives_himself_roles_by_what_he_sends(api, configured_store):
    for headers in ({"X-Roles": "admin"}, {"X-Forwarded-User": "root"}, {"Cookie": "roles=admin"}):
        assert api("POST", "/jobs", "view", json={"kind": "GuardedJob"}, headers=headers).status_code == 403
    assert api("POST", "/jobs", "view", json={"kind": "GuardedJob", "roles": ["admin"]}).status_code == 400
    assert {line["who"] for line in list_audit(configured_store, action="job.create")} == {"ada"}


# Files --------------------------------------------------------------------------------------------


@pytest.fixture
def secret_file(tmp_path):
    path = tmp_path / "secret.txt"
    path.write_bytes(MARK)
    return path


@pytest.mark.parametrize("path", ["/etc/passwd", "file:///etc/passwd", "../secret.txt", "http://169.254.169.254/latest",
                                  "s3://other/key", "sftp://host/etc/passwd"])  # fmt: skip
def test_a_job_that_takes_a_path_reads_nothing_outside_of_the_allowed_roots(api, tmp_path, path):
    allowed = tmp_path / "in"
    allowed.mkdir()
    inside = str(allowed / "a.txt")
    for roots in ((), (str(allowed),)):
        penstock.configure(allowed_roots=roots)
        tried = [
            {"kind": "GuardedLines", "input": path},
            {"kind": "CopyFile", "fields": {"source": path, "target": inside}},
            {"kind": "CopyFile", "fields": {"source": inside, "target": path}},
            {"kind": "Conversion", "fields": {"source": path, "target": inside}},
            {"kind": "Conversion", "fields": {"source": inside, "target": path}},
            {"kind": "UploadFile", "fields": {"source": path, "job_kind": "GuardedLines"}},
            {"kind": "UploadFile", "fields": {"source": inside, "job_kind": "GuardedLines", "archived": path}},
            {"kind": "UploadFile", "fields": {"source": inside, "job_kind": "Conversion",
                                              "properties": {"source": inside, "target": path}}},
            {"kind": "GuardedLines", "fields": {"output_categories": [{"name": "main", "file_name": path}]}},
        ]  # fmt: skip
        for body in tried:
            answer = api("POST", "/jobs", json=body)
            assert answer.status_code == 400, (roots, body, answer.text)
            assert MARK.decode() not in answer.text
    assert [cls.query.count() for cls in (CopyFile, Conversion, UploadFile, GuardedLines)] == [0, 0, 0, 0]


def test_a_link_does_not_lead_out_of_the_allowed_roots(api, tmp_path, secret_file):
    allowed = tmp_path / "in"
    allowed.mkdir()
    (allowed / "link.txt").symlink_to(secret_file)
    penstock.configure(allowed_roots=[str(allowed)])
    for path in (allowed / "link.txt", allowed / ".." / "secret.txt"):
        answer = api("POST", "/jobs", json={"kind": "GuardedLines", "input": str(path)})
        assert answer.status_code == 400
    (allowed / "a.csv").write_text("a,b\n1,2\n")
    assert api("POST", "/jobs", json={"kind": "GuardedLines", "input": str(allowed / "a.csv")}).status_code == 201


def test_options_of_a_file_do_not_lead_to_another_host(api, tmp_path):
    penstock.configure(allowed_roots=[str(tmp_path)])
    fields = {"source": f"{tmp_path}/a", "target": f"{tmp_path}/b", "source_options": {"endpoint": "http://10.0.0.1"}}
    assert api("POST", "/jobs", json={"kind": "CopyFile", "fields": fields}).status_code == 400


@pytest.mark.parametrize("category", ["../../etc/passwd", "/etc/passwd", "main/../../x", "..%2f..%2fetc", "none"])
def test_a_download_is_of_an_output_and_of_nothing_else(api, category):
    job = GuardedLines()
    job.upload(["a"])
    job.save()
    drain()
    answer = api("GET", f"/jobs/{job.id}/output", params={"category": category})
    assert answer.status_code == 400
    for path in (f"/jobs/{job.id}/output/../../../../etc/passwd", "/jobs/..%2f..%2fetc%2fpasswd", "//etc/passwd"):
        assert api("GET", path).status_code in (400, 404)


def test_a_module_cannot_be_imported_by_naming_it(api):
    for kind in ("os:system", "subprocess:Popen"):
        assert api("POST", "/jobs", json={"kind": kind}).status_code == 400
        assert api("POST", f"/jobs/upload?kind={kind}", content=b"x").status_code == 400
        assert api("GET", f"/kinds/{kind}").status_code == 400


def test_an_upload_that_is_too_large_leaves_nothing(api, configured_store):
    penstock.configure(max_upload=1000)
    announced = api("POST", "/jobs/upload?kind=GuardedLines&file_name=a.txt", content=b"x\n" * 1000)
    assert (announced.status_code, announced.json()["error"]["type"]) == (413, "TooLarge")

    def pieces():
        for _ in range(100):
            yield b"x\n" * 100

    sent = api("POST", "/jobs/upload?kind=GuardedLines&file_name=a.txt", content=pieces())
    assert sent.status_code == 413
    assert GuardedLines.query.count() == 0
    assert configured_store.drafts() == []


def test_a_request_that_is_too_large_is_refused(api):
    content = b'{"kind": "' + b"x" * (21 << 20) + b'"}'
    assert api("POST", "/jobs", content=content, headers={"content-type": "application/json"}).status_code == 413


def test_an_archive_that_unpacks_to_more_than_a_record_may_have_is_refused(api):
    import gzip

    penstock.configure(max_record=100_000)
    bomb = gzip.compress(b"x" * 10_000_000)
    assert api("POST", "/jobs/upload?kind=GuardedLines&file_name=a.txt.gz", content=bomb).status_code == 400
    assert GuardedLines.query.count() == 0


# What is sealed -----------------------------------------------------------------------------------


@pytest.mark.linux
@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.parquet"])
def test_of_a_sealed_upload_nothing_is_on_disk_in_clear(api, configured_store, tmp_path, monkeypatch, name):
    import gzip
    import io

    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    seen = []

    def watched(*arguments, **options):
        file = real(*arguments, **options)
        # What has no name is found by its descriptor, as long as it is open.
        seen.append(os.dup(file.fileno()))
        return file

    real = tempfile.TemporaryFile
    monkeypatch.setattr(tempfile, "TemporaryFile", watched)
    rows = b"name,value\n" + b"".join(MARK + b",%d\n" % n for n in range(2000))
    if name.endswith("parquet"):
        arrow = pytest.importorskip("pyarrow")
        import pyarrow.parquet

        buffer = io.BytesIO()
        pyarrow.parquet.write_table(arrow.table({"name": [MARK.decode()] * 2000}), buffer, compression="none")
        body = buffer.getvalue()
    else:
        body = gzip.compress(rows) if name.endswith("gz") else rows
    answer = api("POST", f"/jobs/upload?kind=GuardedLines&file_name={name}", content=body)
    assert answer.status_code == 201, answer.text
    for descriptor in seen:
        os.lseek(descriptor, 0, os.SEEK_SET)
        with os.fdopen(descriptor, "rb") as file:
            assert MARK not in file.read()
    assert bool(seen) is name.endswith("parquet")
    for path in [*folder.rglob("*"), *Path(tmp_path).glob("penstock.db*")]:
        if path.is_file():
            assert MARK not in path.read_bytes()
    gc.collect()


def test_what_is_sealed_takes_an_editor_to_be_fetched(api):
    job = GuardedLines()
    job.upload(["a"])
    job.save()
    drain()
    assert api("GET", f"/jobs/{job.id}/output", "manager").status_code == 403
    assert api("GET", f"/jobs/{job.id}/preview", "manager").status_code == 403
    assert api("GET", f"/jobs/{job.id}/output", "editor").status_code == 200
