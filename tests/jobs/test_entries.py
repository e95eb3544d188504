"""Entries for watched folders: what is refused, and how their state changes."""

import pytest

import penstock
from penstock import BatchJob, Job, field
from penstock.errors import ConfigurationError, EntryNotFound, InvalidMove, UnknownKind
from penstock.ids import new_id
from penstock.jobs.entries import MOVES, check_entry, move_entry
from penstock.jobs.places import archived_place, is_archived


class Load(BatchJob, kind="tests.jobs.entries.Load"):
    label: str = "plain"
    count: int = 1
    secret: str = field("", encrypted=True)
    output_categories = ["main", "invalid"]  # noqa: RUF012

    def perform(self, line):
        return line


class Reads(Job, kind="tests.jobs.entries.Reads"):
    full_file_name: str


class Deaf(Job, kind="tests.jobs.entries.Deaf"):
    number: int = 1


def checked(box, **values):
    return check_entry({"name": "orders", "pattern": f"{box}/*.csv", "kind": Load.kind, **values})


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"name": "  "}, "name: Value error, must not be blank"),
        ({"name": "a\nb"}, "name: Value error, must not hold control characters"),
        ({"pattern": "in/*.csv"}, "pattern: Value error, must be an absolute path or a URL"),
        ({"pattern": "{box}/in/"}, "ends in a slash"),
        ({"pattern": "sftp://me:secret@host/in/*"}, "holds a password"),
        ({"pattern": "https://host/in/*"}, "can be neither listed nor moved"),
        ({"pattern": "{box}/../other/*"}, "does not lie in allowed_roots"),
        ({"pattern": "{box}2/*"}, "does not lie in allowed_roots"),
        ({"pattern": "/etc/*"}, "does not lie in allowed_roots"),
        ({"pattern": "file:///etc/*"}, "does not lie in allowed_roots"),
        ({"archive": "../../stolen"}, "does not lie in allowed_roots"),
        ({"archive": "/tmp"}, "does not lie in allowed_roots"),
        ({"archive": "s3://bucket/done"}, "is in another place than the files"),
        ({"after": "burn"}, "after: Input should be 'archive' or 'delete'"),
        ({"size": 1}, "size: Extra inputs"),
        ({"kind": Deaf.kind}, "takes no file"),
        ({"kind": Reads.kind, "after": "delete"}, "reads the file when it runs"),
        ({"properties": {"colour": 1}}, "has no field 'colour'"),
        ({"properties": {"count": "many"}}, "properties: count: Input should be a valid integer"),
        ({"properties": {"secret": "x"}}, "secret of tests.jobs.entries.Load is encrypted"),
        ({"properties": {"input_category": {"colour": 1}}}, "properties: input_category.colour: Extra inputs"),
        ({"properties": {"output_categories": [{"name": "main", "colour": 1}]}}, "output_categories.0.colour: Extra"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_with_its_reason(box, values, told):
    filled = {
        name: value.replace("{box}", str(box)) if isinstance(value, str) else value for name, value in values.items()
    }
    with pytest.raises(ConfigurationError) as caught:
        checked(box, **filled)
    assert told in str(caught.value)


def test_a_kind_that_nobody_imported_is_refused(box):
    with pytest.raises(UnknownKind):
        checked(box, kind="Nobody")


def test_without_allowed_roots_nothing_may_be_watched(box):
    penstock.configure(allowed_roots=[])
    with pytest.raises(ConfigurationError, match="until the setting allowed_roots names"):
        checked(box)


def test_a_folder_that_is_a_link_out_of_the_root_is_refused(box, tmp_path):
    (box / "in").symlink_to(tmp_path)
    with pytest.raises(ConfigurationError, match="does not lie in allowed_roots"):
        checked(box, pattern=f"{box}/in/*.csv")


def test_a_root_that_is_a_link_itself_is_where_it_leads(box, tmp_path):
    (tmp_path / "link").symlink_to(box)
    penstock.configure(allowed_roots=[str(tmp_path / "link")])
    assert checked(box).pattern == f"{box}/*.csv"


def test_patterns_names_and_archives_are_trimmed(box):
    entry = checked(box, name=" orders ", pattern=f" {box}/*.csv\n", archive=" done ")
    assert (entry.name, entry.pattern, entry.archive) == ("orders", f"{box}/*.csv", "done")


def test_settings_of_categories_are_merged_into_those_of_the_class(box):
    from penstock.jobs.targets import make_target

    given = {"input_category": {"format": "csv"}, "output_categories": ["main", {"name": "invalid", "nils": False}]}
    job = make_target(Load.kind, given, "/a")
    assert job.input_category.format == "csv"
    assert [(c.name, c.nils) for c in job.output_categories] == [("main", True), ("invalid", False)]


@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize("state", ["pending", "enabled", "disabled", "failed"])
def test_a_move_leads_on_from_some_states_and_is_refused_in_the_others(box, configured_store, move, state):
    configured_store.insert_entry(checked(box).to_row()._replace(state=state))
    origins, target = MOVES[move]
    if state in origins:
        assert move_entry(configured_store, "orders", move).state == target
        assert configured_store.entry("orders").state == target
    else:
        with pytest.raises(InvalidMove, match=f"entry orders is {state}"):
            move_entry(configured_store, "orders", move)


def test_an_entry_that_there_is_not_is_not_found(configured_store):
    with pytest.raises(EntryNotFound, match="no entry 'orders'"):
        move_entry(configured_store, "orders", "enable")


@pytest.mark.parametrize(
    ("archive", "place", "inside"),
    [
        ("archive", "/in/archive/a", True),
        ("archive", "/in/x/archive/y/a", True),
        ("archive", "/in/my_archive2/a", False),
        ("archive", "/in/archive", False),
        ("done/old", "/in/done/old/a", True),
        ("done/old", "/in/done/a", False),
        ("/in/done", "/in/done/a", True),
        ("/in/done", "/in/done2/a", False),
        ("archive", "s3://bucket/in/archive/a", True),
        ("s3://bucket/done", "s3://bucket/done/a", True),
    ],
)
def test_what_lies_in_an_archive_is_told_folder_by_folder(archive, place, inside):
    assert is_archived(archive, place) is inside


@pytest.mark.parametrize(
    ("archive", "place", "target"),
    [
        ("archive", "/in/a.csv", "/in/archive/{id}_a.csv"),
        ("/done/", "/in/a.csv", "/done/{id}_a.csv"),
        ("old ones", "sftp://host/in/a%20b.csv", "sftp://host/in/old%20ones/{id}_a%20b.csv"),
        ("s3://bucket/done", "s3://bucket/in/a.csv", "s3://bucket/done/{id}_a.csv"),
    ],
)
def test_a_file_is_archived_under_the_id_of_its_job(archive, place, target):
    job_id = new_id()
    assert archived_place(archive, place, job_id) == target.format(id=job_id)
