-- select_ids: all experiments.
SELECT experiment_id FROM experiments ORDER BY number;

-- select_submitting: the experiments that have not ended and were planned here.
SELECT experiment_id FROM experiments WHERE NOT ended AND NOT discovered ORDER BY number;

-- has_number: whether an experiment has a number.
SELECT 1 FROM experiments WHERE number = ?;

-- restore_experiment: an experiment whose row was damaged.
INSERT INTO experiments (number, experiment_id, definition, created_at, discovered, started_at, updated_at, revision, ended)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?);

-- select_jobs: the jobs of an experiment, in the order of their submission.
SELECT job_id, variant_index FROM jobs WHERE experiment_id = ? ORDER BY number;

-- restore_job: a job whose row was damaged.
INSERT INTO jobs (job_id, experiment_id, variant_index, repeat_index, round, kind, priority, runner)
VALUES (?, ?, ?, ?, ?, ?, ?, ?);

-- select_cancels: who has to cancel an experiment.
SELECT runner, finish_running FROM cancels WHERE experiment_id = ?;

-- select_definition: that of an experiment.
SELECT definition FROM experiments WHERE experiment_id = ?;

-- select_states: those of the variants of an experiment.
SELECT variant_index, variants.state, variant_news.state
FROM variants LEFT JOIN variant_news USING (experiment_id, variant_index) WHERE experiment_id = ?;

-- delete_experiment: one whose definition cannot be read.
DELETE FROM experiments WHERE experiment_id = ?;

-- delete_variant: one whose state cannot be read.
DELETE FROM variants WHERE experiment_id = ? AND variant_index = ?;
