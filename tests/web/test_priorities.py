"""A priority is changed where it is shown, and the order follows."""

import re

import pytest


class TestPriorities:
    @pytest.fixture
    def jobs(self, shop):
        """Three jobs that wait, in their order."""
        return shop.Mail.create_many([shop.Mail(to=str(n), priority=n * 10) for n in (1, 2, 3)])

    def order(self, visit):
        return re.findall(r'id="row-([0-9a-f-]{36})"', visit.get("/jobs?state=queued_now").text)

    def form(self, job, priority, was=None):
        return {f"priority.{job.id}": str(priority), f"was.{job.id}": str(job.priority if was is None else was)}

    def test_it_is_changed_in_the_list_and_the_order_follows(self, visit, jobs):
        first, second, third = jobs
        assert self.order(visit) == [str(job.id) for job in jobs]
        answer = visit.post(
            "/jobs/priority", self.form(third, 1), headers={"referer": "http://localhost/jobs?state=queued_now"}
        )
        assert (answer.url.path, answer.url.query) == ("/jobs", b"state=queued_now")
        assert "1 priority changed." in answer.text
        assert self.order(visit) == [str(job.id) for job in (third, first, second)]
        assert "job.edit" in visit.get(f"/jobs/{third.id}").text

    def test_what_somebody_else_changed_meanwhile_stays_where_the_form_did_not_change_it(self, visit, jobs):
        first, second, _ = jobs
        second.update(priority=77)
        visit.post("/jobs/priority", {**self.form(first, 5), **self.form(second, 20, was=20)})
        assert (first.reload().priority, second.reload().priority) == (5, 77)

    def test_a_script_is_answered_with_nothing_or_with_the_error_and_the_next_page_says_no_more(self, visit, jobs):
        visit.get("/jobs")
        answer = visit.post("/jobs/priority", self.form(jobs[0], 3), headers={"x-live": "1"})
        assert (answer.status_code, answer.text) == (204, "")
        assert "priority changed" not in visit.get("/jobs").text
        refused = visit.post("/jobs/priority", self.form(jobs[0], 101, was=3), headers={"x-live": "1"})
        assert refused.status_code == 400
        assert "priority" in re.search(r'class="failure-message">([^<]+)<', refused.text)[1]
        assert jobs[0].reload().priority == 3

    @pytest.mark.parametrize("priority", ["0", "101", "high", "", "1.5", "<b>"])
    def test_of_several_those_that_do_not_fit_are_told_and_the_others_set(self, visit, jobs, priority):
        first, second, _ = jobs
        answer = visit.post("/jobs/priority", {**self.form(first, priority), **self.form(second, 4)})
        assert "1 priority changed. " in answer.text
        assert (first.reload().priority, second.reload().priority) == (10, 4)

    def test_only_who_may_edit_a_job_is_given_the_control_and_may_use_it(self, visitor, shop, jobs):
        own = shop.Mail.create(to="own", login="ada")
        for roles, others in ((("view",), False), (("user",), False), (("manager",), True)):
            visit = visitor(*roles)
            page = visit.get("/jobs").text
            assert (f'name="priority.{jobs[0].id}"' in page) is others
            assert (f'name="priority.{own.id}"' in page) is (roles != ("view",))
            answer = visit.post("/jobs/priority", self.form(jobs[0], 2, was=99))
            assert (answer.status_code == 403) is not others
        assert jobs[0].reload().priority == 2

    def test_of_a_job_that_has_ended_or_whose_class_is_unknown_it_is_only_shown(self, visit, shop, jobs, monkeypatch):
        jobs[0].abort()
        assert f'name="priority.{jobs[0].id}"' not in visit.get("/jobs").text
        assert f'name="priority.{jobs[1].id}"' in visit.get(f"/jobs/{jobs[1].id}").text
        monkeypatch.setattr("penstock.web.pages.priorities.known_kinds", dict)
        assert f'name="priority.{jobs[1].id}"' not in visit.get("/jobs").text

    def test_it_takes_a_form_of_this_session(self, visit, jobs):
        assert visit.client.post("/jobs/priority", data=self.form(jobs[0], 1)).status_code == 403
        assert jobs[0].reload().priority == 10
