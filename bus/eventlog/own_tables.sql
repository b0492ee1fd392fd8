-- select_tables: what tables there are.
SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%';

-- restore_epoch: an epoch whose row is lost; it began no earlier than the one before.
INSERT OR IGNORE INTO epochs (epoch, start) VALUES (:epoch, coalesce((SELECT max(start) FROM epochs), 0));

-- select_kept: the records that retention has kept. The casts are those of reader.sql.
SELECT coalesce(CAST("offset" AS INTEGER), 0), coalesce(CAST(topic AS BLOB), x''), coalesce(CAST(time_ns AS INTEGER), 0), coalesce(CAST(body AS BLOB), x''), CAST(crc AS INTEGER)
FROM kept;

-- delete_latest: forget the newest records.
DELETE FROM latest;

-- insert_latest: the newest record of a topic.
INSERT INTO latest (topic, "offset") VALUES (?, ?);

-- upsert_indexed: all topics up to an offset are there.
INSERT INTO indexed (only_row, "offset") VALUES (1, ?) ON CONFLICT (only_row) DO UPDATE SET "offset" = excluded."offset";

-- select_indexed: up to which offset the newest record of each topic is known; no row if that is not known itself.
SELECT "offset" FROM indexed;

-- select_removed: up to which offset retention has removed records.
SELECT "offset" FROM removed;

-- insert_removed: up to which offset retention has removed records.
INSERT INTO removed (only_row, "offset") VALUES (1, ?);

-- select_counter: the newest offset that was ever given out, by SQLite's counter.
SELECT seq FROM sqlite_sequence WHERE name = 'log';

-- select_last: the newest record.
SELECT max("offset") FROM log;

-- select_all: all records that are in the log, oldest first.
SELECT "offset", coalesce(CAST(topic AS BLOB), x''), coalesce(CAST(time_ns AS INTEGER), 0), coalesce(CAST(body AS BLOB), x''), CAST(crc AS INTEGER)
FROM log ORDER BY "offset";

-- select_behind: the records that the counter does not know.
SELECT "offset", coalesce(CAST(topic AS BLOB), x''), coalesce(CAST(time_ns AS INTEGER), 0), coalesce(CAST(body AS BLOB), x''), CAST(crc AS INTEGER)
FROM log WHERE "offset" > ?;

-- delete_record: remove a record.
DELETE FROM log WHERE "offset" = ?;

-- delete_counter: forget SQLite's counter.
DELETE FROM sqlite_sequence WHERE name = 'log';

-- insert_counter: set it.
INSERT INTO sqlite_sequence (name, seq) VALUES ('log', ?);
