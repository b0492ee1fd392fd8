-- schema: the log of each runner when it last confirmed jobs or cancels; another log does not have them.
CREATE TABLE confirmations (
    runner TEXT PRIMARY KEY,
    epoch INTEGER NOT NULL,
    head INTEGER NOT NULL, -- its newest offset soon after that
    crc INTEGER
) WITHOUT ROWID;

-- select_confirmation: the log in which a runner has what it confirmed.
SELECT epoch, head FROM confirmations WHERE runner = ?;

-- upsert_confirmation: a runner has confirmed something.
INSERT INTO confirmations (runner, epoch, head) VALUES (?, ?, ?)
ON CONFLICT (runner) DO UPDATE SET epoch = excluded.epoch, head = excluded.head;
