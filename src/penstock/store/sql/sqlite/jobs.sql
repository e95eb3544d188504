-- name: insert_job
INSERT INTO jobs ({names}) VALUES ({places})

-- name: job
SELECT {job_columns} FROM jobs WHERE id = ?

-- name: delete_job
DELETE FROM jobs WHERE id = ?

-- name: refresh_runnable
-- A running batch job is runnable while it processes: a claim that finds nothing queued clears it. One that is queued
-- again and still has a server is run by that server's worker, which was not told to stop: it waits for its end.
UPDATE jobs SET runnable =
    CASE WHEN draft = 1 OR held_until > :now THEN 0
         WHEN state = 'queued' THEN server IS NULL AND (run_at IS NULL OR run_at <= :now)
         WHEN state = 'running' THEN batch = 1 AND sub_state = 'processing'
         ELSE 0 END
WHERE id = :id

-- name: drafts
SELECT {job_columns} FROM jobs WHERE draft = 1 AND uploader IS NOT NULL ORDER BY id DESC

-- name: drop_payloads
DELETE FROM slice_payloads WHERE slice_id IN (SELECT id FROM slices WHERE job_id = :job_id ORDER BY category, number LIMIT :limit)

-- name: drop_slices
DELETE FROM slices WHERE id IN (SELECT id FROM slices WHERE job_id = :job_id ORDER BY category, number LIMIT :limit)

-- name: drop_outputs
DELETE FROM output_slices WHERE id IN (SELECT id FROM output_slices WHERE job_id = :job_id LIMIT :limit)

-- name: drop_progress
DELETE FROM progress WHERE job_id = ?

-- name: drop_log_of_job
DELETE FROM job_log WHERE job_id = ?

-- name: remove_job
DELETE FROM jobs WHERE id = ? AND state = ? AND draft = 0 AND batch = 0
