"""Jobs made and edited by people."""

from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Any

import pytest
from pydantic import ValidationInfo, field_validator

from penstock import BatchJob, Job, State, before_batch
from penstock.errors import ConfigurationError, DuplicateJob, InputError, JobNotFound, PenstockError, UnknownKind
from penstock.hooks import before_save
from penstock.ids import new_id
from penstock.model.fields import field
from penstock.service.editing import create_job, edit_job, find_target
from penstock.store.rows import JobRow


class Colour(Enum):
    RED = "red"


class Wide(Job, kind="tests.service.editing.Wide"):
    text: str = ""
    number: int = field(0, ge=0, user_editable=True)
    ratio: float = 0.0
    price: Decimal = Decimal(0)
    note: str | None = field("note", user_editable=True)
    day: date | None = None
    tags: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    colour: Colour = Colour.RED
    anything: Any = None
    fixed: str = "fixed"

    def perform(self):
        return None

    @field_validator("text")
    @classmethod
    def refuse_curses(cls, text, _: ValidationInfo):
        if text == "curse":
            raise ValueError("mind your language")
        return text

    @before_save
    def refuse_thirteen(self):
        if self.number == 13:
            raise RuntimeError("thirteen is not stored")


class Single(Job, kind="tests.service.editing.Single"):
    unique_by = ()

    def perform(self):
        return None


class Lines(BatchJob, kind="tests.service.editing.Lines"):
    def perform(self, record):
        return record


class Loads(BatchJob, kind="tests.service.editing.Loads"):
    @before_batch
    def load(self):
        self.upload(["a"])

    def perform(self, record):
        return record


def only(cls):
    (job,) = cls.query
    return job


# Values ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("text", "plain", "plain"),
        ("text", "123", "123"),
        ("text", "true", "true"),
        ("text", "null", "null"),
        ("text", '["a"]', '["a"]'),
        ("text", '"quoted"', "quoted"),
        ("text", "", ""),
        ("text", "a=b", "a=b"),
        ("number", "123", 123),
        ("ratio", "1.5", 1.5),
        ("price", "1.10", Decimal("1.10")),
        ("price", "0.1234567890123456789", Decimal("0.1234567890123456789")),
        ("note", "null", None),
        ("note", "5", "5"),
        ("day", "2026-01-02", date(2026, 1, 2)),
        ("tags", '["a", "b"]', ["a", "b"]),
        ("facts", '{"a": [1, null]}', {"a": [1, None]}),
        ("colour", "red", Colour.RED),
        ("anything", "5", 5),
        ("anything", "five", "five"),
    ],
)
def test_a_value_is_json_where_the_field_takes_that_and_else_text(configured_store, name, text, value):
    create_job(configured_store, Wide, {name: text}, by="ada")
    stored = getattr(only(Wide), name)
    assert stored == value
    assert type(stored) is type(value)


# Create ------------------------------------------------------------------------------------------


def test_a_created_job_is_queued_and_returned_as_a_view(configured_store):
    view = create_job(configured_store, Wide, {"priority": "7", "number": "3"}, by="ada")
    job = only(Wide)
    assert (view["id"], view["state"], view["priority"]) == (str(job.id), "queued", 7)
    assert (job.state, job.priority, job.number) == (State.QUEUED, 7, 3)


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        ({"number": "-1"}, "number: Input should be greater than or equal to 0"),
        ({"number": "x"}, "number: Input should be a valid integer"),
        ({"text": "curse"}, "text: Value error, mind your language"),
        ({"tags": '["a", 5]'}, "tags.1: Input should be a valid string"),
        ({"number": "x", "priority": "0"}, "priority: "),
        ({"nothing": "1"}, "nothing: tests.service.editing.Wide has no such field; it has: anything, "),
    ],
)
def test_what_does_not_fit_is_named_by_its_field_and_nothing_is_stored(configured_store, texts, told):
    with pytest.raises(ConfigurationError) as refused:
        create_job(configured_store, Wide, texts, by="ada")
    assert told in str(refused.value)
    assert "\n" not in str(refused.value)
    assert Wide.query.count() == 0


def test_a_hook_that_raises_is_told_in_one_line_and_nothing_is_stored(configured_store):
    with pytest.raises(PenstockError, match=r"raised RuntimeError: thirteen is not stored at .*test_editing.py:\d+"):
        create_job(configured_store, Wide, {"number": "13"}, by="ada")
    assert Wide.query.count() == 0


