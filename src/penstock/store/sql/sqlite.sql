-- SQLite has one writer at a time, so a claim needs no row locks: it runs inside BEGIN IMMEDIATE.

-- name: insert_job
INSERT INTO jobs ({job_columns}, runnable) VALUES ({job_places}, ?)

-- name: job
SELECT {job_columns} FROM jobs WHERE id = ?

-- name: delete_job
DELETE FROM jobs WHERE id = ?

-- name: refresh_runnable
-- A running batch job is runnable while it processes: a claim that finds nothing queued clears it. One that is queued
-- again and still has a server is run by that server's worker, which was not told to stop: it waits for its end.
UPDATE jobs SET runnable =
    CASE WHEN draft = 1 OR held_until > :now THEN 0
         WHEN state = 'queued' THEN server IS NULL AND (run_at IS NULL OR run_at <= :now)
         WHEN state = 'running' THEN batch = 1 AND sub_state = 'processing'
         ELSE 0 END
WHERE id = :id

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

-- name: jobs_due_for_hooks
SELECT {job_columns} FROM jobs WHERE pending_hooks IS NOT NULL AND hooks_server IS NULL AND kind = ? AND draft = 0
ORDER BY id

-- name: hooks_of
SELECT pending_hooks, hooks_server FROM jobs WHERE id = ? AND pending_hooks IS NOT NULL

-- name: claim_hooks
UPDATE jobs SET hooks_server = ? WHERE id = ? AND pending_hooks IS NOT NULL AND hooks_server IS NULL

-- name: hooks_servers
SELECT DISTINCT hooks_server FROM jobs WHERE pending_hooks IS NOT NULL AND hooks_server IS NOT NULL

-- name: release_hooks
UPDATE jobs SET hooks_server = NULL WHERE hooks_server = ? AND pending_hooks IS NOT NULL

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
                runnable = CASE WHEN state = 'running' AND sub_state = 'processing' AND draft = 0 AND held_until IS NULL
                           THEN 1 ELSE runnable END
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

-- name: stop_slice
UPDATE slices SET state = :state, server = NULL, done = :done, exception = :exception,
                  failure_count = failure_count + :failures
WHERE id = :slice_id AND job_id = :job_id AND number = :number AND attempt = :attempt AND state = 'running'

-- name: insert_output
INSERT INTO output_slices (job_id, category, number, part, record_count, payload) VALUES (?, ?, ?, ?, ?, ?)

-- name: add_progress
INSERT INTO progress (job_id, server, records, rejected) VALUES (?, ?, ?, ?)
ON CONFLICT (job_id, server) DO UPDATE SET records = records + excluded.records, rejected = rejected + excluded.rejected

-- name: statistics_by
SELECT statistics FROM progress WHERE job_id = ? AND server = ?

-- name: set_statistics
INSERT INTO progress (job_id, server, records, statistics) VALUES (?, ?, 0, ?)
ON CONFLICT (job_id, server) DO UPDATE SET statistics = excluded.statistics

-- name: statistics
SELECT statistics FROM progress WHERE job_id = ? AND statistics <> '{}'

-- name: drop_output
DELETE FROM output_slices WHERE job_id = ? AND category = ? AND number = ? AND part = ?

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

-- name: retry_slices
UPDATE slices SET state = 'queued', crash_count = 0 WHERE job_id = ? AND state = 'failed'

-- name: standing
SELECT EXISTS (SELECT 1 FROM slices WHERE job_id = :job_id AND state = 'queued'),
       EXISTS (SELECT 1 FROM slices WHERE job_id = :job_id AND state = 'running'),
       (SELECT count(*) FROM slices WHERE job_id = :job_id AND state = 'failed')

-- name: failed_slices
SELECT id, category, number, state, attempt, first_record, record_count, done, failure_count, crash_count, exception
FROM slices WHERE job_id = :job_id AND state = 'failed' AND number > :after ORDER BY number LIMIT :limit

-- name: failed_slice_of
SELECT id, category, number, state, attempt, first_record, record_count, done, failure_count, crash_count, exception
FROM slices
WHERE job_id = :job_id AND state = 'failed' AND category = 'main'
  AND first_record <= :record AND first_record + record_count > :record

-- name: failed_payload
SELECT payload FROM slices JOIN slice_payloads ON slice_id = id
WHERE id = :slice_id AND job_id = :job_id AND number = :number AND attempt = :attempt AND state = 'failed' AND done = :done

-- name: edit_failed_payload
UPDATE slice_payloads SET payload = :payload WHERE slice_id = (
    SELECT id FROM slices WHERE id = :slice_id AND job_id = :job_id AND number = :number AND attempt = :attempt
                            AND state = 'failed' AND done = :done)

-- name: pass_failed_record
UPDATE slices SET done = done + 1, state = 'queued', exception = NULL, crash_count = 0
WHERE id = :slice_id AND job_id = :job_id AND number = :number AND attempt = :attempt AND state = 'failed' AND done = :done

