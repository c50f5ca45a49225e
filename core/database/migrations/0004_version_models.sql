-- Several embedding models at once: which of them cover a version of a source's index in full. A model
-- without a row here may cover a part of it.
CREATE TABLE version_models (
    team_id      uuid NOT NULL,
    source       text NOT NULL,
    version      integer NOT NULL,
    model_id     integer NOT NULL REFERENCES embedding_models ON DELETE CASCADE,
    complete_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (team_id, source, version, model_id),
    FOREIGN KEY (team_id, source, version) REFERENCES index_versions ON DELETE CASCADE
);
CREATE INDEX version_models_by_model ON version_models (model_id);
SELECT protect_tenant_table('version_models');

INSERT INTO version_models (team_id, source, version, model_id, complete_at)
SELECT team_id, source, version, model_id, staged_at FROM index_versions WHERE model_id IS NOT NULL;
ALTER TABLE index_versions DROP COLUMN model_id;
