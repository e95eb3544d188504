-- name: insert_entry
INSERT INTO dirmon_entries (name, pattern, kind, properties, archive, after, state, error, created_at)
VALUES (:name, :pattern, :kind, :properties, :archive, :after, :state, :error, :created_at)

-- name: entries
SELECT name, pattern, kind, properties, archive, after, state, error, created_at FROM dirmon_entries ORDER BY name

-- name: entry
SELECT name, pattern, kind, properties, archive, after, state, error, created_at FROM dirmon_entries WHERE name = ?

-- name: delete_entry
DELETE FROM dirmon_entries WHERE name = ?
