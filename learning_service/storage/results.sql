-- schema: how each job of an experiment ended, and the pictures that came of it, variant by variant.
CREATE TABLE results (
    experiment_id TEXT NOT NULL,
    variant_index INTEGER NOT NULL,
    repeat_index INTEGER NOT NULL,
    job_id TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('completed', 'failed', 'cancelled')),
    seconds REAL, -- of a completed job
    finished_at REAL NOT NULL,
    metrics BLOB, -- msgpack: name -> number; only where there are any
    error TEXT, -- of a failed job
    images BLOB, -- msgpack: a list of ImageRef; only where there are any
    crc INTEGER,
    remarks BLOB, -- msgpack: Remarks; only where there are any
    PRIMARY KEY (experiment_id, variant_index, repeat_index, job_id)
) WITHOUT ROWID;

-- migration_2: rows have checksums.
ALTER TABLE results ADD COLUMN crc INTEGER;
ALTER TABLE pictures ADD COLUMN crc INTEGER;

-- migration_3: a job's pictures stand in its own row, as a list of msgpack.
ALTER TABLE results RENAME TO old_results;
CREATE INDEX pictures_of_job ON pictures (experiment_id, job_id, sha256, image);
CREATE TABLE results (
    experiment_id TEXT NOT NULL,
    variant_index INTEGER NOT NULL,
    repeat_index INTEGER NOT NULL,
    job_id TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('completed', 'failed', 'cancelled')),
    seconds REAL,
    finished_at REAL NOT NULL,
    metrics BLOB,
    error TEXT,
    images BLOB,
    crc INTEGER,
    PRIMARY KEY (experiment_id, variant_index, repeat_index, job_id)
) WITHOUT ROWID;
INSERT INTO results (experiment_id, variant_index, repeat_index, job_id, state, seconds, finished_at, metrics, error, images)
SELECT experiment_id, variant_index, repeat_index, job_id, state, seconds, finished_at, metrics, error, (
    SELECT msgpack_list(image) FROM (
        SELECT image FROM pictures
        WHERE pictures.experiment_id = old_results.experiment_id AND pictures.job_id = old_results.job_id ORDER BY sha256
    )
) FROM old_results ORDER BY experiment_id, variant_index, repeat_index, job_id;
DROP TABLE old_results;
DROP TABLE pictures;

-- migration_4: what is to be known of a result besides: its warnings, and which job made it.
ALTER TABLE results ADD COLUMN remarks BLOB;

-- upsert_result: note how a job ended.
INSERT INTO results (experiment_id, variant_index, repeat_index, job_id, state, seconds, finished_at, metrics, error,
    images, remarks, crc)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (experiment_id, variant_index, repeat_index, job_id) DO UPDATE SET state = excluded.state,
    seconds = excluded.seconds, finished_at = excluded.finished_at, metrics = excluded.metrics, error = excluded.error,
    images = excluded.images, remarks = excluded.remarks, crc = excluded.crc;

-- select_results: how the jobs of an experiment ended, behind one of them.
SELECT variant_index, repeat_index, job_id, state, seconds, finished_at, metrics, error FROM results
WHERE experiment_id = ? AND (variant_index, repeat_index, job_id) > (?, ?, ?)
ORDER BY variant_index, repeat_index, job_id LIMIT ?;

-- select_pictures: the pictures of the jobs of an experiment, behind one of them.
SELECT variant_index, repeat_index, job_id, images FROM results
WHERE experiment_id = ? AND (variant_index, repeat_index, job_id) > (?, ?, ?) AND images IS NOT NULL
ORDER BY variant_index, repeat_index, job_id LIMIT ?;

-- find_pictures: the pictures of the jobs of a variant, if the hash of one of them has these digits.
SELECT variant_index, repeat_index, job_id, images FROM results
WHERE experiment_id = ? AND variant_index = ? AND instr(images, ?)
ORDER BY repeat_index, job_id;

-- select_images: the pictures of the jobs of some variants.
SELECT variant_index, images FROM results
WHERE experiment_id = ? AND variant_index BETWEEN ? AND ? AND images IS NOT NULL;

-- delete_result: forget how a job ended: another one takes its place.
DELETE FROM results WHERE experiment_id = ? AND variant_index = ? AND repeat_index = ? AND job_id = ?;

-- select_metrics: the metrics of a completed job.
SELECT metrics FROM results
WHERE experiment_id = ? AND variant_index = ? AND repeat_index = ? AND job_id = ? AND state = 'completed';

-- update_metrics: the pictures of a job were measured.
UPDATE results SET metrics = ?1, crc = row_crc('results', experiment_id, variant_index, repeat_index, job_id, state,
    seconds, finished_at, ?1, error, images, remarks)
WHERE experiment_id = ?2 AND variant_index = ?3 AND repeat_index = ?4 AND job_id = ?5;

-- select_made: the first variants that have results, from a number on.
WITH RECURSIVE made (variant_index) AS (
    SELECT min(variant_index) FROM results WHERE experiment_id = :experiment AND images IS NOT NULL
    UNION ALL
    SELECT (
        SELECT min(variant_index) FROM results
        WHERE experiment_id = :experiment AND variant_index > made.variant_index AND images IS NOT NULL
    ) FROM made WHERE variant_index IS NOT NULL
)
SELECT variant_index FROM made WHERE variant_index IS NOT NULL LIMIT :limit;

-- select_first: the results of the first job of a variant that has any.
SELECT variant_index, repeat_index, job_id, images FROM results
WHERE experiment_id = ? AND variant_index = ? AND images IS NOT NULL ORDER BY repeat_index, job_id LIMIT 1;
