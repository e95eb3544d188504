-- name: add_audit
INSERT INTO audit (at, who, origin, action, target, before, after, error) VALUES (?, ?, ?, ?, ?, ?, ?, ?)

-- name: audit
SELECT id, at, who, origin, action, target, before, after, error FROM audit WHERE /* conditions */
ORDER BY id DESC LIMIT ?

-- name: add_figures
INSERT INTO figures (minute, completed, failed, retried, records, failed_slices)
VALUES (:minute, :completed, :failed, :retried, :records, :failed_slices)
ON CONFLICT (minute) DO UPDATE SET
    completed = completed + excluded.completed, failed = failed + excluded.failed,
    retried = retried + excluded.retried, records = records + excluded.records,
    failed_slices = failed_slices + excluded.failed_slices

-- name: drop_figures
DELETE FROM figures WHERE minute < ?

-- name: figures
SELECT minute, completed, failed, retried, records, failed_slices FROM figures WHERE minute >= ? ORDER BY minute

-- name: add_log_line
INSERT INTO job_log (job_id, at, level, text, record) VALUES (?, ?, ?, ?, ?)

-- name: trim_log_of_job
DELETE FROM job_log WHERE job_id = :job_id
    AND id <= (SELECT id FROM job_log WHERE job_id = :job_id ORDER BY id DESC LIMIT 1 OFFSET :kept)

-- name: trim_log
DELETE FROM job_log WHERE id <= (SELECT max(id) FROM job_log) - ?

-- name: log_lines
SELECT id, job_id, at, level, text, record FROM job_log WHERE job_id = ? AND id > ? ORDER BY id DESC LIMIT ?
