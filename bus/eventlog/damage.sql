-- insert: set a row aside.
INSERT INTO damaged_rows (store, name, key, row, found_at) VALUES (?, ?, ?, ?, ?);

-- select_waiting: the rows of a store (of all stores without one) that were not repaired yet.
SELECT number, name, row FROM damaged_rows WHERE store = coalesce(:store, store) AND repaired_at IS NULL ORDER BY number;

-- set_repaired: what a row said is in its table again, or nobody needs it any more.
UPDATE damaged_rows SET repaired_at = ? WHERE number = ?;

-- create_intact: the intact rows of a table that is written again.
CREATE TABLE intact (COLUMNS);

-- select_indexes: the indexes of a table that have a statement of their own.
SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = ? AND sql IS NOT NULL;

-- has_rowid: whether a table is not its own index.
SELECT 1 FROM pragma_table_list WHERE schema = 'main' AND name = ? AND NOT wr;

-- select_table: the statement that has created a table.
SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ?;

-- select_tables: all tables.
SELECT name FROM sqlite_master WHERE type = 'table';
