-- select_scope: the schema version of a store in this file.
SELECT version FROM scopes WHERE name = ?;

-- upsert_scope: note the schema version of a store in this file.
INSERT INTO scopes (name, version) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET version = excluded.version;
