-- schema: experiments, their variants and jobs, how far each runner was read, and what is still to be sent to one.
CREATE TABLE experiments (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    experiment_id TEXT NOT NULL UNIQUE,
    definition BLOB NOT NULL,
    created_as BLOB, -- the definition as it was first, once it was changed
    created_at REAL NOT NULL,
    discovered INTEGER NOT NULL,
    started_at REAL,
    updated_at REAL NOT NULL,
    revision INTEGER NOT NULL, -- never goes back
    ended INTEGER NOT NULL DEFAULT 0, -- 0 -> 1 with its last job, 1 -> 0 when it is extended
    crc INTEGER,
    status TEXT, -- these four follow from the variants, for lists; NULL: see `fill_catalogue`
    completed INTEGER, -- jobs
    seconds REAL, -- what they took together
    summary BLOB -- msgpack: Summary
);
CREATE TABLE variants (
    experiment_id TEXT NOT NULL,
    variant_index INTEGER NOT NULL CHECK (variant_index >= 0),
    state BLOB NOT NULL,
    crc INTEGER,
    PRIMARY KEY (experiment_id, variant_index)
) WITHOUT ROWID;
CREATE TABLE variant_news ( -- what has changed of a variant since its row was written, which grows with its jobs
    experiment_id TEXT NOT NULL,
    variant_index INTEGER NOT NULL,
    state BLOB NOT NULL,
    crc INTEGER,
    PRIMARY KEY (experiment_id, variant_index)
) WITHOUT ROWID;
CREATE TABLE jobs ( -- what is sent to runners; how far a job is stands in its variant's state
    number INTEGER PRIMARY KEY AUTOINCREMENT, -- order of submission
    job_id TEXT NOT NULL,
    experiment_id TEXT NOT NULL,
    variant_index INTEGER NOT NULL,
    repeat_index INTEGER NOT NULL,
    round INTEGER NOT NULL,
    kind TEXT NOT NULL, -- pipeline and stage of its experiment: a runner has to offer both
    priority INTEGER NOT NULL, -- that of its experiment
    runner TEXT, -- the one that the job goes to; once chosen it stays, so that it cannot run at two
    acknowledged INTEGER NOT NULL DEFAULT 0, -- 0 -> 1 when the runner has it on disk, 1 -> 0 when it lost it
    crc INTEGER,
    UNIQUE (experiment_id, job_id)
);
CREATE INDEX jobs_unassigned ON jobs (kind, priority DESC, number)
WHERE runner IS NULL AND acknowledged = 0;
CREATE INDEX jobs_unacknowledged ON jobs (runner, priority DESC, number, kind)
WHERE runner IS NOT NULL AND acknowledged = 0;
CREATE INDEX jobs_unsent ON jobs (experiment_id, runner, variant_index) WHERE acknowledged = 0;
CREATE TABLE positions (
    source TEXT NOT NULL,
    prefix TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    "offset" INTEGER NOT NULL,
    crc INTEGER,
    PRIMARY KEY (source, prefix)
) WITHOUT ROWID;
CREATE TABLE runners (
    address TEXT PRIMARY KEY,
    pipelines BLOB NOT NULL, -- what it offered when it last answered
    crc INTEGER
) WITHOUT ROWID;
CREATE TABLE cancels (
    experiment_id TEXT NOT NULL,
    runner TEXT NOT NULL, -- '' for the jobs that none was chosen for
    finish_running INTEGER NOT NULL, -- 1: what runs comes to its end; 1 -> 0 when a person wants it at once after all
    done INTEGER NOT NULL DEFAULT 0, -- 0 -> 1 when the runner has done so, 1 -> 0 when it is sent jobs again
    crc INTEGER,
    PRIMARY KEY (experiment_id, runner)
) WITHOUT ROWID;
CREATE UNIQUE INDEX cancels_to_do ON cancels (runner, experiment_id) WHERE done = 0; -- unique: in order
CREATE TABLE reconciles ( -- runners that have to be asked how their jobs ended; the row goes when all are
    runner TEXT PRIMARY KEY,
    crc INTEGER
) WITHOUT ROWID;
CREATE TABLE late_events (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    experiment_id TEXT NOT NULL,
    variant_index INTEGER NOT NULL,
    body BLOB NOT NULL,
    crc INTEGER
);
CREATE INDEX late_events_of_experiment ON late_events (experiment_id);

