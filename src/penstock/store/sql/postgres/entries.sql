-- name: insert_entry
INSERT INTO {schema}.dirmon_entries (name, pattern, kind, properties, archive, after, state, error, created_at)
VALUES (%(name)s, %(pattern)s, %(kind)s, %(properties)s, %(archive)s, %(after)s, %(state)s, %(error)s, %(created_at)s)

-- name: entries
SELECT name, pattern, kind, properties, archive, after, state, error, created_at FROM {schema}.dirmon_entries ORDER BY name

-- name: entry
SELECT name, pattern, kind, properties, archive, after, state, error, created_at FROM {schema}.dirmon_entries
WHERE name = %s

-- name: delete_entry
DELETE FROM {schema}.dirmon_entries WHERE name = %s
