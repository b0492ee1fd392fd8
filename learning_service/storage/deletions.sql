-- schema: the experiments that were deleted, and which runners have to remove their jobs and pictures.
CREATE TABLE deletions ( -- a row stays, as events that come late must not bring its experiment back
    experiment_id TEXT PRIMARY KEY,
    deleted_at REAL NOT NULL, -- unix seconds
    pruned INTEGER NOT NULL DEFAULT 0, -- 0 -> 1 when no other table has a row of it
    crc INTEGER
) WITHOUT ROWID;
CREATE INDEX deletions_to_prune ON deletions (experiment_id) WHERE pruned = 0;
CREATE TABLE purges (
    runner TEXT NOT NULL,
    experiment_id TEXT NOT NULL,
    done INTEGER NOT NULL DEFAULT 0, -- 0 -> 1 when the runner has nothing of it, 1 -> 0 when the runner has another log
    crc INTEGER,
    PRIMARY KEY (runner, experiment_id)
) WITHOUT ROWID;
CREATE INDEX purges_to_do ON purges (runner, experiment_id) WHERE done = 0;

-- insert_deletion: an experiment is deleted.
INSERT INTO deletions (experiment_id, deleted_at) VALUES (?, ?);

-- delete_deletion: it was imported again.
DELETE FROM deletions WHERE experiment_id = ?;

-- select_deletion: when an experiment was deleted, and whether nothing is left of it.
SELECT deleted_at, pruned FROM deletions WHERE experiment_id = ?;

-- select_deletions: all of them.
SELECT experiment_id FROM deletions;

-- select_unpruned: a deleted experiment of which something is left.
SELECT experiment_id FROM deletions
WHERE pruned = 0 AND experiment_id NOT IN (SELECT experiment_id FROM experiments) LIMIT 1;

-- set_pruned: nothing is left of it.
UPDATE deletions SET pruned = 1 WHERE experiment_id = ?;

-- upsert_purge: a runner has to remove what it has of an experiment.
INSERT INTO purges (runner, experiment_id) VALUES (?, ?)
ON CONFLICT (runner, experiment_id) DO UPDATE SET done = 0;

-- repeat_purges_of: all runners that ever had to, for an experiment that was imported and is deleted again.
UPDATE purges SET done = 0 WHERE experiment_id = ?;

-- repeat_purges_at: a runner has another log, so what it had removed may be there again.
UPDATE purges SET done = 0 WHERE runner = ?;

-- select_purges: some deleted experiments that a runner has to remove, behind one of them.
SELECT experiment_id FROM purges JOIN deletions USING (experiment_id)
WHERE runner = ? AND done = 0 AND experiment_id > ? ORDER BY experiment_id LIMIT ?;

-- count_purges: how many each runner has to remove.
SELECT runner, count(*) FROM purges JOIN deletions USING (experiment_id) WHERE done = 0 GROUP BY runner;

-- finish_purge: the runner has done so.
UPDATE purges SET done = 1 WHERE runner = ? AND experiment_id = ?;

-- select_undeleted: experiments that runners have removed, but that no row says were deleted.
SELECT DISTINCT experiment_id FROM purges
WHERE experiment_id NOT IN (SELECT experiment_id FROM deletions UNION ALL SELECT experiment_id FROM experiments);

-- is_there: an experiment that is not deleted.
SELECT 1 FROM experiments WHERE experiment_id = ?;

-- delete_entry: it is in no list.
DELETE FROM catalogue WHERE number = (SELECT number FROM experiments WHERE experiment_id = ?);

-- delete_experiment: from here on nobody finds it.
DELETE FROM experiments WHERE experiment_id = ?;

-- delete_unsent: jobs that would still be sent.
DELETE FROM jobs WHERE experiment_id = ? AND acknowledged = 0;

-- delete_cancels: wishes to cancel it.
DELETE FROM cancels WHERE experiment_id = ?;

-- delete_stale: its recommendation is not made anew.
DELETE FROM stale WHERE experiment_id = ?;

-- delete_search: how far its search is.
DELETE FROM adaptive WHERE experiment_id = ?;

-- delete_layout: that its jobs have to be laid out.
DELETE FROM layouts WHERE experiment_id = ?;

-- delete_archived: that it was archived.
DELETE FROM archived WHERE experiment_id = ?;

-- delete_shares: the links by which others see it.
DELETE FROM shares WHERE experiment_id = ?;

-- delete_positions: how far its events were read, where it was followed alone.
DELETE FROM positions WHERE substr(prefix, 1, length(?1)) = ?1;

-- prune_variants: some of its rows.
DELETE FROM variants WHERE (experiment_id, variant_index) IN (
    SELECT experiment_id, variant_index FROM variants WHERE experiment_id = ? LIMIT ?
);

-- prune_news: some of its rows.
DELETE FROM variant_news WHERE (experiment_id, variant_index) IN (
    SELECT experiment_id, variant_index FROM variant_news WHERE experiment_id = ? LIMIT ?
);

-- prune_jobs: some of its rows.
DELETE FROM jobs WHERE number IN (SELECT number FROM jobs WHERE experiment_id = ? LIMIT ?);

-- prune_results: some of its rows.
DELETE FROM results WHERE (experiment_id, variant_index, repeat_index, job_id) IN (
    SELECT experiment_id, variant_index, repeat_index, job_id FROM results WHERE experiment_id = ? LIMIT ?
);

-- prune_ratings: some of its rows.
DELETE FROM ratings WHERE number IN (SELECT number FROM ratings WHERE experiment_id = ? LIMIT ?);

-- prune_comparisons: some of its rows.
DELETE FROM comparisons WHERE number IN (SELECT number FROM comparisons WHERE experiment_id = ? LIMIT ?);

-- prune_late_events: some of its rows.
DELETE FROM late_events WHERE number IN (SELECT number FROM late_events WHERE experiment_id = ? LIMIT ?);