-- migration_4: rows have checksums.
ALTER TABLE experiments ADD COLUMN crc INTEGER;
ALTER TABLE variants ADD COLUMN crc INTEGER;
ALTER TABLE jobs ADD COLUMN crc INTEGER;
ALTER TABLE positions ADD COLUMN crc INTEGER;
ALTER TABLE runners ADD COLUMN crc INTEGER;
ALTER TABLE cancels ADD COLUMN crc INTEGER;
ALTER TABLE reconciles ADD COLUMN crc INTEGER;
ALTER TABLE late_events ADD COLUMN crc INTEGER;

-- migration_5: lists need not read variants.
ALTER TABLE experiments ADD COLUMN status TEXT;
ALTER TABLE experiments ADD COLUMN completed INTEGER;
ALTER TABLE experiments ADD COLUMN seconds REAL;
ALTER TABLE experiments ADD COLUMN summary BLOB;

-- migration_6: the row of a variant is not written with each event.
CREATE TABLE variant_news (
    experiment_id TEXT NOT NULL,
    variant_index INTEGER NOT NULL,
    state BLOB NOT NULL,
    crc INTEGER,
    PRIMARY KEY (experiment_id, variant_index)
) WITHOUT ROWID;

-- insert_experiment: add an experiment.
INSERT INTO experiments (experiment_id, definition, created_at, discovered, started_at, updated_at, revision, status,
    completed, seconds, summary)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- update_experiment: write what changes of an experiment.
UPDATE experiments SET started_at = ?1, updated_at = ?2, revision = ?3, ended = ?4, status = ?5, completed = ?6, seconds = ?7,
    summary = ?8, crc = row_crc('experiments', number, experiment_id, definition, created_as, created_at, discovered,
    ?1 + 0.0, ?2 + 0.0, ?3, ?4, ?5, ?6, ?7 + 0.0, ?8)
WHERE experiment_id = ?9;

-- update_definition: it was extended or renamed.
UPDATE experiments SET created_as = coalesce(created_as, definition), definition = ? WHERE experiment_id = ?;

-- select_created_as: the definition as it was first, where it was changed since.
SELECT created_as FROM experiments WHERE experiment_id = ? AND created_as IS NOT NULL;

-- select_cancelling: the runners that have still to cancel an experiment.
SELECT runner FROM cancels WHERE experiment_id = ? AND done = 0;

-- delete_cancels: an experiment goes on after it was cancelled.
DELETE FROM cancels WHERE experiment_id = ?;

-- select_experiment: one experiment.
SELECT definition, created_at, discovered, started_at, updated_at, revision, summary
FROM experiments WHERE experiment_id = ?;

-- upsert_variant: write a variant.
INSERT INTO variants (experiment_id, variant_index, state, crc) VALUES (?, ?, ?, ?)
ON CONFLICT (experiment_id, variant_index) DO UPDATE SET state = excluded.state, crc = excluded.crc;

-- upsert_news: write what has changed of a variant since.
INSERT INTO variant_news (experiment_id, variant_index, state, crc) VALUES (?, ?, ?, ?)
ON CONFLICT (experiment_id, variant_index) DO UPDATE SET state = excluded.state, crc = excluded.crc;

-- delete_news: nothing has: it was written.
DELETE FROM variant_news WHERE experiment_id = ? AND variant_index = ?;

-- select_variants: the variants of an experiment.
SELECT variants.state, variant_news.state FROM variants LEFT JOIN variant_news USING (experiment_id, variant_index)
WHERE experiment_id = ? ORDER BY variant_index;

-- select_last_job: the highest number that a job has had.
SELECT max(
    coalesce((SELECT max(number) FROM jobs), 0), coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'jobs'), 0)
);

-- insert_job: add a planned job, unless it is there.
INSERT INTO jobs (number, job_id, experiment_id, variant_index, repeat_index, round, kind, priority, runner,
    acknowledged, crc)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (experiment_id, job_id) DO NOTHING;

-- delete_job: take back a job that no runner has.
DELETE FROM jobs WHERE number = ?;

-- select_unassigned: jobs of a kind that no runner was chosen for, in the order of their turn.
SELECT number, job_id, experiment_id, kind, priority, jobs.runner, variant_index, repeat_index, round FROM jobs
WHERE kind = ? AND runner IS NULL AND acknowledged = 0 ORDER BY priority DESC, number LIMIT ?;

-- select_cancelled_unsent: jobs that a runner ('': none) does not have yet, of experiments that it is to cancel.
SELECT number, job_id, experiment_id, kind, priority, jobs.runner, variant_index, repeat_index, round FROM cancels
CROSS JOIN jobs USING (experiment_id)
WHERE cancels.runner = ? AND done = 0 AND jobs.runner IS nullif(cancels.runner, '') AND acknowledged = 0
ORDER BY experiment_id, variant_index LIMIT ?; -- variant by variant, so that few of them change at once

