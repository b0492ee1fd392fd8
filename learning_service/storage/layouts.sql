-- schema: experiments whose planned jobs do not all have their rows in `jobs` yet; the row goes when they have.
CREATE TABLE layouts (
    experiment_id TEXT PRIMARY KEY,
    by_value INTEGER NOT NULL, -- 1: variant by variant, where it takes long to change the value; 0: seed by seed
    crc INTEGER
) WITHOUT ROWID;

-- begin: note it in the transaction that plans the jobs.
INSERT OR REPLACE INTO layouts (experiment_id, by_value) VALUES (?, ?);

-- end: all jobs have their rows.
DELETE FROM layouts WHERE experiment_id = ?;

-- select: those that are not done, and how.
SELECT experiment_id, by_value FROM layouts;
