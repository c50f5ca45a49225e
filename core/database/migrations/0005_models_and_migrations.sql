-- Embedding models: the catalogue, the index versions that each model covers, the migrations from one model to another,
-- and the queries that these replay. Models belong to the platform, not to a team.

CREATE TABLE embedding_models (
    id             integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    identity       text NOT NULL UNIQUE,    -- name, width and digest of the weights
    name           text,                    -- its name in the catalogue; null for a model that was used unregistered
    dimensions     integer NOT NULL CHECK (dimensions BETWEEN 1 AND 4000),  -- the limit of an HNSW index of halfvec
    distance       text NOT NULL DEFAULT 'cosine' CHECK (distance = 'cosine'),
    table_name     text NOT NULL UNIQUE,    -- where its vectors are
    spec           jsonb,                   -- how to open it (core/embedding/spec.py); never holds a secret
    known_answers  bytea,                   -- vectors of fixed texts (core/embedding/known_answers.py)
    state          text NOT NULL DEFAULT 'registered',
    state_at       timestamptz NOT NULL DEFAULT now(),
    retire_by      timestamptz,             -- deadline for retiring it, for example because its provider withdraws it
    created_at     timestamptz NOT NULL DEFAULT now(),
    CHECK (state IN ('registered', 'retired') OR (name IS NOT NULL AND spec IS NOT NULL))
);
CREATE UNIQUE INDEX embedding_models_by_name ON embedding_models (name) WHERE state <> 'retired';
CREATE TRIGGER legal_transition BEFORE INSERT OR UPDATE OF state ON embedding_models
    FOR EACH ROW EXECUTE FUNCTION enforce_transition('model');
GRANT SELECT ON embedding_models TO penstock_app, penstock_system;
GRANT UPDATE (name, spec, state, known_answers, state_at, retire_by) ON embedding_models TO penstock_system;

