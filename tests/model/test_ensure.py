"""`ensure`: the job that is there, or a new one; however many processes ask at once."""

import subprocess
import sys
from textwrap import dedent

import pytest
from pydantic import ValidationError

import penstock
from penstock import Cron, Job, Singleton, field
from penstock.errors import DuplicateJob
from penstock.keyring import Keyring
from penstock.states import State

pytestmark = pytest.mark.usefixtures("configured_store")


class Nightly(Cron, Job, kind="ensure.Nightly"):
    cron_schedule = "0 1 * * *"
    customer: str = "ada"
    limits: list[int] = []  # noqa: RUF012
    destroy_on_complete = False

    def perform(self):
        return None


class Plain(Job, kind="ensure.Plain"):
    customer: str = "ada"
    destroy_on_complete = False

    def perform(self):
        return None


class TestThere:
    def test_the_first_call_creates_it_and_the_second_returns_it(self):
        made = Nightly.ensure(customer="ada")
        assert (made.is_stored, made.state) == (True, State.QUEUED)
        again = Nightly.ensure(customer="ada")
        assert again.id == made.id
        assert Nightly.query.count() == 1

    def test_without_values_any_job_of_the_class_will_do(self):
        made = Nightly.ensure()
        made.update(customer="grace")
        assert Nightly.ensure().id == made.id

    def test_other_values_are_another_job(self):
        first, second = Plain.ensure(customer="ada"), Plain.ensure(customer="grace")
        assert first.id != second.id
        assert Plain.ensure(customer="grace").id == second.id

    def test_values_are_compared_after_conversion(self):
        made = Nightly.ensure(limits=[1, 2])
        assert Nightly.ensure(limits=("1", 2)).id == made.id

    @pytest.mark.parametrize("how", ["queued", "paused", "running"])
    def test_one_that_waits_or_runs_is_there(self, server, how):
        made = Plain.ensure()
        if how == "paused":
            made.pause()
        if how == "running":
            assert server.take() is not None
        assert Plain.ensure().id == made.id

    @pytest.mark.parametrize("how", ["complete", "fail", "abort", "destroy"])
    def test_one_that_has_ended_is_not(self, server, how):
        made = Plain.ensure()
        server.run() if how == "complete" else getattr(made, how)()
        assert Plain.ensure().id != made.id

    def test_what_somebody_changed_on_it_stays(self):
        made = Nightly.ensure(customer="ada")
        made.update(cron_schedule="0 5 * * *", priority=3)
        present = Nightly.ensure(customer="ada")
        assert (present.id, present.cron_schedule, present.priority) == (made.id, "0 5 * * *", 3)

    def test_a_default_that_changed_with_a_deploy_leaves_the_one_that_is_there(self):
        class Old(Job, kind="ensure.Deployed"):
            customer: str = "ada"
            priority = 50

        made = Old.ensure(customer="ada")

        class New(Job, kind="ensure.Deployed"):
            customer: str = "ada"
            priority = 10

        present = New.ensure(customer="ada")
        assert (present.id, present.priority, type(present)) == (made.id, 50, New)

    def test_a_schedule_that_changed_with_a_deploy_leaves_the_one_that_is_there(self):
        class Old(Cron, kind="ensure.Rescheduled"):
            cron_schedule = "0 1 * * *"

        made = Old.ensure()

        class New(Cron, kind="ensure.Rescheduled"):
            cron_schedule = "0 2 * * *"

        present = New.ensure()
        assert (present.id, present.cron_schedule) == (made.id, "0 1 * * *")
        assert New.query.count() == 1

    def test_a_job_of_a_subclass_is_another(self):
        class Special(Plain):
            pass

        special = Special.ensure()
        plain = Plain.ensure()
        assert special.id != plain.id
        assert Plain.ensure().id == plain.id

    def test_one_stored_under_an_alias_is_there(self, configured_store):
        class Renamed(Job, kind="ensure.New", aliases=["ensure.Older"]):
            pass

        made = Renamed.create()
        configured_store.update_job(made.id, {"kind": "ensure.Older"})
        assert Renamed.ensure().id == made.id

    def test_of_several_the_oldest_is_returned(self):
        first, _ = Plain.create_many([{}, {}])
        assert Plain.ensure().id == first.id


class TestUnique:
    def test_a_job_with_its_unique_key_is_returned_though_other_values_differ(self):
        class Keyed(Job):
            unique_by = ("customer",)
            customer: str = "ada"
            note: str = ""

        made = Keyed.ensure(customer="ada", note="old")
        present = Keyed.ensure(customer="ada", note="new")
        assert (present.id, present.note) == (made.id, "old")

    def test_a_singleton_is_returned_whatever_its_values(self):
        class Only(Singleton):
            pass

        made = Only.ensure(priority=1)
        assert Only.ensure(priority=2).id == made.id

    def test_a_key_that_a_job_of_another_class_has_is_refused(self):
        class First(Job):
            def unique_key(self):
                return "shared"

        class Second(Job):
            def unique_key(self):
                return "shared"

        First.ensure()
        with pytest.raises(DuplicateJob):
            Second.ensure()


class TestRefused:
    @pytest.mark.parametrize("wrong", [{"customer": 5}, {"nobody": 1}, {"priority": 0}], ids=str)
    def test_values_that_do_not_fit_are_refused_and_nothing_is_stored(self, wrong):
        with pytest.raises(ValidationError, match=next(iter(wrong))):
            Nightly.ensure(**wrong)
        assert Nightly.query.count() == 0

    def test_a_hook_that_refuses_a_new_job_refuses_this_too(self):
        class Picky(Job):
            def before_create(self):
                raise ValueError("refused")

        with pytest.raises(ValueError, match="refused"):
            Picky.ensure()
        assert Picky.query.count() == 0

    def test_sealed_values_are_compared_too(self, tmp_path):
        class Sealed(Job):
            token: str = field("", encrypted=True)

        Keyring.generate().save(tmp_path / "keys.toml")
        penstock.configure(keyring=str(tmp_path / "keys.toml"))
        made = Sealed.ensure(token="a")
        assert Sealed.ensure(token="a").id == made.id
        assert Sealed.ensure(token="b").id != made.id


@pytest.mark.process
@pytest.mark.parametrize("base", ["Cron, Job", "Singleton", "Job"])
def test_of_eight_processes_that_ask_at_once_one_creates_it_and_all_have_the_same(tmp_path, configured_store, base):
    (tmp_path / "asked.py").write_text(
        dedent(f"""
            import sys
            import penstock
            from penstock import Cron, Job, Singleton

            class Asked({base}):
                {'cron_schedule = "0 1 * * *"' if "Cron" in base else ""}
                customer: str = ""

            penstock.configure(store={configured_store.url!r})
            print("ready", flush=True)
            sys.stdin.readline()
            for number in range(5):
                print(Asked.ensure(customer="ada").id, flush=True)
        """)
    )
    asked = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "asked.py"],
            cwd=tmp_path,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(8)
    ]
    for process in asked:
        assert process.stdout.readline() == "ready\n"
    for process in asked:
        process.stdin.write("go\n")
        process.stdin.flush()
    told = [process.communicate(timeout=60) for process in asked]
    assert [(process.returncode, err) for process, (_, err) in zip(asked, told, strict=True)] == [(0, "")] * 8
    ids = {line for out, _ in told for line in out.split()}
    assert len(ids) == 1
    assert [str(row.id) for row in configured_store.find_jobs(Job.query.asked)] == list(ids)
