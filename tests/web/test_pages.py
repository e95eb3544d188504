"""Pages show what is there, and their forms do what they say, without any script."""

import html
import re
from urllib.parse import quote

import pytest
from tests.web.conftest import text_of

from penstock.states import State


class TestLists:
    def test_each_state_has_a_list_and_jobs_are_on_theirs(self, visit, shop):
        paused = shop.Mail.create(to="x", description="The paused one")
        paused.pause()
        shop.Mail.create(to="x", description="The waiting one")
        assert "The paused one" in visit.get("/jobs?state=paused").text
        assert "The waiting one" not in visit.get("/jobs?state=paused").text
        assert "The waiting one" in visit.get("/jobs?state=queued_now").text
        assert "The paused one" in visit.get("/jobs").text

    def test_conditions_narrow_a_list_and_can_be_taken_away(self, visit, shop):
        shop.Mail.create(to="ada", priority=10)
        shop.Mail.create(to="grace", priority=90)
        page = visit.get("/jobs?field=priority&operator=lt&value=50").text
        assert page.count("data-open") == 1
        assert "priority__lt=50" in page
        assert visit.get("/jobs?kind=Mail&where=to=grace").text.count("data-open") == 1

    def test_a_condition_on_a_field_that_is_not_indexed_says_how_far_it_was_looked_for(self, visit, shop, monkeypatch):
        monkeypatch.setattr("penstock.service.listing.SCANNED", 3)
        for number in range(5):
            shop.Mail.create(to=f"{number}@example.com")
        page = visit.get("/jobs?kind=Mail&where=to=0@example.com")
        assert page.text.count("data-open") == 0
        assert "3 jobs were looked through; go on for more. A class that declares to indexed=True" in text_of(page)
        behind = html.unescape(re.search(r'href="([^"]+)">Look further', page.text)[1])
        assert visit.get(behind).text.count("data-open") == 1

    @pytest.mark.parametrize(
        "query", ["where=nothing", "where=priority__lt=x", "state=gone", "after=nowhere", "where=priority__no=1"]
    )
    def test_a_condition_that_means_nothing_is_told_and_the_list_stays(self, visit, query):
        answer = visit.get(f"/jobs?{query}")
        assert answer.status_code == 400
        assert 'role="alert"' in answer.text

    def test_a_list_goes_on_page_by_page(self, visit, shop):
        shop.Mail.create_many([shop.Mail(to=str(number)) for number in range(60)])
        seen, path = set(), "/jobs"
        while path:
            page = visit.get(path).text
            seen |= set(re.findall(r'id="row-([0-9a-f-]{36})"', page))
            found = re.search(r'href="([^"]+)" rel="next"', page)
            path = found[1].replace("&amp;", "&") if found else None
        assert len(seen) == 60

    def test_the_id_of_a_job_leads_to_it(self, visit, shop):
        job = shop.Mail.create(to="x")
        assert visit.get(f"/jobs?search={job.id}").url.path == f"/jobs/{job.id}"

    def test_selected_jobs_are_acted_on_and_no_others(self, visit, shop):
        one, two, three = (shop.Mail.create(to="x") for _ in range(3))
        visit.get("/jobs")
        answer = visit.post("/jobs/act", {"action": "pause", "id": [str(one.id), str(two.id)]})
        assert "2 jobs paused" in answer.text
        assert [job.reload().state for job in (one, two, three)] == [State.PAUSED, State.PAUSED, State.QUEUED]

    def test_all_that_match_are_acted_on_once_one_has_said_so(self, visit, shop):
        urgent = [shop.Mail.create(to="x", priority=5) for _ in range(3)]
        other = shop.Mail.create(to="x")
        visit.get("/jobs")
        asked = visit.post("/jobs/act", {"action": "destroy", "everything": "yes", "where": "priority=5"})
        assert "Destroy 3 jobs?" in text_of(asked)
        assert all(job.reload().state is State.QUEUED for job in urgent)
        values = {"action": "destroy", "everything": "yes", "where": "priority=5", "confirmed": "yes"}
        assert "3 jobs destroyed" in visit.post("/jobs/act", values).text
        assert [job.id for job in shop.Mail.query] == [other.id]

    def test_nothing_selected_is_nothing_done(self, visit, shop):
        shop.Mail.create(to="x")
        visit.get("/jobs")
        assert "Nothing was selected" in visit.post("/jobs/act", {"action": "destroy", "confirmed": "yes"}).text
        assert shop.Mail.query.count() == 1

    def test_those_that_refuse_are_told_and_the_others_done(self, visit, shop):
        one, two = shop.Mail.create(to="x"), shop.Mail.create(to="x")
        two.abort()
        visit.get("/jobs")
        answer = visit.post("/jobs/act", {"action": "pause", "id": [str(one.id), str(two.id)]})
        assert "1 job paused" in answer.text
        assert "cannot pause a job that is aborted" in answer.text


