-- name: delete_settled_jobs
DELETE FROM {schema}.jobs USING unnest(%s::uuid[], %s::int[]) AS given (id, attempt)
WHERE jobs.id = given.id AND jobs.attempt = given.attempt AND state = 'running'
RETURNING jobs.id

-- name: delete_settled_alike
-- NULL says that all are gone.
WITH gone AS (
    DELETE FROM {schema}.jobs WHERE id = ANY(%(ids)s) AND attempt = %(attempt)s AND state = 'running' RETURNING id
)
SELECT CASE WHEN count(*) < cardinality(%(ids)s) THEN coalesce(array_agg(id), '{}') END FROM gone

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

-- name: job_standings
SELECT id, state, sub_state FROM {schema}.jobs WHERE NOT draft AND id = ANY(%s)

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

-- name: copy_outputs
COPY {schema}.output_slices (job_id, category, number, part, record_count, payload) FROM STDIN (FORMAT BINARY)

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

-- name: hand_back_slice
UPDATE {schema}.slices SET state = 'queued', server = NULL, crash_count = crash_count + %(crashes)s
WHERE id = %(slice_id)s AND job_id = %(job_id)s AND number = %(number)s AND attempt = %(attempt)s AND state = 'running' AND (%(server)s::text IS NULL OR server = %(server)s)
RETURNING crash_count

-- name: release_slices_of
UPDATE {schema}.slices SET state = 'queued', server = NULL WHERE state = 'running' AND server = %s RETURNING job_id

-- name: remove_server
DELETE FROM {schema}.servers WHERE name = %(name)s AND heartbeat = coalesce(%(heartbeat)s, heartbeat)
