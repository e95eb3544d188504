"""What each role may do."""

from itertools import pairwise

import pytest

from penstock.errors import ConfigurationError, Forbidden
from penstock.service.people import ACTION_NAMES, ROLES, Person, demand, may, person_of

ORDER = ["admin", "editor", "operator", "manager", "dirmon", "user", "view"]


def allowed(*roles, job=None):
    return {action for action in ACTION_NAMES if may(Person("ada", roles), action, job)}


def test_the_roles_are_those_of_rocket_job_in_their_order():
    assert list(ROLES) == ORDER


@pytest.mark.parametrize(("higher", "lower"), list(pairwise(ORDER)))
def test_a_role_includes_all_below_it(higher, lower):
    assert allowed(lower) <= allowed(higher)


def test_everybody_may_look_and_nothing_else():
    assert allowed() == allowed("view") == {"read"}


def test_an_admin_may_do_everything():
    assert allowed("admin") == ACTION_NAMES


@pytest.mark.parametrize(
    ("role", "action"),
    [
        ("admin", "job.create"), ("admin", "job.destroy"), ("admin", "entry.remove"), ("editor", "record.edit"),
        ("operator", "server.stop"), ("manager", "job.fail"), ("manager", "job.run-now"), ("dirmon", "entry.copy"),
    ],
)  # fmt: skip
def test_what_a_role_adds_the_one_below_it_may_not(role, action):
    assert action in allowed(role)
    assert action not in allowed(ORDER[ORDER.index(role) + 1])


def test_a_user_may_retry_own_jobs_only():
    person = Person("ada", ["user"])
    assert may(person, "job.retry", {"fields": {"login": "ada"}})
    assert not may(person, "job.retry", {"fields": {"login": "bob"}})
    assert not may(person, "job.retry", {"fields": {}})
    assert not may(person, "job.retry")
    assert not may(person, "job.destroy", {"fields": {"login": "ada"}})


def test_a_role_that_there_is_not_is_refused():
    with pytest.raises(ConfigurationError, match="no role 'root'; known: admin, editor"):
        Person("ada", ["root"])


def test_an_action_that_there_is_not_is_no_matter_of_roles():
    with pytest.raises(ConfigurationError, match=r"no action 'job\.fly'"):
        may(Person("ada", ["admin"]), "job.fly")


def test_a_refusal_names_the_role_that_it_takes():
    with pytest.raises(Forbidden, match=r"ada may not job\.retry: it takes the role manager, and there is dirmon"):
        demand(Person("ada", ["dirmon"]), "job.retry")


def test_a_bare_login_may_do_everything():
    assert person_of("ada") == Person("ada", ("admin",), "command line", remote=False)
