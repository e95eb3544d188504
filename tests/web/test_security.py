"""Who is answered, what a page may load, which forms are taken, and what nobody gets by asking."""

import re
import sys
from urllib.parse import quote

import pytest

from penstock.service.people import Person
from penstock.states import State
from penstock.web.authentication import AskHost

XSS = """<script>alert(1)</script><img src=x onerror=alert(2)>"'`{{7*7}}"""


class TestHosts:
    @pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io", "", "[", "a b"])
    def test_a_foreign_host_gets_nothing_so_that_a_name_made_to_lead_here_is_of_no_use(self, visit, host):
        answer = visit.get("/jobs", headers={"host": host})
        assert answer.status_code == 400
        assert "Jobs" not in answer.text

    @pytest.mark.parametrize("host", ["localhost", "localhost:8788", "127.0.0.1:8788", "[::1]:8788", "LOCALHOST"])
    def test_the_names_of_this_machine_are_answered(self, visit, host):
        assert visit.get("/jobs", headers={"host": host}).status_code == 200

    def test_other_names_are_answered_where_they_are_allowed(self, visitor):
        named = visitor(allowed_hosts=["jobs.example"])
        assert named.get("/jobs", headers={"host": "jobs.example"}).status_code == 200
        assert named.get("/jobs", headers={"host": "localhost"}).status_code == 400
        assert visitor(allowed_hosts=["*"]).get("/jobs", headers={"host": "any.example"}).status_code == 200


class TestPages:
    def test_every_answer_says_what_it_may_load_and_each_with_a_nonce_of_its_own(self, visit):
        nonces = set()
        for path in ("/", "/jobs", "/nothing", "/static/console.css"):
            answer = visit.get(path)
            policy = answer.headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert "*" not in policy
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["x-frame-options"] == "DENY"
            nonces.add(re.search(r"script-src 'nonce-([^']+)'", policy)[1])
        assert len(nonces) == 4

    def test_no_page_has_a_script_or_style_of_its_own_or_one_from_elsewhere(self, visit, shop, folder):
        job = shop.failed_batch()
        for path in ("/", "/jobs", f"/jobs/{job.id}", "/jobs/new", "/schedules", "/servers", "/dirmon", "/audit",
                     "/settings", f"/jobs/{job.id}/edit"):  # fmt: skip
            page = visit.get(path).text
            assert re.findall(r"<script(?![^>]*\bsrc=)", page) == []
            assert re.findall(r"\son\w+=", page) == []
            assert re.findall(r"\sstyle=", page) == []
            assert re.findall(r"(?:src|href|action)=\"(?:https?:)?//", page) == []

    def test_cookies_are_out_of_reach_of_scripts_and_other_sites(self, visit, visitor):
        cookie = visit.get("/jobs").headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert "Secure" not in cookie
        assert "Secure" in visitor(secure_cookies=True).get("/jobs").headers["set-cookie"]


class TestForms:
    @pytest.fixture
    def job(self, shop):
        return shop.Mail.create(to="a@b.c")

    def refused(self, answer, job):
        assert answer.status_code == 403
        assert "form" in answer.text
        assert job.reload().state is State.QUEUED

    def test_without_a_token_nothing_is_done(self, visit, job):
        visit.get("/jobs")
        self.refused(visit.client.post(f"/jobs/{job.id}/pause", data={"message": "x"}), job)
        self.refused(visit.client.post(f"/jobs/{job.id}/pause", data={"token": "0" * 64}), job)
        self.refused(visit.client.post(f"/jobs/{job.id}/pause", data={"token": "ä"}), job)

    def test_the_token_of_another_session_is_none(self, visit, visitor, job):
        other = visitor("admin")
        other.get("/jobs")
        visit.get("/jobs")
        self.refused(visit.client.post(f"/jobs/{job.id}/pause", data={"token": other.token}), job)

    @pytest.mark.parametrize(
        "headers",
        [{"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}, {"origin": "http://evil.example"},
         {"origin": "null"}, {"origin": "http://localhost:9999"}],
    )  # fmt: skip
    def test_a_form_that_another_site_sends_is_refused_even_with_the_token(self, visit, job, headers):
        visit.get("/jobs")
        self.refused(visit.post(f"/jobs/{job.id}/pause", headers=headers), job)

    def test_a_file_is_not_read_before_the_token_is_seen(self, visit, shop):
        visit.get("/jobs/new?kind=Lines")
        visit.token = "0" * 64
        answer = visit.send("/jobs/new", {"kind": "Lines"}, "a.txt", b"one\ntwo\n")
        assert answer.status_code == 403
        assert shop.Lines.query.count() == 0

    def test_asking_changes_nothing(self, visit, job):
        assert visit.get(f"/jobs/{job.id}/pause").status_code == 405
        assert job.reload().state is State.QUEUED

    def test_a_form_larger_than_any_is_refused(self, visit, job):
        visit.get("/jobs")
        answer = visit.post(f"/jobs/{job.id}/pause", {"message": "x" * (21 << 20)})
        assert answer.status_code == 413
        answer = visit.send("/jobs/new", {"kind": "x" * (5 << 20)}, "a.txt", b"")
        assert answer.status_code == 413

    @pytest.mark.parametrize("kind", ["text/plain", "application/json", "multipart/form-data"])
    def test_what_is_no_form_is_refused(self, visit, job, kind):
        visit.get("/jobs")
        answer = visit.client.post(f"/jobs/{job.id}/pause", content=b"{}", headers={"content-type": kind})
        assert answer.status_code == 400
        answer = visit.client.post(
            "/jobs/new", content=b"--x\r\nbroken", headers={"content-type": f"{kind}; boundary=x"}
        )
        assert answer.status_code in (400, 403)


class TestText:
    """Whatever a job, an entry or a person carries is text on a page, and nothing else."""

    def test_what_is_stored_is_never_part_of_a_page(self, visit, visitor, shop, folder, store_of_pages):
        job = shop.failed_batch(
            [XSS, "bad" + XSS, *["a"] * 9], description=XSS, login=XSS, throttle_group=XSS.replace("\n", "")
        )
        mail = shop.Mail.create(to=XSS, description=XSS).fail(XSS)
        nasty = visitor("admin", login=XSS)
        nasty.post("/dirmon/new", {"name": XSS, "pattern": f"{folder}/*", "kind": "Lines"})
        nasty.post(f"/jobs/{mail.id}/retry")
        store_of_pages.add_log_lines([_line(job.id, XSS), _line(mail.id, XSS)])
        paths = ["/", "/jobs", "/jobs?state=failed", f"/jobs?search={quote(XSS)}", f"/jobs?where={quote('a=' + XSS)}",
                 f"/jobs/{job.id}", f"/jobs/{mail.id}", f"/jobs/{job.id}/edit", "/schedules", "/servers", "/dirmon",
                 f"/dirmon/{quote(XSS, safe='')}", "/audit", f"/audit?who={quote(XSS)}", f"/nothing/{quote(XSS)}",
                 f"/jobs/{job.id}/output/main", *_links(visit.get(f"/jobs/{job.id}").text, "failed")]  # fmt: skip
        told = 0
        for path in paths:
            page = visit.get(path).text
            assert "<script>alert" not in page, path
            assert "<img src=x" not in page, path
            assert "49" not in re.findall(r"`([^`]*)&", page), path
            told += "&lt;script&gt;alert(1)" in page
        assert told > 10

    def test_a_search_is_shown_as_it_was_typed(self, visit):
        page = visit.get(f"/jobs?search={quote('<b>')}").text
        assert 'value="&lt;b&gt;"' in page
        assert "<b>" not in page


class TestFiles:
    @pytest.mark.parametrize(
        "path", ["/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2fapp.py", "/static//etc/passwd",
                 "/static/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd"],
    )  # fmt: skip
    def test_nothing_beside_the_static_files_is_sent(self, visit, path):
        answer = visit.get(path)
        assert answer.status_code == 404
        assert "import" not in answer.text

    @pytest.mark.parametrize("category", ["..%2f..%2fetc%2fpasswd", "%2e%2e", "main%00", "main/../../etc", "no"])
    def test_an_output_is_one_of_the_job_and_never_a_path(self, visit, shop, category):
        job = shop.failed_batch(["good"])
        answer = visit.get(f"/jobs/{job.id}/download/{category}")
        assert answer.status_code in (400, 404, 405)
        assert "root:" not in answer.text

    def test_a_file_that_is_sent_cannot_name_its_place(self, visit, shop, tmp_path):
        answer = visit.send("/jobs/new", {"kind": "Lines"}, "../../../tmp/evil.txt", b"one\n")
        assert answer.status_code == 200
        (job,) = shop.Lines.query
        assert job.input_category.uploads[0].file_name in (None, "evil.txt")

    def test_a_file_that_is_sent_goes_into_the_store_and_nowhere_else(self, visit, shop, tmp_path):
        written = []

        def note(event, arguments):
            if event == "open" and noting and isinstance(arguments[0], str) and arguments[1] and arguments[1] != "r":
                written.append(arguments[0])

        noting = False
        sys.addaudithook(note)
        visit.get("/jobs/new?kind=Lines")
        noting = True
        try:
            visit.send("/jobs/new", {"kind": "Lines"}, "a.txt", b"a secret line\n" * 400_000)
        finally:
            noting = False
        assert next(iter(shop.Lines.query)).record_count == 400_000
        assert [name for name in written if ".db" not in name and name != "/dev/null"] == []


class TestRoles:
    """Each row: what is asked, and the lowest role that may."""

    ROWS = (
        ("post", "/jobs/{job}/pause", "manager"),
        ("post", "/jobs/{job}/run-now", "manager"),
        ("post", "/jobs/{job}/abort", "manager"),
        ("post", "/jobs/{job}/fail", "manager"),
        ("post", "/jobs/{job}/destroy", "admin"),
        ("post", "/jobs/{job}/edit", "manager"),
        ("get", "/jobs/{job}/edit", "manager"),
        ("get", "/jobs/new", "admin"),
        ("post", "/dirmon/new", "dirmon"),
        ("get", "/dirmon/new", "dirmon"),
        ("post", "/dirmon/orders/remove", "admin"),
        ("post", "/schedules/{schedule}/run-now", "manager"),
        ("get", "/jobs/{batch}/failed/{slice}", "editor"),
        ("get", "/jobs/{batch}/output/main", "manager"),
        ("get", "/jobs/{batch}/download/main?partial=yes", "manager"),
        ("get", "/jobs", "view"),
        ("get", "/jobs/{job}", "view"),
        ("get", "/servers", "view"),
        ("get", "/dirmon", "view"),
        ("get", "/schedules", "view"),
        ("get", "/audit", "view"),
    )
    ORDER = ("admin", "editor", "operator", "manager", "dirmon", "user", "view")

    @pytest.mark.parametrize(("method", "path", "lowest"), ROWS, ids=str)
    def test_each_role_may_do_what_its_row_says_and_all_above_it_too(self, visitor, shop, folder, method, path, lowest):
        from penstock import clock

        visitor("admin").post("/dirmon/new", {"name": "orders", "pattern": f"{folder}/*.csv", "kind": "Lines"})
        batch = shop.failed_batch(login="somebody else")
        schedule = shop.Nightly.ensure()
        for role in self.ORDER:
            from datetime import timedelta

            job = shop.Mail.create(to="x", login="somebody else", run_at=clock.now() + timedelta(hours=1))
            place = path.format(job=job.id, batch=batch.id, schedule=schedule.id, slice=_failed_place(visitor, batch))
            who = visitor(role)
            values = {
                "name": f"by-{role}",
                "pattern": f"{folder}/{role}-*",
                "kind": "Lines",
                "confirmed": "yes",
                "f.to": "y",
            }
            answer = who.get(place) if method == "get" else who.post(place, values)
            allowed = self.ORDER.index(role) <= self.ORDER.index(lowest)
            assert (answer.status_code == 403) is not allowed, (role, answer.status_code, answer.text[-300:])

    def test_a_user_may_only_do_it_to_jobs_of_their_own(self, visitor, shop):
        own, others = shop.Mail.create(to="x", login="ada"), shop.Mail.create(to="x", login="grace")
        ada = visitor("user", login="ada")
        assert ada.post(f"/jobs/{own.id}/pause").status_code == 200
        assert ada.post(f"/jobs/{others.id}/pause").status_code == 403
        ada.post("/jobs/act", {"action": "abort", "everything": "yes", "confirmed": "yes"})
        assert (own.reload().state, others.reload().state) == (State.ABORTED, State.QUEUED)

    def test_a_page_shows_only_what_may_be_done(self, visitor, shop):
        job = shop.Mail.create(to="x")
        seen = visitor("view").get(f"/jobs/{job.id}").text
        assert f"/jobs/{job.id}/pause" not in seen
        assert "Edit" not in seen
        assert f"/jobs/{job.id}/pause" in visitor("manager").get(f"/jobs/{job.id}").text

    def test_a_role_that_there_is_not_lets_nobody_in(self, visitor):
        asked = AskHost(lambda _: (["boss"], "ada"))
        assert visitor(authentication=asked).get("/jobs").status_code == 400

    def test_what_is_refused_leaves_a_line_too(self, visitor, shop, store_of_pages):
        job = shop.Mail.create(to="x")
        visitor("view", login="mallory").post(f"/jobs/{job.id}/destroy", {"confirmed": "yes"})
        line = store_of_pages.audit(limit=1)[0]
        assert (line.who, line.action) == ("mallory", "job.destroy")
        assert "may not" in line.error


@pytest.fixture
def store_of_pages(configured_store):
    return configured_store


def _line(job_id, text):
    from penstock import clock
    from penstock.store.rows import LogLine

    return LogLine(0, job_id, clock.now(), "info", text, None)


def _links(page, word):
    return re.findall(rf'href="([^"]*/{word}/\d+)"', page)


def _failed_place(visitor, batch):
    found = _links(visitor("admin").get(f"/jobs/{batch.id}").text, "failed")
    return found[0].rpartition("/")[2]


def test_a_person_of_the_host_application_is_who_it_says(visitor):
    page = visitor(authentication=AskHost(lambda _: Person("grace", ("view",)))).get("/jobs").text
    assert "grace" in page
