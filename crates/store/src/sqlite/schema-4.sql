-- Version 4. What a decision was made from, beside its entry: read only to judge the call again.
ALTER TABLE entries ADD COLUMN facts TEXT;
