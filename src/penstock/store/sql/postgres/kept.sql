-- name: kept_inputs
SELECT slices.id, category, number, first_record, exception, payload
FROM {schema}.slices JOIN {schema}.slice_payloads ON slice_id = slices.id
WHERE job_id = %(job_id)s AND (category, number) > (%(category)s, %(number)s)
    AND (substr(payload, 1, %(length)s) = %(beginning)s OR exception IS NOT NULL)
ORDER BY category, number LIMIT %(limit)s

-- name: kept_outputs
SELECT id, category, number, part, payload FROM {schema}.output_slices
WHERE job_id = %(job_id)s AND (category, number, part) > (%(category)s, %(number)s, %(part)s)
    AND substr(payload, 1, %(length)s) = %(beginning)s
ORDER BY category, number, part LIMIT %(limit)s

-- name: replace_input
UPDATE {schema}.slice_payloads SET payload = %(new)s WHERE slice_id = %(id)s AND payload = %(old)s

-- name: replace_output
UPDATE {schema}.output_slices SET payload = %(new)s WHERE id = %(id)s AND payload = %(old)s

-- name: replace_exception
UPDATE {schema}.slices SET exception = %(new)s WHERE id = %(id)s AND exception = %(old)s
