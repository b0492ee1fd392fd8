-- schema: the jobs. `record` holds the whole job as msgpack; the columns beside it serve look-ups.
CREATE TABLE jobs (
    number INTEGER PRIMARY KEY AUTOINCREMENT, -- order of submission, which among equal priorities is that of running
    job_id TEXT NOT NULL UNIQUE,
    experiment_id TEXT, -- of its learning context
    pipeline TEXT NOT NULL,
    priority INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN (
        'queued', -- -> running when a worker takes it, -> cancelled
        'running', -- -> completed, failed, cancelled; -> queued after a fault of the server or the end of the runner
        'completed',
        'failed', -- -> queued when a person retries it
        'cancelled' -- -> queued when a person retries it
    )),
    record BLOB NOT NULL,
    crc INTEGER
);
CREATE INDEX jobs_by_state ON jobs (state, number);
CREATE INDEX jobs_in_order ON jobs (pipeline, priority DESC, number) WHERE state = 'queued';
CREATE INDEX jobs_unended ON jobs (experiment_id, state, number) WHERE state IN ('queued', 'running');
CREATE TABLE cancels ( -- experiments whose jobs are being cancelled, some at a time; the row goes at the end
    experiment_id TEXT PRIMARY KEY,
    crc INTEGER
) WITHOUT ROWID;
CREATE TABLE pauses ( -- pipelines of which no job is started; '' is all of them
    pipeline TEXT PRIMARY KEY,
    crc INTEGER
) WITHOUT ROWID;

-- migration_3: rows have checksums.
ALTER TABLE jobs ADD COLUMN crc INTEGER;
ALTER TABLE cancels ADD COLUMN crc INTEGER;
ALTER TABLE pauses ADD COLUMN crc INTEGER;

-- select_last: the highest number that a job has had.
SELECT max(
    coalesce((SELECT max(number) FROM jobs), 0), coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'jobs'), 0)
);

-- insert: add a job, unless its id is known.
INSERT INTO jobs (number, job_id, experiment_id, pipeline, priority, state, record, crc)
VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (job_id) DO NOTHING;

-- select_behind: the numbers behind one.
SELECT number FROM jobs WHERE number > ?;

-- select_number: is there a job with a number?
SELECT 1 FROM jobs WHERE number = ?;

-- select_from: jobs behind a number, oldest first.
SELECT number, state, record FROM jobs WHERE number > ? ORDER BY number LIMIT ?;

-- update: write a job's new state.
UPDATE jobs SET state = ?, record = ?, crc = ? WHERE number = ?;

-- update_priority: write a job's new priority.
UPDATE jobs SET priority = ?, record = ?, crc = ? WHERE number = ?;

-- select: one job with its number.
SELECT number, record FROM jobs WHERE job_id = ?;

-- select_next: the jobs of a pipeline that are next.
SELECT
    number, job_id, record,
    crc = row_crc('jobs', number, job_id, experiment_id, pipeline, priority, state, record)
FROM jobs WHERE state = 'queued' AND pipeline = ? ORDER BY priority DESC, number LIMIT ?;

-- count_behind: how many queued jobs of a pipeline with the priority of one run after it.
SELECT count(*) FROM jobs WHERE state = 'queued' AND pipeline = ? AND priority = ? AND number > ?;

-- select_running: the running jobs.
SELECT record FROM jobs WHERE state = 'running' ORDER BY number;

-- select_unended: jobs of an experiment that have not ended, of one state, oldest first.
SELECT record FROM jobs WHERE experiment_id = ? AND state IN ('queued', 'running') AND state = ? ORDER BY number LIMIT ?;

-- select_unended_of_experiments: the jobs of all experiments that have not ended.
SELECT record FROM jobs INDEXED BY jobs_unended
WHERE experiment_id IS NOT NULL AND state IN ('queued', 'running') ORDER BY number;

-- select_waiting_of: queued jobs of an experiment behind a number, oldest first.
SELECT number, record FROM jobs
WHERE experiment_id = ? AND state IN ('queued', 'running') AND state = 'queued' AND number > ? ORDER BY number LIMIT ?;

-- select_waiting_in: queued jobs of a pipeline and priority behind a number, in their order.
SELECT number, job_id, experiment_id FROM jobs INDEXED BY jobs_in_order
WHERE state = 'queued' AND pipeline = ? AND priority = ? AND number > ? ORDER BY number LIMIT ?;

-- count_unended: how many jobs of an experiment have not ended.
SELECT count(*) FROM jobs WHERE experiment_id = ? AND state IN ('queued', 'running');

-- select_page: jobs before a number, newest first.
SELECT number, record FROM jobs WHERE number < :before ORDER BY number DESC LIMIT :limit;

-- select_page_by_state: jobs of one state before a number, newest first.
SELECT number, record FROM jobs WHERE state = :state AND number < :before ORDER BY number DESC LIMIT :limit;

-- select_ids: the ids that begin so, in their order.
SELECT job_id FROM jobs WHERE job_id >= :prefix AND job_id < :prefix || char(1114111) ORDER BY job_id LIMIT :limit;

-- select_newest_ids: the ids of the newest jobs, newest first.
SELECT job_id FROM jobs ORDER BY number DESC LIMIT ?;

-- count_queued: how many jobs wait, by pipeline and priority.
SELECT pipeline, priority, count(*) FROM jobs INDEXED BY jobs_in_order WHERE state = 'queued' GROUP BY pipeline, priority;

-- count_known: how many of some ids (a JSON list) there are.
SELECT count(*) FROM jobs WHERE job_id IN (SELECT value FROM json_each(?));

-- insert_cancel: note that all jobs of an experiment are to be cancelled.
INSERT OR IGNORE INTO cancels (experiment_id) VALUES (?);

-- delete_cancel: all of them are.
DELETE FROM cancels WHERE experiment_id = ?;

-- select_cancels: the experiments whose jobs are being cancelled.
SELECT experiment_id FROM cancels;

-- insert_pause: start no more jobs of a pipeline.
INSERT OR IGNORE INTO pauses (pipeline) VALUES (?);

-- delete_pause: go on.
DELETE FROM pauses WHERE pipeline = ?;

-- select_pauses: what is paused.
SELECT pipeline FROM pauses;
