-- The context index: contents kept once per blob and chunker, files of each source with the range of
-- index versions in which they hold, and one typed vector table per embedding model.

-- One row a model, for all teams; its vectors lie in the table named here.
CREATE TABLE embedding_models (
    id          integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    identity    text NOT NULL UNIQUE,       -- name, width and digest of the weights
    dimensions  integer NOT NULL CHECK (dimensions BETWEEN 1 AND 2000),
    table_name  text NOT NULL UNIQUE,
    created_at  timestamptz NOT NULL DEFAULT now()
);
GRANT SELECT ON embedding_models TO penstock_app, penstock_system;

-- Returns the name of the model's table, made at its first use. The runtime roles may not create
-- tables; this is the one kind that comes into being while the platform runs.
CREATE FUNCTION add_embedding_model(model text, width integer) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = penstock, public, pg_temp SET lock_timeout = '10s' AS $$
DECLARE
    known embedding_models;
    made  text;
BEGIN
    IF model !~ '^[a-z0-9][a-zA-Z0-9._:@/-]{0,199}$' THEN
        RAISE EXCEPTION 'the name of an embedding model is not allowed: %', left(model, 80) USING ERRCODE = 'check_violation';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('penstock embedding models', 0));
    SELECT * INTO known FROM embedding_models WHERE identity = model;
    IF FOUND THEN
        IF known.dimensions <> width THEN
            RAISE EXCEPTION 'embedding model % has % dimensions, not %', model, known.dimensions, width
                USING ERRCODE = 'check_violation';
        END IF;
        RETURN known.table_name;
    END IF;
    INSERT INTO embedding_models (identity, dimensions, table_name) VALUES (model, width, 'pending') RETURNING * INTO known;
    made := 'vectors_' || known.id;
    EXECUTE format(
        'CREATE TABLE %I (team_id uuid NOT NULL, content_id bigint NOT NULL, chunk integer NOT NULL, '
        'embedding vector(%s) NOT NULL, PRIMARY KEY (content_id, chunk))', made, width);
    EXECUTE format('ALTER TABLE %I ALTER COLUMN embedding SET STORAGE PLAIN', made);
    PERFORM protect_tenant_table(made::regclass);
    UPDATE embedding_models SET table_name = made WHERE id = known.id;
    RETURN made;
END $$;
REVOKE ALL ON FUNCTION add_embedding_model FROM PUBLIC;
GRANT EXECUTE ON FUNCTION add_embedding_model TO penstock_app, penstock_system;

-- What a blob became under one chunker. Never changed once written; its chunks, postings and vectors
-- are written in the same transaction, so that a row here means that all of them are there.
CREATE TABLE contents (
    team_id   uuid NOT NULL REFERENCES teams,
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    blob      bytea NOT NULL,
    chunker   text NOT NULL,
    lengths   integer[] NOT NULL,           -- terms of each chunk, in order
    UNIQUE (team_id, blob, chunker)
);
SELECT protect_tenant_table('contents');

CREATE TABLE chunks (
    team_id     uuid NOT NULL,
    content_id  bigint NOT NULL REFERENCES contents ON DELETE CASCADE,
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

-- For BM25: the chunks of a content that hold a term, as pairs of little-endian unsigned 16-bit
-- numbers (chunk, count). No foreign key: its check would cost more than the row.
CREATE TABLE postings (
    team_id     uuid NOT NULL,
    term        text COLLATE "C" NOT NULL,
    content_id  bigint NOT NULL,
    hits        bytea NOT NULL,
    PRIMARY KEY (team_id, term, content_id)
);
SELECT protect_tenant_table('postings');

-- One row each time that a source's index was brought up to date.
CREATE TABLE index_versions (
    team_id     uuid NOT NULL,
    source      text NOT NULL,
    version     integer NOT NULL CHECK (version >= 1),
    id          bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    commit      text NOT NULL,
    branch      text NOT NULL,
    config      text NOT NULL,              -- versions of the chunkers, terms and skip rules
    model_id    integer REFERENCES embedding_models,
    recent      jsonb NOT NULL,             -- path -> age of its last change, in commits
    files       integer NOT NULL,
    chunks      integer NOT NULL,
    skipped     integer NOT NULL,
    staged_at   timestamptz NOT NULL DEFAULT now(),
    visible_at  timestamptz,
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

-- A path of a source, from version `since` on and before version `until` (null: still). Rows of a
-- version that is not visible yet are staged; a commit writes rows for what it changed only.
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
SELECT protect_tenant_table('source_files');
