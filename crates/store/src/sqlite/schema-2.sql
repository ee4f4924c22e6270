-- Version 2. Whole calls that read, many in one row: `entries` is a JSON array of what would each be
-- a row of the table of that name. `first_us` and `last_us` span the times in their audit ids and
-- when they were written down.
CREATE TABLE reads (
    seq      INTEGER PRIMARY KEY AUTOINCREMENT,
    first_us INTEGER NOT NULL,
    last_us  INTEGER NOT NULL,
    count    INTEGER NOT NULL,
    entries  TEXT NOT NULL
) STRICT;
CREATE INDEX reads_time ON reads (last_us);
CREATE TRIGGER reads_are_not_changed BEFORE UPDATE ON reads
BEGIN SELECT RAISE(ABORT, 'entries are never changed'); END;
CREATE TRIGGER reads_are_not_deleted BEFORE DELETE ON reads
BEGIN SELECT RAISE(ABORT, 'entries are never deleted'); END;

-- Which rows of `reads` may hold what is looked for: each key once a row, however many entries have it.
CREATE TABLE read_keys (
    key TEXT NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (key, seq)
) STRICT, WITHOUT ROWID;
