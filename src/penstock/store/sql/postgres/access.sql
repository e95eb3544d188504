-- name: add_token
INSERT INTO {schema}.api_tokens (name, digest, login, roles, created_at) VALUES (%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING

-- name: tokens
SELECT name, digest, login, roles, created_at FROM {schema}.api_tokens ORDER BY name

-- name: token_of_digest
SELECT name, digest, login, roles, created_at FROM {schema}.api_tokens WHERE digest = %s

-- name: remove_token
DELETE FROM {schema}.api_tokens WHERE name = %s

-- name: begin_answer
INSERT INTO {schema}.api_answers (id, request, created_at) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING

-- name: answer
SELECT id, request, created_at, status, body FROM {schema}.api_answers WHERE id = %s

-- name: keep_answer
UPDATE {schema}.api_answers SET status = %s, body = %s WHERE id = %s

-- name: drop_answer
DELETE FROM {schema}.api_answers WHERE id = %s

-- name: drop_answers
DELETE FROM {schema}.api_answers WHERE created_at < %s
