-- schema: the cluster whose ends are numbered in the table `ends`.
CREATE TABLE joined ( -- one row
    created INTEGER NOT NULL -- when its stream of ends was made, in microseconds
);

-- select: the cluster.
SELECT created FROM joined;

-- delete: another one follows.
DELETE FROM joined;

-- insert: note it.
INSERT INTO joined (created) VALUES (?);

-- delete_ends: those of another cluster.
DELETE FROM ends;
