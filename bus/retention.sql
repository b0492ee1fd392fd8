-- select_oldest: offset and time of the oldest records.
SELECT "offset", time_ns FROM log ORDER BY "offset" LIMIT ?;

-- keep: keep the newest records of status topics up to an offset.
INSERT OR REPLACE INTO kept (topic, "offset", time_ns, body, crc)
SELECT log.topic, log."offset", log.time_ns, log.body, log.crc FROM log
JOIN latest ON latest.topic = log.topic AND latest."offset" = log."offset"
WHERE log."offset" <= ? AND is_status(log.topic);

-- delete_latest: forget other topics whose newest record is among those up to an offset.
DELETE FROM latest WHERE topic IN (SELECT topic FROM log WHERE "offset" <= :cut)
AND "offset" <= :cut AND NOT is_status(topic);

-- delete: remove records up to an offset.
DELETE FROM log WHERE "offset" <= ?;
