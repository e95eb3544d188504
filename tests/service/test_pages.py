"""What the console's pages are made of: lists, the overview, one job, its slices and failures."""

import io

import pytest

import penstock
from penstock import BatchJob, Job, Retry, field
from penstock.errors import Forbidden, InputError, InvalidMove, InvalidQuery, UnknownKind
from penstock.keyring import Keyring
from penstock.service.auditing import list_audit
from penstock.service.environment import show_settings
from penstock.service.escapes import escaped, restored
from penstock.service.forms import describe_kind, list_kinds
from penstock.service.job_view import failures_of_job, log_of_job, strip_of_slices, view_job
from penstock.service.listing import ListAsked, count_text, page_of_jobs
from penstock.service.moving import act_on_list
from penstock.service.overview import figures_of, show_overview
from penstock.service.people import Person
from penstock.service.previews import preview_output
from penstock.service.records import edit_failed_text, retry_failures, show_failed_slice
from penstock.service.servers import remove_dead_server
from penstock.service.uploads import base_name, preview_upload
from penstock.testing import drain

ADA, EVE = Person("ada", ["admin"]), Person("eve", ["view"])


class PagedJob(Retry, Job):
    """Do something.

    More of it.
    """

    size: int = field(3, user_editable=True, description="How large.", ge=1)
    customer: str = field("", indexed=True)
    color: str = "red"
    secret: str | None = field(None, encrypted=True)
    login: str | None = None

    def perform(self):
        raise ValueError("no")


class PagedLines(BatchJob):
    slice_size = 2
    collect_output = True
    destroy_on_complete = False

    def perform(self, line):
        if "bad" in line:
            raise ValueError("bad line")
        if "odd" in line:
            raise KeyError("odd line")
        return line[::-1]


@pytest.fixture
def lines(configured_store):
    job = PagedLines()
    job.upload(io.BytesIO(b"a\nbad \x01 1\nb\nc\nodd\nd\nbad 2\n"))
    job.save()
    drain(expect_failures=True)
    return job.reload()


def ids(page):
    return [view["id"] for view in page["jobs"]]


# Lists --------------------------------------------------------------------------------------------


def test_a_list_is_read_page_by_page(configured_store):
    made = [str(PagedJob.create(size=n + 1).id) for n in range(5)]
    first = page_of_jobs(configured_store, ListAsked("all", limit=2))
    rest = page_of_jobs(configured_store, ListAsked("all", limit=10, after=first["next"]))
    assert ids(first) + ids(rest) == made[::-1]
    assert (rest["next"], rest["notes"]) == (None, [])
    assert first["jobs"][0]["why_waiting"] == "no server is running"


def test_a_list_is_sorted_by_any_field_where_it_is_short(configured_store):
    made = [PagedJob.create(size=size, color=color) for size, color in ((2, "b"), (3, "a"), (1, "c"))]
    by = {order: ids(page_of_jobs(configured_store, ListAsked("queued", order=order))) for order in ("size", "-color")}
    assert by["size"] == [str(made[n].id) for n in (2, 0, 1)]
    assert by["-color"] == [str(made[n].id) for n in (2, 0, 1)]
    assert page_of_jobs(configured_store, ListAsked("queued", order="size", limit=1))["notes"] == [
        "the first 1: narrow it by conditions for the others"
    ]


def test_a_job_is_found_by_its_id_wherever_it_is(configured_store):
    job = PagedJob.create()
    assert ids(page_of_jobs(configured_store, ListAsked("failed", search=f" {job.id} ".strip()))) == [str(job.id)]


def test_a_filter_that_no_index_answers_says_so(configured_store, monkeypatch):
    monkeypatch.setattr("penstock.service.listing.SCANNED", 3)
    wanted = PagedJob.create(customer="x", color="blue")
    for _ in range(5):
        PagedJob.create(customer="y")
    page = page_of_jobs(configured_store, ListAsked(where=["color=blue"], kinds=["PagedJob"]))
    assert page["jobs"] == []
    assert "3 jobs were looked through" in page["notes"][0]
    assert "A class that declares color indexed=True" in page["notes"][0]
    found = page_of_jobs(configured_store, ListAsked(where=["customer=x"], kinds=["PagedJob"]))
    assert (ids(found), found["notes"]) == ([str(wanted.id)], [])


