-- A chunk without its content is refused as the foreign key did, by one look at all contents of a statement. Chunks
-- are written with their content in one transaction, so nothing can take the content away between look and commit.
CREATE FUNCTION check_chunks() RETURNS trigger LANGUAGE plpgsql SET search_path = penstock, public, pg_temp AS $$
DECLARE missing bigint;
BEGIN
    SELECT a.content_id INTO missing FROM (SELECT DISTINCT content_id FROM added) a
    WHERE NOT EXISTS (SELECT FROM contents c WHERE c.id = a.content_id) LIMIT 1;
    IF FOUND THEN
        RAISE foreign_key_violation USING MESSAGE = format('chunks of content %s, which does not exist', missing);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER check_chunks AFTER INSERT ON chunks
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION check_chunks();
