-- SQLite has one writer at a time, so a claim needs no row locks: it runs inside BEGIN IMMEDIATE.

-- name: release_due_jobs
UPDATE jobs SET runnable = 1
WHERE state = 'queued' AND runnable = 0 AND draft = 0 AND held_until IS NULL AND server IS NULL AND run_at <= ?

-- name: release_held_jobs
UPDATE jobs SET held_until = NULL, runnable =
    draft = 0 AND (state = 'queued' AND server IS NULL AND (run_at IS NULL OR run_at <= :now)
                   OR state = 'running' AND batch = 1 AND sub_state = 'processing')
WHERE held_until <= :now

-- name: next_due
SELECT min(run_at) FROM jobs
WHERE state = 'queued' AND runnable = 0 AND draft = 0 AND held_until IS NULL AND run_at > 0

-- name: next_held
SELECT min(held_until) FROM jobs WHERE held_until IS NOT NULL

-- name: candidates_of_kind
SELECT {job_columns} FROM jobs WHERE runnable = 1 AND throttle_group IS NULL AND kind = ? AND {where}
ORDER BY priority, id

-- name: candidates_of_group
SELECT {job_columns} FROM jobs WHERE runnable = 1 AND throttle_group IS NOT NULL AND kind = ? AND throttle_group = ? AND {where}
ORDER BY priority, id

-- name: batches_under_way
-- As few as may run at once, where they are asked for: those of kinds that have a limit.
SELECT {job_columns} FROM jobs WHERE batch = 1 AND state = 'running' AND kind = ? AND runnable = 1 AND {where}

-- name: next_group
-- From one group to the next by a seek each, however many jobs they hold.
SELECT throttle_group FROM jobs
WHERE runnable = 1 AND throttle_group IS NOT NULL AND kind = ? AND throttle_group > ? ORDER BY throttle_group LIMIT 1

-- name: limits
SELECT name, running FROM limits WHERE running > 0

-- name: candidate
SELECT {job_columns} FROM jobs WHERE runnable = 1 AND id = ?

-- name: claim_job
-- The attempt tells a row that was read before others had the job from one read just now.
UPDATE jobs SET state = 'running', runnable = 0, started_at = ?, server = ?, limit_name = ?, attempt = attempt + 1
WHERE id = ? AND attempt = ? AND state = 'queued' AND draft = 0

-- name: claim_many
UPDATE jobs SET state = 'running', runnable = 0, started_at = ?, server = ?, limit_name = ?, attempt = attempt + 1
WHERE id IN ({many_ids}) AND attempt = ? AND state = 'queued' AND draft = 0

-- name: start_batch
UPDATE jobs SET state = 'running', sub_state = :sub_state, started_at = coalesce(started_at, :now),
                server = CASE WHEN :sub_state = 'before' THEN :server END, limit_name = :limit_name,
                throttled_by = CASE WHEN :sub_state = 'before' THEN throttled_by END,
                throttled_at = CASE WHEN :sub_state = 'before' THEN throttled_at END,
                attempt = attempt + 1, runnable = (:sub_state = 'processing')
WHERE id = :id AND state = 'queued' AND draft = 0
RETURNING {job_columns}

-- name: exhaust_job
UPDATE jobs SET runnable = 0 WHERE id = ?

-- name: delete_settled_job
DELETE FROM jobs WHERE id = ? AND attempt = ? AND state = 'running'

-- name: delete_settled_many
DELETE FROM jobs WHERE id IN ({many_ids}) AND attempt = ? AND state = 'running'

-- name: hand_back_job
-- An upload that was going on was that of `before_batch`, which is run afresh.
UPDATE jobs SET state = 'queued', sub_state = NULL, uploader = NULL, started_at = NULL, server = NULL, worker = NULL,
                crash_count = crash_count + :crashes
WHERE id = :id AND attempt = :attempt AND state = 'running' AND (:server IS NULL OR server = :server) AND (sub_state IS NULL OR sub_state = 'before')

-- name: hand_back_batch_end
UPDATE jobs SET sub_state = 'processing', server = NULL, worker = NULL,
                crash_count = crash_count + :crashes
WHERE id = :id AND attempt = :attempt AND state = 'running' AND (:server IS NULL OR server = :server) AND sub_state = 'after'

-- name: let_go_of_job
UPDATE jobs SET server = NULL WHERE id = :id AND attempt = :attempt AND server = :server AND state <> 'running'

-- name: jobs_let_go_by
UPDATE jobs SET server = NULL WHERE server = ? AND state <> 'running' RETURNING id

-- name: jobs_held_by
SELECT id, attempt FROM jobs WHERE server = ? AND state = 'running'

-- name: hold_job
-- Not to be claimed for a while; a batch job's slices rest with it.
UPDATE jobs SET held_until = :until, runnable = 0, throttled_by = :reason,
                throttled_at = CASE WHEN throttled_by IS :reason THEN throttled_at ELSE :now END
WHERE id = :id AND state IN ('queued', 'running')

-- name: running_batch_of_kind
SELECT 1 FROM jobs WHERE batch = 1 AND state = 'running' AND kind = ? LIMIT 1

-- name: running_job_of_kind
-- From server to server by a seek each: one may hold very many small jobs.
WITH RECURSIVE holding (server) AS (
    SELECT min(server) FROM jobs WHERE server IS NOT NULL
    UNION ALL
    SELECT (SELECT min(server) FROM jobs WHERE server > holding.server) FROM holding WHERE holding.server IS NOT NULL
)
SELECT 1 FROM holding WHERE EXISTS (SELECT 1 FROM jobs WHERE jobs.server = holding.server AND kind = ?) LIMIT 1

-- name: queued_slices
SELECT id, number, first_record, record_count, done, attempt, bytes, category, crash_count FROM slices
WHERE job_id = ? AND state = 'queued' ORDER BY number LIMIT ?

-- name: claim_slice
UPDATE slices SET state = 'running', server = ?, attempt = attempt + 1, exception = NULL WHERE id = ?

-- name: delete_settled_slice
-- Ids are used again once their rows are gone, so the job and the number are named too.
DELETE FROM slices WHERE id = ? AND job_id = ? AND number = ? AND attempt = ? AND state = 'running'

-- name: stop_slice
UPDATE slices SET state = :state, server = NULL, done = :done, exception = :exception,
                  failure_count = failure_count + :failures
WHERE id = :slice_id AND job_id = :job_id AND number = :number AND attempt = :attempt AND state = 'running'

-- name: statistics_by
SELECT statistics FROM progress WHERE job_id = ? AND server = ?

-- name: set_statistics
INSERT INTO progress (job_id, server, records, statistics) VALUES (?, ?, 0, ?)
ON CONFLICT (job_id, server) DO UPDATE SET statistics = excluded.statistics

-- name: running_slices
SELECT count(*) FROM slices WHERE job_id = ? AND state = 'running'

-- name: next_of_rate
SELECT next_at FROM rates WHERE name = ?

-- name: set_rate
INSERT INTO rates (name, next_at) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET next_at = excluded.next_at

-- name: hand_back_slice
UPDATE slices SET state = 'queued', server = NULL, crash_count = crash_count + :crashes
WHERE id = :slice_id AND job_id = :job_id AND number = :number AND attempt = :attempt AND state = 'running' AND (:server IS NULL OR server = :server)
RETURNING crash_count

-- name: release_slices_of
UPDATE slices SET state = 'queued', server = NULL WHERE state = 'running' AND server = ? RETURNING job_id

-- name: remove_server
DELETE FROM servers WHERE name = :name AND heartbeat = coalesce(:heartbeat, heartbeat)
