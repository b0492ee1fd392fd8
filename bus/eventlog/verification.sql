-- select_scopes: the version of each store.
SELECT name, version FROM scopes;

-- select_ends: the oldest and the newest offset of the records, and what SQLite's counter says.
SELECT (SELECT min("offset") FROM log), (SELECT max("offset") FROM log),
    (SELECT seq FROM sqlite_sequence WHERE name = 'log');

-- select_removed: up to which offset retention has removed records.
SELECT "offset" FROM removed;

-- select_kept: the records that retention has kept. The casts: damage must not be an error before it is looked at.
SELECT coalesce(CAST("offset" AS INTEGER), 0), coalesce(CAST(topic AS BLOB), x''), coalesce(CAST(time_ns AS INTEGER), 0), coalesce(CAST(body AS BLOB), x''), CAST(crc AS INTEGER)
FROM kept;

-- select_epochs: all epochs.
SELECT epoch FROM epochs;
