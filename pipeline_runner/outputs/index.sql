-- schema: what jobs that have ended have made, and when they ended; written in the transaction in which a job ends.
CREATE TABLE outputs (
    sha256 TEXT NOT NULL,
    path TEXT NOT NULL, -- relative to the output folder, with forward slashes; its name begins with the hash
    job_id TEXT NOT NULL,
    experiment_id TEXT, -- NULL: the job belongs to no experiment
    media_type TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    created REAL NOT NULL, -- unix seconds: when the job ended
    crc INTEGER,
    PRIMARY KEY (sha256, path, job_id)
) WITHOUT ROWID;
CREATE INDEX outputs_by_owner ON outputs (experiment_id, created, bytes);
CREATE TABLE ended_jobs (
    job_id TEXT PRIMARY KEY,
    experiment_id TEXT, -- NULL: it belongs to none
    ended REAL NOT NULL, -- unix seconds
    crc INTEGER
) WITHOUT ROWID;
CREATE INDEX ended_jobs_by_owner ON ended_jobs (experiment_id, ended);
CREATE TABLE outputs_since ( -- one row
    epoch INTEGER NOT NULL, -- of the log, which has another one when rows may have been lost
    since REAL NOT NULL, -- unix seconds: what was made later is known here
    crc INTEGER
);

-- migration_2: rows have checksums.
ALTER TABLE outputs ADD COLUMN crc INTEGER;
ALTER TABLE ended_jobs ADD COLUMN crc INTEGER;
ALTER TABLE outputs_since ADD COLUMN crc INTEGER;

-- select_since: the moment from which on all results are known, if it is of an epoch.
SELECT since FROM outputs_since WHERE epoch = ?;

-- delete_since: forget the moment of another epoch.
DELETE FROM outputs_since;

-- insert_since: note the moment of an epoch.
INSERT INTO outputs_since (epoch, since) VALUES (?, ?);

-- insert_output: note what a job has made.
INSERT OR REPLACE INTO outputs (sha256, path, job_id, experiment_id, media_type, bytes, created, crc)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, row_crc('outputs', ?1, ?2, ?3, ?4, ?5, ?6, ?7 + 0.0));

-- insert_ended: note that a job has ended.
INSERT OR REPLACE INTO ended_jobs (job_id, experiment_id, ended, crc) VALUES (?, ?, ?, ?);

-- select_copies: the files with a hash.
SELECT DISTINCT path, media_type FROM outputs WHERE sha256 = ? LIMIT ?;

-- select_sizes: the next files behind one, in their order, with their sizes.
SELECT sha256, path, max(bytes) FROM outputs WHERE (sha256, path) > (?, ?) GROUP BY sha256, path ORDER BY sha256, path
LIMIT ?;

-- select_matches: the hashes in a range, each with the newest job that has made it.
SELECT sha256, media_type, bytes, job_id, experiment_id, max(created) FROM outputs
WHERE sha256 >= ? AND sha256 < ? GROUP BY sha256 ORDER BY sha256 LIMIT ?;

-- select_owners: experiments with jobs that ended before a time, behind an experiment.
SELECT DISTINCT experiment_id FROM ended_jobs
WHERE experiment_id > :after AND ended < :before ORDER BY experiment_id LIMIT :limit;

-- count_jobs: the jobs of an owner that ended before a time.
SELECT count(*) FROM ended_jobs WHERE experiment_id IS ? AND ended < ?;

-- count_files: what they have made; a file that two of them made counts once.
SELECT count(*), coalesce(sum(bytes), 0)
FROM (SELECT bytes FROM outputs WHERE experiment_id IS ? AND created < ? GROUP BY sha256, path);

-- select_unended: has an experiment a job that has not ended?
SELECT 1 FROM jobs INDEXED BY jobs_unended WHERE experiment_id = ? AND state IN ('queued', 'running') LIMIT 1;

-- select_running_job: does any job run?
SELECT 1 FROM jobs WHERE state = 'running' LIMIT 1;

-- select_busy_experiments: the experiments that have such jobs; of this index no row of a job needs to be read.
SELECT DISTINCT experiment_id FROM jobs INDEXED BY jobs_unended
WHERE experiment_id IS NOT NULL AND state IN ('queued', 'running');

-- select_busy_jobs: such jobs that belong to no experiment.
SELECT job_id FROM jobs INDEXED BY jobs_unended WHERE experiment_id IS NULL AND state IN ('queued', 'running');

-- select_removable: some of what an owner's jobs have made that ended before a time.
SELECT sha256, path, job_id, bytes FROM outputs WHERE experiment_id IS ? AND created < ? LIMIT ?;

-- delete_output: forget what a job has made.
DELETE FROM outputs WHERE sha256 = ? AND path = ? AND job_id = ?;

-- select_removable_jobs: some of an owner's jobs that ended before a time.
SELECT job_id FROM ended_jobs WHERE experiment_id IS ? AND ended < ? LIMIT ?;

-- delete_ended: forget that a job has ended.
DELETE FROM ended_jobs WHERE job_id = ?;

-- delete_job: forget a job that has ended.
DELETE FROM jobs WHERE job_id = ? AND state IN ('completed', 'failed', 'cancelled');

-- select_paths: the files with a hash.
SELECT DISTINCT path FROM outputs WHERE sha256 = ?;
