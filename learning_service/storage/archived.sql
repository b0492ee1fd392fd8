-- schema: the experiments that a person has put away.
CREATE TABLE archived (
    experiment_id TEXT PRIMARY KEY,
    archived_at REAL NOT NULL, -- unix seconds
    crc INTEGER
) WITHOUT ROWID;

-- insert_archived: put one away.
INSERT OR IGNORE INTO archived (experiment_id, archived_at) VALUES (?, ?);

-- delete_archived: take it out again.
DELETE FROM archived WHERE experiment_id = ?;

-- is_archived: one of them.
SELECT 1 FROM archived WHERE experiment_id = ?;
