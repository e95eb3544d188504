"""The state machine: what several actors do to jobs, and what is killed meanwhile.

What is drawn never depends on what the servers did, so that hypothesis can play a program again; what comes of it
does. A job is named by its number in the order of creation, whether its creation succeeded or not.
"""

from collections import Counter
from collections.abc import Callable
from functools import wraps
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from tests.process.machine.edits import MOST, OWN, value_of
from tests.process.machine.ground import ACTORS, SERVERS, Deed, Ground
from tests.process.machine.history import History

WRITERS = st.sampled_from(sorted(OWN))
ANYBODY = st.sampled_from(range(len(ACTORS)))
NUMBERS = st.integers(0, 30)
COPIES = st.integers(0, 1)
MOVES = st.sampled_from(["pause", "resume", "abort", "retry", "fail", "pause", "resume", "retry", "complete"])
BEHAVIOURS = st.sampled_from(["ok", "ok", "ok", "raise", "fail", "snooze", "abort", "complete"])
MOMENTS = [
    "before_start", "after_start", "before_perform", "around_perform", "perform", "around_end_perform", "after_perform",
    "before_complete", "after_complete", "before_fail", "after_fail", "before_retry", "after_retry", "before_pause",
    "after_pause", "before_resume", "after_resume", "before_abort", "after_abort", "after_requeue",
]  # fmt: skip
BATCH_MOMENTS = ["before_batch", "uploading", "before_slice", "perform", "after_slice", "after_batch", "after_complete"]


def step(**draws: Any) -> Callable[[Callable[..., None]], Any]:
    """Declare a rule; when something was found to be wrong, its step is left out."""

    def declare(method: Callable[..., None]) -> Any:
        @wraps(method)
        def take(self: "Machine", **drawn: Any) -> None:
            if not self.ground.found:
                try:
                    method(self, **drawn)
                except AssertionError as error:
                    self.find([str(error)])

        return rule(**draws)(take)

    return declare


