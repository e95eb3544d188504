-- Moments are whole microseconds since 1970 in UTC. The CHECK lists are those of states.py; a test compares them.

CREATE TABLE jobs (
    id                  BLOB    PRIMARY KEY CHECK (length(id) = 16),
    kind                TEXT    NOT NULL,
    batch               INTEGER NOT NULL,
    draft               INTEGER NOT NULL DEFAULT 0,
    uploader            TEXT,
    state               TEXT    NOT NULL CHECK (state IN ('queued', 'running', 'paused', 'completed', 'failed', 'aborted')),
    sub_state           TEXT             CHECK (sub_state IN ('before', 'processing', 'after')),
    priority            INTEGER NOT NULL CHECK (priority BETWEEN 1 AND 100),
    -- 1 when a claim may find something to take: the claim's index holds nothing else.
    runnable            INTEGER NOT NULL,
    created_at          INTEGER NOT NULL,
    run_at              INTEGER,
    expires_at          INTEGER,
    started_at          INTEGER,
    completed_at        INTEGER,
    server              TEXT,
    worker              TEXT,
    attempt             INTEGER NOT NULL DEFAULT 0,
    failure_count       INTEGER NOT NULL DEFAULT 0,
    crash_count         INTEGER NOT NULL DEFAULT 0,
    destroy_on_complete INTEGER NOT NULL,
    percent_complete    INTEGER NOT NULL DEFAULT 0,
    record_count        INTEGER,
    slice_count         INTEGER NOT NULL DEFAULT 0,
    exception           TEXT,
    result              BLOB,
    fields              TEXT    NOT NULL
) WITHOUT ROWID;

CREATE INDEX jobs_runnable  ON jobs (kind, priority, id) WHERE runnable = 1;
CREATE INDEX jobs_scheduled ON jobs (run_at) WHERE state = 'queued' AND runnable = 0 AND draft = 0;
CREATE INDEX jobs_held      ON jobs (server) WHERE server IS NOT NULL;
CREATE INDEX jobs_drafts    ON jobs (uploader) WHERE draft = 1 OR uploader IS NOT NULL;

CREATE TABLE slices (
    id            INTEGER PRIMARY KEY,
    job_id        BLOB    NOT NULL,
    category      TEXT    NOT NULL,
    number        INTEGER NOT NULL,
    state         TEXT    NOT NULL CHECK (state IN ('queued', 'running', 'failed')),
    attempt       INTEGER NOT NULL DEFAULT 0,
    server        TEXT,
    first_record  INTEGER NOT NULL,
    record_count  INTEGER NOT NULL,
    done          INTEGER NOT NULL DEFAULT 0,
    bytes         INTEGER NOT NULL,
    failure_count INTEGER NOT NULL DEFAULT 0,
    crash_count   INTEGER NOT NULL DEFAULT 0,
    exception     TEXT
);

CREATE UNIQUE INDEX slices_by_number ON slices (job_id, category, number);
CREATE INDEX slices_queued  ON slices (job_id, number) WHERE state = 'queued';
CREATE INDEX slices_running ON slices (job_id) WHERE state = 'running';
CREATE INDEX slices_failed  ON slices (job_id, number) WHERE state = 'failed';

-- Apart from slices: a claim rewrites the row of a slice and must never rewrite its payload.
CREATE TABLE slice_payloads (
    slice_id INTEGER PRIMARY KEY,
    payload  BLOB NOT NULL
);

-- `part` is the offset in the input slice of the first record covered: a slice that failed and went on has several.
CREATE TABLE output_slices (
    id           INTEGER PRIMARY KEY,
    job_id       BLOB    NOT NULL,
    category     TEXT    NOT NULL,
    number       INTEGER NOT NULL,
    part         INTEGER NOT NULL,
    record_count INTEGER NOT NULL,
    payload      BLOB    NOT NULL
);

CREATE UNIQUE INDEX output_slices_by_number ON output_slices (job_id, category, number, part);

-- Records processed, one row for each server that worked on the job: servers never wait for each other here.
CREATE TABLE progress (
    job_id  BLOB    NOT NULL,
    server  TEXT    NOT NULL,
    records INTEGER NOT NULL,
    PRIMARY KEY (job_id, server)
) WITHOUT ROWID;

CREATE TABLE servers (
    name       TEXT    PRIMARY KEY,
    host       TEXT    NOT NULL,
    pid        INTEGER NOT NULL,
    state      TEXT    NOT NULL CHECK (state IN ('starting', 'running', 'paused', 'stopping')),
    started_at INTEGER NOT NULL,
    heartbeat  INTEGER NOT NULL DEFAULT 0,
    processes  INTEGER NOT NULL,
    slots      INTEGER NOT NULL
) WITHOUT ROWID;
