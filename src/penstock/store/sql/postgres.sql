-- Many rows come and go by one statement: arrays are bound and unnested. What two servers may want at once is locked
-- with SKIP LOCKED inside a MATERIALIZED common table expression: `IN (SELECT … LIMIT … FOR UPDATE)` may run its
-- sub-select again for each row and pass its limit. Positional values stand where conditions are put in.

-- name: insert_job
INSERT INTO {schema}.jobs ({job_columns}, runnable) VALUES ({job_places}, %s)

-- name: insert_and_announce
WITH new AS (INSERT INTO {schema}.jobs ({job_columns}, runnable) VALUES ({job_places}, %s))
SELECT pg_notify(%s, topic) FROM unnest(%s::text[]) AS given (topic)
WHERE EXISTS (SELECT 1 FROM {schema}.listeners WHERE listeners.topic = given.topic)

-- name: copy_jobs
COPY {schema}.jobs ({job_columns}, runnable) FROM STDIN (FORMAT BINARY)

-- name: job
SELECT {job_columns} FROM {schema}.jobs WHERE id = %s

-- name: job_for_change
-- Within a transaction a job that is read is not changed by others before the end of it.
SELECT {job_columns} FROM {schema}.jobs WHERE id = %s FOR NO KEY UPDATE

-- name: fields_for_change
SELECT id, fields FROM {schema}.jobs WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE

-- name: delete_job
DELETE FROM {schema}.jobs WHERE id = %s

-- name: refresh_runnable
-- A running batch job is runnable while it processes: a claim that finds nothing queued clears it. One that is queued
-- again and still has a server is run by that server's worker, which was not told to stop: it waits for its end.
UPDATE {schema}.jobs SET runnable =
    CASE WHEN draft OR coalesce(held_until > %(now)s, false) THEN false
         WHEN state = 'queued' THEN server IS NULL AND (run_at IS NULL OR run_at <= %(now)s)
         WHEN state = 'running' THEN batch AND coalesce(sub_state = 'processing', false)
         ELSE false END
WHERE id = ANY(%(ids)s)