def test_a_second_of_its_unique_key_is_refused(configured_store):
    create_job(configured_store, Single, {}, by="ada")
    with pytest.raises(DuplicateJob, match="already"):
        create_job(configured_store, Single, {}, by="ada")


def test_a_batch_job_takes_its_records_from_a_file(configured_store, tmp_path):
    path = tmp_path / "in.txt"
    path.write_text("a\nb\n")
    view = create_job(configured_store, Lines, {"slice_size": "1"}, source=str(path), by="ada")
    assert (view["state"], view["record_count"]) == ("queued", 2)
    assert configured_store.accounts(only(Lines).id).queued == 2


def test_a_batch_job_without_input_is_refused_unless_it_loads_its_own(configured_store):
    with pytest.raises(ConfigurationError, match="--input"):
        create_job(configured_store, Lines, {}, by="ada")
    assert create_job(configured_store, Loads, {}, by="ada")["state"] == "queued"
    with pytest.raises(ConfigurationError, match="no batch job"):
        create_job(configured_store, Wide, {}, source="in.txt", by="ada")


def test_an_input_that_cannot_be_read_leaves_nothing(configured_store, tmp_path):
    with pytest.raises(InputError):
        create_job(configured_store, Lines, {}, source=str(tmp_path / "none.txt"), by="ada")
    assert configured_store.drafts() == []
    assert Lines.query.count() == 0


def test_a_batch_job_that_is_refused_after_its_upload_leaves_nothing(configured_store, tmp_path):
    class Refused(Lines):
        @before_save
        def refuse(self):
            raise RuntimeError("no")

    path = tmp_path / "in.txt"
    path.write_text("a\n")
    with pytest.raises(PenstockError, match="raised RuntimeError: no"):
        create_job(configured_store, Refused, {}, source=str(path), by="ada")
    assert configured_store.drafts() == []


# Target ------------------------------------------------------------------------------------------


def test_a_target_is_a_kind_or_a_module_with_a_class():
    assert find_target(Wide.kind) is Wide
    with pytest.raises(UnknownKind, match="--app"):
        find_target("tests.service.editing.Nobody")
    for base in ("penstock.model.job:Job", "penstock.plugins.cron:Cron"):
        with pytest.raises(ConfigurationError, match="only a base"):
            find_target(base)


# Edit --------------------------------------------------------------------------------------------


def test_editable_fields_are_changed_and_no_others(configured_store):
    job = Wide.create(number=1, text="kept")
    view = edit_job(configured_store, job.id, {"number": "2", "priority": "9", "note": "null"}, by="ada")
    assert view["priority"] == 9
    job.reload()
    assert (job.number, job.priority, job.note, job.text) == (2, 9, None, "kept")


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        ({"number": "5", "fixed": "x"}, "fixed: may not be edited in a tests.service.editing.Wide; what may: "),
        ({"number": "5", "nothing": "x"}, "nothing: may not be edited"),
        ({"number": "5", "priority": "1000"}, "priority: "),
        ({"number": "-5", "note": "new"}, "number: "),
    ],
)
def test_nothing_is_edited_where_anything_is_refused(configured_store, texts, told):
    job = Wide.create(number=1)
    with pytest.raises(ConfigurationError, match=told):
        edit_job(configured_store, job.id, texts, by="ada")
    job.reload()
    assert (job.number, job.note, job.fixed, job.priority) == (1, "note", "fixed", 50)


def test_a_hook_that_raises_refuses_the_edit(configured_store):
    job = Wide.create(number=1)
    with pytest.raises(PenstockError, match="thirteen is not stored"):
        edit_job(configured_store, job.id, {"number": "13"}, by="ada")
    assert job.reload().number == 1


def test_what_a_running_job_has_changed_survives_an_edit(configured_store):
    job = Wide.create(number=1)
    configured_store.update_job(job.id, {"fields": {"fixed": "by the job"}, "percent_complete": 40})
    edit_job(configured_store, job.id, {"number": "2"}, by="ada")
    job.reload()
    assert (job.fixed, job.percent_complete, job.number) == ("by the job", 40, 2)


def test_only_the_class_can_check_values(configured_store):
    row = JobRow(id=new_id(), kind="Stranger", batch=False, created_at=Wide().created_at)
    configured_store.insert_jobs([row])
    with pytest.raises(UnknownKind, match=rf"job {row.id} is of kind 'Stranger'.*--app"):
        edit_job(configured_store, row.id, {"priority": "1"}, by="ada")


def test_a_job_that_there_is_not_is_not_edited(configured_store):
    with pytest.raises(JobNotFound):
        edit_job(configured_store, new_id(), {"priority": "1"}, by="ada")