class TestJob:
    def test_the_page_of_a_job_has_its_fields_story_and_what_may_be_done(self, visit, shop):
        job = shop.Mail.create(to="ada@example.com", description="A mail")
        told = text_of(visit.get(f"/jobs/{job.id}"))
        for word in ("A mail", "ada@example.com", "Created", "Pause", "Abort", "Edit"):
            assert word in told
        assert "Resume" not in told

    def test_a_job_that_there_is_not_leads_to_the_list_with_a_message(self, visit):
        answer = visit.get("/jobs/00000000-0000-7000-8000-000000000000")
        assert answer.url.path == "/jobs"
        assert "there is no job 00000000" in answer.text

    def test_what_would_destroy_asks_first(self, visit, shop):
        job = shop.Mail.create(to="x")
        asked = visit.post(f"/jobs/{job.id}/abort")
        assert "cannot be undone" in asked.text
        assert job.reload().state is State.QUEUED
        assert "Mail aborted" in visit.post(f"/jobs/{job.id}/abort", {"confirmed": "yes"}).text
        assert job.reload().state is State.ABORTED

    def test_what_does_not_apply_is_409_and_says_what_does(self, visit, shop):
        job = shop.Mail.create(to="x")
        answer = visit.post(f"/jobs/{job.id}/resume")
        assert answer.status_code == 409
        assert "what applies" in answer.text

    def test_fields_are_edited_and_the_audit_has_both_values(self, visit, shop):
        job = shop.Lines(width=3)
        job.upload(["a"])
        job.save()
        page = visit.get(f"/jobs/{job.id}/edit").text
        assert 'name="f.width"' in page
        answer = visit.post(f"/jobs/{job.id}/edit", {"f.width": "7", "shown.loud": "yes", "f.loud": "true"})
        assert answer.url.path == f"/jobs/{job.id}"
        assert (job.reload().width, job.loud) == (7, True)
        assert visit.post(f"/jobs/{job.id}/edit", {"shown.loud": "yes"}).status_code == 200
        assert job.reload().loud is False
        assert "job.edit" in visit.get("/audit").text

    def test_a_value_that_does_not_fit_is_told_at_the_form_which_keeps_what_was_typed(self, visit, shop):
        job = shop.Lines()
        job.upload(["a"])
        job.save()
        answer = visit.post(f"/jobs/{job.id}/edit", {"f.width": "wide", "f.priority": "101"})
        assert answer.status_code == 400
        assert 'value="wide"' in answer.text
        assert "width" in answer.text
        assert job.reload().width == 3


