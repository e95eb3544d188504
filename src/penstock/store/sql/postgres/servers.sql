-- name: abandoned_drafts
SELECT id, draft, uploader, created_at FROM {schema}.jobs WHERE draft OR uploader IS NOT NULL

-- name: register_server
INSERT INTO {schema}.servers
    (name, host, pid, state, started_at, heartbeat, processes, slots, command, answer, kinds, holding, nodes)
VALUES (%(name)s, %(host)s, %(pid)s, %(state)s, %(started_at)s, %(heartbeat)s, %(processes)s, %(slots)s, %(command)s,
        %(answer)s, %(kinds)s, %(holding)s, %(nodes)s)

-- name: beat
UPDATE {schema}.servers SET heartbeat = heartbeat + 1, state = %s, kinds = %s, holding = %s, nodes = %s WHERE name = %s
RETURNING clock_timestamp()

-- name: servers
SELECT name, host, pid, state, started_at, heartbeat, processes, slots, command, answer, kinds, holding, nodes
FROM {schema}.servers ORDER BY started_at, name

-- name: ask_server
UPDATE {schema}.servers SET command = %s, answer = NULL WHERE name = %s

-- name: command_of
SELECT command FROM {schema}.servers WHERE name = %s

-- name: answer_command
UPDATE {schema}.servers SET command = NULL, answer = %s WHERE name = %s AND command = %s

-- name: presence
-- Shared, and for the length of the statement: those who ask are not in each other's way.
SELECT machine, pid, locked, pg_try_advisory_xact_lock_shared(hashtextextended(%(key)s, 7003))
FROM {schema}.presences WHERE name = %(name)s

-- name: presences
SELECT name FROM {schema}.presences

-- name: announce
SELECT pg_notify(%(channel)s, topic) FROM unnest(%(topics)s::text[]) AS given (topic)
WHERE EXISTS (SELECT 1 FROM {schema}.listeners WHERE listeners.topic = given.topic)

-- name: drop_dead_listeners
-- Whose lock is free has ended, or lost its connection: then it says so again when it has another.
DELETE FROM {schema}.listeners WHERE pg_try_advisory_xact_lock_shared(hashtextextended(%s || name, 7003))
