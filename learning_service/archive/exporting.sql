-- page_results: how jobs ended, behind one of them.
SELECT job_id, variant_index, repeat_index, state, seconds, finished_at, error, metrics,
    CAST(coalesce(error, '') AS BLOB) -- what may be long
FROM results WHERE experiment_id = ? AND job_id > ? ORDER BY job_id LIMIT ?;

-- page_pictures: pictures, behind one of them: its hash, a dot, and its job.
SELECT sha256 || '.' || job_id, job_id, variant_index, repeat_index, image FROM pictures
WHERE experiment_id = ?1 AND (sha256, job_id) > (?2, ?3) ORDER BY sha256, job_id LIMIT ?4;

-- page_comparisons: comparisons, behind one of them.
SELECT number, left_sha256, left_variant, left_repeat, right_sha256, right_variant, right_repeat, compared_at,
    CAST(outcome AS BLOB)
FROM comparisons WHERE experiment_id = ? AND number > ? ORDER BY number LIMIT ?;
