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