-- name: drop_done_slice
DELETE FROM slices WHERE id = ? AND state = 'queued' AND done >= record_count

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
SELECT coalesce(sum(records), 0), coalesce(sum(rejected), 0) FROM progress WHERE job_id = ?

-- name: missing_payloads
SELECT count(*) FROM slices WHERE job_id = ? AND NOT EXISTS (SELECT 1 FROM slice_payloads WHERE slice_id = slices.id)

-- name: failed_count
SELECT count(*) FROM slices WHERE job_id = ? AND state = 'failed'

-- name: register_server
INSERT INTO servers (name, host, pid, state, started_at, heartbeat, processes, slots, command, answer, kinds, holding, nodes)
VALUES (:name, :host, :pid, :state, :started_at, :heartbeat, :processes, :slots, :command, :answer, :kinds, :holding, :nodes)

-- name: beat
UPDATE servers SET heartbeat = heartbeat + 1, state = ?, kinds = ?, holding = ?, nodes = ? WHERE name = ?

-- name: servers
SELECT name, host, pid, state, started_at, heartbeat, processes, slots, command, answer, kinds, holding, nodes
FROM servers ORDER BY started_at, name

-- name: ask_server
UPDATE servers SET command = ?, answer = NULL WHERE name = ?

-- name: command_of
SELECT command FROM servers WHERE name = ?

-- name: answer_command
UPDATE servers SET command = NULL, answer = ? WHERE name = ? AND command = ?

-- name: remove_server
DELETE FROM servers WHERE name = :name AND heartbeat = coalesce(:heartbeat, heartbeat)

-- name: insert_entry
INSERT INTO dirmon_entries (name, pattern, kind, properties, archive, after, state, error, created_at)
VALUES (:name, :pattern, :kind, :properties, :archive, :after, :state, :error, :created_at)

-- name: entries
SELECT name, pattern, kind, properties, archive, after, state, error, created_at FROM dirmon_entries ORDER BY name

-- name: entry
SELECT name, pattern, kind, properties, archive, after, state, error, created_at FROM dirmon_entries WHERE name = ?

-- name: delete_entry
DELETE FROM dirmon_entries WHERE name = ?

-- name: kept_inputs
SELECT slices.id, category, number, first_record, exception, payload FROM slices JOIN slice_payloads ON slice_id = slices.id
WHERE job_id = :job_id AND (category, number) > (:category, :number)
    AND (substr(payload, 1, :length) = :beginning OR exception IS NOT NULL)
ORDER BY category, number LIMIT :limit

-- name: kept_outputs
SELECT id, category, number, part, payload FROM output_slices
WHERE job_id = :job_id AND (category, number, part) > (:category, :number, :part)
    AND substr(payload, 1, :length) = :beginning
ORDER BY category, number, part LIMIT :limit

-- name: replace_input
UPDATE slice_payloads SET payload = :new WHERE slice_id = :id AND payload = :old

-- name: replace_output
UPDATE output_slices SET payload = :new WHERE id = :id AND payload = :old

-- name: replace_exception
UPDATE slices SET exception = :new WHERE id = :id AND exception = :old

-- name: fact
SELECT value FROM facts WHERE name = ?

-- name: note_fact
INSERT INTO facts (name, value) VALUES (?, ?) ON CONFLICT (name) DO NOTHING

-- name: forget_fact
DELETE FROM facts WHERE name = ?

-- name: slice_owners
-- From job to job by a seek each, however many slices they have.
WITH RECURSIVE owner (job_id) AS (
    SELECT min(found) FROM (SELECT min(job_id) AS found FROM slices UNION ALL SELECT min(job_id) FROM output_slices
                            UNION ALL SELECT min(job_id) FROM progress)
    UNION ALL
    SELECT (SELECT min(found) FROM (SELECT min(job_id) AS found FROM slices WHERE job_id > owner.job_id
                                    UNION ALL SELECT min(job_id) FROM output_slices WHERE job_id > owner.job_id
                                    UNION ALL SELECT min(job_id) FROM progress WHERE job_id > owner.job_id))
    FROM owner WHERE owner.job_id IS NOT NULL
)
SELECT job_id FROM owner WHERE job_id IS NOT NULL

-- name: add_audit
INSERT INTO audit (at, who, origin, action, target, before, after, error) VALUES (?, ?, ?, ?, ?, ?, ?, ?)

-- name: audit
SELECT id, at, who, origin, action, target, before, after, error FROM audit WHERE /* conditions */
ORDER BY id DESC LIMIT ?

-- name: add_figures
INSERT INTO figures (minute, completed, failed, retried, records, failed_slices)
VALUES (:minute, :completed, :failed, :retried, :records, :failed_slices)
ON CONFLICT (minute) DO UPDATE SET
    completed = completed + excluded.completed, failed = failed + excluded.failed,
    retried = retried + excluded.retried, records = records + excluded.records,
    failed_slices = failed_slices + excluded.failed_slices

-- name: drop_figures
DELETE FROM figures WHERE minute < ?

-- name: figures
SELECT minute, completed, failed, retried, records, failed_slices FROM figures WHERE minute >= ? ORDER BY minute

