-- select_sizes: offset and size of the records in a range, oldest first.
SELECT "offset", coalesce(length(body), 0) FROM log WHERE "offset" > ? AND "offset" <= ? ORDER BY "offset";

-- sum_sizes: the bytes of the records in a range.
SELECT coalesce(sum(coalesce(length(topic), 0) + coalesce(length(body), 0)), 0) FROM log
WHERE "offset" > ? AND "offset" <= ?;

-- keep: keep the newest records of topics that say a state, up to an offset; a damaged topic is in no index.
INSERT OR REPLACE INTO kept (topic, "offset", time_ns, body, crc)
SELECT log.topic, log."offset", coalesce(log.time_ns, 0), coalesce(log.body, x''), coalesce(log.crc, 0) FROM log
JOIN latest ON latest.topic = log.topic AND latest."offset" = log."offset"
WHERE log."offset" <= ? AND is_kept(latest.topic);

-- delete_latest: forget other topics whose newest record is among those up to an offset; '' is an unknown topic.
DELETE FROM latest WHERE topic IN (SELECT topic FROM log WHERE "offset" <= :cut UNION ALL SELECT '')
AND "offset" <= :cut AND NOT is_kept(topic);

-- delete: remove records up to an offset.
DELETE FROM log WHERE "offset" <= ?;

-- set_removed: note up to which offset records were removed.
UPDATE removed SET "offset" = ?;
