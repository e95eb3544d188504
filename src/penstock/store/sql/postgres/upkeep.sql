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
