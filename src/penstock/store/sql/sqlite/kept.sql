-- name: kept_inputs
SELECT slices.id, category, number, first_record, exception, payload FROM slices JOIN slice_payloads ON slice_id = slices.id
WHERE job_id = :job_id AND (category, number) > (:category, :number)
    AND (substr(payload, 1, :length) = :beginning OR exception IS NOT NULL)
ORDER BY category, number LIMIT :limit

-- name: kept_outputs
SELECT id, category, number, part, payload FROM output_slices
WHERE job_id = :job_id AND (category, number, part) > (:category, :number, :part)
    AND substr(payload, 1, :length) = :beginning
ORDER BY category, number, part LIMIT :limit

-- name: replace_input
UPDATE slice_payloads SET payload = :new WHERE slice_id = :id AND payload = :old

-- name: replace_output
UPDATE output_slices SET payload = :new WHERE id = :id AND payload = :old

-- name: replace_exception
UPDATE slices SET exception = :new WHERE id = :id AND exception = :old
