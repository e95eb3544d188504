-- What holds a job back, what makes it the only one of its kind, and what is still to be called for it.

-- Why a queued job did not start, for people; cleared when it does.
ALTER TABLE jobs ADD COLUMN throttled_by TEXT;
ALTER TABLE jobs ADD COLUMN throttled_at INTEGER;
-- Not to be claimed before, whatever `run_at` says: set by throttles and by batch jobs that wait for a retry.
ALTER TABLE jobs ADD COLUMN held_until INTEGER;
-- Jobs of one group share one limit.
ALTER TABLE jobs ADD COLUMN throttle_group TEXT;
-- The limit that this attempt counts against.
ALTER TABLE jobs ADD COLUMN limit_name TEXT;
ALTER TABLE jobs ADD COLUMN unique_key TEXT;
-- Hooks that follow a committed move and have not run yet, and who is running them.
ALTER TABLE jobs ADD COLUMN pending_hooks TEXT;
ALTER TABLE jobs ADD COLUMN hooks_server TEXT;

DROP INDEX jobs_runnable;
DROP INDEX jobs_scheduled;
CREATE INDEX jobs_runnable  ON jobs (kind, priority, id) WHERE runnable = 1 AND throttle_group IS NULL;
CREATE INDEX jobs_grouped   ON jobs (kind, throttle_group, priority, id) WHERE runnable = 1 AND throttle_group IS NOT NULL;
CREATE INDEX jobs_scheduled ON jobs (run_at) WHERE state = 'queued' AND runnable = 0 AND draft = 0 AND held_until IS NULL;
CREATE INDEX jobs_parked    ON jobs (held_until) WHERE held_until IS NOT NULL;
-- With the kind: there may be very many of kinds that nobody knows.
CREATE INDEX jobs_pending   ON jobs (hooks_server, kind, id) WHERE pending_hooks IS NOT NULL;
CREATE UNIQUE INDEX jobs_unique ON jobs (unique_key)
    WHERE unique_key IS NOT NULL AND state IN ('queued', 'running', 'paused');
CREATE INDEX batches_running ON jobs (kind) WHERE batch = 1 AND state = 'running';
-- With the kind, so that whether any job of a kind runs is answered by the index alone.
DROP INDEX jobs_held;
CREATE INDEX jobs_held      ON jobs (server, kind) WHERE server IS NOT NULL;

-- How many jobs run under each limit. Only the triggers write it, so no way in or out of running is forgotten.
-- Limits under which nothing runs go, or those of groups that come and go would all be read by every claim.
CREATE TABLE limits (
    name    TEXT    PRIMARY KEY,
    running INTEGER NOT NULL CHECK (running >= 0)
) WITHOUT ROWID;

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

-- What a person asked of a server from elsewhere, and what it answered.
ALTER TABLE servers ADD COLUMN command TEXT;
ALTER TABLE servers ADD COLUMN answer TEXT;
-- The kinds that its workers know, as a JSON object with what limits each, and how many pieces of work it holds.
ALTER TABLE servers ADD COLUMN kinds TEXT NOT NULL DEFAULT '{}';
ALTER TABLE servers ADD COLUMN holding INTEGER NOT NULL DEFAULT 0;
