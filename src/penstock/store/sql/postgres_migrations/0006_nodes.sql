-- The nodes of a distributor that keeps its jobs in this store, as of its last heartbeat: a JSON list of objects.
ALTER TABLE {schema}.servers ADD COLUMN nodes text NOT NULL DEFAULT '[]';
