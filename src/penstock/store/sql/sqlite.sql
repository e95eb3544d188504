-- SQLite has one writer at a time, so a claim needs no row locks: it runs inside BEGIN IMMEDIATE.

-- name: insert_job
INSERT INTO jobs (id, kind, batch, draft, uploader, state, sub_state, priority, runnable, created_at, run_at,
                  expires_at, started_at, completed_at, server, worker, attempt, failure_count, crash_count,
                  destroy_on_complete, percent_complete, record_count, exception, result, fields)
VALUES (:id, :kind, :batch, :draft, :uploader, :state, :sub_state, :priority, :runnable, :created_at, :run_at,
        :expires_at, :started_at, :completed_at, :server, :worker, :attempt, :failure_count, :crash_count,
        :destroy_on_complete, :percent_complete, :record_count, :exception, :result, :fields)

-- name: job
SELECT {job_columns} FROM jobs WHERE id = ?

-- name: delete_job
DELETE FROM jobs WHERE id = ?

-- name: refresh_runnable
-- A running batch job is runnable while it processes: a claim that finds nothing queued clears it.
UPDATE jobs SET runnable =
    CASE WHEN draft = 1 THEN 0
         WHEN state = 'queued' THEN run_at IS NULL OR run_at <= :now
         WHEN state = 'running' THEN batch = 1 AND sub_state = 'processing'
         ELSE 0 END
WHERE id = :id

-- name: release_due_jobs
UPDATE jobs SET runnable = 1 WHERE state = 'queued' AND runnable = 0 AND draft = 0 AND run_at <= ?

-- name: next_due
SELECT min(run_at) FROM jobs WHERE state = 'queued' AND runnable = 0 AND draft = 0 AND run_at > 0

-- name: candidates_of_kind
SELECT {job_columns} FROM jobs WHERE runnable = 1 AND kind = ? ORDER BY priority, id

-- name: candidate
SELECT {job_columns} FROM jobs WHERE runnable = 1 AND id = ?

-- name: claim_job
-- The attempt tells a row that was read before others had the job from one read just now.
UPDATE jobs SET state = 'running', runnable = 0, started_at = ?, server = ?, attempt = attempt + 1
WHERE id = ? AND attempt = ? AND state = 'queued' AND draft = 0

-- name: start_batch
UPDATE jobs SET state = 'running', sub_state = :sub_state, started_at = coalesce(started_at, :now),
                server = CASE WHEN :sub_state = 'before' THEN :server END,
                attempt = attempt + 1, runnable = (:sub_state = 'processing')
WHERE id = :id AND state = 'queued' AND draft = 0
RETURNING {job_columns}

-- name: exhaust_job
UPDATE jobs SET runnable = 0 WHERE id = ?

-- name: delete_settled_job
DELETE FROM jobs WHERE id = ? AND attempt = ? AND state = 'running'

-- name: hand_back_job
UPDATE jobs SET state = 'queued', sub_state = NULL, runnable = 1, started_at = NULL, server = NULL, worker = NULL,
                crash_count = crash_count + :crashes
WHERE id = :id AND attempt = :attempt AND state = 'running' AND (sub_state IS NULL OR sub_state = 'before')

-- name: hand_back_batch_end
UPDATE jobs SET sub_state = 'processing', runnable = 1, server = NULL, worker = NULL,
                crash_count = crash_count + :crashes
WHERE id = :id AND attempt = :attempt AND state = 'running' AND sub_state = 'after'

-- name: jobs_held_by
SELECT id, attempt FROM jobs WHERE server = ? AND state = 'running'

-- name: abandoned_drafts
SELECT id, draft, uploader, created_at FROM jobs WHERE draft = 1 OR uploader IS NOT NULL

-- name: drafts
SELECT {job_columns} FROM jobs WHERE draft = 1 AND uploader IS NOT NULL ORDER BY id DESC

-- name: insert_slice
INSERT INTO slices (id, job_id, category, number, state, first_record, record_count, bytes)
VALUES (?, ?, ?, ?, 'queued', ?, ?, ?)

-- name: insert_payload
INSERT INTO slice_payloads (slice_id, payload) VALUES (?, ?)

-- name: last_slice_id
SELECT coalesce(max(id), 0) FROM slices

-- name: count_slices
UPDATE jobs SET slice_count = slice_count + :added,
                runnable = CASE WHEN state = 'running' AND sub_state = 'processing' AND draft = 0 THEN 1 ELSE runnable END
WHERE id = :job_id
RETURNING slice_count

-- name: queued_slices
SELECT id, number, first_record, record_count, done, attempt, bytes, category, crash_count FROM slices
WHERE job_id = ? AND state = 'queued' ORDER BY number LIMIT ?

