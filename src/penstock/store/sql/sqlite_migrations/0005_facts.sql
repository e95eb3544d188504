-- What is to be known of the store itself, as which other one holds its slices.
CREATE TABLE facts (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);