class Machine(RuleBasedStateMachine):
    """See the module. `ground` is set by whoever runs it."""

    ground: Ground
    figures: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.created: list[Deed] = []
        self.ordinals: Counter[tuple[int, str]] = Counter()
        self.uploads = 0
        self.peaceful = False

    @initialize(peaceful=st.booleans())
    def begin(self, peaceful: bool) -> None:
        """Begin; in peace nothing is killed, and every hook is to be called exactly once."""
        self.peaceful = peaceful
        self.ground.begin()

    # Jobs are made ----------------------------------------------------------------------------------

    @step(
        actor=WRITERS,
        kind=st.sampled_from(["Bare", "Full", "Full", "Held", "Tries"]),
        behaviour=BEHAVIOURS,
        is_kept=st.booleans(),
        when=st.sampled_from(["now", "now", "now", "later", "soon or never"]),
        grouped=st.booleans(),
        trouble=st.sampled_from(["", "", "", "dies_at", "raises_at"]),
        moment=st.sampled_from(MOMENTS),
    )
    def create(
        self,
        actor: int,
        kind: str,
        behaviour: str,
        is_kept: bool,
        when: str,
        grouped: bool,
        trouble: str,
        moment: str,
    ) -> None:
        values: dict[str, Any] = {"destroy_on_complete": not is_kept}
        if kind != "Held":
            values["behaviour"] = behaviour
        elif grouped:
            values["throttle_group"] = "group"
        if trouble:
            values[trouble] = moment
        self._create(actor, kind, values, when)

    @step(actor=WRITERS, name=st.sampled_from(["a", "b"]), behaviour=BEHAVIOURS)
    def create_the_only_one(self, actor: int, name: str, behaviour: str) -> None:
        self._create(actor, "Only", {"name": name, "behaviour": behaviour})

    @step(
        actor=WRITERS,
        kind=st.sampled_from(["Lines", "FewLines", "TriedLines"]),
        records=st.integers(1, 10),
        bad=st.lists(st.integers(1, 10), max_size=2),
        lazy=st.booleans(),
        holds=st.booleans(),
        grouped=st.booleans(),
        trouble=st.sampled_from(["", "", "dies_at", "raises_at"]),
        moment=st.sampled_from(BATCH_MOMENTS),
    )
    def create_a_batch(
        self,
        actor: int,
        kind: str,
        records: int,
        bad: list[int],
        lazy: bool,
        holds: bool,
        grouped: bool,
        trouble: str,
        moment: str,
    ) -> None:
        values: dict[str, Any] = {"records": records, "bad": bad, "lazy": lazy}
        if holds:
            values["behaviour"] = "hold"
        if grouped and kind == "FewLines":
            values["throttle_group"] = "group"
        if trouble:
            values[trouble] = moment
        self._create(actor, kind, values)

    def _create(self, actor: int, kind: str, values: dict[str, Any], when: str = "now") -> None:
        if self.peaceful:
            values.pop("dies_at", None)
        self.created.append(self.ground.tell(actor, do="create", kind=kind, values=values, when=when))

    # Jobs are moved, edited and removed -------------------------------------------------------------

    @step(actor=ANYBODY, number=NUMBERS, copy=COPIES, fresh=st.booleans(), move=MOVES, edits=st.booleans())
    def move(self, actor: int, number: int, copy: int, fresh: bool, move: str, edits: bool) -> None:
        job = self._job(number)
        if job is not None:
            changed = {"edits": self._edits(actor, number)} if edits and actor in OWN else {}
            self.ground.tell(actor, do="move", job=job, copy=copy, fresh=fresh, move=move, **changed)

    @step(actor=WRITERS, number=NUMBERS, copy=COPIES, fresh=st.booleans(), do=st.sampled_from(["edit", "update"]))
    def edit(self, actor: int, number: int, copy: int, fresh: bool, do: str) -> None:
        job = self._job(number)
        if job is not None:
            self.ground.tell(actor, do=do, job=job, copy=copy, fresh=fresh, edits=self._edits(actor, number))

    @step(actor=WRITERS, number=NUMBERS, copy=COPIES, fresh=st.booleans())
    def run_now(self, actor: int, number: int, copy: int, fresh: bool) -> None:
        job = self._job(number)
        if job is not None:
            self.ground.tell(actor, do="run_now", job=job, copy=copy, fresh=fresh)

    @step(actor=ANYBODY, number=NUMBERS, hooks=st.booleans())
    def destroy(self, actor: int, number: int, hooks: bool) -> None:
        job = self._job(number)
        if job is not None:
            self.ground.tell(actor, do="destroy" if hooks or actor not in OWN else "delete", job=job)

    @step(actor=WRITERS, number=NUMBERS, copy=COPIES, fresh=st.booleans(), count=st.integers(1, 4))
    def upload_more(self, actor: int, number: int, copy: int, fresh: bool, count: int) -> None:
        job = self._job(number)
        if job is not None and self.created[number % len(self.created)].command["kind"].endswith("Lines"):
            self.uploads += 1
            name = f"more {self.uploads}"
            self.ground.tell(actor, do="upload", job=job, copy=copy, fresh=fresh, name=name, count=count)

    @step(
        actor=ANYBODY,
        what=st.sampled_from([("failed", "retry"), ("paused", "resume"), ("queued", "pause"), ("failed", "abort")]),
    )
    def move_all(self, actor: int, what: tuple[str, str]) -> None:
        self.ground.tell(actor, do="bulk", state=what[0], move=what[1])

    @step(holder=WRITERS)
    def edit_while_it_runs(self, holder: int) -> None:
        """All actors edit a job that is known to run, and their edits must be there when it has ended."""
        ground = self.ground
        ground.set_gate(is_open=True)
        ground.hear_all()
        self._create(holder, "Full", {"behaviour": "hold", "destroy_on_complete": False})
        ground.set_gate(is_open=False)
        number = len(self.created) - 1
        job = self._job(number)
        if job is None:
            return  # The actor was killed before.
        ground.await_(lambda: self._is_told(job, "perform") or self._has_left(job), "the job at the gate")
        for actor in OWN:
            ground.tell(actor, do="edit", job=job, copy=1, fresh=False, edits=self._edits(actor, number))
        ground.hear_all()
        ground.set_gate(is_open=True)
        ground.await_(lambda: self._has_left(job), "the end of the job at the gate")
        ground.set_gate(is_open=False)

    # What happens to all ----------------------------------------------------------------------------

    @step(is_open=st.booleans())
    def set_gate(self, is_open: bool) -> None:
        self.ground.set_gate(is_open=is_open)

    @step(
        what=st.sampled_from(["worker", "worker", "group", "dispatcher", "stop", "actor", "actor"]),
        number=st.integers(0, 5),
    )
    def crash(self, what: str, number: int) -> None:
        if self.peaceful:
            return
        match what:
            case "worker":
                self.ground.kill_worker(number % SERVERS)
            case "stop":
                self.ground.stop_server(number % SERVERS)
            case "actor":
                self.ground.kill_actor(number % len(ACTORS))
            case _:
                self.ground.kill_server(number % SERVERS, group=what == "group")

    @step()
    def look(self) -> None:
        self.ground.hear_all()
        self.ground.check_accounts()

    # The end ----------------------------------------------------------------------------------------

    def teardown(self) -> None:
        if self.ground.found:
            return
        try:
            self._settle()
            end = []
        except AssertionError as error:
            end = [str(error)]
        self.find(end)

    def find(self, wrong: list[str]) -> None:
        """Judge what happened so far.

        Raises:
            AssertionError: something is wrong.
        """
        ground = self.ground
        ground.watch.read()
        history = History(
            ground.watch.changes,
            ground.watch.lines,
            ground.deeds,
            ground.outputs(),
            disturbed=ground.disturbed,
            orphaned=ground.orphaned,
        )
        ground.found = history.judge([*((None, text) for text in wrong), *ground.errors])
        self._count(history)
        assert not ground.found, "\n".join(ground.found)

    def _settle(self) -> None:
        """Take away what holds jobs, and wait until all have ended."""
        ground = self.ground
        ground.set_gate(is_open=True)
        ground.heal()
        ground.hear_all()
        ground.await_(self._is_quiet, "that all jobs have ended")
        ground.check_accounts()
        ground.judge_stopped()

    def _is_quiet(self) -> bool:
        """Tell whether nothing waits, runs, or is to be called; what waits for a person is helped on."""
        standing = self.ground.standing()
        waiting = {what for what in standing if what not in ("completed", "aborted")}
        if not waiting:
            return True
        if waiting <= {"failed", "paused"} or self._only_later():
            self.ground.tell(0, do="tidy")
            self.ground.hear(0)
        return False

    def _only_later(self) -> bool:
        """Tell whether all that is queued is scheduled for later."""
        waits = "state = 'running' OR state = 'queued' AND run_at IS NULL"
        return not self.ground.watch.query(f"SELECT 1 FROM jobs WHERE draft = 0 AND ({waits}) LIMIT 1")

    # Names ------------------------------------------------------------------------------------------

    def _job(self, number: int) -> str | None:
        """Return the id of the n-th job, None when it was not made."""
        if not self.created:
            return None
        deed = self.created[number % len(self.created)]
        if deed.reply is None:
            self.ground.hear(deed.actor)
        return deed.job

    def _edits(self, actor: int, number: int) -> dict[str, Any]:
        """Return new values of one of the fields of an actor, those with odd numbers of the other one."""
        number %= len(self.created)
        name = OWN[actor][(self.ordinals[number, "any"] + actor) % 2]
        self.ordinals[number, "any"] += 1
        self.ordinals[number, name] += 1
        assert self.ordinals[number, name] < MOST
        return {name: value_of(name, self.ordinals[number, name])}

    def _is_told(self, job: str, moment: str) -> bool:
        self.ground.watch.read()
        return any(line.job == job and line.moment == moment for line in self.ground.watch.lines)

    def _has_left(self, job: str) -> bool:
        rows = self.ground.watch.query("SELECT state FROM jobs WHERE lower(hex(id)) = ? AND draft = 0", job)
        return not rows or rows[0][0] not in ("queued", "running")

    def _count(self, history: History) -> None:
        self.figures["examples"] += 1
        self.figures["jobs"] += len(history.lives)
        self.figures["deeds"] += len(self.ground.deeds)
        self.figures["changes"] += len(self.ground.watch.changes)
        self.figures["lines"] += len(self.ground.watch.lines)
        for life in history.lives.values():
            for _, move, _ in life.moves:
                self.figures[f"{move}"] += 1
