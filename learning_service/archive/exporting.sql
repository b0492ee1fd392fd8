-- page_results: how jobs ended, behind one of them.
SELECT variant_index, repeat_index, job_id, state, seconds, finished_at, error, metrics, remarks,
    CAST(coalesce(error, '') || coalesce(remarks, '') AS BLOB) -- what may be long
FROM results WHERE experiment_id = ? AND (variant_index, repeat_index, job_id) > (?, ?, ?)
ORDER BY variant_index, repeat_index, job_id LIMIT ?;

-- page_pictures: the pictures of jobs, from one of them on, or (1) behind it.
SELECT variant_index, repeat_index, job_id, images
FROM results WHERE experiment_id = ? AND (variant_index, repeat_index, job_id, 1) > (?, ?, ?, ?) AND images IS NOT NULL
ORDER BY variant_index, repeat_index, job_id LIMIT ?;

-- page_comparisons: comparisons, behind one of them.
SELECT number, left_sha256, left_variant, left_repeat, right_sha256, right_variant, right_repeat, compared_at,
    CAST(outcome AS BLOB)
FROM comparisons WHERE experiment_id = ? AND number > ? ORDER BY number LIMIT ?;
