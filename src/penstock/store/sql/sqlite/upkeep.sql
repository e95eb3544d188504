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
