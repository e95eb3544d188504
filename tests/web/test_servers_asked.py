"""What is asked of servers from their page."""

import pytest
from tests.obeying import obeying
from tests.web.conftest import text_of


def test_one_is_paused_at_once_and_the_page_says_so(visit, configured_store, add_server):
    add_server("s1")
    with obeying(configured_store, ["s1"]):
        answer = visit.post("/servers/s1/pause")
    assert "s1: done." in text_of(answer)
    assert [row.state for row in configured_store.servers()] == ["paused"]
    assert "server.pause" in visit.get("/audit").text


def test_one_is_stopped_when_that_is_confirmed_and_is_not_waited_for(visit, configured_store, add_server):
    add_server("s1")
    assert "Stop s1?" in text_of(visit.post("/servers/s1/stop"))
    assert configured_store.command_of("s1") is None
    answer = visit.post("/servers/s1/stop", {"confirmed": "yes"})
    assert "s1: asked to stop." in text_of(answer)
    assert configured_store.command_of("s1") == "stop"


def test_a_dump_is_shown_as_text(visit, configured_store, add_server):
    add_server("s1")
    with obeying(configured_store, ["s1"], answer='File "a.py", line 3, in <module>'):
        page = visit.post("/servers/s1/dump")
    assert "Threads of s1" in text_of(page)
    assert "in &lt;module&gt;" in page.text


def test_all_to_which_it_applies_are_asked_when_that_is_confirmed(visit, configured_store, add_server):
    add_server("s1")
    add_server("s2")
    add_server("s3", state="paused")
    assert "Pause all 2 servers?" in text_of(visit.post("/servers/all/pause"))
    answer = visit.post("/servers/all/pause", {"confirmed": "yes"})
    assert "Asked 2 to pause." in text_of(answer)
    assert [configured_store.command_of(name) for name in ("s1", "s2", "s3")] == ["pause", "pause", None]
    assert "Resume the server?" in text_of(visit.post("/servers/all/resume"))


def test_what_applies_to_none_and_what_there_is_not_is_refused(visit, add_server):
    add_server("s1", state="paused")
    answer = visit.post("/servers/all/pause", {"confirmed": "yes"})
    assert answer.status_code == 409
    assert "there is no server that can pause as it is now" in text_of(answer)
    for path in ("/servers/s1/dance", "/servers/all/dance", "/servers/s2/pause"):
        assert visit.post(path, {"confirmed": "yes"}).status_code == 404


@pytest.mark.parametrize("path", ["/servers/s1/pause", "/servers/all/pause", "/servers/s1/dump"])
def test_who_may_only_look_asks_nothing(visitor, configured_store, add_server, path):
    add_server("s1")
    assert visitor("view").post(path, {"confirmed": "yes"}).status_code == 403
    assert configured_store.command_of("s1") is None
