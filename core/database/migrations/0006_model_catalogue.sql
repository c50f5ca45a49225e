-- The catalogue of embedding models: how each is opened, what it answered when it was registered, and its state.
ALTER TABLE embedding_models
    ADD COLUMN name          text,              -- what people call it; null for a model that was used unregistered
    ADD COLUMN spec          jsonb,             -- how to open it (core/embedding/spec.py); never holds a secret
    ADD COLUMN state         text NOT NULL DEFAULT 'registered',
    ADD COLUMN distance      text NOT NULL DEFAULT 'cosine' CHECK (distance = 'cosine'),
    ADD COLUMN known_answers bytea,             -- vectors of fixed texts (core/embedding/known_answers.py)
    ADD COLUMN preference    integer NOT NULL DEFAULT 0,    -- of several serving models, the highest comes first
    ADD COLUMN state_at      timestamptz NOT NULL DEFAULT now(),
    ADD CHECK (state IN ('registered', 'retired') OR (name IS NOT NULL AND spec IS NOT NULL));
CREATE UNIQUE INDEX embedding_models_by_name ON embedding_models (name) WHERE state <> 'retired';
CREATE TRIGGER legal_transition BEFORE INSERT OR UPDATE OF state ON embedding_models
    FOR EACH ROW EXECUTE FUNCTION enforce_transition('model');
GRANT UPDATE (name, spec, state, known_answers, preference, state_at) ON embedding_models TO penstock_system;

-- What each change of state was, for reports.
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

-- How much of each source's visible index a model covers, in chunks. Sees what the caller may see.
CREATE FUNCTION embedding_coverage(model integer)
RETURNS TABLE (team_id uuid, source text, chunks bigint, covered bigint)
LANGUAGE plpgsql STABLE SET search_path = penstock, public, pg_temp AS $$
DECLARE
    vectors text := (SELECT table_name FROM embedding_models WHERE id = model AND embedding_models.state <> 'retired');
BEGIN
    IF vectors IS NULL THEN
        RETURN;
    END IF;
    RETURN QUERY EXECUTE format(
        'SELECT f.team_id, f.source, sum(cardinality(c.lengths))::bigint, coalesce(sum(v.count), 0)::bigint '
        'FROM source_indexes s JOIN source_files f ON f.team_id = s.team_id AND f.source = s.source '
        'AND f.since <= s.version AND (f.until IS NULL OR f.until > s.version) '
        'JOIN contents c ON c.id = f.content_id '
        'LEFT JOIN (SELECT content_id, count(*) FROM %I GROUP BY content_id) v ON v.content_id = c.id '
        'GROUP BY f.team_id, f.source ORDER BY f.team_id, f.source', vectors);
END $$;
GRANT EXECUTE ON FUNCTION embedding_coverage TO penstock_app, penstock_system;

-- Ends a model: nothing of it is left but its row. Refused while a query may still ask it.
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

-- As before, and a retired model gets a new, empty table; its row says `registered` again.
CREATE OR REPLACE FUNCTION add_embedding_model(model text, width integer) RETURNS text
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
    EXECUTE format('ALTER TABLE %I ALTER COLUMN embedding SET STORAGE PLAIN', made);
    PERFORM protect_tenant_table(made::regclass);
    UPDATE embedding_models SET table_name = made WHERE id = known.id;
    RETURN made;
END $$;
