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
