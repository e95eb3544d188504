-- name: abandoned_drafts
SELECT id, draft, uploader, created_at FROM jobs WHERE draft = 1 OR uploader IS NOT NULL

-- name: register_server
INSERT INTO servers (name, host, pid, state, started_at, heartbeat, processes, slots, command, answer, kinds, holding, nodes)
VALUES (:name, :host, :pid, :state, :started_at, :heartbeat, :processes, :slots, :command, :answer, :kinds, :holding, :nodes)

-- name: beat
UPDATE servers SET heartbeat = heartbeat + 1, state = ?, kinds = ?, holding = ?, nodes = ? WHERE name = ?

-- name: servers
SELECT name, host, pid, state, started_at, heartbeat, processes, slots, command, answer, kinds, holding, nodes
FROM servers ORDER BY started_at, name

-- name: ask_server
UPDATE servers SET command = ?, answer = NULL WHERE name = ?

-- name: command_of
SELECT command FROM servers WHERE name = ?

-- name: answer_command
UPDATE servers SET command = NULL, answer = ? WHERE name = ? AND command = ?
