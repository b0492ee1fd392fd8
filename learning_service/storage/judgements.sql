-- schema: what people have said of pictures. Newer rows hold; to undo is to remove the newest one.
CREATE TABLE ratings (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    experiment_id TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    stars INTEGER CHECK (stars BETWEEN 1 AND 5), -- NULL: taken back
    note TEXT NOT NULL,
    rated_at REAL NOT NULL,
    crc INTEGER
);
CREATE INDEX ratings_of_picture ON ratings (experiment_id, sha256, number);
CREATE INDEX ratings_of_experiment ON ratings (experiment_id, number);
CREATE TABLE comparisons (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    experiment_id TEXT NOT NULL,
    left_sha256 TEXT NOT NULL,
    left_variant INTEGER NOT NULL,
    left_repeat INTEGER NOT NULL,
    right_sha256 TEXT NOT NULL,
    right_variant INTEGER NOT NULL,
    right_repeat INTEGER NOT NULL,
    outcome TEXT NOT NULL CHECK (outcome IN ('left', 'right', 'tie', 'both_bad')),
    compared_at REAL NOT NULL,
    crc INTEGER
);
CREATE INDEX comparisons_of_experiment ON comparisons (experiment_id, number);

-- migration_2: rows have checksums.
ALTER TABLE ratings ADD COLUMN crc INTEGER;
ALTER TABLE comparisons ADD COLUMN crc INTEGER;

-- insert_rating: what a person says of a picture.
INSERT INTO ratings (experiment_id, sha256, stars, note, rated_at) VALUES (?, ?, ?, ?, ?);

-- select_ratings: what holds of each picture of an experiment: the newest rating, unless it was taken back.
SELECT number, sha256, stars, rated_at, CAST(note AS BLOB) FROM ratings
WHERE number > ?2 AND stars IS NOT NULL AND number IN (
    SELECT max(number) FROM ratings WHERE experiment_id = ?1 GROUP BY sha256
) ORDER BY number;

-- select_stars: what holds of those pictures (a JSON list of hashes) that are rated.
SELECT sha256, stars FROM json_each(?2) AS picture CROSS JOIN ratings ON number = (
    SELECT max(number) FROM ratings WHERE experiment_id = ?1 AND sha256 = picture.value
)
WHERE stars IS NOT NULL;

-- select_rating: what holds of one picture.
SELECT sha256, stars, note, rated_at FROM ratings WHERE experiment_id = ? AND sha256 = ? ORDER BY number DESC LIMIT 1;

-- select_rating_of_time: whether a picture was rated at this time, so that a request that is repeated counts once.
SELECT 1 FROM ratings WHERE experiment_id = ? AND sha256 = ? AND rated_at = ? LIMIT 1;

-- select_newest_rating: the one to undo.
SELECT number, sha256 FROM ratings WHERE experiment_id = ? ORDER BY number DESC LIMIT 1;

-- select_newest_rating_of: the one to undo of one picture.
SELECT number, rated_at FROM ratings WHERE experiment_id = ? AND sha256 = ? ORDER BY number DESC LIMIT 1;

-- delete_rating: undo it.
DELETE FROM ratings WHERE number = ?;

-- insert_comparison: what a person says of two pictures.
INSERT INTO comparisons (experiment_id, left_sha256, left_variant, left_repeat, right_sha256, right_variant,
    right_repeat, outcome, compared_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?);

-- select_comparisons: the next ones of an experiment, oldest first.
SELECT number, left_variant, left_repeat, left_sha256, right_variant, right_repeat, right_sha256, outcome, compared_at
FROM comparisons WHERE experiment_id = ? AND number > ? ORDER BY number LIMIT ?;

-- count_comparisons: how many there are.
SELECT count(*) FROM comparisons WHERE experiment_id = ?;

-- select_comparison_of: the newest one with all that is given.
SELECT number, left_variant, left_repeat, left_sha256, right_variant, right_repeat, right_sha256, outcome, compared_at
FROM comparisons WHERE experiment_id = ?1 AND (?2 IS NULL OR left_sha256 = ?2) AND (?3 IS NULL OR right_sha256 = ?3)
    AND (?4 IS NULL OR compared_at = ?4) ORDER BY number DESC LIMIT 1;

-- select_newest_comparison: its number.
SELECT number FROM comparisons WHERE experiment_id = ? ORDER BY number DESC LIMIT 1;

-- delete_comparison: undo it.
DELETE FROM comparisons WHERE number = ?;

-- count_rated: how many pictures of an experiment have stars.
SELECT count(*) FROM ratings WHERE stars IS NOT NULL AND number IN (
    SELECT max(number) FROM ratings WHERE experiment_id = ? GROUP BY sha256
);
