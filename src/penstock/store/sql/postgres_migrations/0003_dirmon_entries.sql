-- Folders that are watched for files, and what is made of those that arrive.
CREATE TABLE {schema}.dirmon_entries (
    name       text        COLLATE "C" PRIMARY KEY,
    pattern    text        COLLATE "C" NOT NULL CONSTRAINT dirmon_entries_pattern UNIQUE,
    kind       text        COLLATE "C" NOT NULL,
    -- A JSON object: fields of the job that each file becomes.
    properties text        NOT NULL,
    archive    text        COLLATE "C" NOT NULL,
    after      text        COLLATE "C" NOT NULL CHECK (after IN ('archive', 'delete')),
    state      text        COLLATE "C" NOT NULL CHECK (state IN ('pending', 'enabled', 'disabled', 'failed')),
    error      text        COLLATE "C",
    created_at timestamptz NOT NULL
);
