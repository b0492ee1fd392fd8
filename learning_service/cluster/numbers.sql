-- schema: which ends of each runner were seen, by the numbers that it gives them.
CREATE TABLE end_numbers (
    runner TEXT NOT NULL,
    epoch INTEGER NOT NULL, -- its numbers begin anew with its log
    complete INTEGER NOT NULL, -- all up to here were seen, or told as lost; grows
    above TEXT NOT NULL, -- a JSON list of those that were seen beyond that
    crc INTEGER,
    PRIMARY KEY (runner, epoch)
) WITHOUT ROWID;

-- select: what was seen of all runners.
SELECT runner, epoch, complete, above FROM end_numbers;

-- upsert: note what was seen of a runner.
INSERT INTO end_numbers (runner, epoch, complete, above, crc) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (runner, epoch) DO UPDATE SET complete = excluded.complete, above = excluded.above, crc = excluded.crc;