-- name: add_log_line
INSERT INTO job_log (job_id, at, level, text, record) VALUES (?, ?, ?, ?, ?)

-- name: trim_log_of_job
DELETE FROM job_log WHERE job_id = :job_id
    AND id <= (SELECT id FROM job_log WHERE job_id = :job_id ORDER BY id DESC LIMIT 1 OFFSET :kept)

-- name: trim_log
DELETE FROM job_log WHERE id <= (SELECT max(id) FROM job_log) - ?

-- name: log_lines
SELECT id, job_id, at, level, text, record FROM job_log WHERE job_id = ? AND id > ? ORDER BY id DESC LIMIT ?

-- name: drop_log_of_job
DELETE FROM job_log WHERE job_id = ?

-- name: runnable_kinds
WITH RECURSIVE kinds (kind) AS (
    SELECT min(kind) FROM jobs WHERE runnable = 1 AND throttle_group IS NULL
    UNION ALL
    SELECT (SELECT min(kind) FROM jobs WHERE runnable = 1 AND throttle_group IS NULL AND kind > kinds.kind)
    FROM kinds WHERE kinds.kind IS NOT NULL
)
SELECT kind FROM kinds WHERE kind IS NOT NULL

-- name: has_index
SELECT 1 FROM sqlite_master WHERE type = 'index' AND name = ?

-- name: retry_some_slices
UPDATE slices SET state = 'queued', crash_count = 0 WHERE job_id = ? AND state = 'failed' AND id = ?

-- name: slice_total
SELECT slice_count FROM jobs WHERE id = ?

-- name: slice_strip
WITH RECURSIVE parts (low, high) AS (
    SELECT 1, :size UNION ALL SELECT high + 1, high + :size FROM parts WHERE high < :total
)
SELECT low, min(high, :total),
    (SELECT number FROM slices INDEXED BY slices_failed WHERE job_id = :job_id AND state = 'failed'
     AND number BETWEEN low AND high AND category = 'main' ORDER BY number LIMIT 1),
    (SELECT number FROM slices INDEXED BY slices_queued WHERE job_id = :job_id AND state = 'queued'
     AND number BETWEEN low AND high AND category = 'main' ORDER BY number LIMIT 1)
FROM parts

-- name: running_numbers
SELECT number FROM slices INDEXED BY slices_running WHERE job_id = ? AND state = 'running' AND category = 'main' LIMIT ?

-- name: slice_counts_up_to
SELECT (SELECT count(*) FROM (SELECT 1 FROM slices INDEXED BY slices_queued WHERE job_id = :job_id AND state = 'queued' LIMIT :most)),
       (SELECT count(*) FROM (SELECT 1 FROM slices INDEXED BY slices_running WHERE job_id = :job_id AND state = 'running' LIMIT :most)),
       (SELECT count(*) FROM (SELECT 1 FROM slices INDEXED BY slices_failed WHERE job_id = :job_id AND state = 'failed' LIMIT :most))

-- name: oldest_of_each
-- One seek for each kind and priority that has jobs which may start: the first of it is its oldest.
WITH RECURSIVE firsts (id, kind, priority) AS (
    SELECT * FROM (SELECT id, kind, priority FROM jobs INDEXED BY jobs_runnable
                   WHERE runnable = 1 AND throttle_group IS NULL ORDER BY kind, priority, id LIMIT 1)
    UNION ALL
    SELECT j.id, j.kind, j.priority FROM firsts JOIN jobs AS j ON j.id = coalesce(
        (SELECT id FROM jobs INDEXED BY jobs_runnable WHERE runnable = 1 AND throttle_group IS NULL
            AND kind = firsts.kind AND priority > firsts.priority ORDER BY priority, id LIMIT 1),
        (SELECT id FROM jobs INDEXED BY jobs_runnable WHERE runnable = 1 AND throttle_group IS NULL
            AND kind > firsts.kind ORDER BY kind, priority, id LIMIT 1))
    LIMIT 1000
)
SELECT id FROM firsts ORDER BY id LIMIT 1

-- name: remove_job
DELETE FROM jobs WHERE id = ? AND state = ? AND draft = 0 AND batch = 0

-- name: add_token
INSERT INTO api_tokens (name, digest, login, roles, created_at) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING

-- name: tokens
SELECT name, digest, login, roles, created_at FROM api_tokens ORDER BY name

-- name: token_of_digest
SELECT name, digest, login, roles, created_at FROM api_tokens WHERE digest = ?

-- name: remove_token
DELETE FROM api_tokens WHERE name = ?

-- name: begin_answer
INSERT INTO api_answers (id, request, created_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING

-- name: answer
SELECT id, request, created_at, status, body FROM api_answers WHERE id = ?

-- name: keep_answer
UPDATE api_answers SET status = ?, body = ? WHERE id = ?

-- name: drop_answer
DELETE FROM api_answers WHERE id = ?

-- name: drop_answers
DELETE FROM api_answers WHERE created_at < ?