@pytest.mark.parametrize(
    "asked",
    [
        ListAsked("sleeping"), ListAsked(limit=0), ListAsked(limit=10**6), ListAsked(after="nonsense"),
        ListAsked(where=["priority"]), ListAsked(order="a b"), ListAsked(search="a\0b"), ListAsked(kinds=["\x1b"]),
        ListAsked("failed", order="size", after="x"),
    ],
)  # fmt: skip
def test_a_list_that_means_nothing_is_refused(configured_store, asked):
    with pytest.raises(InvalidQuery):
        page_of_jobs(configured_store, asked)


def test_a_count_says_where_it_stopped():
    assert (count_text(9_999), count_text(10_000)) == ("9,999", "10,000+")


def test_all_jobs_of_a_list_are_acted_on_in_batches(configured_store):
    made = [PagedJob.create(color="x" if n % 2 else "y") for n in range(7)]
    asked, done = ListAsked("queued", where=["color=y"]), 0
    while True:
        acted = act_on_list(configured_store, "pause", asked, by=ADA, most=2)
        done += acted.done
        assert acted.done <= 2
        if acted.next is None:
            break
        asked = ListAsked("queued", where=["color=y"], after=acted.next)
    assert done == 4
    assert [job.reload().state == "paused" for job in made] == [n % 2 == 0 for n in range(7)]


def test_of_a_list_a_user_reaches_own_jobs_only(configured_store):
    mine, other = PagedJob.create(login="eve"), PagedJob.create(login="ada")
    acted = act_on_list(configured_store, "pause", ListAsked("queued"), by=Person("eve", ["user"]))
    assert (acted.done, acted.refused) == (1, [])
    assert (mine.reload().state, other.reload().state) == ("paused", "queued")


# The overview -------------------------------------------------------------------------------------


def test_the_overview_tells_how_things_stand(configured_store, lines):
    job = PagedJob.create()
    view = show_overview(configured_store)
    assert view["counts"]["failed"] == 1
    assert view["counts"]["queued_now"] == 1
    assert view["oldest_waiting"]["id"] == str(job.id)
    assert [it["id"] for it in view["last_failed"]] == [str(lines.id)]
    assert len(view["figures"]) == 60
    assert view["servers"] == []


def test_figures_have_a_line_for_each_minute(configured_store):
    assert len(figures_of(configured_store, minutes=5)) == 5
    assert len(figures_of(configured_store, minutes=10**9)) == 7 * 24 * 60


# One job ------------------------------------------------------------------------------------------


def test_a_job_is_shown_with_what_may_be_done_to_it(configured_store):
    job = PagedJob.create(login="eve", customer="c")
    view = view_job(configured_store, job.id, by=ADA)
    assert view["actions"] == ["pause", "abort", "fail", "destroy", "edit"]
    assert view_job(configured_store, job.id, by=EVE)["actions"] == []
    assert view_job(configured_store, job.id, by=Person("eve", ["user"]))["actions"] == ["pause", "abort", "edit"]
    fields = {it["name"]: it for it in view["fields"]}
    assert fields["size"]["editable"]
    assert fields["size"]["description"] == "How large."
    assert not fields["customer"]["editable"]
    assert fields["priority"]["value"] == 50
    assert [it["what"] for it in view["timeline"]] == ["created"]


def test_what_is_sealed_is_not_shown(configured_store):
    keyring = Keyring.generate()
    penstock.configure(keyring=lambda: keyring)
    job = PagedJob.create(secret="xyzzy")
    drain(expect_failures=True)
    view = view_job(configured_store, job.id, by=ADA)
    assert "xyzzy" not in str(view)
    assert {it["name"]: it["value"] for it in view["fields"]}["secret"] == "(sealed)"


