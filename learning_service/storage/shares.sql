-- schema: the links by which others see experiments. Only the digest of a link's token is here.
CREATE TABLE shares (
    digest TEXT PRIMARY KEY, -- SHA-256 of the token, in hex
    experiment_id TEXT NOT NULL,
    created_at REAL NOT NULL, -- unix seconds
    expires_at REAL, -- unix seconds; NULL: never
    crc INTEGER
) WITHOUT ROWID;
CREATE INDEX shares_of ON shares (experiment_id, created_at);

-- upsert_share: add a link, or change how long it holds.
INSERT INTO shares (digest, experiment_id, created_at, expires_at) VALUES (?, ?, ?, ?)
ON CONFLICT (digest) DO UPDATE SET expires_at = excluded.expires_at;

-- select_share: one link.
SELECT experiment_id, created_at, expires_at FROM shares WHERE digest = ?;

-- select_shares: the links of an experiment.
SELECT digest, created_at, expires_at FROM shares WHERE experiment_id = ? ORDER BY created_at, digest;

-- delete_share: revoke one.
DELETE FROM shares WHERE digest = ? AND experiment_id = ?;

-- delete_expired: links of an experiment that hold no more.
DELETE FROM shares WHERE experiment_id = ? AND expires_at <= ?;
