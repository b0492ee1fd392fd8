-- select_outputs: what jobs have made.
SELECT sha256, path, job_id FROM outputs ORDER BY path;
