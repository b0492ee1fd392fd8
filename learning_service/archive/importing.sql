-- schema: parts of experiments that are being imported; they go when the last one has come.
CREATE TABLE import_parts (
    experiment_id TEXT NOT NULL,
    part INTEGER NOT NULL,
    body BLOB NOT NULL, -- msgpack: ImportParams
    crc INTEGER,
    PRIMARY KEY (experiment_id, part)
) WITHOUT ROWID;

-- migration_2: rows have checksums.
ALTER TABLE import_parts ADD COLUMN crc INTEGER;

-- upsert_part: keep a part, with its checksum: to be added afterwards, all of it would be written again.
INSERT INTO import_parts (experiment_id, part, body, crc) VALUES (?, ?, ?, ?)
ON CONFLICT (experiment_id, part) DO UPDATE SET body = excluded.body, crc = excluded.crc;

-- select_part: one of them.
SELECT body FROM import_parts WHERE experiment_id = ? AND part = ?;

-- select_unfinished: the experiments that were being imported when the service stopped; nobody goes on with them.
SELECT DISTINCT experiment_id FROM import_parts;

-- delete_parts: some parts; the experiment is made.
DELETE FROM import_parts WHERE experiment_id = ?1 AND part IN (
    SELECT part FROM import_parts WHERE experiment_id = ?1 LIMIT 1
);

-- delete_results: some results of an experiment that was not made.
DELETE FROM results WHERE experiment_id = ?1 AND (variant_index, repeat_index, job_id) IN (
    SELECT variant_index, repeat_index, job_id FROM results WHERE experiment_id = ?1 LIMIT 500
);

-- delete_ratings: some ratings of it.
DELETE FROM ratings WHERE number IN (SELECT number FROM ratings WHERE experiment_id = ? LIMIT 500);

-- delete_comparisons: some comparisons of it.
DELETE FROM comparisons WHERE number IN (SELECT number FROM comparisons WHERE experiment_id = ? LIMIT 500);

-- delete_variants: some variants of it.
DELETE FROM variants WHERE experiment_id = ?1 AND variant_index IN (
    SELECT variant_index FROM variants WHERE experiment_id = ?1 LIMIT 100
);
