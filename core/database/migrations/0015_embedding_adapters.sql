-- Linear maps from a new model's queries to an old model's vectors, and what answers while the old one is away.
-- The newest row of a pair of models counts. They belong to the platform, as models do.
CREATE TABLE embedding_adapters (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    old_model   integer NOT NULL REFERENCES embedding_models,
    new_model   integer NOT NULL REFERENCES embedding_models,
    use         text NOT NULL CHECK (use IN ('adapter', 'covered', 'nothing')),
    kind        text NOT NULL DEFAULT '',
    matrix      bytea CHECK (octet_length(matrix) <= 67108864),   -- float32, new width by old width, row by row
    bias        bytea,                                            -- float32, old width
    reason      text NOT NULL,
    covered     real NOT NULL CHECK (covered BETWEEN 0 AND 1),
    evaluation  jsonb NOT NULL DEFAULT '{}',                      -- assets/migrations/adapter.py
    seconds     real NOT NULL DEFAULT 0,
    trained_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK (old_model <> new_model),
    CHECK ((matrix IS NULL) = (bias IS NULL)),
    CHECK (use <> 'adapter' OR matrix IS NOT NULL)
);
ALTER TABLE embedding_adapters ALTER COLUMN matrix SET STORAGE EXTERNAL;
CREATE INDEX embedding_adapters_by_models ON embedding_adapters (old_model, new_model, id DESC);
GRANT SELECT, INSERT, DELETE ON embedding_adapters TO penstock_system;
