"""Tokens of the API, and what its requests were answered, on every engine."""

from datetime import timedelta

import pytest

from penstock import clock as penstock_clock
from penstock.store.rows import AnswerRow, TokenRow

pytestmark = pytest.mark.usefixtures("clock")


def token(name="feed", digest="d1"):
    return TokenRow(name, digest, "ada", '["user"]', penstock_clock.now())


def begun(key="k1", request="r1"):
    return AnswerRow(key, request, penstock_clock.now(), None, None)


def test_a_token_is_found_by_what_it_is_hashed_to(store):
    assert store.add_token(token())
    assert store.token_of_digest("d1") == token()
    assert store.token_of_digest("d2") is None


@pytest.mark.parametrize("second", [token(digest="d2"), token(name="other")], ids=["name", "digest"])
def test_a_name_and_a_token_are_given_once(store, second):
    store.add_token(token())
    assert not store.add_token(second)
    assert store.tokens() == [token()]


def test_tokens_are_listed_by_name(store):
    for name in ("b", "c", "a"):
        store.add_token(token(name, f"digest of {name}"))
    assert [row.name for row in store.tokens()] == ["a", "b", "c"]


def test_a_token_is_removed_once(store):
    store.add_token(token())
    assert store.remove_token("feed")
    assert not store.remove_token("feed")
    assert store.token_of_digest("d1") is None


def test_of_two_requests_with_one_key_the_second_finds_the_first(store):
    assert store.begin_answer(begun()) is None
    assert store.begin_answer(begun(request="r2")) == begun()
    store.keep_answer("k1", 201, '{"a": "ä"}')
    assert store.begin_answer(begun(request="r2")) == begun()._replace(status=201, body='{"a": "ä"}')


def test_a_dropped_answer_leaves_its_key_free(store):
    store.begin_answer(begun())
    store.drop_answer("k1")
    assert store.begin_answer(begun(request="r2")) is None


def test_old_answers_are_dropped_and_new_ones_stay(store, clock):
    store.begin_answer(begun("old"))
    clock.advance(60)
    store.begin_answer(begun("new"))
    store.drop_answers(penstock_clock.now() - timedelta(seconds=1))
    assert store.begin_answer(begun("old")) is None
    assert store.begin_answer(begun("new")) is not None
