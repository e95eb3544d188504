-- name: insert_slice
INSERT INTO slices (id, job_id, category, number, state, first_record, record_count, bytes)
VALUES (?, ?, ?, ?, 'queued', ?, ?, ?)

-- name: insert_payload
INSERT INTO slice_payloads (slice_id, payload) VALUES (?, ?)

-- name: last_slice_id
SELECT coalesce(max(id), 0) FROM slices

-- name: count_slices
UPDATE jobs SET slice_count = slice_count + :added,
                runnable = CASE WHEN state = 'running' AND sub_state = 'processing' AND draft = 0 AND held_until IS NULL
                           THEN 1 ELSE runnable END
WHERE id = :job_id
RETURNING slice_count

-- name: payload
SELECT payload FROM slice_payloads WHERE slice_id = ?

-- name: delete_payload
DELETE FROM slice_payloads WHERE slice_id = ?

-- name: insert_output
INSERT INTO output_slices (job_id, category, number, part, record_count, payload) VALUES (?, ?, ?, ?, ?, ?)

-- name: add_progress
INSERT INTO progress (job_id, server, records, rejected) VALUES (?, ?, ?, ?)
ON CONFLICT (job_id, server) DO UPDATE SET records = records + excluded.records, rejected = rejected + excluded.rejected

-- name: statistics
SELECT statistics FROM progress WHERE job_id = ? AND statistics <> '{}'

-- name: drop_output
DELETE FROM output_slices WHERE job_id = ? AND category = ? AND number = ? AND part = ?

-- name: retry_slices
UPDATE slices SET state = 'queued', crash_count = 0 WHERE job_id = ? AND state = 'failed'

-- name: standing
SELECT EXISTS (SELECT 1 FROM slices WHERE job_id = :job_id AND state = 'queued'),
       EXISTS (SELECT 1 FROM slices WHERE job_id = :job_id AND state = 'running'),
       (SELECT count(*) FROM slices WHERE job_id = :job_id AND state = 'failed')

-- name: failed_slices
SELECT id, category, number, state, attempt, first_record, record_count, done, failure_count, crash_count, exception
FROM slices WHERE job_id = :job_id AND state = 'failed' AND number > :after ORDER BY number LIMIT :limit

-- name: failed_slice_of
SELECT id, category, number, state, attempt, first_record, record_count, done, failure_count, crash_count, exception
FROM slices
WHERE job_id = :job_id AND state = 'failed' AND category = 'main'
  AND first_record <= :record AND first_record + record_count > :record

-- name: failed_payload
SELECT payload FROM slices JOIN slice_payloads ON slice_id = id
WHERE id = :slice_id AND job_id = :job_id AND number = :number AND attempt = :attempt AND state = 'failed' AND done = :done

-- name: edit_failed_payload
UPDATE slice_payloads SET payload = :payload WHERE slice_id = (
    SELECT id FROM slices WHERE id = :slice_id AND job_id = :job_id AND number = :number AND attempt = :attempt
                            AND state = 'failed' AND done = :done)

-- name: pass_failed_record
UPDATE slices SET done = done + 1, state = 'queued', exception = NULL, crash_count = 0
WHERE id = :slice_id AND job_id = :job_id AND number = :number AND attempt = :attempt AND state = 'failed' AND done = :done

-- name: drop_done_slice
DELETE FROM slices WHERE id = ? AND state = 'queued' AND done >= record_count

-- name: slice_counts
SELECT state, count(*) FROM slices WHERE job_id = ? GROUP BY state

-- name: first_unfinished
SELECT min(number) FROM slices WHERE job_id = ? AND category = 'main'

-- name: outputs
SELECT number, part, record_count, payload FROM output_slices
WHERE job_id = :job_id AND category = :category AND (number, part) > (:number, :part) AND number < :before
ORDER BY number, part LIMIT :limit

-- name: unfinished_slices
SELECT id FROM slices WHERE job_id = :job_id
    AND first_record > (SELECT coalesce(record_count, 0) FROM jobs WHERE id = :job_id)

-- name: records_by_state
-- The records of a failed slice before the failed one are processed.
SELECT state, sum(record_count - done) FROM slices WHERE job_id = ? GROUP BY state

-- name: records_by_output
SELECT category, sum(record_count) FROM output_slices WHERE job_id = ? GROUP BY category

-- name: records_processed
SELECT coalesce(sum(records), 0), coalesce(sum(rejected), 0) FROM progress WHERE job_id = ?

-- name: missing_payloads
SELECT count(*) FROM slices WHERE job_id = ? AND NOT EXISTS (SELECT 1 FROM slice_payloads WHERE slice_id = slices.id)

-- name: failed_count
SELECT count(*) FROM slices WHERE job_id = ? AND state = 'failed'

-- name: retry_some_slices
UPDATE slices SET state = 'queued', crash_count = 0 WHERE job_id = ? AND state = 'failed' AND id = ?
