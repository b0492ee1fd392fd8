-- schema: how far the feed was read, what was told of each experiment, and the messages that have not arrived yet.
CREATE TABLE IF NOT EXISTS positions (
    source TEXT NOT NULL, -- control address of the publisher
    prefix TEXT NOT NULL,
    epoch INTEGER,
    offset INTEGER NOT NULL,
    PRIMARY KEY (source, prefix)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS told (
    experiment_id TEXT PRIMARY KEY,
    told BLOB NOT NULL -- msgpack
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS waiting (
    id INTEGER PRIMARY KEY,
    experiment_id TEXT NOT NULL,
    kinds BLOB NOT NULL, -- msgpack
    target TEXT NOT NULL, -- the key of an address, which itself is a secret
    made_at REAL NOT NULL, -- unix seconds
    attempts INTEGER NOT NULL DEFAULT 0,
    due_at REAL NOT NULL -- unix seconds
);

-- select_positions: where to go on.
SELECT source, prefix, epoch, offset FROM positions;

-- upsert_position: an event was read, with all that followed from it.
INSERT OR REPLACE INTO positions (source, prefix, epoch, offset) VALUES (?, ?, ?, ?);

-- select_told: what was told of an experiment.
SELECT told FROM told WHERE experiment_id = ?;

-- upsert_told: something else was told of it.
INSERT OR REPLACE INTO told (experiment_id, told) VALUES (?, ?);

-- delete_told: the experiment was deleted.
DELETE FROM told WHERE experiment_id = ?;

-- insert_waiting: one message to one address.
INSERT INTO waiting (experiment_id, kinds, target, made_at, due_at) VALUES (?, ?, ?, ?, ?);

-- select_due: the one whose turn it is.
SELECT id, experiment_id, kinds, target, made_at, attempts FROM waiting WHERE due_at <= ? ORDER BY due_at, id LIMIT 1;

-- postpone: it did not arrive.
UPDATE waiting SET attempts = attempts + 1, due_at = ? WHERE id = ?;

-- delete_waiting: it has arrived, or is given up.
DELETE FROM waiting WHERE id = ?;

-- delete_waiting_of: the experiment was deleted.
DELETE FROM waiting WHERE experiment_id = ?;
