-- The context index: contents stored once per blob and chunker, the data that makes them searchable, and each source's
-- files with the range of index versions in which they are valid.

CREATE SEQUENCE segments AS bigint;
GRANT USAGE ON SEQUENCE segments TO penstock_app, penstock_system;

-- A blob as one chunker cut it. Immutable, except for its place in the postings. Its chunks, postings and vectors are
-- written in the same transaction, so a row here means that all of them exist.
CREATE TABLE contents (
    team_id       uuid NOT NULL REFERENCES teams,
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    blob          bytea NOT NULL,
    chunker       text NOT NULL,
    lengths       integer[] NOT NULL,       -- number of terms in each chunk, in order
    segment       bigint NOT NULL,          -- where its postings are
    first_slot    integer NOT NULL,         -- slot of its first chunk in that segment; the others follow
    unused_since  timestamptz,              -- since when nothing is known to refer to it
    UNIQUE (team_id, blob, chunker)
);
CREATE INDEX contents_by_segment ON contents (segment);
-- Contents that nothing refers to are marked first and deleted a day later, so that a refresh that has just
-- found one can still use it: finding one removes the mark.
CREATE INDEX contents_unused ON contents (team_id, unused_since) WHERE unused_since IS NOT NULL;
SELECT protect_tenant_table('contents');

CREATE TABLE chunks (
    team_id     uuid NOT NULL,
    content_id  bigint NOT NULL,            -- references contents: see check_chunks and delete_chunks
    chunk       integer NOT NULL,           -- from 0, in the order of the file
    kind        text NOT NULL,
    symbol      text NOT NULL,
    signature   text NOT NULL,
    docstring   text NOT NULL,
    start_line  integer NOT NULL,
    end_line    integer NOT NULL,
    text        text NOT NULL,
    PRIMARY KEY (content_id, chunk)
);
SELECT protect_tenant_table('chunks');

-- A foreign key from chunks to contents would be checked row by row, which takes as long as inserting the row. These
-- two triggers run once per statement. Chunks are written with their content in one transaction, so nothing can delete
-- the content between check and commit.
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

CREATE FUNCTION delete_chunks() RETURNS trigger LANGUAGE plpgsql SET search_path = penstock, public, pg_temp AS $$
BEGIN
    DELETE FROM chunks WHERE content_id = ANY(ARRAY(SELECT id FROM gone));
    RETURN NULL;
END $$;
CREATE TRIGGER delete_chunks AFTER DELETE ON contents
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION delete_chunks();

-- For BM25: a row holds the hits of one term in all contents that were stored together (a segment), as pairs of
-- little-endian unsigned 16-bit numbers (slot, count). A segment is never changed, only replaced as a whole. No foreign
-- key: its check would cost more than inserting the row.
CREATE TABLE postings (
    team_id  uuid NOT NULL,
    term     text COLLATE "C" NOT NULL,
    segment  bigint NOT NULL,
    hits     bytea STORAGE EXTERNAL NOT NULL,   -- packed already: compression would only cost time
    PRIMARY KEY (segment, term)
);
SELECT protect_tenant_table('postings');

-- Segments whose contents were moved into a merged one; readers that began earlier may still read them.
CREATE TABLE replaced_segments (
    team_id      uuid NOT NULL,
    segment      bigint PRIMARY KEY,
    replaced_at  timestamptz NOT NULL DEFAULT now()
);
SELECT protect_tenant_table('replaced_segments');

-- One row for each update of a source's index.
CREATE TABLE index_versions (
    team_id     uuid NOT NULL,
    source      text NOT NULL,
    version     integer NOT NULL CHECK (version >= 1),
    id          bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    commit      text NOT NULL,
    branch      text NOT NULL,
    config      text NOT NULL,              -- versions of the chunkers, terms and skip rules
    files       integer NOT NULL,
    chunks      integer NOT NULL,
    skipped     integer NOT NULL,
    visible_at  timestamptz,
    changed_at  timestamptz,                -- when the oldest announced change in it was accepted, if any
    PRIMARY KEY (team_id, source, version),
    FOREIGN KEY (team_id, source) REFERENCES sources ON DELETE CASCADE
);
SELECT protect_tenant_table('index_versions');

-- The pointer: the version that queries see.
CREATE TABLE source_indexes (
    team_id     uuid NOT NULL,
    source      text NOT NULL,
    version     integer NOT NULL,
    checked_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (team_id, source),
    FOREIGN KEY (team_id, source, version) REFERENCES index_versions ON DELETE CASCADE
);
SELECT protect_tenant_table('source_indexes');

-- A path of a source, valid from version `since` on and before version `until` (null: still valid). Rows of a
-- version that is not visible yet are staged. A commit writes rows only for what it changed.
CREATE TABLE source_files (
    team_id     uuid NOT NULL,
    source      text NOT NULL,
    path        text COLLATE "C" NOT NULL,
    since       integer NOT NULL,
    until       integer CHECK (until > since),
    mode        text NOT NULL,
    blob        bytea NOT NULL,
    content_id  bigint REFERENCES contents,
    skipped     text,                       -- the reason why it is not indexed
    PRIMARY KEY (team_id, source, path, since),
    FOREIGN KEY (team_id, source) REFERENCES sources ON DELETE CASCADE,
    CHECK ((content_id IS NULL) = (skipped IS NOT NULL))
);
CREATE INDEX source_files_by_content ON source_files (content_id, source);
CREATE INDEX source_files_closed ON source_files (team_id, source, until) WHERE until IS NOT NULL;
-- The rows that a version added, to update a reader's copy of the version before.
CREATE INDEX source_files_opened ON source_files (team_id, source, since);
SELECT protect_tenant_table('source_files');

-- What the commits of a source changed, for ranking. Rows are valid as those of source_files.
CREATE TABLE source_commits (
    team_id     uuid NOT NULL,
    source      text NOT NULL,
    number      bigint NOT NULL,            -- grows with each commit: the newest has the highest
    since       integer NOT NULL,
    until       integer CHECK (until > since),
    commit      text NOT NULL,
    message     text NOT NULL,
    paths       text[] NOT NULL,
    PRIMARY KEY (team_id, source, number),
    FOREIGN KEY (team_id, source) REFERENCES sources ON DELETE CASCADE
);
SELECT protect_tenant_table('source_commits');

-- The results of a source's refreshes.
CREATE TABLE source_refreshes (
    team_id        uuid NOT NULL,
    source         text NOT NULL,
    covered_until  timestamptz,             -- changes accepted until then are in the visible version
    tried_at       timestamptz NOT NULL,
    failed_at      timestamptz,             -- when the failures in a row began; null if the last refresh succeeded
    failures       integer NOT NULL DEFAULT 0,
    error          text,                    -- why the last one failed; never holds a credential
    PRIMARY KEY (team_id, source),
    FOREIGN KEY (team_id, source) REFERENCES sources ON DELETE CASCADE
);
SELECT protect_tenant_table('source_refreshes');

-- What the quality gate measured of each staged version.
CREATE TABLE index_gates (
    team_id     uuid NOT NULL,
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source      text NOT NULL,
    version     integer NOT NULL,           -- a version that failed is discarded, and its number is used again
    commit      text NOT NULL,
    checked_at  timestamptz NOT NULL DEFAULT now(),
    passed      boolean NOT NULL,
    checks      jsonb NOT NULL,             -- a list of name, passed, detail
    FOREIGN KEY (team_id, source) REFERENCES sources ON DELETE CASCADE
);
CREATE INDEX index_gates_by_source ON index_gates (team_id, source, id DESC);
SELECT protect_tenant_table('index_gates');
