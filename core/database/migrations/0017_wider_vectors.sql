-- Vectors of up to 4,000 numbers: as wide as an HNSW index over half precision takes them.
ALTER TABLE embedding_models DROP CONSTRAINT IF EXISTS embedding_models_dimensions_check;
ALTER TABLE embedding_models ADD CONSTRAINT embedding_models_dimensions_check CHECK (dimensions BETWEEN 1 AND 4000);

-- As before; a vector that does not fit into a page's row lies beside it.
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
    EXECUTE format(
        'ALTER TABLE %I ALTER COLUMN embedding SET STORAGE %s', made, CASE WHEN width > 2000 THEN 'EXTERNAL' ELSE 'PLAIN' END);
    PERFORM protect_tenant_table(made::regclass);
    UPDATE embedding_models SET table_name = made WHERE id = known.id;
    RETURN made;
END $$;
