"""The page of servers: dead ones are told, and removed by who may."""

from penstock.clock import now
from penstock.service.heartbeats import LOOKS
from penstock.states import State
from penstock.web.live import pulse


def names(store):
    return [row.name for row in store.servers()]


def test_one_that_is_dead_is_removed_once_that_is_confirmed_and_what_it_held_is_queued(
    visit, shop, configured_store, add_server
):
    add_server("gone-1", alive=False)
    add_server("here-1", alive=True)
    job = shop.Mail.create(to="x")
    configured_store.claim_jobs([configured_store.job(job.id)], server="gone-1", now=now())
    page = visit.get("/servers").text
    assert 'formaction="/servers/gone-1/remove"' in page
    assert 'formaction="/servers/here-1/remove"' not in page
    assert "Remove gone-1?" in visit.post("/servers/gone-1/remove").text
    assert names(configured_store) == ["gone-1", "here-1"]
    answer = visit.post("/servers/gone-1/remove", {"confirmed": "yes"})
    assert "gone-1 removed; 1 pieces of work queued again." in answer.text
    assert names(configured_store) == ["here-1"]
    assert job.reload().state is State.QUEUED
    assert "server.destroy" in visit.get("/audit").text


def test_one_that_lives_is_not_removed(visit, configured_store, add_server):
    add_server("here-1", alive=True)
    answer = visit.post("/servers/here-1/remove", {"confirmed": "yes"})
    assert answer.status_code == 409
    assert "not known to be dead" in answer.text
    assert names(configured_store) == ["here-1"]


def test_one_whose_heart_stands_still_while_pages_are_looked_at_is_told_and_removed(
    visit, clock, configured_store, add_server
):
    add_server("stuck-1", alive=True)
    live = visit.client.app.state.console.live
    for _ in range(LOOKS):
        told = pulse(configured_store, live.heartbeats)
        clock.advance(15)
    assert told["still"] == ["stuck-1"]
    assert "Its heart has stood still for 45 s" in visit.get("/servers").text
    assert visit.post("/servers/stuck-1/remove", {"confirmed": "yes"}).status_code == 200
    assert names(configured_store) == []


def test_all_that_are_dead_are_removed_at_once(visit, configured_store, add_server):
    for name, alive in (("gone-1", False), ("gone-2", False), ("here-1", True)):
        add_server(name, alive=alive)
    assert 'formaction="/servers/all/remove"' in visit.get("/servers").text
    assert "Remove 2 dead servers?" in visit.post("/servers/all/remove").text
    assert "2 dead servers removed" in visit.post("/servers/all/remove", {"confirmed": "yes"}).text
    assert names(configured_store) == ["here-1"]


def test_who_may_not_is_not_given_the_button_and_is_refused(visitor, configured_store, add_server):
    add_server("gone-1", alive=False)
    manager = visitor("manager")
    assert "/remove" not in manager.get("/servers").text
    assert manager.post("/servers/gone-1/remove", {"confirmed": "yes"}).status_code == 403
    assert names(configured_store) == ["gone-1"]
    assert visitor("operator").post("/servers/gone-1/remove", {"confirmed": "yes"}).status_code == 200


def test_the_nodes_of_a_distributor_are_shown_as_text(visit, configured_store, add_server):
    import json

    add_server("shop-1", alive=True, slots=0)
    node = {"name": "<b>one", "address": "10.0.0.7:5123", "workers": 2, "slots": 8, "leaving": False}
    configured_store.beat("shop-1", "running", nodes=json.dumps([node, {**node, "name": "two", "leaving": True}]))
    page = visit.get("/servers").text
    assert "&lt;b&gt;one" in page
    assert "nodes of this distributor" in page
    assert "leaving" in page
    assert "<small> of 16</small>" in page
    assert "/servers/shop-1/" not in page
