-- schema: how each job of an experiment ended, and the pictures that came of it.
CREATE TABLE results (
    experiment_id TEXT NOT NULL,
    job_id TEXT NOT NULL,
    variant_index INTEGER NOT NULL,
    repeat_index INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('completed', 'failed', 'cancelled')),
    seconds REAL, -- of a completed job
    finished_at REAL NOT NULL,
    metrics BLOB, -- msgpack: name -> number; only where there are any
    error TEXT, -- of a failed job
    crc INTEGER,
    PRIMARY KEY (experiment_id, job_id)
) WITHOUT ROWID;
CREATE TABLE pictures (
    experiment_id TEXT NOT NULL,
    sha256 TEXT NOT NULL, -- two jobs may give the same picture
    job_id TEXT NOT NULL,
    variant_index INTEGER NOT NULL,
    repeat_index INTEGER NOT NULL,
    image BLOB NOT NULL, -- msgpack: ImageRef
    crc INTEGER,
    PRIMARY KEY (experiment_id, sha256, job_id)
) WITHOUT ROWID;
CREATE INDEX pictures_of_variant ON pictures (experiment_id, variant_index, sha256);

-- migration_2: rows have checksums.
ALTER TABLE results ADD COLUMN crc INTEGER;
ALTER TABLE pictures ADD COLUMN crc INTEGER;

-- upsert_result: note how a job ended.
INSERT INTO results (experiment_id, job_id, variant_index, repeat_index, state, seconds, finished_at, metrics, error, crc)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (experiment_id, job_id) DO UPDATE SET variant_index = excluded.variant_index,
    repeat_index = excluded.repeat_index, state = excluded.state, seconds = excluded.seconds,
    finished_at = excluded.finished_at, metrics = excluded.metrics, error = excluded.error, crc = excluded.crc;

-- upsert_picture: note a picture of a job.
INSERT OR IGNORE INTO pictures (experiment_id, sha256, job_id, variant_index, repeat_index, image, crc)
VALUES (?, ?, ?, ?, ?, ?, ?);

-- select_results: how the jobs of an experiment ended, behind one of them.
SELECT job_id, variant_index, repeat_index, state, seconds, finished_at, metrics, error FROM results
WHERE experiment_id = ? AND job_id > ? ORDER BY job_id LIMIT ?;

-- select_pictures: the pictures of an experiment, behind one of them.
SELECT sha256, job_id, variant_index, repeat_index, image FROM pictures
WHERE experiment_id = ?1 AND (sha256, job_id) > (?2, ?3) ORDER BY sha256, job_id LIMIT ?4;

-- find_pictures: the pictures of an experiment whose hash begins so; the second text is the first one's successor.
SELECT sha256, job_id, variant_index, repeat_index, image FROM pictures
WHERE experiment_id = ? AND sha256 >= ? AND sha256 < ? ORDER BY sha256, variant_index, repeat_index;

-- select_variants_of: the variant of each job that gave a picture.
SELECT variant_index FROM pictures WHERE experiment_id = ? AND sha256 = ?;

-- delete_result: forget how a job ended: another one takes its place.
DELETE FROM results WHERE experiment_id = ? AND job_id = ?;
