-- schema: up to where of the ledger this file is.
CREATE TABLE ledger_places (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    created INTEGER NOT NULL, -- when the ledger was, in microseconds: another one is another ledger
    sequence INTEGER NOT NULL, -- of the last message of the entry that was applied last; grows
    link BLOB NOT NULL, -- of that entry
    crc INTEGER
);

-- select: the place.
SELECT created, sequence, link FROM ledger_places;

-- upsert: note the place.
INSERT INTO ledger_places (only_row, created, sequence, link, crc) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (only_row) DO UPDATE
SET created = excluded.created, sequence = excluded.sequence, link = excluded.link, crc = excluded.crc;

-- delete: the file goes its own way from here.
DELETE FROM ledger_places;

-- has_table: whether there is a place.
SELECT 1 FROM sqlite_schema WHERE name = 'ledger_places';

-- select_versions: the version of each store.
SELECT name, version FROM scopes;
