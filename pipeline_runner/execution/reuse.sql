-- schema: which job has made the result of some settings; the newest one that has it.
CREATE TABLE reusable (
    key BLOB PRIMARY KEY, -- a hash of all that decides the result
    job_id TEXT NOT NULL,
    crc INTEGER
) WITHOUT ROWID;

-- migration_2: rows have checksums.
ALTER TABLE reusable ADD COLUMN crc INTEGER;

-- upsert_reusable: note the job.
INSERT INTO reusable (key, job_id) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET job_id = excluded.job_id;

-- select_reusable: the job that has made it.
SELECT job_id FROM reusable WHERE key = ?;

-- delete_reusable: its result is gone, or not what it was.
DELETE FROM reusable WHERE key = ?;
