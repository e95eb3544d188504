"""Which jobs a server works on."""

import pytest

from penstock.errors import ConfigurationError
from penstock.query import Filter
from penstock.server.chosen import Chosen
from penstock.server.messages import KindFacts, RunJob


@pytest.mark.parametrize(
    ("include", "exclude", "kinds"),
    [
        (None, None, ["Import", "ImportAll", "Report", "report_old"]),
        ("Import", None, ["Import", "ImportAll"]),
        ("^Import$", None, ["Import"]),
        (None, "Import", ["Report", "report_old"]),
        ("port", "All|old", ["Import", "Report"]),
        ("(?i)REPORT", None, ["Report", "report_old"]),
        ("Import", "Import", []),
        ("", None, ["Import", "ImportAll", "Report", "report_old"]),
        (None, "", []),
    ],
)
def test_kinds_are_included_that_match_and_are_not_excluded(include, exclude, kinds):
    chosen = Chosen(include=include, exclude=exclude)
    assert [kind for kind in ("Import", "ImportAll", "Report", "report_old") if chosen.includes(kind)] == kinds


@pytest.mark.parametrize("option", ["include", "exclude"])
@pytest.mark.parametrize("pattern", ["(", "*Job", "[a-", r"\k", "(?P<x"])
def test_what_is_no_regular_expression_is_refused_at_once_with_option_and_reason(option, pattern):
    with pytest.raises(ConfigurationError) as caught:
        Chosen(**{option: pattern})
    message = str(caught.value)
    assert message.startswith(f"--{option} {pattern!r} is no regular expression: ")
    assert "\n" not in message


def test_by_default_a_server_works_on_everything():
    assert Chosen() == Chosen(only=None, include=None, exclude=None, where=())
    assert Chosen().includes("Anything")


@pytest.fixture
def serve(played, play):
    """Return what a server is handed that was told to work on some jobs only."""

    def claim(**chosen):
        server = play(played.store, name=f"chosen {chosen}", chosen=Chosen(**chosen))
        server.seat(slots=10)
        return [task.row.id for task in server.turns()]

    return claim


def test_jobs_of_other_kinds_stay_where_they_are(played, serve):
    copy, tiny = played.add_job("Copy"), played.add_job("Tiny", priority=1)
    assert serve(include="Copy") == [copy.id]
    assert serve(exclude="Copy") == [tiny.id]
    assert serve(include="Nobody") == []


def test_only_jobs_that_meet_the_conditions_are_taken(played, serve):
    jobs = {n: played.add_job(fields=f'{{"size": {n}}}', priority=50 + n).id for n in range(6)}
    assert serve(where=[Filter("size", "ge", 2), Filter("priority", "lt", 54)]) == [jobs[2], jobs[3]]
    assert serve() == [jobs[n] for n in (0, 1, 4, 5)]


def test_jobs_that_do_not_meet_the_conditions_do_not_hide_those_behind_them(played, serve):
    for _ in range(200):
        played.add_job(fields='{"size": 1}', priority=1)
    wanted = played.add_job(fields='{"size": 2}')
    assert serve(where=[Filter("size", "eq", 2)]) == [wanted.id]


def test_only_one_job_is_one_job(played, serve):
    played.add_job(priority=1)
    wanted = played.add_job()
    assert serve(only=wanted.id) == [wanted.id]


def test_only_one_job_of_a_group_is_one_job(played, play):
    """Its kind may be at its limit without the group being at its own."""
    kinds = [KindFacts("Copy", False, [], "Copy", 1)]
    played.seat(kinds=kinds)
    played.add_job()
    wanted = played.add_job(throttle_group="g")
    (task,) = played.take_turn()
    assert isinstance(task, RunJob)
    server = play(played.store, name="chosen-1", chosen=Chosen(only=wanted.id))
    server.seat(kinds=kinds)
    assert [task.row.id for task in server.turns()] == [wanted.id]


def test_hooks_that_are_due_of_kinds_that_are_not_chosen_are_left_to_others(played, play):
    job = played.add_job(state="failed", pending_hooks="after_fail")
    server = play(played.store, name="chosen-1", chosen=Chosen(exclude="Copy"))
    server.seat(kinds=[KindFacts("Copy", False, ["after_fail"], "Copy")])
    assert server.turns() == []
    assert played.job(job).hooks_server is None
