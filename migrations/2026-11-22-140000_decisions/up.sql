-- What operators decided, item by item: a set is only how they were asked.

ALTER TABLE entra_sync.held_plan ADD COLUMN weights bigint[] NOT NULL DEFAULT '{}';
COMMENT ON COLUMN entra_sync.held_plan.weights IS
    'How much the guard counted each item as; empty when an earlier version held the set.';

CREATE TABLE entra_sync.decided_removal (
    source_id integer NOT NULL REFERENCES entra_sync.source ON DELETE CASCADE,
    key       text NOT NULL,
    decision  text NOT NULL CHECK (decision IN ('approved', 'rejected')),
    weight    bigint,
    digest    text NOT NULL,
    PRIMARY KEY (source_id, key)
);
COMMENT ON TABLE entra_sync.decided_removal IS
    'The last word about a removal, until it was applied or Entra wants again what it is about.';
COMMENT ON COLUMN entra_sync.decided_removal.weight IS
    'How much was approved; NULL when that is not known.';
COMMENT ON COLUMN entra_sync.decided_removal.digest IS
    'The set by which it was decided.';

INSERT INTO entra_sync.decided_removal (source_id, key, decision, weight, digest)
    SELECT DISTINCT ON (h.source_id, i.key) h.source_id, i.key, h.status, NULL, h.digest
    FROM entra_sync.held_plan h CROSS JOIN unnest(h.items) AS i (key)
    WHERE h.status IN ('approved', 'rejected')
    ORDER BY h.source_id, i.key, h.decided_at DESC;
