-- The nodes of a distributor that keeps its jobs in this store, as of its last heartbeat: a JSON list of objects.
ALTER TABLE servers ADD COLUMN nodes TEXT NOT NULL DEFAULT '[]';
