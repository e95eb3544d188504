"""What is wrong with what happened: the records of an example, held against what is promised."""

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from tests.process.machine.edits import ordinal_of, ordinals_in
from tests.process.machine.ground import ACTORS, Deed
from tests.process.machine.legality import Explanation, applies, explain
from tests.process.machine.watching import Change, Line, Row

from penstock.states import FINAL, Move

STRANGER = ACTORS.index("stranger")
HOOKLESS = {"Bare"}
LIMITS = {"Held": 2, "FewLines": 1, "group": 2}
_OWNERS = ("server", "worker", "pending_hooks", "hooks_server")
WAITING = ("queued", "running", "paused")
FAILURES = {"machine_jobs.OopsError", "penstock.JobFailed", "SlicesFailed"}
"""Why a job may fail when nothing is killed."""
AFTER_KILLS = FAILURES | {"WorkerCrashed", "UploadInterrupted"}

_ATTEMPT = (
    "before_start", "after_start", "before_perform", "around_perform", "perform", "performed", "around_end_perform",
    "after_perform", "before_complete",
)  # fmt: skip
_RECORD = ("before_perform", "around_perform", "perform", "performed", "around_end_perform", "after_perform")
_NEXT_OF_SLICE: dict[str, set[str]] = {
    **{moment: {following} for moment, following in pairwise(_RECORD)},
    "before_slice": {"around_slice"},
    "around_slice": {"before_perform", "around_end_slice"},
    "after_perform": {"before_perform", "around_end_slice"},
    "around_end_slice": {"after_slice"},
    "after_slice": set(),
}
_BEFORE, _AFTER = ("before_start", "after_start", "before_batch"), ("after_batch", "before_complete")
_SAVED = ["before_validation", "after_validation", "before_save"]
_CREATED = [*_SAVED, "before_create", "after_create", "after_save"]
_CREATED_AS_DRAFT = [*_SAVED, "before_create", "uploading", *_SAVED, "after_create", "after_save"]
_UPDATED = [*_SAVED, "before_update", "after_update", "after_save"]


@dataclass
class Life:
    """All that is recorded of one job."""

    job: str
    changes: list[Change] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    deeds: list[Deed] = field(default_factory=list)
    moves: list[tuple[int, Move | str, Row]] = field(default_factory=list)
    """The number of each change that was a move, the move, and the row after it."""
    expired: bool = False
    """Whether it was removed because it had not been started in time."""

    @property
    def first(self) -> Row:
        """The row as it was first."""
        row = self.changes[0].new
        assert row
        return row

    @property
    def last(self) -> Row | None:
        """The row as it is now, None when it is gone."""
        return self.changes[-1].new

    @property
    def kind(self) -> str:
        """The kind of the job."""
        return str(self.first["kind"])

    @property
    def values(self) -> dict[str, Any]:
        """The fields of its document as they were first."""
        found: dict[str, Any] = json.loads(self.first["fields"])
        return found

    @property
    def was_destroyed(self) -> bool:
        """Whether somebody told an actor to remove it."""
        return any(deed.command["do"] in ("destroy", "delete") for deed in self.deeds)

    def row_at(self, seq: int) -> Row | None:
        """Return the row as it was after a change, None when there was none."""
        return next((change.new for change in reversed(self.changes) if change.seq <= seq), None)

    def rows_between(self, before: int, after: int) -> list[Row | None]:
        """Return the row as it was at one moment and at all later ones up to another; None where there was none."""
        return [self.row_at(before), *(change.new for change in self.changes if before < change.seq <= after)]

    def told(self, moment: str) -> list[Line]:
        """Return the lines of a moment."""
        return [line for line in self.lines if line.moment == moment]

    def story(self) -> str:
        """Return all of it in order, for people."""
        entries: list[tuple[tuple[int, int, int], str]] = [((change.seq, 0, 0), str(change)) for change in self.changes]
        entries += [((line.seen, 1, line.place), str(line)) for line in self.lines]
        for deed in self.deeds:
            end = deed.reply["after"] if deed.reply else deed.begun
            entries.append(((end, 2, 0), str(deed)))
        return "\n".join(text for _, text in sorted(entries, key=lambda entry: entry[0]))


