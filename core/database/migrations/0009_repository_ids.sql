-- Repositories keep their identity when they are renamed, and issues that several webhooks report start one task.

-- The repository by which webhooks find a source, as its forge identifies it for good. Set by the first delivery that
-- has the id, and cleared when a user gives the source another repository.
ALTER TABLE sources
    ADD COLUMN forge_repository_service text,   -- github, gitlab or gitea
    ADD COLUMN forge_repository_host text,      -- host and port of the forge's web pages
    ADD COLUMN forge_repository_id bigint,
    ADD CONSTRAINT forge_repository_complete
        CHECK (num_nonnulls(forge_repository_service, forge_repository_host, forge_repository_id) IN (0, 3));
CREATE INDEX sources_by_forge_repository
    ON sources (team_id, forge_repository_service, forge_repository_host, forge_repository_id)
    WHERE forge_repository_id IS NOT NULL;

-- Former names of repositories whose tickets a source has. Changes that still use a former name belong to `project`.
CREATE TABLE renamed_projects (
    team_id     uuid NOT NULL,
    source      text NOT NULL,
    former      text NOT NULL,
    project     text NOT NULL,
    renamed_at  timestamptz NOT NULL DEFAULT now(),
    moved_at    timestamptz,                    -- when the tickets under the former name got the new one
    PRIMARY KEY (team_id, source, former),
    FOREIGN KEY (team_id, source) REFERENCES sources ON DELETE CASCADE
);
SELECT protect_tenant_table('renamed_projects');

-- `ticket` is the issue that started the delivery's task, and `happening` what happened to it, whichever webhook
-- reported it. Both are null unless the delivery started a task.
ALTER TABLE deliveries
    ADD COLUMN ticket text,
    ADD COLUMN happening text;
CREATE UNIQUE INDEX deliveries_by_happening ON deliveries (team_id, ticket, happening) WHERE ticket IS NOT NULL;
