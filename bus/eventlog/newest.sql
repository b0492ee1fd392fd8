-- upsert: remember the newest record of a topic.
INSERT INTO latest (topic, "offset", crc) VALUES (?, ?, ?)
ON CONFLICT (topic) DO UPDATE SET "offset" = excluded."offset", crc = excluded.crc;

-- select_any_kept: whether retention has kept any record.
SELECT EXISTS (SELECT 1 FROM kept);

-- delete_kept: a topic has a newer record than the one that retention has kept, or is forgotten.
DELETE FROM kept WHERE topic = ?;

-- delete: forget a topic.
DELETE FROM latest WHERE topic = ?;

-- upsert_unknown: remember that a record of an unknown topic is there.
INSERT INTO latest (topic, "offset", crc) VALUES ('', ?1, row_crc('latest', '', ?1))
ON CONFLICT (topic) DO UPDATE SET "offset" = excluded."offset", crc = excluded.crc
WHERE excluded."offset" > latest."offset";

-- set_indexed: note how far the table is complete.
UPDATE indexed SET "offset" = ?;

-- select_indexed: how far the table is complete.
SELECT "offset" FROM indexed;

-- select_newest: the newest offset of any topic in [low, high), or of an unknown one; 0 if there is none.
SELECT max(coalesce((SELECT max("offset") FROM latest WHERE topic >= :low AND topic < :high), 0),
coalesce((SELECT "offset" FROM latest WHERE topic = ''), 0));

-- select_page: topics in [low, high) that sort behind a given one, with their newest offsets.
SELECT topic, "offset" FROM latest
WHERE topic >= :low AND topic < :high AND topic > :after_topic ORDER BY topic LIMIT :limit;
