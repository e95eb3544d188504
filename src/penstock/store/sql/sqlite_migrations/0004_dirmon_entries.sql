-- Folders that are watched for files, and what is made of those that arrive.
CREATE TABLE dirmon_entries (
    name       TEXT    NOT NULL PRIMARY KEY,
    pattern    TEXT    NOT NULL UNIQUE,
    kind       TEXT    NOT NULL,
    -- A JSON object: fields of the job that each file becomes.
    properties TEXT    NOT NULL,
    archive    TEXT    NOT NULL,
    after      TEXT    NOT NULL CHECK (after IN ('archive', 'delete')),
    state      TEXT    NOT NULL CHECK (state IN ('pending', 'enabled', 'disabled', 'failed')),
    error      TEXT,
    created_at INTEGER NOT NULL
);
