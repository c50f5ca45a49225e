-- Chunks lose the foreign key to their content: its check took as long as the row itself, and says nothing,
-- since both are written in one transaction and the gate counts them. What is deleted with a content stays so,
-- now for all contents of a statement at once.
ALTER TABLE chunks DROP CONSTRAINT chunks_content_id_fkey;

CREATE FUNCTION delete_chunks() RETURNS trigger LANGUAGE plpgsql SET search_path = penstock, public, pg_temp AS $$
BEGIN
    DELETE FROM chunks WHERE content_id = ANY(ARRAY(SELECT id FROM gone));
    RETURN NULL;
END $$;
CREATE TRIGGER delete_chunks AFTER DELETE ON contents
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION delete_chunks();
