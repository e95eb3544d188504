-- What people did, or tried to.
CREATE TABLE {schema}.audit (
    id     bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at     timestamptz NOT NULL,
    who    text        COLLATE "C" NOT NULL,
    origin text,
    action text        COLLATE "C" NOT NULL,
    target text        COLLATE "C" NOT NULL,
    -- JSON objects.
    before text,
    after  text,
    error  text
);
CREATE INDEX audit_target ON {schema}.audit (target, id);
CREATE INDEX audit_who    ON {schema}.audit (who, id);
CREATE INDEX audit_action ON {schema}.audit (action, id);

-- What servers did in each minute, for charts.
CREATE TABLE {schema}.figures (
    minute        timestamptz PRIMARY KEY,
    completed     bigint NOT NULL,
    failed        bigint NOT NULL,
    retried       bigint NOT NULL,
    records       bigint NOT NULL,
    failed_slices bigint NOT NULL
);

-- The last lines that jobs logged.
CREATE TABLE {schema}.job_log (
    id     bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id uuid        NOT NULL,
    at     timestamptz NOT NULL,
    level  text        COLLATE "C" NOT NULL,
    text   text        NOT NULL,
    record bigint
);
CREATE INDEX job_log_job ON {schema}.job_log (job_id, id);

-- Lists of jobs for people. Jobs that come and go, queued, running and destroyed on completion, are in none of these.
CREATE INDEX jobs_resting ON {schema}.jobs (state, (coalesce(completed_at, created_at)), id)
    WHERE state IN ('paused', 'completed', 'failed', 'aborted');
CREATE INDEX jobs_waiting ON {schema}.jobs ((coalesce(run_at, timestamptz 'epoch')), id)
    WHERE state = 'queued' AND NOT runnable AND NOT draft;

-- Tokens of programs that use the API: only what a token is hashed to.
CREATE TABLE {schema}.api_tokens (
    name       text        COLLATE "C" PRIMARY KEY,
    digest     text        COLLATE "C" NOT NULL UNIQUE,
    login      text        NOT NULL,
    -- A JSON list.
    roles      text        NOT NULL,
    created_at timestamptz NOT NULL
);

-- Answers to requests with an idempotency key. Without a status it is being answered.
CREATE TABLE {schema}.api_answers (
    id         text        COLLATE "C" PRIMARY KEY,
    request    text        NOT NULL,
    created_at timestamptz NOT NULL,
    status     integer,
    body       text
);
CREATE INDEX api_answers_age ON {schema}.api_answers (created_at);
