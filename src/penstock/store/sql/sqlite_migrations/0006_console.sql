-- What people did, or tried to.
CREATE TABLE audit (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    at     INTEGER NOT NULL,
    who    TEXT    NOT NULL,
    origin TEXT,
    action TEXT    NOT NULL,
    target TEXT    NOT NULL,
    -- JSON objects.
    before TEXT,
    after  TEXT,
    error  TEXT
);
CREATE INDEX audit_target ON audit (target, id);
CREATE INDEX audit_who    ON audit (who, id);
CREATE INDEX audit_action ON audit (action, id);

-- What servers did in each minute, for charts.
CREATE TABLE figures (
    minute        INTEGER PRIMARY KEY,
    completed     INTEGER NOT NULL,
    failed        INTEGER NOT NULL,
    retried       INTEGER NOT NULL,
    records       INTEGER NOT NULL,
    failed_slices INTEGER NOT NULL
);

-- The last lines that jobs logged.
CREATE TABLE job_log (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    job_id BLOB    NOT NULL,
    at     INTEGER NOT NULL,
    level  TEXT    NOT NULL,
    text   TEXT    NOT NULL,
    record INTEGER
);
CREATE INDEX job_log_job ON job_log (job_id, id);

-- Lists of jobs for people. Jobs that come and go, queued, running and destroyed on completion, are in none of these.
CREATE INDEX jobs_resting ON jobs (state, coalesce(completed_at, created_at), id)
    WHERE state IN ('paused', 'completed', 'failed', 'aborted');
CREATE INDEX jobs_waiting ON jobs (coalesce(run_at, 0), id) WHERE state = 'queued' AND runnable = 0 AND draft = 0;

-- Tokens of programs that use the API: only what a token is hashed to.
CREATE TABLE api_tokens (
    name       TEXT    NOT NULL PRIMARY KEY,
    digest     TEXT    NOT NULL UNIQUE,
    login      TEXT    NOT NULL,
    -- A JSON list.
    roles      TEXT    NOT NULL,
    created_at INTEGER NOT NULL
);

-- Answers to requests with an idempotency key. Without a status it is being answered.
CREATE TABLE api_answers (
    id         TEXT    NOT NULL PRIMARY KEY,
    request    TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    status     INTEGER,
    body       TEXT
);
CREATE INDEX api_answers_age ON api_answers (created_at);
