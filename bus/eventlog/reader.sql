-- select_behind: the records behind an offset, oldest first.
-- The casts: a flipped bit can make a value undecodable, or of another type, which must not be an error before its
-- checksum is looked at. No upper bound: a row with a wrong key would end the search too early.
SELECT "offset", coalesce(CAST(topic AS BLOB), x''), coalesce(CAST(time_ns AS INTEGER), 0), coalesce(CAST(body AS BLOB), x''), CAST(crc AS INTEGER)
FROM log WHERE "offset" > ? ORDER BY "offset";

-- select: one record; casts as above.
SELECT "offset", coalesce(CAST(topic AS BLOB), x''), coalesce(CAST(time_ns AS INTEGER), 0), coalesce(CAST(body AS BLOB), x''), CAST(crc AS INTEGER)
FROM log WHERE "offset" = ?;

-- select_kept: the record that retention has kept of a topic; casts as above.
SELECT coalesce(CAST("offset" AS INTEGER), 0), coalesce(CAST(topic AS BLOB), x''), coalesce(CAST(time_ns AS INTEGER), 0), coalesce(CAST(body AS BLOB), x''), CAST(crc AS INTEGER)
FROM kept WHERE topic = ?;
