-- Version 5. What a decision was made from, in rows of its own: they go after a while, and entries
-- never do. `seq` is its entry's; no `facts` where the store did not take them in time.
CREATE TABLE facts (
    seq     INTEGER PRIMARY KEY,
    time_us INTEGER NOT NULL,
    facts   TEXT
) STRICT;
CREATE INDEX facts_time ON facts (time_us);
INSERT INTO facts SELECT seq, time_us, facts FROM entries WHERE facts IS NOT NULL;
ALTER TABLE entries DROP COLUMN facts;
CREATE TRIGGER facts_are_not_changed BEFORE UPDATE ON facts
BEGIN SELECT RAISE(ABORT, 'facts are never changed'); END;
