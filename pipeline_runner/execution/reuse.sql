-- schema: which job has made the result of some settings; the newest one that has it.
CREATE TABLE reusable (
    key BLOB PRIMARY KEY, -- a hash of all that decides the result
    job_id TEXT NOT NULL,
    crc INTEGER
) WITHOUT ROWID;
CREATE INDEX reusable_of_job ON reusable (job_id);

-- migration_2: rows have checksums.
ALTER TABLE reusable ADD COLUMN crc INTEGER;

-- migration_3: what a job has made is found by the job.
CREATE INDEX reusable_of_job ON reusable (job_id);

-- upsert_reusable: note the job.
INSERT INTO reusable (key, job_id) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET job_id = excluded.job_id;

-- select_reusable: the job that has made it.
SELECT job_id FROM reusable WHERE key = ?;

-- delete_reusable: its result is gone, or not what it was.
DELETE FROM reusable WHERE key = ?;

-- delete_reusable_of: the job is removed.
DELETE FROM reusable WHERE job_id = ?;
