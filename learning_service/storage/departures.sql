-- schema: runners that do not answer, those whose jobs are being given to others, and what they have still to drop.
CREATE TABLE absences (
    runner TEXT PRIMARY KEY,
    since REAL NOT NULL, -- unix seconds; the row goes when it answers
    crc INTEGER
) WITHOUT ROWID;
CREATE TABLE forgotten ( -- runners that were forgotten; the row goes when none of their jobs is left
    runner TEXT PRIMARY KEY,
    crc INTEGER
) WITHOUT ROWID;
CREATE TABLE withdrawals ( -- jobs that a forgotten runner has to drop when it comes back; the row goes when it has
    runner TEXT NOT NULL,
    number INTEGER NOT NULL, -- order of submission
    job_id TEXT NOT NULL,
    crc INTEGER,
    PRIMARY KEY (runner, number)
) WITHOUT ROWID;

-- insert_absence: a runner does not answer any more.
INSERT OR IGNORE INTO absences (runner, since) VALUES (?, ?);

-- delete_absence: a runner answers.
DELETE FROM absences WHERE runner = ?;

-- select_absences: since when runners do not answer.
SELECT runner, since FROM absences;

-- insert_forgotten: the jobs of a runner are to be given to others.
INSERT OR IGNORE INTO forgotten (runner) VALUES (?);

-- delete_forgotten: they are.
DELETE FROM forgotten WHERE runner = ?;

-- select_forgotten: a runner whose jobs are to be given to others.
SELECT runner FROM forgotten LIMIT 1;

-- forget_runner: what a runner offered is no longer offered.
DELETE FROM runners WHERE address = ?;

-- forget_cancels: a runner has nothing more to cancel.
DELETE FROM cancels WHERE runner = ?;

-- forget_reconcile: a runner is no longer asked how its jobs ended.
DELETE FROM reconciles WHERE runner = ?;

-- insert_withdrawal: a job that a runner has to drop.
INSERT OR IGNORE INTO withdrawals (runner, number, job_id) VALUES (?, ?, ?);

-- select_withdrawals: the jobs that a runner has to drop next: what would run first.
SELECT number, job_id FROM withdrawals WHERE runner = ? ORDER BY number LIMIT ?;

-- delete_withdrawal: a runner has dropped a job, or does not have it.
DELETE FROM withdrawals WHERE runner = ? AND number = ?;

-- count_withdrawals: how many jobs each runner has to drop.
SELECT runner, count(*) FROM withdrawals GROUP BY runner;

-- select_some: the jobs of a runner with a number in (low, high], of experiments that have not ended.
SELECT jobs.number, job_id, experiment_id, kind, variant_index, repeat_index, round FROM jobs
JOIN experiments USING (experiment_id)
WHERE jobs.number > :low AND jobs.number <= :high AND runner = :runner AND NOT ended ORDER BY jobs.number;

-- delete_job: another job takes its place, or it was cancelled.
DELETE FROM jobs WHERE number = ?;

-- select_last: the newest job's number.
SELECT coalesce(max(number), 0) FROM jobs;

-- is_cancelled: whether a runner is to cancel an experiment, or has done so.
SELECT 1 FROM cancels WHERE experiment_id = ? AND runner = ?;

-- select_open: the experiments that have not ended.
SELECT experiment_id FROM experiments WHERE NOT ended;

-- count_unended: of the next jobs of an experiment, in the order of their ids: how many of each runner and kind have not
-- ended, whether the experiment was cancelled there, how many were looked at, and the last one's id. One of an earlier
-- round was replaced.
SELECT runner, kind, EXISTS (
    SELECT 1 FROM cancels WHERE cancels.experiment_id = some.experiment_id AND cancels.runner = some.runner
) AS cancelled, sum(runner IS NOT NULL AND NOT EXISTS (
    SELECT 1 FROM results WHERE results.experiment_id = some.experiment_id
    AND results.variant_index = some.variant_index AND results.repeat_index = some.repeat_index
    AND results.job_id = some.job_id
) AND NOT EXISTS (
    SELECT 1 FROM jobs AS later WHERE later.experiment_id = some.experiment_id
    AND later.job_id = some.experiment_id || '.' || some.variant_index || '.' || some.repeat_index || '.' || (some.round + 1)
)), count(*), max(job_id) FROM (
    SELECT * FROM jobs WHERE experiment_id = ? AND job_id > ? ORDER BY job_id LIMIT ?
) AS some GROUP BY runner, kind, cancelled;

-- count_of: how many jobs a runner has of an experiment that have not ended, up to a limit (-1: all are counted); one of
-- an earlier round was replaced.
SELECT count(*) FROM (SELECT 1 FROM jobs WHERE experiment_id = ? AND runner = ? AND NOT EXISTS (
    SELECT 1 FROM results WHERE results.experiment_id = jobs.experiment_id
    AND results.variant_index = jobs.variant_index AND results.repeat_index = jobs.repeat_index
    AND results.job_id = jobs.job_id
) AND NOT EXISTS (
    SELECT 1 FROM jobs AS later WHERE later.experiment_id = jobs.experiment_id
    AND later.job_id = jobs.experiment_id || '.' || jobs.variant_index || '.' || jobs.repeat_index || '.' || (jobs.round + 1)
) LIMIT ?);

-- count_cancels: how many experiments each runner has still to cancel.
SELECT runner, count(*) FROM cancels WHERE done = 0 AND runner != '' GROUP BY runner;

-- move_jobs: a runner is found at another address.
UPDATE jobs SET runner = :new WHERE runner = :old AND experiment_id IN (
    SELECT experiment_id FROM experiments WHERE NOT ended
);

-- move_cancels: as above.
INSERT INTO cancels (experiment_id, runner, finish_running, done)
SELECT experiment_id, :new, finish_running, 0 FROM cancels WHERE runner = :old
ON CONFLICT (experiment_id, runner) DO UPDATE SET done = 0, finish_running = min(finish_running, excluded.finish_running);

-- move_confirmation: as above; the one of the earlier address, as what is missing since is sent again.
INSERT INTO confirmations (runner, epoch, head) SELECT :new, epoch, head FROM confirmations WHERE runner = :old
ON CONFLICT (runner) DO UPDATE SET epoch = excluded.epoch, head = excluded.head;

-- move_purges: as above.
UPDATE OR REPLACE purges SET runner = :new WHERE runner = :old;

-- move_withdrawals: as above.
UPDATE OR REPLACE withdrawals SET runner = :new WHERE runner = :old;
