-- schema: what experiments are found by. It follows from their rows, from which it is made again where it is missing.
CREATE TABLE catalogue (
    number INTEGER PRIMARY KEY, -- of the experiment
    pipeline TEXT NOT NULL,
    variable TEXT NOT NULL, -- the name of the variable under test
    words TEXT NOT NULL, -- the texts of its definition, case-folded
    crc INTEGER
);

-- upsert_entry: what an experiment is found by, now that it is planned or changed.
INSERT INTO catalogue (number, pipeline, variable, words) SELECT number, ?, ?, ? FROM experiments WHERE experiment_id = ?
ON CONFLICT (number) DO UPDATE SET pipeline = excluded.pipeline, variable = excluded.variable, words = excluded.words;

-- select_newest: the number of the newest experiment.
SELECT max(number) FROM experiments;

-- select_listed: experiments before a number, newest first, that have all words (a JSON list) in their texts or as their
-- state; the definition is most of what a reply tells of one. The words are looked at before the rows of experiments, as
-- definitions may be long.
SELECT number, experiment_id, created_at, updated_at, revision, status, seconds, summary, state, reason,
    experiment_id IN (SELECT experiment_id FROM archived), definition
FROM catalogue CROSS JOIN experiments USING (number) LEFT JOIN adaptive USING (experiment_id)
WHERE number < :before AND number >= :from AND NOT EXISTS (
    SELECT 1 FROM json_each(:words) AS word WHERE NOT instr(words, word.value) AND NOT (
        word.value IN ('pending', 'queued', 'running', 'completed', 'partial', 'failed', 'cancelled')
        AND word.value = (SELECT status FROM experiments AS one WHERE one.number = catalogue.number)
    )
) AND coalesce((experiment_id IN (SELECT experiment_id FROM archived)) = :archived, 1)
ORDER BY number DESC LIMIT :limit;

-- select_index: of experiments as in `select_listed`, what an order follows from: the name, with which the words begin
-- behind the id, and the definition only where they are needed, as they are long.
SELECT experiment_id, updated_at, completed, CASE WHEN :order = 'name' THEN substr(words, 1, 1000) ELSE '' END,
    CASE WHEN :order = 'waiting' THEN definition END
FROM catalogue CROSS JOIN experiments USING (number)
WHERE number < :before AND number >= :from AND NOT EXISTS (
    SELECT 1 FROM json_each(:words) AS word WHERE NOT instr(words, word.value) AND NOT (
        word.value IN ('pending', 'queued', 'running', 'completed', 'partial', 'failed', 'cancelled')
        AND word.value = status
    )
) AND (:states = '[]' OR status IN (SELECT value FROM json_each(:states)))
AND coalesce((experiment_id IN (SELECT experiment_id FROM archived)) = :archived, 1)
ORDER BY number DESC;

-- select_one: an experiment, as `select_listed` has it.
SELECT number, experiment_id, created_at, updated_at, revision, status, seconds, summary, state, reason,
    experiment_id IN (SELECT experiment_id FROM archived), definition
FROM experiments LEFT JOIN adaptive USING (experiment_id) WHERE experiment_id = ?;

-- select_chosen: experiments before a number, newest first, of a variable and a pipeline (NULL: any).
SELECT number, experiment_id FROM catalogue CROSS JOIN experiments USING (number)
WHERE number < :before AND number >= :from AND variable = coalesce(:variable, variable)
    AND catalogue.pipeline = coalesce(:pipeline, catalogue.pipeline)
ORDER BY number DESC LIMIT :limit;

-- select_seconds: how many jobs of a pipeline have completed whose time is known, and what they took together.
SELECT sum(completed), sum(seconds) FROM catalogue CROSS JOIN experiments USING (number)
WHERE pipeline = ? AND seconds > 0;

-- select_unlisted: experiments that an earlier version has written, or whose entry was damaged.
SELECT experiment_id FROM experiments WHERE summary IS NULL OR number NOT IN (SELECT number FROM catalogue) LIMIT ?;

-- select_ids: the ids that begin so, in their order.
SELECT experiment_id FROM experiments
WHERE experiment_id >= :prefix AND experiment_id < :prefix || char(1114111) ORDER BY experiment_id LIMIT :limit;

-- select_newest_ids: the ids of the newest experiments, newest first.
SELECT experiment_id FROM experiments ORDER BY number DESC LIMIT ?;