-- Every change of state, for reports.
CREATE TABLE model_events (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    model_id  integer NOT NULL REFERENCES embedding_models,
    state     text NOT NULL,
    at        timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX model_events_by_model ON model_events (model_id, id);
GRANT SELECT ON model_events TO penstock_app, penstock_system;

CREATE FUNCTION record_model_event() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = penstock, public, pg_temp AS $$
BEGIN
    IF TG_OP = 'INSERT' OR OLD.state IS DISTINCT FROM NEW.state THEN
        INSERT INTO model_events (model_id, state) VALUES (NEW.id, NEW.state);
    END IF;
    RETURN NULL;
END $$;
REVOKE ALL ON FUNCTION record_model_event FROM PUBLIC;
CREATE TRIGGER record_event AFTER INSERT OR UPDATE OF state ON embedding_models
    FOR EACH ROW EXECUTE FUNCTION record_model_event();

-- Which models cover a version of a source's index in full. A model without a row here may cover a part of it.
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

-- Returns the name of the model's table of vectors, which is created at first use. The runtime roles may not create
-- tables; these are the only ones that are created while the platform runs. A retired model gets a new, empty table and
-- is `registered` again. Vectors that do not fit into a page are stored out of line.
CREATE FUNCTION add_embedding_model(model text, width integer) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = penstock, public, pg_temp SET lock_timeout = '10s' AS $$
DECLARE
    known embedding_models;
    made  text;
BEGIN
    IF model !~ '^[a-z0-9][a-zA-Z0-9._:@/-]{0,199}$' THEN
        RAISE EXCEPTION 'the name of an embedding model is not allowed: %', left(model, 80) USING ERRCODE = 'check_violation';
    END IF;
    SELECT * INTO known FROM embedding_models WHERE identity = model;
    IF NOT FOUND OR known.state = 'retired' THEN
        PERFORM pg_advisory_xact_lock(hashtextextended('penstock embedding models', 0));
        SELECT * INTO known FROM embedding_models WHERE identity = model;
    END IF;
    IF FOUND THEN
        IF known.dimensions <> width THEN
            RAISE EXCEPTION 'embedding model % has % dimensions, not %', model, known.dimensions, width
                USING ERRCODE = 'check_violation';
        END IF;
        IF known.state <> 'retired' THEN
            RETURN known.table_name;
        END IF;
        UPDATE embedding_models SET state = 'registered', name = NULL, spec = NULL, known_answers = NULL, state_at = now()
            WHERE id = known.id;
    ELSE
        INSERT INTO embedding_models (identity, dimensions, table_name) VALUES (model, width, 'pending') RETURNING * INTO known;
    END IF;
    made := 'vectors_' || known.id;
    EXECUTE format(
        'CREATE TABLE %I (team_id uuid NOT NULL, content_id bigint NOT NULL, chunk integer NOT NULL, '
        'embedding vector(%s) NOT NULL, PRIMARY KEY (content_id, chunk))', made, width);
    EXECUTE format(
        'ALTER TABLE %I ALTER COLUMN embedding SET STORAGE %s', made, CASE WHEN width > 2000 THEN 'EXTERNAL' ELSE 'PLAIN' END);
    PERFORM protect_tenant_table(made::regclass);
    UPDATE embedding_models SET table_name = made WHERE id = known.id;
    RETURN made;
END $$;
REVOKE ALL ON FUNCTION add_embedding_model FROM PUBLIC;
GRANT EXECUTE ON FUNCTION add_embedding_model TO penstock_app, penstock_system;

-- Retires a model: only its row remains. Refused while queries may still use it.
CREATE FUNCTION retire_embedding_model(model integer) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = penstock, public, pg_temp SET lock_timeout = '2s' AS $$
DECLARE
    known embedding_models;
BEGIN
    SELECT * INTO known FROM embedding_models WHERE id = model FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no embedding model %', model USING ERRCODE = 'no_data_found';
    END IF;
    IF known.state = 'retired' THEN
        RETURN;
    END IF;
    UPDATE embedding_models SET state = 'retired', state_at = now() WHERE id = model;
    DELETE FROM version_models WHERE model_id = model;
    EXECUTE format('DROP TABLE %I', known.table_name);
END $$;
REVOKE ALL ON FUNCTION retire_embedding_model FROM PUBLIC;
GRANT EXECUTE ON FUNCTION retire_embedding_model TO penstock_system;

-- Migrations from one model to another, and their timeline.
CREATE TABLE model_migrations (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    old_model   integer NOT NULL REFERENCES embedding_models,
    new_model   integer NOT NULL REFERENCES embedding_models,
    state       text NOT NULL DEFAULT 'planned',
    paused      boolean NOT NULL DEFAULT false,
    options     jsonb NOT NULL,             -- margins, throttle, how long to observe (assets/migrations/lifecycle/record.py)
    plan        jsonb NOT NULL,             -- counts, tokens, time, money, disk, as estimated before the start
    progress    jsonb NOT NULL DEFAULT '{}',
    comparison  jsonb,                      -- the gate's evidence and verdict
    observation jsonb,                      -- the last check of live searches after the cut over
    reason      text,                       -- why it is in this state, for operators
    created_at  timestamptz NOT NULL DEFAULT now(),
    state_at    timestamptz NOT NULL DEFAULT now(),
    CHECK (old_model <> new_model)
);
-- One open migration at a time: two would take each other's models out of use.
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

-- Queued migration requests: each begins as soon as no other migration is open.
CREATE TABLE migration_requests (
    model_id  integer PRIMARY KEY REFERENCES embedding_models,
    asked_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    tried_at  timestamptz,
    reason    text                          -- why it has not begun, for operators
);
GRANT SELECT, INSERT, UPDATE, DELETE ON migration_requests TO penstock_system;

-- Queries of users and tasks, to be replayed on two models. The code bounds their number per source.
CREATE TABLE asked_queries (
    team_id    uuid NOT NULL,
    source     text NOT NULL,
    sha256     bytea NOT NULL,
    text       text NOT NULL CHECK (length(text) <= 4000),
    asked_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (team_id, source, sha256),
    FOREIGN KEY (team_id, source) REFERENCES sources ON DELETE CASCADE
);
CREATE INDEX asked_queries_newest ON asked_queries (team_id, source, asked_at DESC);
SELECT protect_tenant_table('asked_queries');
