-- schema: the priorities that people have given to the jobs of experiments.
CREATE TABLE priorities (
    experiment_id TEXT PRIMARY KEY,
    priority INTEGER NOT NULL,
    changed_at REAL NOT NULL, -- unix seconds
    done INTEGER NOT NULL, -- 1 once all jobs that waited then have it
    crc INTEGER
) WITHOUT ROWID;

-- select_priorities: all of them.
SELECT experiment_id, priority, done FROM priorities;

-- write_priority: give one.
INSERT OR REPLACE INTO priorities (experiment_id, priority, changed_at, done) VALUES (?, ?, ?, 0);

-- finish_priority: all jobs that waited have it.
UPDATE priorities SET done = 1 WHERE experiment_id = ?;

-- select_old: those of which there are newer ones enough.
SELECT experiment_id FROM priorities ORDER BY changed_at DESC, experiment_id LIMIT -1 OFFSET ?;

-- delete_priority: forget one.
DELETE FROM priorities WHERE experiment_id = ?;
