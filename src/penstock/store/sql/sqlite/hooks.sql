-- name: jobs_due_for_hooks
SELECT {job_columns} FROM jobs WHERE pending_hooks IS NOT NULL AND hooks_server IS NULL AND kind = ? AND draft = 0
ORDER BY id

-- name: hooks_of
SELECT pending_hooks, hooks_server FROM jobs WHERE id = ? AND pending_hooks IS NOT NULL

-- name: claim_hooks
UPDATE jobs SET hooks_server = ? WHERE id = ? AND pending_hooks IS NOT NULL AND hooks_server IS NULL

-- name: hooks_servers
SELECT DISTINCT hooks_server FROM jobs WHERE pending_hooks IS NOT NULL AND hooks_server IS NOT NULL

-- name: release_hooks
UPDATE jobs SET hooks_server = NULL WHERE hooks_server = ? AND pending_hooks IS NOT NULL
