-- select_ids: all experiments.
SELECT experiment_id FROM experiments ORDER BY number;

-- select_indices: the variants of an experiment.
SELECT variant_index FROM variants WHERE experiment_id = ?;

-- delete_strays: what has changed of variants whose rows were damaged.
DELETE FROM variant_news WHERE (experiment_id, variant_index) NOT IN (
    SELECT experiment_id, variant_index FROM variants
);

-- select_jobs: the jobs of an experiment, in the order of their submission.
SELECT job_id, variant_index FROM jobs WHERE experiment_id = ? ORDER BY number;

-- delete_jobs_of: jobs of a variant that is lost.
DELETE FROM jobs WHERE experiment_id = ? AND variant_index = ?;
