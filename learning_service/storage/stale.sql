-- schema: the experiments of which something has changed since their recommendation was made.
CREATE TABLE stale (
    experiment_id TEXT PRIMARY KEY,
    crc INTEGER
) WITHOUT ROWID;

-- migration_2: rows have checksums.
ALTER TABLE stale ADD COLUMN crc INTEGER;

-- insert_stale: something has changed.
INSERT OR IGNORE INTO stale (experiment_id) VALUES (?);

-- delete_stale: the recommendation is made anew.
DELETE FROM stale WHERE experiment_id = ?;

-- select_stale: all of them.
SELECT experiment_id FROM stale;

-- is_stale: one of them.
SELECT 1 FROM stale WHERE experiment_id = ?;
