-- name: add_token
INSERT INTO api_tokens (name, digest, login, roles, created_at) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING

-- name: tokens
SELECT name, digest, login, roles, created_at FROM api_tokens ORDER BY name

-- name: token_of_digest
SELECT name, digest, login, roles, created_at FROM api_tokens WHERE digest = ?

-- name: remove_token
DELETE FROM api_tokens WHERE name = ?

-- name: begin_answer
INSERT INTO api_answers (id, request, created_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING

-- name: answer
SELECT id, request, created_at, status, body FROM api_answers WHERE id = ?

-- name: keep_answer
UPDATE api_answers SET status = ?, body = ? WHERE id = ?

-- name: drop_answer
DELETE FROM api_answers WHERE id = ?

-- name: drop_answers
DELETE FROM api_answers WHERE created_at < ?