class History:
    """The records of an example. `judge` returns what is wrong."""

    def __init__(
        self,
        changes: list[Change],
        lines: list[Line],
        deeds: list[Deed],
        outputs: dict[str, list[str]],
        *,
        disturbed: bool,
        orphaned: bool,
    ) -> None:
        self._changes = changes
        self._outputs = outputs
        self._orphaned = orphaned
        self._disturbed = disturbed or any(deed.command.get("values", {}).get("dies_at") for deed in deeds)
        self._wrong: list[str] = []
        self._blamed: dict[str, None] = {}
        lives: defaultdict[str, list[Any]] = defaultdict(lambda: [[], [], []])
        for position, records in enumerate((changes, lines, deeds)):
            for record in records:
                if record.job:
                    lives[record.job][position].append(record)
        self.lives = {job: Life(job, *records) for job, records in lives.items() if _is_whole(*records)}
        self._deeds = deeds

    def judge(self, errors: Sequence[tuple[str | None, str]]) -> list[str]:
        """Return what is wrong, the errors that are known already too, with the whole stories of the jobs."""
        for job, text in errors:
            self._note(job, text)
        for job, life in self.lives.items():
            if not life.changes:
                if any(deed.error is None for deed in life.deeds if deed.command["do"] == "create"):
                    self._note(job, "it was created, and the store never had it")
                continue
            self._judge_changes(life)
            self._judge_fields(life)
            self._judge_attempts(life)
            if not self._orphaned:
                self._judge_overlap(life)
            self._judge_after_hooks(life)
            self._judge_last(life)
            self._judge_output(life)
            for deed in life.deeds:
                self._judge_answer(life, deed)
        for deed in self._deeds:
            if deed.job is None:
                self._judge_bare_answer(deed)
        self._judge_limits()
        self._judge_keys()
        blamed = {job: life for job, life in self.lives.items() if job in self._blamed}
        stories = [f"--- {job} ({life.kind})\n{life.story()}" for job, life in blamed.items()]
        return [*self._wrong, *stories] if self._wrong else []

    def _note(self, job: str | None, text: str) -> None:
        self._wrong.append(f"{job}: {text}" if job else text)
        if job:
            self._blamed[job] = None

    # Moves ------------------------------------------------------------------------------------------

    def _judge_changes(self, life: Life) -> None:
        for change in life.changes:
            if change.old is None:
                assert change.new
                if (change.new["state"], change.new["attempt"]) != ("queued", 0):
                    self._note(life.job, f"inserted as {change.new['state']}")
            elif change.new is None or change.new["draft"] > change.old["draft"]:
                self._judge_end(life, change)
            else:
                found = explain(change)
                if found is None:
                    self._note(life.job, f"no row of the table explains {change}")
                else:
                    self._take_moves(life, change, found)

    def _take_moves(self, life: Life, change: Change, found: Explanation) -> None:
        old, new = change.old, change.new
        assert old
        assert new
        life.moves += [(change.seq, move, new) for move in found]
        if Move.FAIL in found and new["exception"] is not None:
            name = json.loads(new["exception"])["class_name"]
            if name not in (AFTER_KILLS if self._disturbed else FAILURES):
                self._note(life.job, f"failed for an unexpected reason: {new['exception']}")
        if Move.FAIL in found and new["exception"] is None:
            self._note(life.job, f"failed without a reason: {change}")
        if Move.COMPLETE in found and not life.first["batch"] and "complete" not in _moves_told(life):
            worked = json.loads(new["fields"])["worked"]
            if worked != new["attempt"]:
                self._note(life.job, f"completed, but what perform changed is not stored: worked is {worked}")

    def _judge_end(self, life: Life, change: Change) -> None:
        """A job goes when somebody destroys it, or when it is completed and to be destroyed."""
        old = change.old
        assert old
        if life.was_destroyed or old["draft"]:
            return
        if old["state"] == "queued" and old["expires_at"] is not None:
            life.expired = True
            return
        if old["state"] == "completed" and old["destroy_on_complete"] and not old["pending_hooks"]:
            return
        through = any(line.attempt == old["attempt"] for line in life.told("performed"))
        if change.new is None and old["state"] == "running" and old["destroy_on_complete"] and through:
            life.moves.append((change.seq, Move.COMPLETE, old))
            return
        self._note(life.job, f"it vanished: {change}")

    def _judge_last(self, life: Life) -> None:
        """In the end a job is completed, aborted or gone, and nobody holds it or is still to do anything for it."""
        row = life.last
        if row is None or (row["draft"] and row["uploader"]):
            return
        if row["state"] not in FINAL or any(row[name] for name in _OWNERS):
            self._note(life.job, f"it has not ended: {row}")
        if row["state"] == "completed" and row["destroy_on_complete"] and not row["exception"]:
            self._note(life.job, "it is completed and was to be destroyed, but is still there")

    # Edits ------------------------------------------------------------------------------------------

    def _judge_fields(self, life: Life) -> None:
        for change in life.changes:
            if change.old is None or change.new is None:
                continue
            before, now = ordinals_in(change.old), ordinals_in(change.new)
            for name, number in now.items():
                if number is None or number < (before[name] or 0):
                    self._note(life.job, f"edit {before[name]} of {name} was overwritten: {change}")
        for deed in life.deeds:
            edits = deed.command.get("edits")
            if not edits or deed.error or deed.reply is None:
                continue
            row = life.row_at(deed.reply["after"])
            for name, value in edits.items():
                if row is not None and (ordinals_in(row)[name] or 0) < (ordinal_of(name, value) or 0):
                    self._note(life.job, f"an edit was not stored: {deed}")

    def _judge_output(self, life: Life) -> None:
        """The output of a completed batch job has a result of each record once, those of one upload in their order."""
        output = self._outputs.get(life.job)
        if output is None or "complete" in _moves_told(life):
            return
        expected = {"base": life.values["records"]}
        perhaps = {}
        for deed in life.deeds:
            if deed.command["do"] == "upload":
                known = expected if deed.reply and not deed.error else perhaps
                known[deed.command["name"]] = deed.command["count"]
        names = list(dict.fromkeys(result.partition(":")[0] for result in output))
        wanted = [f"{name}:{number}!" for name in names for number in range(1, {**perhaps, **expected}[name] + 1)]
        if output != wanted or not expected.keys() <= set(names):
            self._note(life.job, f"its output is {output}, and not {wanted} with {', '.join(expected)}")

    # Hooks ------------------------------------------------------------------------------------------

    def _judge_attempts(self, life: Life) -> None:
        """The hooks of each attempt come in their order, between the start and the end of the attempt."""
        by_thread: defaultdict[tuple[str, int], list[Line]] = defaultdict(list)
        for line in life.lines:
            if not line.by_actor:
                by_thread[line.thread, line.attempt].append(line)
        for (_, attempt), lines in by_thread.items():
            if life.first["batch"]:
                self._judge_order(life, lines, _chain(_BEFORE), _BEFORE[0])
                self._judge_order(life, lines, _chain(_AFTER), _AFTER[0])
                self._judge_order(life, lines, _NEXT_OF_SLICE, "before_slice")
            else:
                wanted = _chain(_ATTEMPT[:-1] if life.values["behaviour"] == "complete" else _ATTEMPT)
                if life.kind in HOOKLESS:
                    wanted = _chain(("perform", "performed"))
                self._judge_order(life, lines, wanted, next(iter(wanted)))
            self._judge_moments(life, attempt, lines)

    def _judge_order(self, life: Life, lines: list[Line], following: dict[str, set[str]], first: str) -> None:
        before: Line | None = None
        for line in lines:
            if line.moment not in following:
                continue
            fits = line.moment in following[before.moment] if before else line.moment == first
            if not fits and (line.moment != first or (before is not None and not life.first["batch"])):
                self._note(life.job, f"{line.moment} came after {before.moment if before else 'nothing'}: {line}")
            before = line

    def _judge_moments(self, life: Life, attempt: int, lines: list[Line]) -> None:
        inside = {*_ATTEMPT, *_BEFORE, *_AFTER, *_NEXT_OF_SLICE}
        own = [line for line in lines if line.moment in inside]
        started = next((seq for seq, move, row in life.moves if move is Move.START and row["attempt"] == attempt), 0)
        for line in own:
            if line.seen < started:
                self._note(life.job, f"before the start of its attempt (#{started}): {line}")
        if life.first["batch"]:
            return
        for seq, move, row in life.moves:
            if move is Move.COMPLETE and row["attempt"] == attempt and "complete" not in _moves_told(life):
                for line in own:
                    if line.seen >= seq:
                        self._note(life.job, f"after the attempt was completed (#{seq}): {line}")
                if life.kind not in HOOKLESS and not life.told("before_complete"):
                    self._note(life.job, f"completed without before_complete (#{seq})")

    def _judge_after_hooks(self, life: Life) -> None:
        """Each move is followed by its hooks, at least once, and after its commit; once when nothing was killed."""
        if life.kind in HOOKLESS:
            return
        due: list[tuple[str, int]] = []
        for change in life.changes:
            if change.old is None or change.new is None:
                continue
            before = (change.old["pending_hooks"] or "").split()
            now = (change.new["pending_hooks"] or "").split()
            kept = next(count for count in range(len(before), -1, -1) if before[len(before) - count :] == now[:count])
            for moment, since in due[: len(before) - kept]:
                if moment.startswith("after_") and not any(line.seen >= since for line in life.told(moment)):
                    self._note(life.job, f"{moment}, due since #{since}, was never called: {change}")
            due = due[len(before) - kept :] + [(moment, change.seq) for moment in now[kept:]]
            for seq, move, _ in life.moves:
                hooked = move not in (Move.START, Move.REQUEUE) and isinstance(move, Move)
                if seq == change.seq and hooked and f"after_{move}" not in now:
                    self._note(life.job, f"the hooks that follow {move} are not due: {change}")
        if not self._disturbed:
            self._judge_counts(life)

    def _judge_counts(self, life: Life) -> None:
        counted = sum(f"after_{move}" == line.moment for line in life.lines for move in Move if move is not Move.START)
        if life.last is not None and not life.values["raises_at"]:
            hooked = json.loads(life.last["fields"])["hooked"]
            if hooked != counted:
                self._note(life.job, f"{counted} hooks were called after moves, and what {hooked} changed is stored")
        for move in Move:
            made = sum(found is move for _, found, _ in life.moves)
            told = len(life.told(f"after_{move}"))
            if move is Move.START or (told < made and (life.was_destroyed or life.expired)):
                continue
            if told != made and not (move is Move.REQUEUE and told < made):
                self._note(life.job, f"{move} was made {made} times, and after_{move} called {told} times")

    def _judge_overlap(self, life: Life) -> None:
        """No two calls of `perform`, of a batch job with the same record, at once: unless one was killed."""
        calls: defaultdict[str, list[Line]] = defaultdict(list)
        for line in life.lines:
            if line.moment in ("perform", "performed"):
                calls[line.thread].append(line)
        ended = [
            (begin, end)
            for lines in calls.values()
            for begin, end in pairwise(lines)
            if (begin.moment, end.moment) == ("perform", "performed")
        ]
        for begin, end in ended:
            for other in life.told("perform"):
                within = begin.place < other.place < end.place
                if within and other.record == begin.record and other.thread != begin.thread:
                    self._note(life.job, f"performed twice at once: {begin} and {other}")

    # Answers ----------------------------------------------------------------------------------------

    def _judge_answer(self, life: Life, deed: Deed) -> None:
        """What an actor was answered is true of some moment between question and answer."""
        if deed.reply is None:
            if not self._disturbed:
                self._note(life.job, f"an actor died: {deed}")
            return
        rows = life.rows_between(deed.reply["before"], deed.reply["after"])
        command, told = deed.command, deed.reply["told"]
        match deed.error:
            case None:
                self._judge_done(life, deed, told)
            case "InvalidMove" if command["do"] == "move":
                knows = deed.actor != STRANGER
                if not any(row and not applies(Move(command["move"]), row, knows=knows) for row in rows):
                    self._note(life.job, f"refused, but it applied all the time: {deed}")
            case "InvalidMove" if command["do"] == "upload":
                if not any(row and _takes_nothing(row) for row in rows):
                    self._note(life.job, f"refused, but the job took records: {deed}")
            case "JobNotFound":
                if not any(row is None or row["draft"] for row in rows):
                    self._note(life.job, f"not found, but there all the time: {deed}")
            case "DuplicateJob":
                self._judge_refusal(deed, life.first["unique_key"])
            case "OopsError":
                if not life.values["raises_at"]:
                    self._note(life.job, f"an error from nowhere: {deed}")
            case _:
                self._note(life.job, f"an unexpected answer: {deed}")

    def _judge_done(self, life: Life, deed: Deed, told: list[str]) -> None:
        assert deed.reply
        between = range(deed.reply["before"] + 1, deed.reply["after"] + 1)
        match deed.command["do"]:
            case "move":
                move = Move(deed.command["move"])
                if not any(seq in between and made is move for seq, made, _ in life.moves):
                    self._note(life.job, f"said to be done, and was not: {deed}")
                if deed.actor != STRANGER and life.kind not in HOOKLESS and told[:1] != [f"before_{move}"]:
                    self._note(life.job, f"without before_{move} ({told}): {deed}")
            case "create" if life.kind not in HOOKLESS:
                if told != (_CREATED_AS_DRAFT if "uploading" in told else _CREATED):
                    self._note(life.job, f"hooks of a creation in another order ({told}): {deed}")
            case "edit" | "update" if life.kind not in HOOKLESS:
                if told != _UPDATED:
                    self._note(life.job, f"hooks of a save in another order ({told}): {deed}")
            case "destroy" if life.kind not in HOOKLESS and deed.actor != STRANGER:
                if told != ["before_destroy", "after_destroy"]:
                    self._note(life.job, f"hooks of destroying in another order ({told}): {deed}")

    def _judge_bare_answer(self, deed: Deed) -> None:
        """An answer about no job, or about one that was never stored."""
        key = deed.command.get("values", {}).get("name")
        if deed.reply is None:
            if not self._disturbed:
                self._note(None, f"an actor died: {deed}")
        elif deed.error == "DuplicateJob" and key:
            self._judge_refusal(deed, f'Only ["{key}"]')
        elif deed.error and not (deed.error == "OopsError" and self._any_raises()):
            self._note(None, f"an unexpected answer: {deed}")

    def _any_raises(self) -> bool:
        return any(life.values["raises_at"] for life in self.lives.values() if life.changes)

    def _judge_refusal(self, deed: Deed, key: str | None) -> None:
        assert deed.reply
        for life in self.lives.values():
            if life.changes and life.job != deed.job:
                rows = life.rows_between(deed.reply["before"], deed.reply["after"])
                if any(row and row["unique_key"] == key and row["state"] in WAITING for row in rows):
                    return
        self._note(deed.job, f"refused for a key ({key}) that nobody else had: {deed}")

    # All jobs together ------------------------------------------------------------------------------

    def _judge_limits(self) -> None:
        running: dict[str, str] = {}
        for change in self._changes:
            row = change.new
            if row is not None and row["state"] == "running" and row["limit_name"]:
                running[change.job] = row["limit_name"]
            else:
                running.pop(change.job, None)
            for name, most in LIMITS.items():
                if (count := sum(found == name for found in running.values())) > most:
                    self._note(change.job, f"{count} jobs run under the limit {name} of {most}: {change}")

    def _judge_keys(self) -> None:
        held: dict[str, str] = {}
        for change in self._changes:
            row = change.new
            held.pop(change.job, None)
            if row is not None and row["unique_key"] and row["state"] in WAITING:
                if row["unique_key"] in held.values():
                    self._note(change.job, f"the second of its unique key: {change}")
                held[change.job] = row["unique_key"]


def _is_whole(changes: list[Change], _: list[Line], deeds: list[Deed]) -> bool:
    """Whether the job is one of this example, and not one of an earlier one that goes."""
    return changes[0].old is None if changes else bool(deeds)


def _takes_nothing(row: Row) -> bool:
    """Whether a batch job takes no records from elsewhere: it has ended, it is in its own hooks, or takes others."""
    inside = row["state"] == "running" and row["sub_state"] in ("before", "after")
    return row["state"] in FINAL or inside or row["uploader"] is not None


def _chain(moments: tuple[str, ...]) -> dict[str, set[str]]:
    return {moment: {following} for moment, following in zip(moments, (*moments[1:], ""), strict=True)}


def _moves_told(life: Life) -> Iterator[str]:
    return (str(deed.command["move"]) for deed in life.deeds if deed.command["do"] == "move")
