"""Fault points: off unless asked for, at the passage that was asked for, and each of them documented."""

import ast
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import penstock
from penstock import faults
from penstock.errors import ConfigurationError
from penstock.faults import ACTIONS, POINTS, Armed

SRC = Path(penstock.__file__).parent


def passed_in_code() -> set[str]:
    """Return every text that is given to `faults.at` or `faults.before_each`; a moment of a batch job is filled in."""
    found = set()
    for path in SRC.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            if ast.unparse(node.func) in ("faults.at", "faults.before_each"):
                text = ast.literal_eval(ast.unparse(node.args[0]).removeprefix("f").replace("{task.moment}", "*"))
                found |= {text.replace("*", moment) for moment in ("before_batch", "after_batch")}
    return found


def test_the_points_in_the_code_are_those_that_are_documented():
    assert passed_in_code() == set(POINTS)


def test_where_none_is_asked_for_a_point_does_nothing_and_a_function_is_called_as_it_is():
    def call(value):
        return value

    faults.at("after_claim")
    assert faults.before_each("in_slice", call) is call


def test_a_fault_happens_at_its_passage_and_at_no_other():
    armed = Armed.from_text("in_slice:raise:3")
    for _ in range(2):
        armed.at("in_slice")
        armed.at("after_claim")
    with pytest.raises(OSError, match="injected at the fault point in_slice"):
        armed.at("in_slice")
    armed.at("in_slice")


def test_with_marks_it_happens_once_for_all_processes_that_share_them(tmp_path):
    with pytest.raises(OSError, match="in_slice"):
        Armed.from_text("in_slice:raise", str(tmp_path)).at("in_slice")
    Armed.from_text("in_slice:raise", str(tmp_path)).at("in_slice")
    assert [path.name for path in tmp_path.iterdir()] == ["in_slice"]


def test_armed_a_point_is_passed_before_each_call_and_disarmed_no_more():
    faults.arm(Armed.from_text("in_slice:raise:2,after_claim:raise"))
    try:
        call = faults.before_each("in_slice", str)
        assert call(1) == "1"
        with pytest.raises(OSError, match="in_slice"):
            call(2)
        with pytest.raises(OSError, match="after_claim"):
            faults.at("after_claim")
    finally:
        faults.disarm()
    faults.at("after_claim")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("in_the_woods:kill", "no fault point 'in_the_woods'"),
        ("in_slice", "no action ''"),
        ("in_slice:explode", "no action 'explode'"),
        ("in_slice:kill:0", "must be a number from 1"),
        ("in_slice:kill:x", "must be a number from 1"),
        ("in_slice:kill,", "no fault point ''"),
    ],
)
def test_what_is_no_fault_is_refused_by_name(text, says):
    with pytest.raises(ConfigurationError, match=says):
        Armed.from_text(text)


@pytest.mark.parametrize(("action", "code"), [("kill", -signal.SIGKILL), ("raise", 1)])
def test_the_environment_of_a_process_arms_it(action, code):
    program = "from penstock import faults\nfor _ in range(3): print('passed', flush=True); faults.at('in_slice')"
    environment = {"PENSTOCK_FAULT": f"in_slice:{action}:2"}
    ended = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert (ended.returncode, ended.stdout) == (code, "passed\npassed\n")


def test_there_is_an_action_for_each_way_in_which_a_process_goes():
    assert set(ACTIONS) == {"kill", "stop", "raise", "hang"}