-- count_unassigned: how many jobs no runner was chosen for.
SELECT count(*) FROM jobs INDEXED BY jobs_unassigned WHERE runner IS NULL AND acknowledged = 0; -- all of that index

-- assign_job: choose the runner of a job that has none.
UPDATE jobs SET runner = ?, crc = ? WHERE number = ?;

-- select_unacknowledged: jobs that a runner is to be sent, but for some kinds (a JSON list), in the order of their turn.
SELECT number, job_id, experiment_id, kind, priority, jobs.runner, variant_index, repeat_index, round FROM jobs
WHERE runner = ? AND acknowledged = 0 AND kind NOT IN (SELECT value FROM json_each(?))
ORDER BY priority DESC, number LIMIT ?;

-- acknowledge_job: note that the runner has a job, unless it is another runner's by now.
UPDATE jobs SET acknowledged = 1, crc = ? WHERE number = ? AND runner IS ?;

-- select_open: the experiments that have not ended, oldest first.
SELECT experiment_id FROM experiments WHERE NOT ended ORDER BY number;

-- select_submitted: the newest experiments that have not ended and were planned here.
SELECT experiment_id FROM experiments WHERE NOT ended AND NOT discovered ORDER BY number DESC LIMIT ?;

-- select_open_of_runner: the experiments that have not ended and have jobs at a runner.
SELECT experiment_id FROM experiments
WHERE NOT ended AND experiment_id IN (SELECT experiment_id FROM jobs WHERE runner = ?);

-- select_jobs_of_runner: the jobs of an experiment that went to a runner.
SELECT number, job_id, experiment_id, kind, priority, jobs.runner, variant_index, repeat_index, round FROM jobs
WHERE experiment_id = ? AND runner = ?;

-- resend_job: the runner has lost a job.
UPDATE jobs SET acknowledged = 0 WHERE number = ?;

-- repeat_cancels: a runner is sent jobs again, so it must be told again which were cancelled.
UPDATE cancels SET done = 0 WHERE runner = ?;

-- select_runners_of: the runners that were chosen for jobs of an experiment.
SELECT DISTINCT runner FROM jobs WHERE experiment_id = ? AND runner IS NOT NULL;

-- upsert_position: note how far a runner was read.
INSERT INTO positions (source, prefix, epoch, "offset", crc) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (source, prefix) DO UPDATE SET epoch = excluded.epoch, "offset" = excluded."offset", crc = excluded.crc;

-- select_positions: how far each runner was read.
SELECT source, prefix, epoch, "offset" FROM positions;

-- upsert_runner: note what a runner offers.
INSERT INTO runners (address, pipelines) VALUES (?, ?)
ON CONFLICT (address) DO UPDATE SET pipelines = excluded.pipelines;

-- select_runners: what each runner offered when it last answered.
SELECT address, pipelines FROM runners;

-- insert_cancel: note that a runner is to cancel an experiment.
INSERT INTO cancels (experiment_id, runner, finish_running) VALUES (?, ?, ?)
ON CONFLICT (experiment_id, runner) DO UPDATE SET done = 0, finish_running = min(finish_running, excluded.finish_running);

-- select_cancel: an experiment that a runner ('': none) is to cancel, once all of its jobs are there.
SELECT experiment_id, finish_running FROM cancels WHERE runner = :runner AND done = 0
AND NOT (runner = '' AND experiment_id IN (SELECT experiment_id FROM layouts)) AND NOT EXISTS (
    SELECT 1 FROM jobs WHERE jobs.experiment_id = cancels.experiment_id AND jobs.runner IS nullif(:runner, '')
    AND acknowledged = 0
) LIMIT 1;

-- finish_cancel: the runner has done so, unless a stricter wish has come meanwhile.
UPDATE cancels SET done = 1 WHERE experiment_id = ? AND runner = ? AND finish_running = ?;

-- insert_reconcile: note that a runner has to be asked how its jobs ended.
INSERT OR IGNORE INTO reconciles (runner) VALUES (?);

-- select_reconciles: the runners that have to be asked how their jobs ended.
SELECT runner FROM reconciles;

-- delete_reconcile: a runner has been asked.
DELETE FROM reconciles WHERE runner = ?;

-- insert_late: keep an event that came after the end of its variant.
INSERT INTO late_events (experiment_id, variant_index, body) VALUES (?, ?, ?);

-- trim_late: keep only the newest of them.
DELETE FROM late_events WHERE number <= (
    SELECT number FROM late_events WHERE experiment_id = ?1 ORDER BY number DESC LIMIT 1 OFFSET ?2
) AND experiment_id = ?1;
