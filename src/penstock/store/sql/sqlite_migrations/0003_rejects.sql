-- Records that were rejected, and what the code of a job counted, beside what was processed.
ALTER TABLE progress ADD COLUMN rejected   INTEGER NOT NULL DEFAULT 0;
ALTER TABLE progress ADD COLUMN statistics TEXT    NOT NULL DEFAULT '{}';

-- When the next record under each rate limit may begin, whoever takes it.
CREATE TABLE rates (
    name    TEXT    PRIMARY KEY,
    next_at INTEGER NOT NULL
) WITHOUT ROWID;
