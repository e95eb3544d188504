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
