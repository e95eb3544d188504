"""Settlements in PostgreSQL: what a dispatcher gives back, many at a time."""

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from penstock.states import SliceState, State, SubState
from penstock.store.postgres.connection import Connections, again
from penstock.store.postgres.convert import OUTPUT_TYPES, Ids, stored
from penstock.store.postgres.jobs import PostgresJobs
from penstock.store.postgres.session import Session
from penstock.store.protocol import Topic
from penstock.store.rows import ClaimedSlice, JobSettlement, SliceSettlement


class PostgresSettling:
    """What a dispatcher gives back, and what is taken from dead servers."""

    connections: Connections
    sql: dict[str, str]

    @again
    def settle_jobs(self, settlements: Sequence[JobSettlement]) -> list[JobSettlement]:
        """Store how jobs ended; return those refused."""
        gone = [settlement for settlement in settlements if settlement.changes is None]
        kept = [settlement for settlement in settlements if settlement.changes is not None]
        with self.connections.transaction(Topic.ENDED) as session:
            refused = self._delete_jobs(gone, session) if gone else []
            return refused + [one for one in kept if not self._settle_job(one)]

    @again
    def settle_slices(self, settlements: Sequence[SliceSettlement], *, server: str) -> list[SliceSettlement]:
        """Store outputs and remove or fail the slices, together; return those refused."""
        with self.connections.transaction() as session:
            done = self._remove([one for one in settlements if one.exception is None and not one.rests], session)
            done |= self._stop([one for one in settlements if one.exception is not None or one.rests], session)
            accepted = [one for one in settlements if one.slice_id in done]
            self._store_outputs(accepted, session)
            self._add_progress(accepted, server, session)
            resting = {one.job_id for one in accepted if one.rests}
            if resting:
                self._refresh(session, resting)
                session.topics.add(Topic.WORK)
        return [one for one in settlements if one.slice_id not in done]

    @again
    def hand_back_job(self, job_id: UUID, attempt: int, *, crashed: bool, server: str | None = None) -> int | None:
        """Queue a job again that this attempt holds."""
        values = {"id": job_id, "attempt": attempt, "crashes": int(crashed), "server": server}
        with self.connections.transaction(Topic.WORK) as session:
            rows = session.fetch(self.sql["hand_back_job"], values) or session.fetch(
                self.sql["hand_back_batch_end"], values
            )
            if rows:
                self._refresh(session, [job_id])
            return int(rows[0][0]) if rows else None

    @again
    def let_go(self, job_id: UUID, attempt: int, *, server: str) -> None:
        """Note that the worker of an attempt that somebody else has ended is through with it."""
        values = {"id": job_id, "attempt": attempt, "server": server}
        with self.connections.transaction(Topic.WORK) as session:
            if session.change(self.sql["let_go_of_job"], values):
                self._refresh(session, [job_id])

    @again
    def hand_back_slice(
        self, job_id: UUID, claimed: ClaimedSlice, *, crashed: bool, server: str | None = None
    ) -> int | None:
        """Queue a slice again that this attempt holds."""
        values = {
            "job_id": job_id,
            "slice_id": claimed.slice_id,
            "number": claimed.number,
            "attempt": claimed.attempt,
            "crashes": int(crashed),
            "server": server,
        }
        with self.connections.transaction(Topic.WORK) as session:
            rows = session.fetch(self.sql["hand_back_slice"], values)
            if rows:
                self._refresh(session, [job_id])
            return int(rows[0][0]) if rows else None

    @again
    def release_server(self, server: str, *, heartbeat: int | None = None) -> int:
        """Queue everything again that a dead server held, and remove it."""
        with self.connections.transaction(Topic.WORK) as session:
            removed = session.change(self.sql["remove_server"], {"name": server, "heartbeat": heartbeat})
            if heartbeat is not None and not removed:
                return 0
            held = session.fetch(self.sql["jobs_held_by"], (server,))
            for job_id, attempt in held:
                values = {"id": job_id, "attempt": attempt, "crashes": 0, "server": server}
                if not session.change(self.sql["hand_back_job"], values):
                    session.execute(self.sql["hand_back_batch_end"], values)
            let_go = session.fetch(self.sql["jobs_let_go_by"], (server,))
            slices = session.fetch(self.sql["release_slices_of"], (server,))
            touched = {job_id for job_id, *_ in (*held, *let_go, *slices)}
            if touched:
                self._refresh(session, touched)
            session.execute(self.sql["release_hooks"], (server,))
            return len(held) + len(slices)

    def job_standings(self, job_ids: Sequence[UUID]) -> dict[UUID, tuple[State, SubState | None]]:
        """Return the state of each of these jobs that exists."""
        rows = self.connections.fetch(self.sql["job_standings"], (Ids(job_ids),)) if job_ids else []
        return {row[0]: (State(row[1]), SubState(row[2]) if row[2] else None) for row in rows}

    def _delete_jobs(self, settled: Sequence[JobSettlement], session: Session) -> list[JobSettlement]:
        """Remove jobs that are done; return those whose attempt is no longer the running one."""
        ids, attempts = Ids([one.id for one in settled]), [one.attempt for one in settled]
        if len(set(attempts)) == 1:
            ((gone,),) = session.fetch(self.sql["delete_settled_alike"], {"ids": ids, "attempt": attempts[0]})
        else:
            gone = [job_id for (job_id,) in session.fetch(self.sql["delete_settled_jobs"], (ids, attempts))]
        if gone is None or len(gone) == len(settled):
            return []
        deleted = set(gone)
        return [one for one in settled if one.id not in deleted]

    def _settle_job(self, settlement: JobSettlement) -> bool:
        changes = dict(settlement.changes or {})
        if settlement.fields:
            changes["fields"] = settlement.fields
        expect = {"attempt": settlement.attempt, "state": State.RUNNING}
        assert isinstance(self, PostgresJobs)
        return self.update_job(settlement.id, changes, expect=expect)

    def _remove(self, settled: Sequence[SliceSettlement], session: Session) -> set[int]:
        """Remove slices that are done, with their payloads; return the ids of those whose attempt was still theirs."""
        if not settled:
            return set()
        keys = [one.slice_id for one in settled], [one.attempt for one in settled]
        done = [slice_id for (slice_id,) in session.fetch(self.sql["delete_settled_slices"], keys)]
        session.execute(self.sql["delete_payloads"], (done,))
        return set(done)

    def _stop(self, settled: Sequence[SliceSettlement], session: Session) -> set[int]:
        """Note that slices failed or rest; return the ids of those whose attempt was still theirs."""
        if not settled:
            return set()
        columns = (
            [one.slice_id for one in settled],
            [one.attempt for one in settled],
            [str(SliceState.QUEUED if one.rests else SliceState.FAILED) for one in settled],
            [one.done for one in settled],
            [stored(one.exception) for one in settled],
            [int(not one.rests) for one in settled],
        )
        return {slice_id for (slice_id,) in session.fetch(self.sql["stop_slices"], columns)}

    def _store_outputs(self, settled: Sequence[SliceSettlement], session: Session) -> None:
        outputs = [
            (
                one.job_id,
                out.category,
                out.place[0] if out.place else one.number,
                out.place[1] if out.place else one.start,
                out.record_count,
                out.payload,
            )
            for one in settled
            for out in one.outputs
        ]
        if outputs:
            session.copy(self.sql["copy_outputs"], outputs, OUTPUT_TYPES)

    def _add_progress(self, settled: Sequence[SliceSettlement], server: str, session: Session) -> None:
        processed: Counter[UUID] = Counter()
        rejected: Counter[UUID] = Counter()
        counted: defaultdict[UUID, Counter[str]] = defaultdict(Counter)
        for one in settled:
            processed[one.job_id] += one.done - one.start
            rejected[one.job_id] += one.rejected
            if one.statistics:
                counted[one.job_id].update(one.statistics)
        if processed:
            job_ids = list(processed)
            columns = job_ids, [processed[job_id] for job_id in job_ids], [rejected[job_id] for job_id in job_ids]
            session.execute(self.sql["add_progress"], (server, *columns))
        for job_id, added in counted.items():
            found = session.fetch(self.sql["statistics_by"], (job_id, server))
            added.update(json.loads(found[0][0]) if found else {})
            session.execute(self.sql["set_statistics"], (job_id, server, json.dumps(added)))

    def _refresh(self, session: Session, job_ids: Any) -> None:
        assert isinstance(self, PostgresJobs)
        self.refresh_runnable(session, job_ids)