def test_a_batch_job_is_shown_with_its_slices_failures_and_pace(configured_store, lines):
    view = view_job(configured_store, lines.id, by=ADA)
    assert view["slices"] == {"queued": 0, "running": 0, "failed": 3}
    assert view["processed"] == 3
    assert view["records_per_second"] > 0
    assert [(part["first"], part["state"]) for part in strip_of_slices(configured_store, lines.id)] == [
        (1, "failed"), (2, "done"), (3, "failed"), (4, "failed"),
    ]  # fmt: skip
    groups = failures_of_job(configured_store, lines.id)["groups"]
    assert [(it["class_name"], it["count"]) for it in groups] == [("ValueError", 2), ("KeyError", 1)]
    assert groups[0]["examples"][0]["record"] == 2
    assert log_of_job(configured_store, lines.id) == []


def test_failures_of_one_class_are_retried_and_the_others_stay(configured_store, lines):
    told = retry_failures(configured_store, lines.id, by=ADA, class_name="ValueError")
    assert told == {"id": str(lines.id), "retried": 2, "more": False}
    assert lines.reload().state == "running"
    assert [it["class_name"] for it in failures_of_job(configured_store, lines.id)["groups"]] == ["KeyError"]
    retry_failures(configured_store, lines.id, by=ADA, numbers=[3])
    assert failures_of_job(configured_store, lines.id)["groups"] == []
    with pytest.raises(InvalidMove, match="no slice is failed with"):
        retry_failures(configured_store, lines.id, by=ADA, class_name="TypeError")


def test_a_failed_record_is_seen_corrected_and_retried(configured_store, lines):
    shown = show_failed_slice(configured_store, lines.id, 1, by=ADA)
    assert [it["text"] for it in shown["records"]] == ["a", "bad \\x01 1"]
    assert [(it["done"], it["failed"]) for it in shown["records"]] == [(True, False), (False, True)]
    assert (shown["failed_record"], shown["next"]) == (2, 3)
    edit_failed_text(configured_store, lines.id, 2, "good \\x01\\\\", by=ADA)
    edit_failed_text(configured_store, lines.id, 5, "even", by=ADA)
    edit_failed_text(configured_store, lines.id, 7, "good", by=ADA)
    lines.reload().retry()
    drain(expect_failures=True)
    assert lines.reload().state == "completed"
    shown = preview_output(configured_store, lines.id, by=ADA)
    assert shown["records"] == ["a", "\\\\\\x01 doog", "b", "c", "neve", "d", "doog"]
    edited = list_audit(configured_store, action="record.edit")[-1]
    assert (edited["before"]["record"], edited["after"]["record"]) == ("bad \x01 1", "good \x01\\")


def test_records_are_for_editors(configured_store, lines):
    with pytest.raises(Forbidden):
        show_failed_slice(configured_store, lines.id, 1, by=Person("eve", ["operator"]))
    with pytest.raises(Forbidden):
        edit_failed_text(configured_store, lines.id, 2, "x", by=Person("eve", ["operator"]))
    with pytest.raises(Forbidden):
        preview_output(configured_store, lines.id, by=EVE)


@pytest.mark.parametrize(
    "record",
    ["", "plain", "a\tb\nc\rd", "\0\x1b\x7f\x85", "back\\slash \\x41", "Grüße ✓ 𝄞", "\u202e\u00a0", b"\xff\x00ok", b"",
     {"a": [1, None]}, 5, 1.5, True, None, [1, "x"]],
)  # fmt: skip
def test_what_was_escaped_and_not_touched_comes_back_exactly(record):
    assert restored(escaped(record), record, "r") == record


def test_control_bytes_are_shown_as_hex_and_a_backslash_is_doubled():
    assert escaped("a\0\x1b\\\t") == "a\\x00\\x1b\\\\\t"
    assert escaped(b"\xff\x41") == "\\xffA"
    assert restored("a\r\nb\\x41", "", "r") == "a\nbA"


