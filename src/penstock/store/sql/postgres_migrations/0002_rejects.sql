-- Records that were rejected, and what the code of a job counted, beside what was processed.
ALTER TABLE {schema}.progress ADD COLUMN rejected   bigint NOT NULL DEFAULT 0;
ALTER TABLE {schema}.progress ADD COLUMN statistics text   NOT NULL DEFAULT '{}';

-- When the next record under each rate limit may begin, whoever takes it.
CREATE TABLE {schema}.rates (
    name    text COLLATE "C" PRIMARY KEY,
    next_at timestamptz NOT NULL
) WITH (fillfactor = 50);
