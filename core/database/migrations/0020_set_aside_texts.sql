-- Texts that a model's server gave no vector for, whatever else was in the batch. In the model's table their vectors are
-- zeros, which no search finds; they are tried again later.
CREATE TABLE set_aside_texts (
    team_id     uuid NOT NULL,
    model_id    integer NOT NULL REFERENCES embedding_models ON DELETE CASCADE,
    content_id  bigint NOT NULL REFERENCES contents ON DELETE CASCADE,
    chunk       integer NOT NULL,
    reason      text NOT NULL,              -- what the server said
    tries       integer NOT NULL DEFAULT 1,
    tried_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (model_id, content_id, chunk)
);
CREATE INDEX set_aside_texts_by_content ON set_aside_texts (content_id);
SELECT protect_tenant_table('set_aside_texts');

-- A retired model's vectors are gone, and so is what they lacked.
CREATE FUNCTION forget_set_aside() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = penstock, public, pg_temp AS $$
BEGIN
    DELETE FROM set_aside_texts WHERE model_id = NEW.id;
    RETURN NULL;
END $$;
REVOKE ALL ON FUNCTION forget_set_aside FROM PUBLIC;
CREATE TRIGGER forget_set_aside AFTER UPDATE OF state ON embedding_models
    FOR EACH ROW WHEN (NEW.state = 'retired') EXECUTE FUNCTION forget_set_aside();
