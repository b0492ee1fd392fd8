-- select_outputs: what jobs have made.
SELECT sha256, path, job_id FROM outputs ORDER BY path;

-- select_job: the job that has made a result.
SELECT CAST(record AS BLOB) FROM jobs WHERE job_id = ?;
