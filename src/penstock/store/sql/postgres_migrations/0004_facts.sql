-- What is to be known of the store itself, as which other one holds its slices.
CREATE TABLE {schema}.facts (
    name  text COLLATE "C" PRIMARY KEY,
    value text NOT NULL
);
