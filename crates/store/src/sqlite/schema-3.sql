-- Version 3. Agents whose writes are refused.
CREATE TABLE freezes (
    username TEXT PRIMARY KEY,
    document TEXT NOT NULL
) STRICT, WITHOUT ROWID;
