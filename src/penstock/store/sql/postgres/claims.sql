-- Many rows come and go by one statement: arrays are bound and unnested. What two servers may want at once is locked
-- with SKIP LOCKED inside a MATERIALIZED common table expression: `IN (SELECT … LIMIT … FOR UPDATE)` may run its
-- sub-select again for each row and pass its limit. Positional values stand where conditions are put in.

-- name: release_due_jobs
-- What another server is just releasing is left to it. Of one that is due and one that was held none is both.
WITH due AS MATERIALIZED (
    SELECT id FROM {schema}.jobs
    WHERE state = 'queued' AND NOT runnable AND NOT draft AND held_until IS NULL AND server IS NULL
        AND run_at <= %(now)s
    FOR NO KEY UPDATE SKIP LOCKED
), held AS MATERIALIZED (
    SELECT id FROM {schema}.jobs WHERE held_until <= %(now)s FOR NO KEY UPDATE SKIP LOCKED
), released AS (
    UPDATE {schema}.jobs SET runnable = true FROM due WHERE jobs.id = due.id
)
UPDATE {schema}.jobs SET held_until = NULL, runnable =
    NOT draft AND (state = 'queued' AND server IS NULL AND (run_at IS NULL OR run_at <= %(now)s)
                   OR state = 'running' AND batch AND coalesce(sub_state = 'processing', false))
FROM held WHERE jobs.id = held.id

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
-- Of jobs that this transaction has locked, so that nobody waits here for another. NULL says that all were won: to send
-- thousands of ids back takes about as long as to change their rows.
WITH won AS (
    UPDATE {schema}.jobs SET state = 'running', runnable = false, started_at = %(now)s, server = %(server)s,
                             limit_name = %(limit_name)s, attempt = attempt + 1
    WHERE id = ANY(%(ids)s) AND attempt = %(attempt)s AND state = 'queued' AND NOT draft
    RETURNING id
)
SELECT CASE WHEN count(*) < cardinality(%(ids)s) THEN coalesce(array_agg(id), '{}') END FROM won

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

-- name: hold_job
-- Not to be claimed for a while; a batch job's slices rest with it.
UPDATE {schema}.jobs SET held_until = %(until)s, runnable = false, throttled_by = %(reason)s,
                throttled_at = CASE WHEN throttled_by IS NOT DISTINCT FROM %(reason)s THEN throttled_at ELSE %(now)s END
WHERE id = %(id)s AND state IN ('queued', 'running')

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
