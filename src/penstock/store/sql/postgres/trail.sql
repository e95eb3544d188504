-- name: add_audit
INSERT INTO {schema}.audit (at, who, origin, action, target, before, after, error)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s)

-- name: audit
SELECT id, at, who, origin, action, target, before, after, error FROM {schema}.audit WHERE /* conditions */
ORDER BY id DESC LIMIT %s

-- name: add_figures
INSERT INTO {schema}.figures AS f (minute, completed, failed, retried, records, failed_slices)
VALUES (%(minute)s, %(completed)s, %(failed)s, %(retried)s, %(records)s, %(failed_slices)s)
ON CONFLICT (minute) DO UPDATE SET
    completed = f.completed + excluded.completed, failed = f.failed + excluded.failed,
    retried = f.retried + excluded.retried, records = f.records + excluded.records,
    failed_slices = f.failed_slices + excluded.failed_slices

-- name: drop_figures
DELETE FROM {schema}.figures WHERE minute < %s

-- name: figures
SELECT minute, completed, failed, retried, records, failed_slices FROM {schema}.figures
WHERE minute >= %s ORDER BY minute

-- name: add_log_line
INSERT INTO {schema}.job_log (job_id, at, level, text, record) VALUES (%s, %s, %s, %s, %s)

-- name: trim_log_of_job
DELETE FROM {schema}.job_log WHERE job_id = %(job_id)s
    AND id <= (SELECT id FROM {schema}.job_log WHERE job_id = %(job_id)s ORDER BY id DESC LIMIT 1 OFFSET %(kept)s)

-- name: trim_log
DELETE FROM {schema}.job_log WHERE id <= (SELECT max(id) FROM {schema}.job_log) - %s

-- name: log_lines
SELECT id, job_id, at, level, text, record FROM {schema}.job_log WHERE job_id = %s AND id > %s ORDER BY id DESC LIMIT %s
