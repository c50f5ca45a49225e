-- Contents that nothing refers to are marked first and deleted a day later, so that a refresh that has just
-- found one can still take it: to be found takes the mark away.
ALTER TABLE contents ADD COLUMN unused_since timestamptz;
CREATE INDEX contents_unused ON contents (team_id, unused_since) WHERE unused_since IS NOT NULL;

-- Segments whose contents were given slots in a merged one; readers that began before may still ask for them.
CREATE TABLE replaced_segments (
    team_id      uuid NOT NULL,
    segment      bigint PRIMARY KEY,
    replaced_at  timestamptz NOT NULL DEFAULT now()
);
SELECT protect_tenant_table('replaced_segments');
