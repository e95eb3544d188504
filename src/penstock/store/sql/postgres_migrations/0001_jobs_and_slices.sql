-- Everything lives in a schema of its own, beside the application's tables. Texts compare by code point, as everywhere
-- in Penstock, whatever the database's locale. The CHECK lists are those of states.py; a test compares them.

CREATE TABLE {schema}.jobs (
    id                  uuid        PRIMARY KEY,
    kind                text        COLLATE "C" NOT NULL,
    batch               boolean     NOT NULL,
    draft               boolean     NOT NULL DEFAULT false,
    uploader            text        COLLATE "C",
    state               text        COLLATE "C" NOT NULL CHECK (state IN ('queued', 'running', 'paused', 'completed', 'failed', 'aborted')),
    sub_state           text        COLLATE "C" CHECK (sub_state IN ('before', 'processing', 'after')),
    priority            smallint    NOT NULL CHECK (priority BETWEEN 1 AND 100),
    -- True when a claim may find something to take: the claim's indexes hold nothing else.
    runnable            boolean     NOT NULL,
    created_at          timestamptz NOT NULL,
    run_at              timestamptz,
    expires_at          timestamptz,
    started_at          timestamptz,
    completed_at        timestamptz,
    server              text        COLLATE "C",
    worker              text        COLLATE "C",
    attempt             integer     NOT NULL DEFAULT 0,
    failure_count       integer     NOT NULL DEFAULT 0,
    crash_count         integer     NOT NULL DEFAULT 0,
    destroy_on_complete boolean     NOT NULL,
    percent_complete    smallint    NOT NULL DEFAULT 0,
    record_count        bigint,
    slice_count         bigint      NOT NULL DEFAULT 0,
    exception           text        COLLATE "C",
    result              bytea,
    -- json and not jsonb: it comes back to the letter, and may hold escapes that jsonb refuses, such as \u0000.
    fields              json        NOT NULL,
    -- Why a queued job did not start, for people; cleared when it does.
    throttled_by        text        COLLATE "C",
    throttled_at        timestamptz,
    -- Not to be claimed before, whatever `run_at` says: set by throttles and by batch jobs that wait for a retry.
    held_until          timestamptz,
    -- Jobs of one group share one limit.
    throttle_group      text        COLLATE "C",
    -- The limit that this attempt counts against.
    limit_name          text        COLLATE "C",
    unique_key          text        COLLATE "C",
    -- Hooks that follow a committed move and have not run yet, and who is running them.
    pending_hooks       text        COLLATE "C",
    hooks_server        text        COLLATE "C"
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000,
        autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);

-- What may be claimed, in the order of claims: queued jobs without and with a group, and batch jobs under way.
CREATE INDEX jobs_runnable  ON {schema}.jobs (kind, priority, id)
    WHERE runnable AND state = 'queued' AND throttle_group IS NULL;
CREATE INDEX jobs_grouped   ON {schema}.jobs (kind, throttle_group, priority, id)
    WHERE runnable AND state = 'queued' AND throttle_group IS NOT NULL;
CREATE INDEX jobs_under_way ON {schema}.jobs (priority, id) WHERE runnable AND state = 'running';
CREATE INDEX jobs_scheduled ON {schema}.jobs (run_at)
    WHERE state = 'queued' AND NOT runnable AND NOT draft AND held_until IS NULL;
CREATE INDEX jobs_parked    ON {schema}.jobs (held_until) WHERE held_until IS NOT NULL;
-- With the kind, so that whether any job of a kind runs is answered by the index alone.
CREATE INDEX jobs_held      ON {schema}.jobs (server, kind) WHERE server IS NOT NULL;
CREATE INDEX jobs_drafts    ON {schema}.jobs (uploader) WHERE draft OR uploader IS NOT NULL;
-- With the kind: there may be very many of kinds that nobody knows.
CREATE INDEX jobs_pending   ON {schema}.jobs (kind, id) WHERE pending_hooks IS NOT NULL AND hooks_server IS NULL;
CREATE INDEX jobs_in_hooks  ON {schema}.jobs (hooks_server) WHERE pending_hooks IS NOT NULL AND hooks_server IS NOT NULL;
CREATE INDEX batches_running ON {schema}.jobs (kind) WHERE batch AND state = 'running';
-- What runs under a limit is counted here, within a claim's transaction and under its lock: exact, whatever moved a job.
CREATE INDEX jobs_limited   ON {schema}.jobs (limit_name) WHERE state = 'running' AND limit_name IS NOT NULL;
CREATE UNIQUE INDEX jobs_unique ON {schema}.jobs (unique_key)
    WHERE unique_key IS NOT NULL AND state IN ('queued', 'running', 'paused');

