-- Models that somebody wants to migrate to, to be begun as soon as no other migration is open.
CREATE TABLE migration_requests (
    model_id  integer PRIMARY KEY REFERENCES embedding_models,
    asked_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    tried_at  timestamptz,
    reason    text                          -- why it has not begun, for a person
);
GRANT SELECT, INSERT, UPDATE, DELETE ON migration_requests TO penstock_system;

-- The day by which a model is to be gone, for instance since its provider ends it.
ALTER TABLE embedding_models ADD COLUMN retire_by timestamptz;
GRANT UPDATE (retire_by) ON embedding_models TO penstock_system;
