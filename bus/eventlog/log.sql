-- schema: the log, the newest record of each topic, what retention has kept, and the epochs. Services add their own tables to the same file.
-- A column crc is a checksum of its row (see row_checksums.py); log and kept have that of their record (see pages.py).
-- AUTOINCREMENT: offsets are never given out again, even when retention has emptied the table.
-- crc covers offset, time, topic and body: SQLite does not notice a flipped bit in a stored value.
CREATE TABLE log (
    "offset" INTEGER PRIMARY KEY AUTOINCREMENT,
    topic TEXT NOT NULL,
    time_ns INTEGER NOT NULL,
    body BLOB NOT NULL,
    crc INTEGER NOT NULL
);
CREATE TABLE latest (
    topic TEXT PRIMARY KEY,
    "offset" INTEGER NOT NULL,
    crc INTEGER
) WITHOUT ROWID;
CREATE TABLE kept ( -- newest records of status topics that are no longer in the log
    topic TEXT PRIMARY KEY,
    "offset" INTEGER NOT NULL,
    time_ns INTEGER NOT NULL,
    body BLOB NOT NULL,
    crc INTEGER NOT NULL
);
CREATE TABLE indexed (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    "offset" INTEGER NOT NULL, -- up to which latest is complete; grows
    crc INTEGER
);
INSERT INTO indexed (only_row, "offset") VALUES (1, 0);
CREATE TABLE removed (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    "offset" INTEGER NOT NULL, -- up to which retention has removed records; grows
    crc INTEGER
);
INSERT INTO removed (only_row, "offset") VALUES (1, 0);
CREATE TABLE epochs (
    number INTEGER PRIMARY KEY,
    epoch INTEGER NOT NULL UNIQUE,
    start INTEGER NOT NULL, -- head of the log when this epoch began
    crc INTEGER
);
CREATE TABLE closing (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    clean INTEGER NOT NULL, -- 0 -> 1 at an orderly close, 1 -> 0 at open
    boot_id TEXT NOT NULL, -- of the machine, when the log was last opened
    crc INTEGER
);
CREATE TABLE scopes (
    name TEXT PRIMARY KEY, -- a store that has its tables in this file
    version INTEGER NOT NULL,
    crc INTEGER
) WITHOUT ROWID;
CREATE TABLE damaged_rows ( -- of any store, which have failed their checksum
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    store TEXT NOT NULL,
    name TEXT NOT NULL, -- of the table
    key TEXT NOT NULL,
    row BLOB NOT NULL, -- msgpack: column -> value, as it was found
    found_at REAL NOT NULL, -- unix seconds
    repaired_at REAL -- NULL: what it said is lost so far
);

-- migration_3: rows of state have checksums.
ALTER TABLE latest ADD COLUMN crc INTEGER;
ALTER TABLE indexed ADD COLUMN crc INTEGER;
ALTER TABLE epochs ADD COLUMN crc INTEGER;
ALTER TABLE closing ADD COLUMN crc INTEGER;
ALTER TABLE scopes ADD COLUMN crc INTEGER;
CREATE TABLE removed (only_row INTEGER PRIMARY KEY CHECK (only_row = 1), "offset" INTEGER NOT NULL, crc INTEGER);
INSERT INTO removed (only_row, "offset") VALUES (1, coalesce(
    (SELECT min("offset") - 1 FROM log), (SELECT seq FROM sqlite_sequence WHERE name = 'log'), 0
));
CREATE TABLE damaged_rows (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    store TEXT NOT NULL,
    name TEXT NOT NULL,
    key TEXT NOT NULL,
    row BLOB NOT NULL,
    found_at REAL NOT NULL,
    repaired_at REAL
);
