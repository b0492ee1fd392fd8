-- select_end: the newest epoch, and the newest offset that was ever given out.
SELECT (SELECT epoch FROM epochs ORDER BY number DESC LIMIT 1), (SELECT seq FROM sqlite_sequence WHERE name = 'log');

-- select_scopes: the version of each store.
SELECT name, version FROM scopes;

-- delete_closing: forget how the log was left.
DELETE FROM closing;
