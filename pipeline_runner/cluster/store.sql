-- schema: what a runner has of a cluster, and what it still owes to it.
CREATE TABLE runner_name ( -- one row
    name TEXT NOT NULL, -- by which the ends of this runner are known, wherever it runs later
    crc INTEGER
);
CREATE TABLE tickets ( -- jobs of the cluster whose ends are not acknowledged yet
    job_id TEXT PRIMARY KEY,
    reply TEXT NOT NULL, -- the subject that takes the acknowledgement of the newest delivery; '' if it is not known
    crc INTEGER
) WITHOUT ROWID;
CREATE TABLE ends ( -- of jobs of experiments, written in the transaction in which a job ends
    epoch INTEGER NOT NULL, -- of the log
    number INTEGER NOT NULL, -- 1, 2, … within the epoch; all that were acknowledged are in the cluster
    job_id TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN (
        'waiting', -- -> won when the cluster has it, -> fenced when the job has another end
        'won', -- -> waiting when the cluster has lost it
        'fenced' -- -> waiting, with the job that ends next: its number is free
    )),
    crc INTEGER,
    PRIMARY KEY (epoch, number)
) WITHOUT ROWID;
CREATE INDEX ends_of_job ON ends (job_id);
CREATE INDEX ends_owed ON ends (state, epoch, number) WHERE state IN ('waiting', 'fenced');

-- select_name: the name of this runner.
SELECT name FROM runner_name;

-- insert_name: give it one.
INSERT INTO runner_name (name) VALUES (?);

-- select_tickets: all of them.
SELECT job_id, reply FROM tickets;

-- write_ticket: take one, or note its newest delivery.
INSERT OR REPLACE INTO tickets (job_id, reply, crc) VALUES (?, ?, ?);

-- delete_ticket: its end is acknowledged.
DELETE FROM tickets WHERE job_id = ?;

-- write_end: note an end with its state, or another state of it.
INSERT OR REPLACE INTO ends (epoch, number, job_id, state, crc) VALUES (?, ?, ?, ?, ?);

-- select_owed: the ends that wait, and the numbers that are free.
SELECT epoch, number, job_id, state FROM ends WHERE state IN ('waiting', 'fenced') ORDER BY epoch, number;

-- select_last: the highest number of an epoch.
SELECT max(number) FROM ends WHERE epoch = ?;

-- select_end_of: the newest end of a job.
SELECT epoch, number, job_id, state FROM ends WHERE job_id = ? AND state <> 'fenced' ORDER BY epoch DESC, number DESC
LIMIT 1;

-- select_won: the ends of an epoch from a number on that were acknowledged.
SELECT epoch, number, job_id, state FROM ends WHERE epoch = ? AND number >= ? AND state = 'won' ORDER BY number LIMIT ?;

-- delete_ends_of: forget the ends of a job that is removed; the highest number stays, as the next one follows it.
DELETE FROM ends WHERE job_id = ? AND state = 'won'
AND number < (SELECT max(number) FROM ends AS newest WHERE newest.epoch = ends.epoch);
