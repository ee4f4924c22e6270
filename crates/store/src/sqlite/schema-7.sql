-- Version 7. Of a probe, the call that it was made for, so that one whose call stands nowhere is found;
-- and which calls are about every namespace at once. Neither is known of what stands here already.
ALTER TABLE entries ADD COLUMN probe_of TEXT;
ALTER TABLE entries ADD COLUMN spans_namespaces INTEGER;
CREATE INDEX entries_span ON entries (time_us) WHERE spans_namespaces = 1;
