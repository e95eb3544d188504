-- name: insert_slices
INSERT INTO {schema}.slices (job_id, category, number, state, first_record, record_count, bytes)
SELECT %(job_id)s, %(category)s, number, 'queued', first_record, record_count, bytes
FROM unnest(%(numbers)s::bigint[], %(firsts)s::bigint[], %(counts)s::bigint[], %(sizes)s::bigint[])
    AS given (number, first_record, record_count, bytes)
RETURNING number, id

-- name: copy_payloads
COPY {schema}.slice_payloads (slice_id, payload) FROM STDIN (FORMAT BINARY)

-- name: count_slices
UPDATE {schema}.jobs SET slice_count = slice_count + %(added)s,
                runnable = runnable OR (state = 'running' AND coalesce(sub_state = 'processing', false)
                                        AND NOT draft AND held_until IS NULL)
WHERE id = %(job_id)s
RETURNING slice_count

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

-- name: drop_unfinished
WITH gone AS (
    DELETE FROM {schema}.slices WHERE job_id = %(job_id)s
        AND first_record > (SELECT coalesce(record_count, 0) FROM {schema}.jobs WHERE id = %(job_id)s)
    RETURNING id
)
DELETE FROM {schema}.slice_payloads USING gone WHERE slice_id = gone.id

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

-- name: retry_some_slices
UPDATE {schema}.slices SET state = 'queued', crash_count = 0 WHERE job_id = %s AND state = 'failed' AND id = %s
