-- select_cluster: has this runner ever been in a cluster?
SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'tickets';

-- count_owed: the jobs that it has of the cluster, and those whose ends wait.
SELECT count(*) FROM (SELECT job_id FROM tickets UNION SELECT job_id FROM ends WHERE state = 'waiting');
