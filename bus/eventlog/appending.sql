-- insert: append one record.
INSERT INTO log ("offset", topic, time_ns, body, crc) VALUES (?, ?, ?, ?, ?);