CREATE TABLE {schema}.slices (
    id            bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id        uuid    NOT NULL,
    category      text    COLLATE "C" NOT NULL,
    number        bigint  NOT NULL,
    state         text    COLLATE "C" NOT NULL CHECK (state IN ('queued', 'running', 'failed')),
    attempt       integer NOT NULL DEFAULT 0,
    server        text    COLLATE "C",
    first_record  bigint  NOT NULL,
    record_count  bigint  NOT NULL,
    done          bigint  NOT NULL DEFAULT 0,
    bytes         bigint  NOT NULL,
    failure_count integer NOT NULL DEFAULT 0,
    crash_count   integer NOT NULL DEFAULT 0,
    exception     text    COLLATE "C"
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000,
        autovacuum_analyze_scale_factor = 0.05);

CREATE UNIQUE INDEX slices_by_number ON {schema}.slices (job_id, category, number);
CREATE INDEX slices_queued  ON {schema}.slices (job_id, number) WHERE state = 'queued';
CREATE INDEX slices_running ON {schema}.slices (job_id) WHERE state = 'running';
CREATE INDEX slices_failed  ON {schema}.slices (job_id, number) WHERE state = 'failed';
CREATE INDEX slices_held    ON {schema}.slices (server) WHERE server IS NOT NULL;

-- Apart from slices: a claim rewrites the row of a slice and must never rewrite its payload. Out of line and as it is:
-- it is compressed where that was asked for.
CREATE TABLE {schema}.slice_payloads (
    slice_id bigint PRIMARY KEY,
    payload  bytea  NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.05, toast.autovacuum_vacuum_scale_factor = 0.05);
ALTER TABLE {schema}.slice_payloads ALTER COLUMN payload SET STORAGE EXTERNAL;

-- `part` is the offset in the input slice of the first record covered: a slice that failed and went on has several.
CREATE TABLE {schema}.output_slices (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id       uuid   NOT NULL,
    category     text   COLLATE "C" NOT NULL,
    number       bigint NOT NULL,
    part         bigint NOT NULL,
    record_count bigint NOT NULL,
    payload      bytea  NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.05, toast.autovacuum_vacuum_scale_factor = 0.05);
ALTER TABLE {schema}.output_slices ALTER COLUMN payload SET STORAGE EXTERNAL;

CREATE UNIQUE INDEX output_slices_by_number ON {schema}.output_slices (job_id, category, number, part);

-- Records processed, one row for each server that worked on the job: servers never wait for each other here.
CREATE TABLE {schema}.progress (
    job_id  uuid   NOT NULL,
    server  text   COLLATE "C" NOT NULL,
    records bigint NOT NULL,
    PRIMARY KEY (job_id, server)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);

CREATE TABLE {schema}.servers (
    name       text        COLLATE "C" PRIMARY KEY,
    host       text        NOT NULL,
    pid        integer     NOT NULL,
    state      text        NOT NULL CHECK (state IN ('starting', 'running', 'paused', 'stopping')),
    started_at timestamptz NOT NULL,
    heartbeat  bigint      NOT NULL DEFAULT 0,
    processes  integer     NOT NULL,
    slots      integer     NOT NULL,
    -- What a person asked of a server from elsewhere, and what it answered.
    command    text,
    answer     text,
    -- The kinds that its workers know, as a JSON object with what limits each, and how many pieces of work it holds.
    kinds      text        NOT NULL DEFAULT '{}',
    holding    integer     NOT NULL DEFAULT 0
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 200);

-- Who has shown a sign of life: an advisory lock of its session, and where its process can be looked for.
CREATE TABLE {schema}.presences (
    name    text    COLLATE "C" PRIMARY KEY,
    machine text    NOT NULL,
    pid     integer NOT NULL,
    -- False where a pooler is in between, which would give the session's lock to somebody else.
    locked  boolean NOT NULL
);

-- Who listens to which topic: NOTIFY makes commits wait for each other, so it is sent only when somebody does.
CREATE TABLE {schema}.listeners (
    name  text COLLATE "C" NOT NULL,
    topic text COLLATE "C" NOT NULL,
    PRIMARY KEY (topic, name)
);

-- Conditions on fields of the document ------------------------------------------------------------------
-- These are in indexes, so they use nothing but what is built in: they must work with any search_path.

