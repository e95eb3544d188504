"""Which two stores belong together: a process whose settings say otherwise is refused when it opens them."""

import pytest

import penstock
from penstock.clock import now
from penstock.errors import ConfigurationError
from penstock.ids import new_id
from penstock.query import Query
from penstock.store import close_stores, current_store, open_store
from penstock.store.rows import JobRow, NewSlice, ServerRow


@pytest.fixture
def url(tmp_path):
    return lambda name: f"sqlite:///{tmp_path / name}.db"


@pytest.fixture
def opened(url):
    """Open the store of some settings anew, as another process would."""

    def open_it(jobs="jobs", slices="slices"):
        close_stores()
        penstock.configure(store=url(jobs), slices_store=slices and url(slices))
        return current_store()

    return open_it


def add_batch(store):
    row = JobRow(new_id(), "Lines", batch=True, created_at=now(), record_count=1)
    store.insert_jobs([row])
    store.append_slices(row.id, "main", [NewSlice(1, 1, b"Tone\n")])
    return row


def facts(store):
    return {name: store.fact(name) for name in ("identity", "slices_store", "slices_of")}


def test_the_same_two_stores_are_opened_again_and_again(opened):
    row = add_batch(opened())
    assert opened().standing(row.id).queued


def test_another_url_to_the_same_second_store_is_the_same_store(opened, tmp_path):
    row = add_batch(opened())
    (tmp_path / "link.db").symlink_to(tmp_path / "slices.db")
    assert opened(slices="link").standing(row.id).queued


def test_without_the_setting_a_store_whose_slices_are_elsewhere_is_refused(opened):
    add_batch(opened())
    with pytest.raises(ConfigurationError, match=r"has its slices in .*slices\.db: set slices_store to that"):
        opened(slices=None)


def test_with_another_second_store_it_is_refused_and_that_one_is_left_as_it_was(opened, url):
    add_batch(opened())
    with pytest.raises(ConfigurationError, match=r"has its slices in .*slices\.db, not in .*other\.db"):
        opened(slices="other")
    penstock.configure(store=url("unrelated"), slices_store=None)
    assert set(facts(open_store(url("other"))).values()) == {None}


def test_a_server_that_runs_is_enough_for_that(opened):
    store = opened()
    presence = store.appear("server-1")
    store.register_server(ServerRow("server-1", "host", 1, "running", now(), 0, 1, 1))
    for other in ("other", None):
        with pytest.raises(ConfigurationError, match="has its slices in"):
            opened(slices=other)
    presence.close()


def test_while_nothing_depends_on_it_the_setting_may_change(opened):
    opened()
    opened(slices="other")
    opened(slices=None)
    opened(slices="slices")


def test_a_store_with_slices_in_itself_is_refused_a_second_one(opened):
    add_batch(opened(slices=None))
    with pytest.raises(ConfigurationError, match="holds batch jobs with their slices in itself"):
        opened()
    assert opened(slices=None).count_jobs(Query()) == 1


def test_a_store_with_jobs_is_no_second_store(opened):
    add_batch(opened(jobs="other", slices=None))
    with pytest.raises(ConfigurationError, match=r"other\.db holds jobs of its own; name an empty store"):
        opened(slices="other")


def test_the_second_store_of_another_is_refused(opened):
    add_batch(opened(jobs="first"))
    with pytest.raises(ConfigurationError, match=r"slices\.db holds the slices of .*first\.db; name an empty store"):
        opened(jobs="second")


def test_the_second_store_is_refused_as_a_store_of_jobs(opened):
    add_batch(opened())
    with pytest.raises(ConfigurationError, match=r"slices\.db holds the slices of .*jobs\.db: name that one"):
        opened(jobs="slices", slices=None)


def test_a_store_is_not_its_own_second_one(opened):
    with pytest.raises(ConfigurationError, match="is the store itself"):
        opened(slices="jobs")


def test_a_store_that_the_settings_do_not_name_has_its_slices_in_itself(opened, url):
    opened()
    store = open_store(url("third"))
    row = add_batch(store)
    assert list(store.slice_owners()) == [row.id]
    assert facts(store)["slices_store"] is None
    assert not hasattr(store, "slices_url")


def test_completion_in_a_transaction_of_the_callers_is_refused(opened):
    with pytest.raises(ConfigurationError, match="with a slices_store nothing is completed in the transaction"):
        opened().joining(object())
