-- schema: how far the search of each adaptive experiment is.
CREATE TABLE adaptive (
    experiment_id TEXT PRIMARY KEY,
    state TEXT NOT NULL CHECK (state IN ('searching', 'decided', 'exhausted', 'stopped')),
    reason TEXT NOT NULL,
    crc INTEGER
) WITHOUT ROWID;
CREATE INDEX adaptive_searching ON adaptive (experiment_id) WHERE state = 'searching';

-- migration_2: rows have checksums.
ALTER TABLE adaptive ADD COLUMN crc INTEGER;

-- upsert_search: write how far a search is.
INSERT INTO adaptive (experiment_id, state, reason) VALUES (?, ?, ?)
ON CONFLICT (experiment_id) DO UPDATE SET state = excluded.state, reason = excluded.reason;

-- select_search: how far one search is.
SELECT state, reason FROM adaptive WHERE experiment_id = ?;

-- select_searching: the experiments whose search has not ended.
SELECT experiment_id FROM adaptive WHERE state = 'searching' ORDER BY experiment_id;