-- name: release_due_jobs
-- What another server is just releasing is left to it.
WITH due AS MATERIALIZED (
    SELECT id FROM {schema}.jobs
    WHERE state = 'queued' AND NOT runnable AND NOT draft AND held_until IS NULL AND server IS NULL AND run_at <= %s
    FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE {schema}.jobs SET runnable = true FROM due WHERE jobs.id = due.id

-- name: release_held_jobs
WITH due AS MATERIALIZED (
    SELECT id FROM {schema}.jobs WHERE held_until <= %(now)s FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE {schema}.jobs SET held_until = NULL, runnable =
    NOT draft AND (state = 'queued' AND server IS NULL AND (run_at IS NULL OR run_at <= %(now)s)
                   OR state = 'running' AND batch AND coalesce(sub_state = 'processing', false))
FROM due WHERE jobs.id = due.id

-- name: next_due
SELECT run_at FROM {schema}.jobs
WHERE state = 'queued' AND NOT runnable AND NOT draft AND held_until IS NULL AND run_at IS NOT NULL
ORDER BY run_at LIMIT 1

-- name: next_held
SELECT held_until FROM {schema}.jobs WHERE held_until IS NOT NULL ORDER BY held_until LIMIT 1

-- name: shares
-- How many of the most urgent jobs each walk of the claim's indexes has, and which is the first of them: kinds first,
-- numbered from 1, then groups. Each begins at a place of its own.
SELECT walk, count(*), (array_agg(priority ORDER BY priority, id))[1], (array_agg(id ORDER BY priority, id))[1] FROM (
    SELECT * FROM (
        SELECT wanted.walk, found.priority, found.id
        FROM unnest(%s::text[], %s::int[], %s::uuid[]) WITH ORDINALITY AS wanted (name, first_priority, first_id, walk)
        CROSS JOIN LATERAL (
            SELECT priority, id FROM {schema}.jobs
            WHERE runnable AND state = 'queued' AND throttle_group IS NULL AND kind = wanted.name
                AND (priority, id) >= (wanted.first_priority, wanted.first_id) AND {where}
            ORDER BY priority, id LIMIT %s) AS found
        UNION ALL
        SELECT wanted.walk + %s, found.priority, found.id
        FROM unnest(%s::text[], %s::text[], %s::int[], %s::uuid[]) WITH ORDINALITY
            AS wanted (name, group_name, first_priority, first_id, walk)
        CROSS JOIN LATERAL (
            SELECT priority, id FROM {schema}.jobs
            WHERE runnable AND state = 'queued' AND throttle_group IS NOT NULL AND kind = wanted.name
                AND throttle_group = wanted.group_name
                AND (priority, id) >= (wanted.first_priority, wanted.first_id) AND {where}
            ORDER BY priority, id LIMIT %s) AS found
    ) AS every ORDER BY priority, id LIMIT %s
) AS urgent GROUP BY walk

-- name: candidates_of_kind
SELECT {job_columns} FROM {schema}.jobs
WHERE runnable AND state = 'queued' AND throttle_group IS NULL AND kind = %s AND (priority, id) >= (%s, %s) AND {where}
ORDER BY priority, id LIMIT %s

-- name: candidates_of_group
SELECT {job_columns} FROM {schema}.jobs
WHERE runnable AND state = 'queued' AND throttle_group IS NOT NULL AND kind = %s AND throttle_group = %s
    AND (priority, id) >= (%s, %s) AND {where}
ORDER BY priority, id LIMIT %s

-- name: lock_candidates
FOR NO KEY UPDATE SKIP LOCKED

-- name: batches_under_way
-- Never locked: servers share a batch job by its slices.
SELECT {job_columns} FROM {schema}.jobs
WHERE runnable AND state = 'running'
    AND (kind = ANY(%s) AND throttle_group IS NULL OR kind = ANY(%s)
         OR (kind, throttle_group) IN (SELECT * FROM unnest(%s::text[], %s::text[]))) AND {where}
ORDER BY priority, id LIMIT %s

-- name: next_group
-- For each kind from one group to the next by a seek each, however many jobs they hold.
WITH RECURSIVE waiting (kind, name) AS (
    SELECT wanted.kind, (SELECT min(throttle_group) FROM {schema}.jobs
        WHERE runnable AND state = 'queued' AND throttle_group IS NOT NULL AND jobs.kind = wanted.kind)
    FROM unnest(%(kinds)s::text[]) AS wanted (kind)
    UNION ALL
    SELECT waiting.kind, (SELECT min(throttle_group) FROM {schema}.jobs
        WHERE runnable AND state = 'queued' AND throttle_group IS NOT NULL AND jobs.kind = waiting.kind
            AND throttle_group > waiting.name)
    FROM waiting WHERE waiting.name IS NOT NULL
)
SELECT kind, name FROM waiting WHERE name IS NOT NULL
UNION
SELECT kind, throttle_group FROM {schema}.jobs
WHERE runnable AND state = 'running' AND throttle_group IS NOT NULL AND kind = ANY(%(kinds)s)

-- name: take_turns
SELECT pg_advisory_xact_lock(hashtextextended(%s, 7004))

-- name: lock_limits
-- One claim at a time, of those that mind a limit: what it counts stays as it is until it has ended.
SELECT pg_advisory_xact_lock(hashtextextended(%s, 7001))

-- name: limits
SELECT limit_name, count(*) FROM {schema}.jobs WHERE state = 'running' AND limit_name IS NOT NULL GROUP BY limit_name

-- name: candidate
SELECT {job_columns} FROM {schema}.jobs WHERE runnable AND id = %s

-- name: claim_jobs
-- The attempt tells a row that was read before others had the job from one read just now.
WITH wanted AS MATERIALIZED (
    SELECT jobs.id, given.limit_name FROM {schema}.jobs
    JOIN unnest(%(ids)s::uuid[], %(attempts)s::int[], %(limits)s::text[]) AS given (id, attempt, limit_name)
        ON jobs.id = given.id AND jobs.attempt = given.attempt
    WHERE jobs.state = 'queued' AND NOT jobs.draft
    ORDER BY jobs.id FOR NO KEY UPDATE OF jobs SKIP LOCKED
)
UPDATE {schema}.jobs SET state = 'running', runnable = false, started_at = %(now)s, server = %(server)s,
                         limit_name = wanted.limit_name, attempt = attempt + 1
FROM wanted WHERE jobs.id = wanted.id
RETURNING jobs.id

-- name: claim_alike
-- Of jobs that this transaction has locked, so that nobody waits here for another.
UPDATE {schema}.jobs SET state = 'running', runnable = false, started_at = %(now)s, server = %(server)s,
                         limit_name = %(limit_name)s, attempt = attempt + 1
WHERE id = ANY(%(ids)s) AND attempt = %(attempt)s AND state = 'queued' AND NOT draft
RETURNING id

-- name: start_batch
UPDATE {schema}.jobs SET state = 'running', sub_state = %(sub_state)s, started_at = coalesce(started_at, %(now)s),
                server = CASE WHEN %(before)s THEN %(server)s END, limit_name = %(limit_name)s,
                throttled_by = CASE WHEN %(before)s THEN throttled_by END,
                throttled_at = CASE WHEN %(before)s THEN throttled_at END,
                attempt = attempt + 1, runnable = NOT %(before)s
WHERE id = %(id)s AND state = 'queued' AND NOT draft
RETURNING {job_columns}

-- name: lock_job
-- Of two servers that each settle one of the last two slices, the later one must see what the other did; and of one
-- that finds no slice and one that hands one back, too. It is one lock for both, so that they do not wait in a ring.
SELECT 1 FROM {schema}.jobs WHERE id = %s FOR NO KEY UPDATE

-- name: exhaust_job
-- Under the lock of the job, and looking again: a slice may have come back meanwhile, and may say so only afterwards.
UPDATE {schema}.jobs SET runnable = false
WHERE id = %(job_id)s AND runnable
    AND NOT EXISTS (SELECT 1 FROM {schema}.slices WHERE job_id = %(job_id)s AND state = 'queued')

-- name: delete_settled_jobs
DELETE FROM {schema}.jobs USING unnest(%s::uuid[], %s::int[]) AS given (id, attempt)
WHERE jobs.id = given.id AND jobs.attempt = given.attempt AND state = 'running'
RETURNING jobs.id

-- name: delete_settled_alike
DELETE FROM {schema}.jobs WHERE id = ANY(%s) AND attempt = %s AND state = 'running' RETURNING id

-- name: hand_back_job
-- An upload that was going on was that of `before_batch`, which is run afresh.
UPDATE {schema}.jobs SET state = 'queued', sub_state = NULL, uploader = NULL, started_at = NULL, server = NULL,
                worker = NULL, crash_count = crash_count + %(crashes)s
WHERE id = %(id)s AND attempt = %(attempt)s AND state = 'running' AND (%(server)s::text IS NULL OR server = %(server)s) AND (sub_state IS NULL OR sub_state = 'before')
RETURNING crash_count

-- name: hand_back_batch_end
UPDATE {schema}.jobs SET sub_state = 'processing', server = NULL, worker = NULL,
                crash_count = crash_count + %(crashes)s
WHERE id = %(id)s AND attempt = %(attempt)s AND state = 'running' AND (%(server)s::text IS NULL OR server = %(server)s) AND sub_state = 'after'
RETURNING crash_count

-- name: let_go_of_job
UPDATE {schema}.jobs SET server = NULL
WHERE id = %(id)s AND attempt = %(attempt)s AND server = %(server)s AND state <> 'running'

-- name: jobs_let_go_by
UPDATE {schema}.jobs SET server = NULL WHERE server = %s AND state <> 'running' RETURNING id

-- name: jobs_held_by
SELECT id, attempt FROM {schema}.jobs WHERE server = %s AND state = 'running' FOR NO KEY UPDATE

-- name: hold_job
-- Not to be claimed for a while; a batch job's slices rest with it.
UPDATE {schema}.jobs SET held_until = %(until)s, runnable = false, throttled_by = %(reason)s,
                throttled_at = CASE WHEN throttled_by IS NOT DISTINCT FROM %(reason)s THEN throttled_at ELSE %(now)s END
WHERE id = %(id)s AND state IN ('queued', 'running')

-- name: jobs_due_for_hooks
SELECT found.* FROM unnest(%(kinds)s::text[]) AS wanted (name) CROSS JOIN LATERAL (
    SELECT {job_columns} FROM {schema}.jobs
    WHERE pending_hooks IS NOT NULL AND hooks_server IS NULL AND kind = wanted.name AND NOT draft
    ORDER BY id LIMIT %(limit)s) AS found
ORDER BY found.id LIMIT %(limit)s

-- name: hooks_of
SELECT pending_hooks, hooks_server FROM {schema}.jobs WHERE id = %s AND pending_hooks IS NOT NULL FOR NO KEY UPDATE

-- name: claim_hooks
UPDATE {schema}.jobs SET hooks_server = %s WHERE id = %s AND pending_hooks IS NOT NULL AND hooks_server IS NULL

-- name: hooks_servers
SELECT DISTINCT hooks_server FROM {schema}.jobs WHERE pending_hooks IS NOT NULL AND hooks_server IS NOT NULL

-- name: release_hooks
UPDATE {schema}.jobs SET hooks_server = NULL WHERE hooks_server = %s AND pending_hooks IS NOT NULL

-- name: running_batch_of_kind
SELECT 1 FROM {schema}.jobs WHERE batch AND state = 'running' AND kind = %s LIMIT 1

-- name: running_job_of_kind
-- From server to server by a seek each: one may hold very many small jobs.
WITH RECURSIVE holding (server) AS (
    SELECT min(server) FROM {schema}.jobs WHERE server IS NOT NULL
    UNION ALL
    SELECT (SELECT min(server) FROM {schema}.jobs WHERE server > holding.server)
    FROM holding WHERE holding.server IS NOT NULL
)
SELECT 1 FROM holding
WHERE EXISTS (SELECT 1 FROM {schema}.jobs WHERE jobs.server = holding.server AND kind = %s) LIMIT 1

-- name: abandoned_drafts
SELECT id, draft, uploader, created_at FROM {schema}.jobs WHERE draft OR uploader IS NOT NULL

-- name: drafts
SELECT {job_columns} FROM {schema}.jobs WHERE draft AND uploader IS NOT NULL ORDER BY id DESC

-- name: job_standings
SELECT id, state, sub_state FROM {schema}.jobs WHERE NOT draft AND id = ANY(%s)

-- name: insert_slices
WITH given AS MATERIALIZED (
    SELECT * FROM unnest(%(numbers)s::bigint[], %(firsts)s::bigint[], %(counts)s::bigint[], %(payloads)s::bytea[])
        AS given (number, first_record, record_count, payload)
), new AS (
    INSERT INTO {schema}.slices (job_id, category, number, state, first_record, record_count, bytes)
    SELECT %(job_id)s, %(category)s, number, 'queued', first_record, record_count, octet_length(payload) FROM given
    RETURNING id, number
)
INSERT INTO {schema}.slice_payloads (slice_id, payload) SELECT new.id, given.payload FROM new JOIN given USING (number)

-- name: count_slices
UPDATE {schema}.jobs SET slice_count = slice_count + %(added)s,
                runnable = runnable OR (state = 'running' AND coalesce(sub_state = 'processing', false)
                                        AND NOT draft AND held_until IS NULL)
WHERE id = %(job_id)s
RETURNING slice_count

-- name: claim_slices
WITH queued AS MATERIALIZED (
    SELECT id, number, bytes FROM {schema}.slices
    WHERE job_id = %(job_id)s AND state = 'queued' AND number >= %(first)s
    ORDER BY number LIMIT %(limit)s FOR NO KEY UPDATE SKIP LOCKED
), measured AS MATERIALIZED (
    SELECT id, row_number() OVER (ORDER BY number) AS place, sum(bytes) OVER (ORDER BY number) AS size FROM queued
), taken AS (
    UPDATE {schema}.slices SET state = 'running', server = %(server)s, attempt = attempt + 1, exception = NULL
    FROM measured WHERE slices.id = measured.id AND (measured.place = 1 OR measured.size <= %(max_bytes)s)
    RETURNING slices.id, number, attempt, first_record, record_count, done, crash_count
)
SELECT taken.*, payload FROM taken JOIN {schema}.slice_payloads ON slice_id = taken.id ORDER BY number

-- name: any_queued
SELECT EXISTS (SELECT 1 FROM {schema}.slices WHERE job_id = %s AND state = 'queued')

-- name: delete_settled_slices
DELETE FROM {schema}.slices USING unnest(%s::bigint[], %s::int[]) AS given (id, attempt)
WHERE slices.id = given.id AND slices.attempt = given.attempt AND state = 'running'
RETURNING slices.id

-- name: delete_payloads
DELETE FROM {schema}.slice_payloads WHERE slice_id = ANY(%s)

-- name: stop_slices
UPDATE {schema}.slices SET state = given.state, server = NULL, done = given.done, exception = given.exception,
                           failure_count = failure_count + given.failures
FROM unnest(%s::bigint[], %s::int[], %s::text[], %s::bigint[], %s::text[], %s::int[])
    AS given (id, attempt, state, done, exception, failures)
WHERE slices.id = given.id AND slices.attempt = given.attempt AND slices.state = 'running'
RETURNING slices.id

-- name: insert_outputs
INSERT INTO {schema}.output_slices (job_id, category, number, part, record_count, payload)
SELECT * FROM unnest(%s::uuid[], %s::text[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bytea[])

-- name: add_progress
INSERT INTO {schema}.progress (job_id, server, records, rejected) SELECT job_id, %s, records, rejected
FROM unnest(%s::uuid[], %s::bigint[], %s::bigint[]) AS given (job_id, records, rejected)
ON CONFLICT (job_id, server) DO UPDATE
    SET records = progress.records + excluded.records, rejected = progress.rejected + excluded.rejected

-- name: statistics_by
SELECT statistics FROM {schema}.progress WHERE job_id = %s AND server = %s FOR UPDATE

-- name: set_statistics
INSERT INTO {schema}.progress (job_id, server, records, statistics) VALUES (%s, %s, 0, %s)
ON CONFLICT (job_id, server) DO UPDATE SET statistics = excluded.statistics

-- name: statistics
SELECT statistics FROM {schema}.progress WHERE job_id = %s AND statistics <> '{}'

-- name: drop_outputs_at
DELETE FROM {schema}.output_slices USING unnest(%s::bigint[], %s::bigint[]) AS place (number, part)
WHERE job_id = %s AND category = %s AND output_slices.number = place.number AND output_slices.part = place.part

-- name: drop_done_slice
WITH gone AS (
    DELETE FROM {schema}.slices WHERE id = %s AND state = 'queued' AND done >= record_count RETURNING id
)
DELETE FROM {schema}.slice_payloads USING gone WHERE slice_id = gone.id

-- name: running_slices
SELECT count(*) FROM {schema}.slices WHERE job_id = %s AND state = 'running'

-- name: next_of_rate
SELECT next_at FROM {schema}.rates WHERE name = %s

-- name: spend_rate
-- Those who spend at the same time wait for each other here.
INSERT INTO {schema}.rates (name, next_at) VALUES (%(name)s, %(now)s + %(taken)s)
ON CONFLICT (name) DO UPDATE SET next_at = greatest(rates.next_at, %(now)s) + %(taken)s

-- name: failed_slice_of
SELECT id, category, number, state, attempt, first_record, record_count, done, failure_count, crash_count, exception
FROM {schema}.slices
WHERE job_id = %(job_id)s AND state = 'failed' AND category = 'main'
  AND first_record <= %(record)s AND first_record + record_count > %(record)s

-- name: failed_payload
SELECT payload FROM {schema}.slices JOIN {schema}.slice_payloads ON slice_id = id
WHERE id = %(slice_id)s AND job_id = %(job_id)s AND number = %(number)s AND attempt = %(attempt)s AND state = 'failed'
  AND done = %(done)s

-- name: edit_failed_payload
WITH chosen AS MATERIALIZED (
    SELECT id FROM {schema}.slices WHERE id = %(slice_id)s AND job_id = %(job_id)s AND number = %(number)s
        AND attempt = %(attempt)s AND state = 'failed' AND done = %(done)s FOR UPDATE
)
UPDATE {schema}.slice_payloads SET payload = %(payload)s FROM chosen WHERE slice_id = chosen.id

-- name: pass_failed_record
UPDATE {schema}.slices SET done = done + 1, state = 'queued', exception = NULL, crash_count = 0
WHERE id = %(slice_id)s AND job_id = %(job_id)s AND number = %(number)s AND attempt = %(attempt)s AND state = 'failed'
  AND done = %(done)s

-- name: hand_back_slice
UPDATE {schema}.slices SET state = 'queued', server = NULL, crash_count = crash_count + %(crashes)s
WHERE id = %(slice_id)s AND job_id = %(job_id)s AND number = %(number)s AND attempt = %(attempt)s AND state = 'running' AND (%(server)s::text IS NULL OR server = %(server)s)
RETURNING crash_count

-- name: release_slices_of
UPDATE {schema}.slices SET state = 'queued', server = NULL WHERE state = 'running' AND server = %s RETURNING job_id

-- name: retry_slices
UPDATE {schema}.slices SET state = 'queued', crash_count = 0 WHERE job_id = %s AND state = 'failed'

-- name: standing
SELECT EXISTS (SELECT 1 FROM {schema}.slices WHERE job_id = %(job_id)s AND state = 'queued'),
       EXISTS (SELECT 1 FROM {schema}.slices WHERE job_id = %(job_id)s AND state = 'running'),
       (SELECT count(*) FROM {schema}.slices WHERE job_id = %(job_id)s AND state = 'failed')

-- name: failed_slices
SELECT id, category, number, state, attempt, first_record, record_count, done, failure_count, crash_count, exception
FROM {schema}.slices WHERE job_id = %(job_id)s AND state = 'failed' AND number > %(after)s ORDER BY number LIMIT %(limit)s

-- name: slice_counts
SELECT state, count(*) FROM {schema}.slices WHERE job_id = %s GROUP BY state

-- name: first_unfinished
SELECT min(number) FROM {schema}.slices WHERE job_id = %s AND category = 'main'

-- name: outputs
-- Up to so many bytes of payload, but one at least. The size of what is out of line is known without reading it.
WITH page AS MATERIALIZED (
    SELECT id, number, part, sum(octet_length(payload)) OVER (ORDER BY number, part) - octet_length(payload) AS before
    FROM {schema}.output_slices
    WHERE job_id = %(job_id)s AND category = %(category)s AND (number, part) > (%(number)s, %(part)s)
      AND number < %(before)s
    ORDER BY number, part LIMIT %(limit)s
)
SELECT number, part, record_count, payload FROM page JOIN {schema}.output_slices USING (id, number, part)
WHERE page.before < %(max_bytes)s ORDER BY number, part

-- name: drop_slices
WITH chosen AS MATERIALIZED (
    SELECT id FROM {schema}.slices WHERE job_id = %(job_id)s LIMIT %(limit)s
), payloads AS (
    DELETE FROM {schema}.slice_payloads USING chosen WHERE slice_id = chosen.id
)
DELETE FROM {schema}.slices USING chosen WHERE slices.id = chosen.id

-- name: drop_outputs
WITH chosen AS MATERIALIZED (SELECT id FROM {schema}.output_slices WHERE job_id = %(job_id)s LIMIT %(limit)s)
DELETE FROM {schema}.output_slices USING chosen WHERE output_slices.id = chosen.id

-- name: drop_unfinished
WITH gone AS (
    DELETE FROM {schema}.slices WHERE job_id = %(job_id)s
        AND first_record > (SELECT coalesce(record_count, 0) FROM {schema}.jobs WHERE id = %(job_id)s)
    RETURNING id
)
DELETE FROM {schema}.slice_payloads USING gone WHERE slice_id = gone.id

-- name: drop_progress
DELETE FROM {schema}.progress WHERE job_id = %s

-- name: accounts
-- One statement sees one moment. The records of a failed slice before the failed one are processed.
SELECT (SELECT record_count FROM {schema}.jobs WHERE id = %(job_id)s),
       (SELECT json_object_agg(state, records)::text FROM (
            SELECT state, sum(record_count - done) AS records FROM {schema}.slices
            WHERE job_id = %(job_id)s GROUP BY state) AS by_state),
       (SELECT coalesce(sum(records), 0)::bigint FROM {schema}.progress WHERE job_id = %(job_id)s),
       (SELECT coalesce(sum(rejected), 0)::bigint FROM {schema}.progress WHERE job_id = %(job_id)s),
       (SELECT json_object_agg(category, records)::text FROM (
            SELECT category, sum(record_count) AS records FROM {schema}.output_slices
            WHERE job_id = %(job_id)s GROUP BY category) AS by_category),
       (SELECT count(*) FROM {schema}.slices WHERE job_id = %(job_id)s
            AND NOT EXISTS (SELECT 1 FROM {schema}.slice_payloads WHERE slice_id = slices.id))

-- name: progress
SELECT (SELECT coalesce(sum(records), 0)::bigint FROM {schema}.progress WHERE job_id = %(job_id)s),
       (SELECT count(*) FROM {schema}.slices WHERE job_id = %(job_id)s AND state = 'failed'),
       (SELECT coalesce(sum(rejected), 0)::bigint FROM {schema}.progress WHERE job_id = %(job_id)s)

-- name: register_server
INSERT INTO {schema}.servers
    (name, host, pid, state, started_at, heartbeat, processes, slots, command, answer, kinds, holding, nodes)
VALUES (%(name)s, %(host)s, %(pid)s, %(state)s, %(started_at)s, %(heartbeat)s, %(processes)s, %(slots)s, %(command)s,
        %(answer)s, %(kinds)s, %(holding)s, %(nodes)s)

-- name: beat
UPDATE {schema}.servers SET heartbeat = heartbeat + 1, state = %s, kinds = %s, holding = %s, nodes = %s WHERE name = %s
RETURNING clock_timestamp()

-- name: servers
SELECT name, host, pid, state, started_at, heartbeat, processes, slots, command, answer, kinds, holding, nodes
FROM {schema}.servers ORDER BY started_at, name

-- name: ask_server
UPDATE {schema}.servers SET command = %s, answer = NULL WHERE name = %s

-- name: command_of
SELECT command FROM {schema}.servers WHERE name = %s

-- name: answer_command
UPDATE {schema}.servers SET command = NULL, answer = %s WHERE name = %s AND command = %s

-- name: remove_server
DELETE FROM {schema}.servers WHERE name = %(name)s AND heartbeat = coalesce(%(heartbeat)s, heartbeat)

-- name: show_presence
INSERT INTO {schema}.presences (name, machine, pid, locked) VALUES (%(name)s, %(machine)s, %(pid)s, %(locked)s)
ON CONFLICT (name) DO UPDATE SET machine = excluded.machine, pid = excluded.pid, locked = excluded.locked

-- name: lock_presence
SELECT pg_try_advisory_lock(hashtextextended(%s, 7003))

-- name: unlock_presence
SELECT pg_advisory_unlock(hashtextextended(%s, 7003))

-- name: presence
-- Shared, and for the length of the statement: those who ask are not in each other's way.
SELECT machine, pid, locked, pg_try_advisory_xact_lock_shared(hashtextextended(%(key)s, 7003))
FROM {schema}.presences WHERE name = %(name)s

-- name: presences
SELECT name FROM {schema}.presences

-- name: remove_presence
DELETE FROM {schema}.presences WHERE name = %s

-- name: announce
SELECT pg_notify(%(channel)s, topic) FROM unnest(%(topics)s::text[]) AS given (topic)
WHERE EXISTS (SELECT 1 FROM {schema}.listeners WHERE listeners.topic = given.topic)

-- name: add_listener
INSERT INTO {schema}.listeners (name, topic) VALUES (%s, %s) ON CONFLICT DO NOTHING

-- name: remove_listener
DELETE FROM {schema}.listeners WHERE name = %s AND topic = %s

-- name: remove_listeners_of
DELETE FROM {schema}.listeners WHERE name = %s

-- name: drop_dead_listeners
-- Whose lock is free has ended, or lost its connection: then it says so again when it has another.
DELETE FROM {schema}.listeners WHERE pg_try_advisory_xact_lock_shared(hashtextextended(%s || name, 7003))

-- name: insert_entry
INSERT INTO {schema}.dirmon_entries (name, pattern, kind, properties, archive, after, state, error, created_at)
VALUES (%(name)s, %(pattern)s, %(kind)s, %(properties)s, %(archive)s, %(after)s, %(state)s, %(error)s, %(created_at)s)

-- name: entries
SELECT name, pattern, kind, properties, archive, after, state, error, created_at FROM {schema}.dirmon_entries ORDER BY name

-- name: entry
SELECT name, pattern, kind, properties, archive, after, state, error, created_at FROM {schema}.dirmon_entries
WHERE name = %s

-- name: delete_entry
DELETE FROM {schema}.dirmon_entries WHERE name = %s

-- name: kept_inputs
SELECT slices.id, category, number, first_record, exception, payload
FROM {schema}.slices JOIN {schema}.slice_payloads ON slice_id = slices.id
WHERE job_id = %(job_id)s AND (category, number) > (%(category)s, %(number)s)
    AND (substr(payload, 1, %(length)s) = %(beginning)s OR exception IS NOT NULL)
ORDER BY category, number LIMIT %(limit)s

-- name: kept_outputs
SELECT id, category, number, part, payload FROM {schema}.output_slices
WHERE job_id = %(job_id)s AND (category, number, part) > (%(category)s, %(number)s, %(part)s)
    AND substr(payload, 1, %(length)s) = %(beginning)s
ORDER BY category, number, part LIMIT %(limit)s

-- name: replace_input
UPDATE {schema}.slice_payloads SET payload = %(new)s WHERE slice_id = %(id)s AND payload = %(old)s

-- name: replace_output
UPDATE {schema}.output_slices SET payload = %(new)s WHERE id = %(id)s AND payload = %(old)s

-- name: replace_exception
UPDATE {schema}.slices SET exception = %(new)s WHERE id = %(id)s AND exception = %(old)s

-- name: fact
SELECT value FROM {schema}.facts WHERE name = %s

-- name: note_fact
INSERT INTO {schema}.facts (name, value) VALUES (%s, %s) ON CONFLICT (name) DO NOTHING

-- name: forget_fact
DELETE FROM {schema}.facts WHERE name = %s

-- name: slice_owners
-- From job to job by a seek each, however many slices they have.
WITH RECURSIVE owner (job_id) AS (
    (SELECT least((SELECT job_id FROM {schema}.slices ORDER BY job_id LIMIT 1),
                  (SELECT job_id FROM {schema}.output_slices ORDER BY job_id LIMIT 1),
                  (SELECT job_id FROM {schema}.progress ORDER BY job_id LIMIT 1)))
    UNION ALL
    SELECT least((SELECT slices.job_id FROM {schema}.slices WHERE slices.job_id > owner.job_id ORDER BY 1 LIMIT 1),
                 (SELECT output_slices.job_id FROM {schema}.output_slices WHERE output_slices.job_id > owner.job_id
                  ORDER BY 1 LIMIT 1),
                 (SELECT progress.job_id FROM {schema}.progress WHERE progress.job_id > owner.job_id ORDER BY 1 LIMIT 1))
    FROM owner WHERE owner.job_id IS NOT NULL
)
SELECT job_id FROM owner WHERE job_id IS NOT NULL

-- name: table_sizes
SELECT relname, pg_total_relation_size(pg_class.oid)
FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE nspname = %s AND relkind = 'r' ORDER BY relname

-- name: add_audit
INSERT INTO {schema}.audit (at, who, origin, action, target, before, after, error)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s)

-- name: audit
SELECT id, at, who, origin, action, target, before, after, error FROM {schema}.audit WHERE /* conditions */
ORDER BY id DESC LIMIT %s

-- name: add_figures
INSERT INTO {schema}.figures AS f (minute, completed, failed, retried, records, failed_slices)
VALUES (%(minute)s, %(completed)s, %(failed)s, %(retried)s, %(records)s, %(failed_slices)s)
ON CONFLICT (minute) DO UPDATE SET
    completed = f.completed + excluded.completed, failed = f.failed + excluded.failed,
    retried = f.retried + excluded.retried, records = f.records + excluded.records,
    failed_slices = f.failed_slices + excluded.failed_slices

-- name: drop_figures
DELETE FROM {schema}.figures WHERE minute < %s

-- name: figures
SELECT minute, completed, failed, retried, records, failed_slices FROM {schema}.figures
WHERE minute >= %s ORDER BY minute

-- name: add_log_line
INSERT INTO {schema}.job_log (job_id, at, level, text, record) VALUES (%s, %s, %s, %s, %s)

-- name: trim_log_of_job
DELETE FROM {schema}.job_log WHERE job_id = %(job_id)s
    AND id <= (SELECT id FROM {schema}.job_log WHERE job_id = %(job_id)s ORDER BY id DESC LIMIT 1 OFFSET %(kept)s)

-- name: trim_log
DELETE FROM {schema}.job_log WHERE id <= (SELECT max(id) FROM {schema}.job_log) - %s

-- name: log_lines
SELECT id, job_id, at, level, text, record FROM {schema}.job_log WHERE job_id = %s AND id > %s ORDER BY id DESC LIMIT %s

-- name: drop_log_of_job
DELETE FROM {schema}.job_log WHERE job_id = %s

-- name: runnable_kinds
WITH RECURSIVE kinds (kind) AS (
    (SELECT kind FROM {schema}.jobs WHERE runnable AND state = 'queued' AND throttle_group IS NULL
     ORDER BY kind LIMIT 1)
    UNION ALL
    SELECT (SELECT jobs.kind FROM {schema}.jobs
            WHERE runnable AND state = 'queued' AND throttle_group IS NULL AND jobs.kind > kinds.kind
            ORDER BY jobs.kind LIMIT 1)
    FROM kinds WHERE kinds.kind IS NOT NULL
)
SELECT kind FROM kinds WHERE kind IS NOT NULL

-- name: has_index
SELECT 1 FROM pg_indexes WHERE schemaname = %s AND indexname = %s

-- name: retry_some_slices
UPDATE {schema}.slices SET state = 'queued', crash_count = 0 WHERE job_id = %s AND state = 'failed' AND id = %s

-- name: slice_total
SELECT slice_count FROM {schema}.jobs WHERE id = %s

-- name: slice_strip
-- The category is written so that no index has it: those of the states are meant.
SELECT low, least(low + %(size)s - 1, %(total)s),
    (SELECT number FROM {schema}.slices WHERE job_id = %(job_id)s AND state = 'failed'
     AND number BETWEEN low AND low + %(size)s - 1 AND category || '' = 'main' ORDER BY number LIMIT 1),
    (SELECT number FROM {schema}.slices WHERE job_id = %(job_id)s AND state = 'queued'
     AND number BETWEEN low AND low + %(size)s - 1 AND category || '' = 'main' ORDER BY number LIMIT 1)
FROM generate_series(1, %(total)s, %(size)s) AS low

-- name: running_numbers
SELECT number FROM {schema}.slices WHERE job_id = %s AND state = 'running' AND category = 'main' LIMIT %s

-- name: slice_counts_up_to
SELECT (SELECT count(*) FROM (SELECT 1 FROM {schema}.slices WHERE job_id = %(job_id)s AND state = 'queued'
                              LIMIT %(most)s) AS q),
       (SELECT count(*) FROM (SELECT 1 FROM {schema}.slices WHERE job_id = %(job_id)s AND state = 'running'
                              LIMIT %(most)s) AS r),
       (SELECT count(*) FROM (SELECT 1 FROM {schema}.slices WHERE job_id = %(job_id)s AND state = 'failed'
                              LIMIT %(most)s) AS f)

-- name: oldest_of_each
-- One seek for each kind and priority that has jobs which may start: the first of it is its oldest.
WITH RECURSIVE firsts (id, kind, priority) AS (
    (SELECT id, kind, priority FROM {schema}.jobs
     WHERE runnable AND state = 'queued' AND throttle_group IS NULL ORDER BY kind, priority, id LIMIT 1)
    UNION ALL
    SELECT j.id, j.kind, j.priority FROM firsts CROSS JOIN LATERAL (
        SELECT * FROM (
            (SELECT id, kind, priority FROM {schema}.jobs
             WHERE runnable AND state = 'queued' AND throttle_group IS NULL
                AND jobs.kind = firsts.kind AND jobs.priority > firsts.priority
             ORDER BY jobs.kind, jobs.priority, jobs.id LIMIT 1)
            UNION ALL
            (SELECT id, kind, priority FROM {schema}.jobs
             WHERE runnable AND state = 'queued' AND throttle_group IS NULL AND jobs.kind > firsts.kind
             ORDER BY jobs.kind, jobs.priority, jobs.id LIMIT 1)) AS next
        ORDER BY kind, priority LIMIT 1) AS j
)
SELECT id FROM (SELECT id FROM firsts LIMIT 1000) AS found ORDER BY id LIMIT 1

-- name: remove_jobs
DELETE FROM {schema}.jobs WHERE id = ANY(%s) AND state = %s AND NOT draft AND NOT batch

-- name: add_token
INSERT INTO {schema}.api_tokens (name, digest, login, roles, created_at) VALUES (%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING

-- name: tokens
SELECT name, digest, login, roles, created_at FROM {schema}.api_tokens ORDER BY name

-- name: token_of_digest
SELECT name, digest, login, roles, created_at FROM {schema}.api_tokens WHERE digest = %s

-- name: remove_token
DELETE FROM {schema}.api_tokens WHERE name = %s

-- name: begin_answer
INSERT INTO {schema}.api_answers (id, request, created_at) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING

-- name: answer
SELECT id, request, created_at, status, body FROM {schema}.api_answers WHERE id = %s

-- name: keep_answer
UPDATE {schema}.api_answers SET status = %s, body = %s WHERE id = %s

-- name: drop_answer
DELETE FROM {schema}.api_answers WHERE id = %s

-- name: drop_answers
DELETE FROM {schema}.api_answers WHERE created_at < %s