-- name: claim_slice
UPDATE slices SET state = 'running', server = ?, attempt = attempt + 1, exception = NULL WHERE id = ?

-- name: payload
SELECT payload FROM slice_payloads WHERE slice_id = ?

-- name: delete_settled_slice
-- Ids are used again once their rows are gone, so the job and the number are named too.
DELETE FROM slices WHERE id = ? AND job_id = ? AND number = ? AND attempt = ? AND state = 'running'

-- name: delete_payload
DELETE FROM slice_payloads WHERE slice_id = ?

-- name: fail_slice
UPDATE slices SET state = 'failed', server = NULL, done = :done, exception = :exception,
                  failure_count = failure_count + 1
WHERE id = :slice_id AND job_id = :job_id AND number = :number AND attempt = :attempt AND state = 'running'

-- name: insert_output
INSERT INTO output_slices (job_id, category, number, part, record_count, payload) VALUES (?, ?, ?, ?, ?, ?)

-- name: add_progress
INSERT INTO progress (job_id, server, records) VALUES (?, ?, ?)
ON CONFLICT (job_id, server) DO UPDATE SET records = records + excluded.records

-- name: hand_back_slice
UPDATE slices SET state = 'queued', server = NULL, crash_count = crash_count + :crashes
WHERE id = :slice_id AND job_id = :job_id AND number = :number AND attempt = :attempt AND state = 'running'
RETURNING crash_count

-- name: release_slices_of
UPDATE slices SET state = 'queued', server = NULL WHERE state = 'running' AND server = ? RETURNING job_id

-- name: retry_slices
UPDATE slices SET state = 'queued', crash_count = 0 WHERE job_id = ? AND state = 'failed'

-- name: standing
SELECT EXISTS (SELECT 1 FROM slices WHERE job_id = :job_id AND state = 'queued'),
       EXISTS (SELECT 1 FROM slices WHERE job_id = :job_id AND state = 'running'),
       (SELECT count(*) FROM slices WHERE job_id = :job_id AND state = 'failed')

-- name: failed_slices
SELECT id, category, number, state, attempt, first_record, record_count, done, failure_count, crash_count, exception
FROM slices WHERE job_id = :job_id AND state = 'failed' AND number > :after ORDER BY number LIMIT :limit

-- name: slice_counts
SELECT state, count(*) FROM slices WHERE job_id = ? GROUP BY state

-- name: first_unfinished
SELECT min(number) FROM slices WHERE job_id = ? AND category = 'main'

-- name: outputs
SELECT number, part, record_count, payload FROM output_slices
WHERE job_id = :job_id AND category = :category AND (number, part) > (:number, :part) AND number < :before
ORDER BY number, part LIMIT :limit

-- name: drop_payloads
DELETE FROM slice_payloads WHERE slice_id IN (SELECT id FROM slices WHERE job_id = :job_id ORDER BY category, number LIMIT :limit)

-- name: drop_slices
DELETE FROM slices WHERE id IN (SELECT id FROM slices WHERE job_id = :job_id ORDER BY category, number LIMIT :limit)

-- name: drop_outputs
DELETE FROM output_slices WHERE id IN (SELECT id FROM output_slices WHERE job_id = :job_id LIMIT :limit)

-- name: unfinished_slices
SELECT id FROM slices WHERE job_id = :job_id
    AND first_record > (SELECT coalesce(record_count, 0) FROM jobs WHERE id = :job_id)

-- name: drop_progress
DELETE FROM progress WHERE job_id = ?

-- name: records_by_state
-- The records of a failed slice before the failed one are processed.
SELECT state, sum(record_count - done) FROM slices WHERE job_id = ? GROUP BY state

-- name: records_by_output
SELECT category, sum(record_count) FROM output_slices WHERE job_id = ? GROUP BY category

-- name: records_processed
SELECT coalesce(sum(records), 0) FROM progress WHERE job_id = ?

-- name: missing_payloads
SELECT count(*) FROM slices WHERE job_id = ? AND NOT EXISTS (SELECT 1 FROM slice_payloads WHERE slice_id = slices.id)

-- name: failed_count
SELECT count(*) FROM slices WHERE job_id = ? AND state = 'failed'

-- name: register_server
INSERT INTO servers (name, host, pid, state, started_at, heartbeat, processes, slots)
VALUES (:name, :host, :pid, :state, :started_at, :heartbeat, :processes, :slots)

-- name: beat
UPDATE servers SET heartbeat = heartbeat + 1, state = ? WHERE name = ?

-- name: servers
SELECT name, host, pid, state, started_at, heartbeat, processes, slots FROM servers ORDER BY started_at, name

-- name: remove_server
DELETE FROM servers WHERE name = ?