@pytest.mark.parametrize(
    ("text", "like"), [("\\", ""), ("\\x4", ""), ("\\q", ""), ("\\xff", ""), ("x", 5), ("[1", [1])]
)
def test_a_text_that_cannot_be_the_record_is_refused(text, like):
    with pytest.raises(InputError, match="record 7"):
        restored(text, like, "record 7")


# Forms, uploads, settings -------------------------------------------------------------------------


def test_a_form_tells_fields_types_choices_defaults_and_meaning():
    form = describe_kind("PagedJob")
    assert form["text"] == "Do something.\n\nMore of it."
    size = form["fields"][[it["name"] for it in form["fields"]].index("size")]
    assert {name: size[name] for name in ("type", "required", "default", "description", "user_editable")} == {
        "type": "integer", "required": False, "default": 3, "description": "How large.", "user_editable": True,
    }  # fmt: skip
    assert not form["takes_input"]
    assert describe_kind("PagedLines")["needs_input"]
    levels = {it["name"]: it for it in form["fields"]}["log_level"]["choices"]
    assert "debug" in levels
    with pytest.raises(UnknownKind, match="no class for kind 'None'"):
        describe_kind("None")


def test_kinds_are_told_that_servers_or_this_process_know(configured_store):
    from penstock.clock import now
    from penstock.store.rows import ServerRow

    row = ServerRow("s1", "here", 1, "running", now(), 0, 1, 1, kinds='{"Elsewhere": {}, "PagedJob": {}}')
    configured_store.register_server(row)
    kinds = {it["kind"]: it for it in list_kinds(configured_store)}
    assert (kinds["Elsewhere"]["has_form"], kinds["PagedJob"]["has_form"]) == (False, True)
    assert kinds["PagedJob"]["servers"] == ["s1"]
    assert kinds["PagedJob"]["summary"] == "Do something."


def test_the_beginning_of_a_file_shows_what_it_is():
    import gzip

    view = preview_upload(b"name;size\n", "a.csv")
    assert (view["format"], view["streams"]) == ("csv", [])
    packed = gzip.compress(b"Name,Size\n" + b"".join(b"x%d,1\n" % n for n in range(100_000)))
    view = preview_upload(packed[: len(packed) // 2], "C:\\data\\a.csv.gz")
    assert (view["file_name"], view["format"], view["streams"]) == ("a.csv.gz", "csv", ["gz"])
    assert view["columns"] == ["Name", "Size"]
    assert view["records"][0] == "x0,1"
    assert len(view["records"]) == 20
    assert preview_upload(b"a\x00b\nc\n", None)["records"] == ["a\\x00b", "c"]
    with pytest.raises(InputError):
        preview_upload(b"no gzip", "a.txt.gz")


@pytest.mark.parametrize(
    ("given", "name"),
    [("../../etc/passwd", "passwd"), ("C:\\x\\y.csv", "y.csv"), ("", None), ("/", None), ("a\nb", "ab")],
)
def test_of_a_file_name_the_last_part_is_taken(given, name):
    assert base_name(given) == name


def test_settings_are_shown_and_secrets_masked(tmp_path):
    penstock.configure(keyring="/secret/keys.toml", store="postgresql://ada:xyzzy@host/db")
    told = str(show_settings())
    assert "xyzzy" not in told
    assert "/secret" not in told
    assert "postgresql://ada@host/db" in told


def test_a_server_that_lives_is_not_removed_and_a_dead_one_is(configured_store):
    from penstock.clock import now
    from penstock.store.rows import ServerRow

    presence = configured_store.appear("s1")
    for name in ("s1", "s2"):
        configured_store.register_server(ServerRow(name, "here", 1, "running", now(), 0, 1, 1))
    with pytest.raises(InvalidMove, match="not known to be dead"):
        remove_dead_server(configured_store, "s1", by=ADA)
    assert remove_dead_server(configured_store, "s2", by=ADA)["server"] == "s2"
    assert [row.name for row in configured_store.servers()] == ["s1"]
    presence.close()
