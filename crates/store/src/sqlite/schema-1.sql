-- Version 1. Entries are appended and never changed; the triggers guard against our own mistakes,
-- not against who owns the file.
CREATE TABLE entries (
    seq       INTEGER PRIMARY KEY AUTOINCREMENT,
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

CREATE TABLE agents (
    username   TEXT PRIMARY KEY,
    first_seen INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE holds (
    id             TEXT PRIMARY KEY,
    revision       INTEGER NOT NULL,
    state          TEXT NOT NULL,
    created_us     INTEGER NOT NULL,
    changed_us     INTEGER NOT NULL,
    username       TEXT NOT NULL,
    namespace      TEXT NOT NULL,
    request_digest TEXT NOT NULL,
    document       TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX holds_state ON holds (state, created_us);
CREATE INDEX holds_digest ON holds (request_digest, created_us);
CREATE INDEX holds_username ON holds (username, changed_us);
