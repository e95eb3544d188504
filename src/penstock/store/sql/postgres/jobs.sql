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

-- name: take_turns
SELECT pg_advisory_xact_lock(hashtextextended(%s, 7004))

-- name: drafts
SELECT {job_columns} FROM {schema}.jobs WHERE draft AND uploader IS NOT NULL ORDER BY id DESC

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

-- name: drop_progress
DELETE FROM {schema}.progress WHERE job_id = %s

-- name: drop_log_of_job
DELETE FROM {schema}.job_log WHERE job_id = %s

-- name: remove_jobs
DELETE FROM {schema}.jobs WHERE id = ANY(%s) AND state = %s AND NOT draft AND NOT batch