class TestNewJobs:
    def test_a_form_has_the_fields_of_the_class_and_makes_a_job(self, visit, shop):
        page = visit.get("/jobs/new?kind=Mail")
        assert 'name="f.to"' in page.text
        answer = visit.send("/jobs/new", {"kind": "Mail", "f.to": "ada"}, "", b"")
        assert "Mail is queued" in answer.text
        (job,) = shop.Mail.query
        assert (job.to, job.login) == ("ada", "ada")

    @pytest.mark.parametrize(("name", "pack"), [("a.txt", bytes), ("a.txt.gz", "gzip"), ("a.txt.bz2", "bz2")])
    def test_a_file_is_uploaded_as_it_comes_whatever_it_is_packed_with(self, visit, shop, name, pack):
        import importlib

        data = "".join(f"line {n}\n" for n in range(5_000)).encode()
        packed = importlib.import_module(pack).compress(data) if isinstance(pack, str) else data
        visit.get("/jobs/new?kind=Lines")
        assert "with 5,000 records is queued" in visit.send("/jobs/new", {"kind": "Lines"}, name, packed).text

    def test_a_file_that_is_broken_leaves_nothing(self, visit, shop):
        visit.get("/jobs/new?kind=Lines")
        answer = visit.send("/jobs/new", {"kind": "Lines", "f.width": "9"}, "a.txt.gz", b"no gzip at all")
        assert answer.status_code == 400
        assert 'value="9"' in answer.text
        assert shop.Lines.query.count() == 0

    def test_a_file_larger_than_the_limit_leaves_nothing(self, visit, shop):
        from penstock import config

        config.configure(max_upload=1_000)
        visit.get("/jobs/new?kind=Lines")
        answer = visit.send("/jobs/new", {"kind": "Lines"}, "a.txt", b"x\n" * 200_000)
        assert answer.status_code in (400, 413)
        assert shop.Lines.query.count() == 0

    def test_a_preview_tells_what_a_file_is(self, visit, shop):
        visit.get("/jobs/new?kind=Lines")
        headers = {"x-token": visit.token}
        path = "/jobs/preview?name=people.csv&size=2048&kind=Lines"
        told = text_of(visit.client.post(path, content=b"name,age\nAda,36\n", headers=headers))
        for word in ("csv", "2.0 KiB", "name", "age", "Ada,36"):
            assert word in told
        assert visit.client.post(path, content=b"", headers={"x-token": "no"}).status_code == 403


class TestOutputs:
    def test_an_output_is_looked_at_and_fetched(self, visit, shop):
        job = shop.failed_batch(["one", "two"])
        assert "eno" in visit.get(f"/jobs/{job.id}/output/main").text
        answer = visit.get(f"/jobs/{job.id}/download/main")
        assert answer.text == "eno\nowt\n"
        assert re.fullmatch(r'attachment; filename="Lines-[0-9a-f]+-main\.txt"', answer.headers["content-disposition"])

    def test_what_is_not_whole_is_refused_unless_that_is_wanted(self, visit, shop):
        job = shop.failed_batch(["one", *["x"] * 5, "bad"])
        assert visit.get(f"/jobs/{job.id}/download/main").status_code == 409
        assert visit.get(f"/jobs/{job.id}/download/main?partial=yes").text.startswith("eno\n")

    def test_a_large_output_comes_in_pieces(self, visit, shop):
        job = shop.failed_batch([f"{n} {'x' * 1000}" for n in range(500)])
        answer = visit.get(f"/jobs/{job.id}/download/main")
        assert "content-length" not in answer.headers
        assert len(answer.text.splitlines()) == 500


class TestSchedules:
    def test_they_are_told_in_words_edited_and_run_now(self, visit, shop):
        job = shop.Nightly.ensure()
        assert "Every day at 04:15, Europe/Berlin time" in visit.get("/schedules").text
        shown = text_of(visit.get(f"/schedules/{job.id}/edit?text=*/20+*+*+*+*"))
        assert "Every 20 minutes" in shown
        wrong = visit.post(f"/schedules/{job.id}/edit", {"text": "61 * * * *"})
        assert wrong.status_code == 400
        assert "61" in wrong.text
        assert "every 20 minutes" in visit.post(f"/schedules/{job.id}/edit", {"text": "*/20 * * * *"}).text
        assert visit.post(f"/schedules/{job.id}/pause").status_code == 200
        assert job.reload().state is State.PAUSED
        visit.post(f"/schedules/{job.id}/resume")
        assert visit.post(f"/schedules/{job.id}/run-now").status_code == 200
        assert job.reload().run_at is None


