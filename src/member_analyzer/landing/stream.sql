-- The landing tables of one stream, whose names stand in braces. Repeating this file changes nothing.

-- For a landing of earlier versions, whose columns `message` had another name.
DO $$
DECLARE
    renamed regclass;
BEGIN
    FOR renamed IN SELECT attrelid FROM pg_attribute
        WHERE attrelid IN (to_regclass('{rejected}'), to_regclass('{unpublishable}')) AND attname = 'sentence'
    LOOP
        EXECUTE format('ALTER TABLE %s RENAME COLUMN sentence TO message', renamed);
    END LOOP;
END $$;

CREATE TABLE IF NOT EXISTS {records} (
    id          text PRIMARY KEY,
    record      json,
    source      text NOT NULL,
    accepted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    erased_at   timestamptz
);
-- For a landing of before there were erasures.
ALTER TABLE {records} ADD COLUMN IF NOT EXISTS erased_at timestamptz;
ALTER TABLE {records} ALTER COLUMN record DROP NOT NULL;
COMMENT ON TABLE {records} IS 'Accepted records. A row that is committed here is counted once, whatever fails afterwards.';
COMMENT ON COLUMN {records}.erased_at IS 'Of an erased record the id stays, so that it cannot come back; what it was counted by stays until Kafka has the erasure.';

-- The transactional outbox is a table of its own, so that publishing a record does not write its row again. An entry stands
-- for the record as its row is when the entry is claimed: created, or erased. No foreign key: rows of records are never
-- deleted, and to check one for each entry took as long as landing the record.
CREATE TABLE IF NOT EXISTS {outbox} (
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id       text NOT NULL
);
-- For a landing of when there was one.
ALTER TABLE {outbox} DROP CONSTRAINT IF EXISTS unpublished_id_fkey;
COMMENT ON TABLE {outbox} IS 'The transactional outbox: what Kafka has not acknowledged yet, in the order of its arrival.';

CREATE TABLE IF NOT EXISTS {rejected} (
    fingerprint text PRIMARY KEY,
    id          text,
    original    bytea NOT NULL,
    reason      text NOT NULL,
    message     text NOT NULL,
    source      text NOT NULL,
    rejected_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
ALTER TABLE {rejected} ADD COLUMN IF NOT EXISTS id text;
COMMENT ON TABLE {rejected} IS 'What a source gave that is no valid record: its JSON without passwords, kept once, with the reason.';
COMMENT ON COLUMN {rejected}.fingerprint IS 'SHA-256 of the original.';
COMMENT ON COLUMN {rejected}.id IS 'The id that the source gave, if any: an erasure deletes what it gave of that id.';

-- Records that Kafka can never take, whatever is tried: they must not hold up the others.
CREATE TABLE IF NOT EXISTS {unpublishable} (
    id           text PRIMARY KEY,
    reason       text NOT NULL,
    message      text NOT NULL,
    set_aside_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE {unpublishable} IS 'Accepted records whose event cannot be encoded, or that Kafka rejects for good; `rejected replay` queues them again.';

-- For deleting what is older than its retention, and for finding what an erasure deletes.
CREATE INDEX IF NOT EXISTS {rejected_at_index} ON {rejected} (rejected_at);
-- By hash: an id that was rejected may be longer than what a tree takes.
CREATE INDEX IF NOT EXISTS {rejected_id_index} ON {rejected} USING hash (id) WHERE id IS NOT NULL;

-- Once, also for a landing that has records already. Creating a trigger waits for those who write the table and keeps
-- others from it until the transaction ends, so that what is counted here and what the triggers add never overlap.
DO $$
DECLARE
    counted record;
    event text;
BEGIN
    FOR counted IN SELECT * FROM (VALUES
        ('{records}'::regclass, 'count_records'),
        ('{rejected}'::regclass, 'count_reasons'),
        ('{unpublishable}'::regclass, 'count_reasons')
    ) AS wanted (table_name, function_name)
    LOOP
        CONTINUE WHEN EXISTS (
            SELECT FROM pg_trigger WHERE tgrelid = counted.table_name AND tgname = 'count_insert'
        );
        FOREACH event IN ARRAY ARRAY['INSERT', 'UPDATE', 'DELETE'] LOOP
            EXECUTE format(
                'CREATE TRIGGER %I AFTER %s ON %s %s FOR EACH STATEMENT EXECUTE FUNCTION landing.%I()',
                'count_' || lower(event), event, counted.table_name,
                CASE event
                    WHEN 'INSERT' THEN 'REFERENCING NEW TABLE AS added'
                    WHEN 'DELETE' THEN 'REFERENCING OLD TABLE AS removed'
                    ELSE 'REFERENCING OLD TABLE AS removed NEW TABLE AS added'
                END,
                counted.function_name
            );
        END LOOP;
        CASE counted.table_name
            WHEN '{records}'::regclass THEN
                INSERT INTO landing.count_changes (name, change)
                SELECT {records_name} || CASE WHEN erased_at IS NULL THEN ':accepted' ELSE ':erased' END, count(*)
                FROM {records} GROUP BY erased_at IS NULL;
            WHEN '{rejected}'::regclass THEN
                INSERT INTO landing.count_changes (name, change)
                SELECT {rejected_name} || ':' || reason, count(*) FROM {rejected} GROUP BY reason;
            ELSE NULL;
        END CASE;
    END LOOP;
END $$;
