"""`OnDemand` and `OnDemandBatch`: code is checked when it is given, and run only where that is allowed."""

import pytest
from pydantic import ValidationError

import penstock
from penstock.jobs import OnDemand, OnDemandBatch
from penstock.states import State


@pytest.fixture
def allowed():
    penstock.configure(allow_on_demand_code=True)


def test_a_worker_that_was_not_told_to_refuses(driver, tmp_path):
    job = OnDemand.create(code=f"open({str(tmp_path / 'made')!r}, 'w')")
    batch = OnDemandBatch(code="return record")
    batch.upload(["a"])
    batch.save()
    driver.run()
    for each in (job, batch):
        assert each.reload().state == State.FAILED
    assert "allow_on_demand_code" in job.exception.message
    assert not (tmp_path / "made").exists()


@pytest.mark.usefixtures("allowed")
class TestAllowed:
    def test_code_is_given_its_data_and_what_it_returns_is_kept(self, driver):
        job = OnDemand.create(code="data['n'] += 1\nreturn data['n'] * 2", data={"n": 20}, collect_output=True)
        driver.run()
        job.reload()
        assert (job.state, job.result, job.data) == (State.COMPLETED, 42, {"n": 21})

    def test_what_it_raises_names_the_line_of_the_text(self, driver):
        job = OnDemand.create(code="x = 1\n\n1 / 0")
        driver.run()
        assert job.reload().state == State.FAILED
        assert "ZeroDivisionError" in job.exception.summary

    def test_a_text_over_several_lines_keeps_them_as_they_are(self, driver):
        job = OnDemand.create(code='return """a\nb"""', collect_output=True)
        driver.run()
        assert job.reload().result == "a\nb"

    def test_a_batch_runs_its_three_pieces(self, driver, tmp_path):
        out = tmp_path / "out.txt"
        job = OnDemandBatch.create(
            before_code="job.upload(data['lines'])",
            code="return record.upper() + data['mark']",
            after_code="job.download(data['out'])",
            data={"lines": ["a", "b"], "mark": "!", "out": str(out)},
            collect_output=True,
        )
        driver.run()
        assert job.reload().state == State.COMPLETED, job.exception
        assert out.read_text() == "A!\nB!\n"

    def test_functions_in_the_code_see_each_other(self, driver):
        job = OnDemand.create(code="def f(n): return 1 if n < 2 else n * f(n - 1)\nreturn f(5)", collect_output=True)
        driver.run()
        assert job.reload().result == 120


@pytest.mark.parametrize(
    ("code", "told"),
    [("1 +", "line 1: invalid syntax"), ("\nx = (", "line 2: '.' was never closed"), ("  ", "no code")],
)
@pytest.mark.parametrize("name", ["code", "before_code", "after_code"])
def test_what_is_no_python_is_refused_when_it_is_given(name, code, told):
    with pytest.raises(ValidationError, match=told):
        OnDemandBatch(**{"code": "pass", name: code})
    if name == "code":
        with pytest.raises(ValidationError, match=told):
            OnDemand(code=code)


def test_who_made_it_is_recorded(configured_store, monkeypatch):
    monkeypatch.setenv("LOGNAME", "ada")
    assert OnDemand.create(code="pass").created_by.startswith("ada@")


@pytest.mark.parametrize("cls", [OnDemand, OnDemandBatch])
def test_who_may_edit_jobs_may_not_thereby_run_code(cls):
    assert {name for name in cls.editable_fields() if "code" in name} == set()


def test_several_may_have_the_same_schedule(configured_store):
    for _ in range(2):
        OnDemand.create(code="pass", cron_schedule="@daily")
    assert OnDemand.query.count() == 2
