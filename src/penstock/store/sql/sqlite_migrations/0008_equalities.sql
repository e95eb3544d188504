-- The same table with equalities for lists of states: SQLite builds a table of its own for each IN with more than two
-- values, each time a row is stored, and three of these took most of the time of storing a job. Indexes of fields are
-- made again by who runs this, for only the store knows which there are.

CREATE TABLE jobs_of_now (
    id                  BLOB    PRIMARY KEY CHECK (length(id) = 16),
    kind                TEXT    NOT NULL,
    batch               INTEGER NOT NULL,
    draft               INTEGER NOT NULL DEFAULT 0,
    uploader            TEXT,
    state               TEXT    NOT NULL CHECK (
        state = 'queued' OR state = 'running' OR state = 'paused' OR state = 'completed' OR state = 'failed' OR state = 'aborted'
    ),
    sub_state           TEXT             CHECK (sub_state = 'before' OR sub_state = 'processing' OR sub_state = 'after'),
    priority            INTEGER NOT NULL CHECK (priority BETWEEN 1 AND 100),
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
    fields              TEXT    NOT NULL,
    throttled_by        TEXT,
    throttled_at        INTEGER,
    held_until          INTEGER,
    throttle_group      TEXT,
    limit_name          TEXT,
    unique_key          TEXT,
    pending_hooks       TEXT,
    hooks_server        TEXT
) WITHOUT ROWID;

INSERT INTO jobs_of_now SELECT
    id, kind, batch, draft, uploader, state, sub_state, priority, runnable, created_at, run_at, expires_at, started_at,
    completed_at, server, worker, attempt, failure_count, crash_count, destroy_on_complete, percent_complete, record_count,
    slice_count, exception, result, fields, throttled_by, throttled_at, held_until, throttle_group, limit_name, unique_key,
    pending_hooks, hooks_server
FROM jobs ORDER BY id;

DROP TABLE jobs;
ALTER TABLE jobs_of_now RENAME TO jobs;

CREATE INDEX jobs_drafts    ON jobs (uploader) WHERE draft = 1 OR uploader IS NOT NULL;
CREATE INDEX jobs_runnable  ON jobs (kind, priority, id) WHERE runnable = 1 AND throttle_group IS NULL;
CREATE INDEX jobs_grouped   ON jobs (kind, throttle_group, priority, id) WHERE runnable = 1 AND throttle_group IS NOT NULL;
CREATE INDEX jobs_scheduled ON jobs (run_at) WHERE state = 'queued' AND runnable = 0 AND draft = 0 AND held_until IS NULL;
CREATE INDEX jobs_parked    ON jobs (held_until) WHERE held_until IS NOT NULL;
CREATE INDEX jobs_pending   ON jobs (hooks_server, kind, id) WHERE pending_hooks IS NOT NULL;
CREATE INDEX jobs_held      ON jobs (server, kind) WHERE server IS NOT NULL;
CREATE INDEX jobs_waiting   ON jobs (coalesce(run_at, 0), id) WHERE state = 'queued' AND runnable = 0 AND draft = 0;
CREATE INDEX batches_running ON jobs (kind) WHERE batch = 1 AND state = 'running';
-- These two are found by questions that have the same condition to the letter.
CREATE UNIQUE INDEX jobs_unique ON jobs (unique_key)
    WHERE unique_key IS NOT NULL AND (state = 'queued' OR state = 'running' OR state = 'paused');
CREATE INDEX jobs_resting   ON jobs (state, coalesce(completed_at, created_at), id)
    WHERE state = 'paused' OR state = 'completed' OR state = 'failed' OR state = 'aborted';

CREATE TRIGGER limit_taken AFTER UPDATE OF state ON jobs
WHEN NEW.limit_name IS NOT NULL AND NEW.state = 'running' AND OLD.state <> 'running'
BEGIN
    INSERT INTO limits (name, running) VALUES (NEW.limit_name, 1)
    ON CONFLICT (name) DO UPDATE SET running = running + 1;
END;

CREATE TRIGGER limit_left AFTER UPDATE OF state ON jobs
WHEN OLD.limit_name IS NOT NULL AND OLD.state = 'running' AND NEW.state <> 'running'
BEGIN
    UPDATE limits SET running = running - 1 WHERE name = OLD.limit_name;
    DELETE FROM limits WHERE name = OLD.limit_name AND running = 0;
END;

CREATE TRIGGER limit_left_for_good AFTER DELETE ON jobs
WHEN OLD.limit_name IS NOT NULL AND OLD.state = 'running'
BEGIN
    UPDATE limits SET running = running - 1 WHERE name = OLD.limit_name;
    DELETE FROM limits WHERE name = OLD.limit_name AND running = 0;
END;
