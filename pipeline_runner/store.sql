-- schema: the jobs. `record` holds the whole job as msgpack; the columns beside it serve look-ups.
CREATE TABLE IF NOT EXISTS jobs (
    number INTEGER PRIMARY KEY AUTOINCREMENT, -- order of submission, which is the order of running
    job_id TEXT NOT NULL UNIQUE,
    experiment_id TEXT, -- of its learning context
    state TEXT NOT NULL CHECK (state IN (
        'queued', -- -> running when a worker takes it, -> cancelled
        'running', -- -> completed, failed, cancelled; -> queued when the runner died under it
        'completed',
        'failed',
        'cancelled'
    )),
    record BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS jobs_by_state ON jobs (state, number);
CREATE INDEX IF NOT EXISTS jobs_unended_by_experiment ON jobs (experiment_id) WHERE state IN ('queued', 'running');

-- insert: add a job, unless its id is known.
INSERT INTO jobs (job_id, experiment_id, state, record) VALUES (?, ?, ?, ?) ON CONFLICT (job_id) DO NOTHING;

-- update: write a job's new state.
UPDATE jobs SET state = ?, record = ? WHERE job_id = ?;

-- select: one job.
SELECT record FROM jobs WHERE job_id = ?;

-- select_next: the queued job that has waited longest.
SELECT record FROM jobs WHERE state = 'queued' ORDER BY number LIMIT 1;

-- select_running: the running jobs.
SELECT record FROM jobs WHERE state = 'running' ORDER BY number;

-- select_unended: the jobs of an experiment that have not ended.
SELECT record FROM jobs WHERE experiment_id = ? AND state IN ('queued', 'running') ORDER BY number;

-- select_page: jobs before a number, newest first.
SELECT number, record FROM jobs WHERE number < :before ORDER BY number DESC LIMIT :limit;

-- select_page_by_state: jobs of one state before a number, newest first.
SELECT number, record FROM jobs WHERE state = :state AND number < :before ORDER BY number DESC LIMIT :limit;

-- count: how many jobs there are in a state.
SELECT count(*) FROM jobs WHERE state = ?;
