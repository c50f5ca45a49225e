-- Postings by segment instead of by content: one row holds a term of all contents that were stored
-- together, as pairs of little-endian unsigned 16-bit numbers (slot, count). The chunks of a content have
-- the slots from first_slot on. A segment is never changed, only replaced as a whole.
CREATE SEQUENCE segments AS bigint;
GRANT USAGE ON SEQUENCE segments TO penstock_app, penstock_system;

-- Each content stored so far becomes a segment of its own; its rows keep their form.
ALTER TABLE contents NO FORCE ROW LEVEL SECURITY;
ALTER TABLE contents ADD COLUMN segment bigint, ADD COLUMN first_slot integer NOT NULL DEFAULT 0;
UPDATE contents SET segment = id;
SELECT setval('segments', coalesce(max(id), 0) + 1, false) FROM contents;
ALTER TABLE contents ALTER COLUMN segment SET NOT NULL, ALTER COLUMN first_slot DROP DEFAULT;
ALTER TABLE contents FORCE ROW LEVEL SECURITY;
CREATE INDEX contents_by_segment ON contents (segment);

ALTER TABLE postings RENAME COLUMN content_id TO segment;
ALTER TABLE postings DROP CONSTRAINT postings_pkey, ADD PRIMARY KEY (segment, term);
-- Packed already, so that compressing it would only take time.
ALTER TABLE postings ALTER COLUMN hits SET STORAGE EXTERNAL;

-- What a version brought, to lead a reader's files on from the version before.
CREATE INDEX source_files_opened ON source_files (team_id, source, since);