class TestFolders:
    def test_an_entry_is_added_looked_at_edited_copied_enabled_disabled_and_removed(self, visit, shop, folder):
        (folder / "a.csv").write_text("one\n")
        values = {"name": "orders", "pattern": f"{folder}/*.csv", "kind": "Lines", "f.width": "8"}
        assert "until it is enabled" in visit.post("/dirmon/new", values).text
        page = text_of(visit.get("/dirmon/orders"))
        assert "a.csv" in page
        assert "Width 8" in page
        assert visit.post("/dirmon/orders/edit", {**values, "f.width": "9"}).status_code == 200
        assert 'value="9"' in visit.get("/dirmon/orders/edit").text
        copied = visit.post("/dirmon/new", {**values, "copy": "orders", "name": "more", "pattern": f"{folder}/*.txt"})
        assert copied.status_code == 200
        assert "is watched" in visit.post("/dirmon/orders/enable").text
        assert "no longer" in visit.post("/dirmon/orders/disable").text
        assert "Remove orders?" in visit.post("/dirmon/orders/remove").text
        assert "is removed" in visit.post("/dirmon/orders/remove", {"confirmed": "yes"}).text
        assert visit.get("/dirmon/orders").url.path == "/dirmon"

    def test_a_folder_outside_the_roots_is_refused_and_what_was_typed_kept(self, visit, shop, folder):
        answer = visit.post("/dirmon/new", {"name": "etc", "pattern": "/etc/*", "kind": "Lines"})
        assert answer.status_code == 400
        assert 'value="/etc/*"' in answer.text
        assert "allowed_roots" in answer.text


class TestFrame:
    def test_a_page_that_there_is_not_says_so(self, visit):
        answer = visit.get("/nothing")
        assert answer.status_code == 404
        assert "There is no page /nothing" in answer.text

    def test_a_defect_is_500_and_tells_nothing_of_itself(self, visit, monkeypatch):
        from penstock.web.pages import servers

        monkeypatch.setattr(servers, "list_servers", lambda store: 1 / 0)
        answer = visit.get("/servers")
        assert answer.status_code == 500
        assert "ZeroDivisionError" not in answer.text

    def test_mounted_below_a_path_every_link_and_form_keeps_to_it(self, visitor, shop, folder):
        from starlette.applications import Starlette
        from starlette.routing import Mount
        from starlette.testclient import TestClient

        from penstock.web import console

        job = shop.failed_batch()
        app = Starlette(routes=[Mount("/below/here", console())])
        client = TestClient(app, base_url="http://localhost")
        for path in ("/", "/jobs", f"/jobs/{job.id}", "/schedules", "/servers", "/dirmon", "/audit", "/settings"):
            page = client.get(f"/below/here{path}")
            assert page.status_code == 200
            places = re.findall(r'(?:href|action|formaction|src)="(/[^"]*)"', page.text)
            assert [place for place in places if not place.startswith("/below/here/")] == []
        token = re.search(r'name="token" value="([0-9a-f]+)"', page.text)[1]
        answer = client.post(f"/below/here/jobs/{job.id}/retry", data={"token": token})
        assert answer.url.path == f"/below/here/jobs/{job.id}"

    def test_times_are_in_the_zone_of_the_viewer(self, visit, shop):
        visit.client.cookies.set("penstock_zone", "Asia/Tokyo")
        job = shop.Mail.create(to="x", run_at="2030-01-01T00:00:00Z")
        assert "2030-01-01 09:00:00" in visit.get(f"/jobs/{job.id}").text
        visit.client.cookies.set("penstock_zone", quote("../../etc/passwd"))
        assert visit.get("/jobs").status_code == 200

    def test_light_or_dark_is_remembered(self, visit):
        visit.get("/jobs")
        visit.post("/theme", {"to": "dark"})
        assert '<html lang="en" data-theme="dark">' in visit.get("/jobs").text

    def test_without_the_libraries_the_install_line_is_told(self, monkeypatch):
        import sys

        from penstock.errors import MissingExtra
        from penstock.web import console

        for name in [name for name in sys.modules if name.startswith("penstock.web.")]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, "starlette", None)
        monkeypatch.setitem(sys.modules, "starlette.applications", None)
        with pytest.raises(MissingExtra, match=r"pip install 'penstock\[web\]'"):
            console()
