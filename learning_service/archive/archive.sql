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

-- upsert_part: keep a part.
INSERT INTO import_parts (experiment_id, part, body) VALUES (?, ?, ?)
ON CONFLICT (experiment_id, part) DO UPDATE SET body = excluded.body;

-- count_parts: how many are there.
SELECT count(*) FROM import_parts WHERE experiment_id = ? AND part < ?;

-- select_parts: all of them, in their order.
SELECT body FROM import_parts WHERE experiment_id = ? AND part < ? ORDER BY part;

-- delete_parts: the experiment is made.
DELETE FROM import_parts WHERE experiment_id = ?;

-- delete_all_parts: nobody goes on with what was begun before the service started.
DELETE FROM import_parts;

-- page_results: how jobs ended, behind one of them.
SELECT job_id, variant_index, repeat_index, state, seconds, finished_at, error, metrics,
    CAST(coalesce(error, '') AS BLOB) -- what may be long
FROM results WHERE experiment_id = ? AND job_id > ? ORDER BY job_id LIMIT ?;

-- page_pictures: pictures, behind one of them: its hash, a dot, and its job.
SELECT sha256 || '.' || job_id, job_id, variant_index, repeat_index, image FROM pictures
WHERE experiment_id = ?1 AND (sha256, job_id) > (?2, ?3) ORDER BY sha256, job_id LIMIT ?4;

-- page_comparisons: comparisons, behind one of them.
SELECT number, left_sha256, left_variant, left_repeat, right_sha256, right_variant, right_repeat, compared_at,
    CAST(outcome AS BLOB)
FROM comparisons WHERE experiment_id = ? AND number > ? ORDER BY number LIMIT ?;
