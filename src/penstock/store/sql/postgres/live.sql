-- name: show_presence
INSERT INTO {schema}.presences (name, machine, pid, locked) VALUES (%(name)s, %(machine)s, %(pid)s, %(locked)s)
ON CONFLICT (name) DO UPDATE SET machine = excluded.machine, pid = excluded.pid, locked = excluded.locked

-- name: lock_presence
SELECT pg_try_advisory_lock(hashtextextended(%s, 7003))

-- name: unlock_presence
SELECT pg_advisory_unlock(hashtextextended(%s, 7003))

-- name: remove_presence
DELETE FROM {schema}.presences WHERE name = %s

-- name: add_listener
INSERT INTO {schema}.listeners (name, topic) VALUES (%s, %s) ON CONFLICT DO NOTHING

-- name: remove_listener
DELETE FROM {schema}.listeners WHERE name = %s AND topic = %s

-- name: remove_listeners_of
DELETE FROM {schema}.listeners WHERE name = %s
