-- name: jobs_due_for_hooks
SELECT found.* FROM unnest(%(kinds)s::text[]) AS wanted (name) CROSS JOIN LATERAL (
    SELECT {job_columns} FROM {schema}.jobs
    WHERE pending_hooks IS NOT NULL AND hooks_server IS NULL AND kind = wanted.name AND NOT draft
    ORDER BY id LIMIT %(limit)s) AS found
ORDER BY found.id LIMIT %(limit)s

-- name: hooks_of
SELECT pending_hooks, hooks_server FROM {schema}.jobs WHERE id = %s AND pending_hooks IS NOT NULL FOR NO KEY UPDATE

-- name: claim_hooks
UPDATE {schema}.jobs SET hooks_server = %s WHERE id = %s AND pending_hooks IS NOT NULL AND hooks_server IS NULL

-- name: hooks_servers
SELECT DISTINCT hooks_server FROM {schema}.jobs WHERE pending_hooks IS NOT NULL AND hooks_server IS NOT NULL

-- name: release_hooks
UPDATE {schema}.jobs SET hooks_server = NULL WHERE hooks_server = %s AND pending_hooks IS NOT NULL