-- The value of a field. json refuses to look into a document with \u0000 or half a surrogate pair anywhere, so these
-- are taken for the replacement character.
CREATE FUNCTION {schema}.field_value(document json, name text) RETURNS json
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    IF strpos(document::text, '\u0000') > 0 OR document::text ~ '\\u[dD][89a-fA-F]' THEN
        document := regexp_replace(document::text, '(?<!\\)((?:\\\\)*)\\u0000', '\1\\ufffd', 'g');
        document := regexp_replace(document::text,
            '(?<!\\)((?:\\\\)*)\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])', '\1\\ufffd', 'g');
        document := regexp_replace(document::text,
            '(?<!\\u[dD][89abAB][0-9a-fA-F]{2})(?<!\\)((?:\\\\)*)\\u[dD][c-fC-F][0-9a-fA-F]{2}', '\1\\ufffd', 'g');
    END IF;
    RETURN document -> name;
END $$;

-- The text of a value; of a list or an object its JSON. NULL for numbers and truth values, which have a number.
CREATE FUNCTION {schema}.text_of(value json) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    RETURN CASE json_typeof(value) WHEN 'string' THEN value #>> '{}'
                                   WHEN 'array' THEN value::text WHEN 'object' THEN value::text END;
END $$;

-- The number of a value; true is 1 and false is 0. NULL for anything else. Beyond 1e1000 it is infinite.
CREATE FUNCTION {schema}.number_of(value json) RETURNS numeric
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    CASE json_typeof(value)
        WHEN 'number' THEN
            IF value::text ~ '[eE]\+?[0-9]{4,}$' THEN
                RETURN CASE WHEN value::text LIKE '-%' THEN '-Infinity' ELSE 'Infinity' END;
            ELSIF value::text ~ '[eE]-[0-9]{4,}$' THEN
                RETURN 0;
            END IF;
            RETURN value::text;
        WHEN 'boolean' THEN RETURN CASE value::text WHEN 'true' THEN 1 ELSE 0 END;
        ELSE RETURN NULL;
    END CASE;
END $$;

-- The value of a decimal number in text; NaN for any other text. Exponents are as long as PostgreSQL has room for.
CREATE FUNCTION {schema}.decimal_of(value text) RETURNS numeric
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    parts text[] := regexp_match(value, '^([+-]?)([0-9]+)?(?:\.([0-9]*))?(?:[eE]([+-]?[0-9]{1,18}))?$');
    magnitude bigint;
BEGIN
    IF value IS NULL THEN
        RETURN NULL;
    ELSIF value ~* '^[+-]?inf(inity)?$' THEN
        RETURN CASE WHEN value LIKE '-%' THEN '-Infinity' ELSE 'Infinity' END;
    ELSIF parts IS NULL OR coalesce(parts[2], '') || coalesce(parts[3], '') = '' THEN
        RETURN 'NaN';
    END IF;
    magnitude := coalesce(parts[4], '0')::bigint + length(coalesce(parts[2], ''));
    IF magnitude > 100000 THEN
        RETURN CASE WHEN value !~ '[1-9].*[eE]' THEN '0' WHEN value LIKE '-%' THEN '-Infinity' ELSE 'Infinity' END;
    ELSIF magnitude - length(coalesce(parts[2], '') || coalesce(parts[3], '')) < -16000 THEN
        RETURN 0;
    END IF;
    RETURN value;
END $$;

-- A value as indexes keep it: numbers as short ones in the same order, then all that has a text. NULL for nothing.
CREATE FUNCTION {schema}.rank_of(value json) RETURNS double precision
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    number numeric;
BEGIN
    CASE json_typeof(value)
        WHEN 'number' THEN
            IF value::text ~ '[eE]-[0-9]{3,}$' THEN
                RETURN 0;
            ELSIF value::text ~ '[eE]\+?[0-9]{4,}$' THEN
                RETURN CASE WHEN value::text LIKE '-%' THEN -1e300 ELSE 1e300 END;
            END IF;
            number := value::text;
            RETURN CASE WHEN number > 1e300 THEN 1e300 WHEN number < -1e300 THEN -1e300
                        WHEN abs(number) < 1e-99 THEN 0 ELSE number END;
        WHEN 'boolean' THEN RETURN CASE value::text WHEN 'true' THEN 1 ELSE 0 END;
        WHEN 'string', 'array', 'object' THEN RETURN 'Infinity';
        ELSE RETURN NULL;
    END CASE;
END $$;
