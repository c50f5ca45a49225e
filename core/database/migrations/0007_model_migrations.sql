-- Migrations from one embedding model to another, their timeline, and the queries that judge them.
CREATE TABLE model_migrations (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    old_model   integer NOT NULL REFERENCES embedding_models,
    new_model   integer NOT NULL REFERENCES embedding_models,
    state       text NOT NULL DEFAULT 'planned',
    paused      boolean NOT NULL DEFAULT false,
    options     jsonb NOT NULL,             -- margins, throttle, how long to observe (assets/migrations/record.py)
    plan        jsonb NOT NULL,             -- counts, tokens, time, money, disk, as estimated before the start
    progress    jsonb NOT NULL DEFAULT '{}',
    comparison  jsonb,                      -- what the gate saw and said
    observation jsonb,                      -- the last look at live searches after the cut over
    reason      text,                       -- why it is where it is, for a person
    created_at  timestamptz NOT NULL DEFAULT now(),
    state_at    timestamptz NOT NULL DEFAULT now(),
    CHECK (old_model <> new_model)
);
-- One at a time: two would take each other's models out of use.
CREATE UNIQUE INDEX model_migrations_open ON model_migrations ((true))
    WHERE state NOT IN ('done', 'cancelled', 'rolled-back');
CREATE TRIGGER legal_transition BEFORE INSERT OR UPDATE OF state ON model_migrations
    FOR EACH ROW EXECUTE FUNCTION enforce_transition('migration');
GRANT SELECT, INSERT, UPDATE ON model_migrations TO penstock_system;

CREATE TABLE model_migration_events (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    migration_id  bigint NOT NULL REFERENCES model_migrations,
    at            timestamptz NOT NULL DEFAULT clock_timestamp(),
    kind          text NOT NULL,
    body          jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX model_migration_events_by_migration ON model_migration_events (migration_id, id);
GRANT SELECT, INSERT ON model_migration_events TO penstock_system;

-- Queries that people and tasks asked, to be replayed against two models. Bounded by source in the code.
CREATE TABLE asked_queries (
    team_id    uuid NOT NULL,
    source     text NOT NULL,
    sha256     bytea NOT NULL,
    text       text NOT NULL CHECK (length(text) <= 4000),
    times      integer NOT NULL DEFAULT 1,
    asked_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (team_id, source, sha256),
    FOREIGN KEY (team_id, source) REFERENCES sources ON DELETE CASCADE
);
CREATE INDEX asked_queries_newest ON asked_queries (team_id, source, asked_at DESC);
SELECT protect_tenant_table('asked_queries');
