-- Version 6. One order for reads and writes: an entry's `seq` is its position among all, and a row of
-- `reads` takes as many positions as it has entries, from its `seq` on. What was in two orders is put
-- into one by time, each of the two staying in its own.
CREATE TABLE renumbered AS
SELECT kind, old,
       1 + sum(count) OVER (ORDER BY time_us, kind, old ROWS UNBOUNDED PRECEDING) - count AS new
FROM (SELECT 0 AS kind, seq AS old, 1 AS count, max(time_us) OVER (ORDER BY seq) AS time_us FROM entries
      UNION ALL
      SELECT 1, seq, count, max(last_us) OVER (ORDER BY seq) FROM reads);
CREATE UNIQUE INDEX renumbered_old ON renumbered (kind, old);

CREATE TABLE entries_6 (
    seq       INTEGER PRIMARY KEY,
    time_us   INTEGER NOT NULL,
    audit_id  TEXT NOT NULL,
    namespace TEXT,
    resource  TEXT,
    name      TEXT,
    username  TEXT,
    verb      TEXT,
    action    TEXT,
    hold_id   TEXT,
    probe     INTEGER NOT NULL,
    entry     TEXT NOT NULL
) STRICT;
INSERT INTO entries_6
SELECT new, time_us, audit_id, namespace, resource, name, username, verb, action, hold_id, probe, entry
FROM entries JOIN renumbered ON kind = 0 AND old = seq ORDER BY new;
DROP TABLE entries;
ALTER TABLE entries_6 RENAME TO entries;
CREATE INDEX entries_audit_id ON entries (audit_id);
CREATE INDEX entries_time ON entries (time_us);
CREATE INDEX entries_namespace ON entries (namespace, time_us) WHERE namespace IS NOT NULL;
CREATE INDEX entries_object ON entries (resource, name, time_us) WHERE resource IS NOT NULL;
CREATE INDEX entries_username ON entries (username, time_us) WHERE username IS NOT NULL;
CREATE INDEX entries_hold ON entries (hold_id) WHERE hold_id IS NOT NULL;
CREATE TRIGGER entries_are_not_changed BEFORE UPDATE ON entries
BEGIN SELECT RAISE(ABORT, 'entries are never changed'); END;
CREATE TRIGGER entries_are_not_deleted BEFORE DELETE ON entries
BEGIN SELECT RAISE(ABORT, 'entries are never deleted'); END;

CREATE TABLE facts_6 (
    seq     INTEGER PRIMARY KEY,
    time_us INTEGER NOT NULL,
    facts   TEXT
) STRICT;
INSERT INTO facts_6
SELECT new, time_us, facts FROM facts JOIN renumbered ON kind = 0 AND old = seq ORDER BY new;
DROP TABLE facts;
ALTER TABLE facts_6 RENAME TO facts;
CREATE INDEX facts_time ON facts (time_us);
CREATE TRIGGER facts_are_not_changed BEFORE UPDATE ON facts
BEGIN SELECT RAISE(ABORT, 'facts are never changed'); END;

CREATE TABLE reads_6 (
    seq      INTEGER PRIMARY KEY,
    first_us INTEGER NOT NULL,
    last_us  INTEGER NOT NULL,
    count    INTEGER NOT NULL,
    entries  TEXT NOT NULL
) STRICT;
INSERT INTO reads_6
SELECT new, first_us, last_us, count, entries
FROM reads JOIN renumbered ON kind = 1 AND old = seq ORDER BY new;
DROP TABLE reads;
ALTER TABLE reads_6 RENAME TO reads;
CREATE INDEX reads_time ON reads (last_us);
CREATE TRIGGER reads_are_not_changed BEFORE UPDATE ON reads
BEGIN SELECT RAISE(ABORT, 'entries are never changed'); END;
CREATE TRIGGER reads_are_not_deleted BEFORE DELETE ON reads
BEGIN SELECT RAISE(ABORT, 'entries are never deleted'); END;
CREATE TABLE read_keys_6 (
    key TEXT NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (key, seq)
) STRICT, WITHOUT ROWID;
INSERT INTO read_keys_6 SELECT key, new FROM read_keys JOIN renumbered ON kind = 1 AND old = seq;
DROP TABLE read_keys;
ALTER TABLE read_keys_6 RENAME TO read_keys;
DROP TABLE renumbered;

-- A hold in three: where it stands, which changes with each decision; its summary, which a list shows;
-- and what it shows to whoever opens it, which is large. `join_key` is its request digest while other
-- requests of that digest are the same question; `owner` is the process that runs it.
ALTER TABLE holds RENAME TO holds_5;
DROP INDEX holds_state;
DROP INDEX holds_digest;
DROP INDEX holds_username;
CREATE TABLE holds (
    id             TEXT PRIMARY KEY,
    revision       INTEGER NOT NULL,
    state          TEXT NOT NULL,
    created_us     INTEGER NOT NULL,
    changed_us     INTEGER NOT NULL,
    due_us         INTEGER,
    username       TEXT NOT NULL,
    namespace      TEXT NOT NULL,
    request_digest TEXT NOT NULL,
    join_key       TEXT,
    owner          TEXT,
    changed_at     TEXT NOT NULL,
    standing       TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX holds_state ON holds (state, created_us);
CREATE INDEX holds_digest ON holds (request_digest, created_us);
CREATE INDEX holds_username ON holds (username, changed_us);
CREATE INDEX holds_created ON holds (created_us, id);
CREATE INDEX holds_due ON holds (due_us) WHERE due_us IS NOT NULL;
CREATE UNIQUE INDEX holds_join_key ON holds (join_key) WHERE join_key IS NOT NULL;
CREATE TABLE hold_summaries (
    id      TEXT PRIMARY KEY,
    summary TEXT NOT NULL
) STRICT;
CREATE TABLE hold_previews (
    id           TEXT PRIMARY KEY,
    content_type TEXT NOT NULL,
    payload      TEXT NOT NULL,
    preview      TEXT NOT NULL
) STRICT;
