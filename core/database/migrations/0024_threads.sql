-- Threads: conversations with an append-only log of ops per thread, its projection, sharing, clients that push and pull,
-- and the feed of changes. Runs as the owner role, inside one transaction.
--
-- The role penstock_member is one person's or token's view of a team: it sees the threads that this principal may see, by
-- row-level security, and nothing of other tables. The functions below set whom it stands for, in one round trip.
GRANT USAGE ON SCHEMA penstock TO penstock_member;

CREATE FUNCTION threads_team() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE AS
    $$ SELECT nullif(current_setting('penstock.team_id', true), '')::uuid $$;
CREATE FUNCTION threads_me() RETURNS text LANGUAGE sql STABLE PARALLEL SAFE AS
    $$ SELECT nullif(current_setting('penstock.principal', true), '') $$;

-- Gives a table the policies of the tenant tables, and penstock_member the rows of its team for which `visible` holds.
CREATE FUNCTION protect_thread_table(tbl regclass, visible text, may text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM protect_tenant_table(tbl);
    EXECUTE format('CREATE POLICY of_member ON %s TO penstock_member USING (team_id = (SELECT threads_team()) AND (%s))',
        tbl, visible);
    EXECUTE format('GRANT %s ON %s TO penstock_member', may, tbl);
END $$;

CREATE TABLE threads (
    team_id       uuid NOT NULL REFERENCES teams,
    id            uuid PRIMARY KEY,
    owner         text NOT NULL CHECK (length(owner) <= 220),   -- a principal: "user:<name>", "token:<id>"
    title         text NOT NULL CHECK (length(title) BETWEEN 1 AND 300),
    head_seq      bigint NOT NULL DEFAULT 0,
    acl_epoch     bigint NOT NULL DEFAULT 1,
    visibility    text NOT NULL CHECK (visibility IN ('private', 'listed', 'link', 'team')),
    parent_id     uuid,
    summary_id    uuid,                     -- the thread that goes on where this one was full
    task_id       uuid,
    messages      integer NOT NULL DEFAULT 0,
    turn_epoch    bigint NOT NULL DEFAULT 0,
    turn_holder   text CHECK (length(turn_holder) <= 200),
    turn_until    timestamptz,
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 70);
CREATE INDEX threads_by_parent ON threads (parent_id) WHERE parent_id IS NOT NULL;
CREATE UNIQUE INDEX threads_by_task ON threads (task_id) WHERE task_id IS NOT NULL;
CREATE INDEX threads_by_time ON threads (team_id, created_at DESC, id);

CREATE TABLE thread_grants (
    team_id     uuid NOT NULL REFERENCES teams,
    thread_id   uuid NOT NULL REFERENCES threads ON DELETE CASCADE,
    principal   text NOT NULL CHECK (length(principal) <= 220),
    role        text NOT NULL CHECK (role IN ('reader', 'commenter', 'writer', 'owner')),
    by_link     boolean NOT NULL DEFAULT false,
    expires_at  timestamptz,
    PRIMARY KEY (thread_id, principal)
);
CREATE INDEX thread_grants_by_principal ON thread_grants (team_id, principal);
SELECT protect_thread_table('thread_grants', 'true', 'SELECT, INSERT, UPDATE, DELETE');

CREATE TABLE thread_links (
    team_id     uuid NOT NULL REFERENCES teams,
    thread_id   uuid PRIMARY KEY REFERENCES threads ON DELETE CASCADE,
    sha256      bytea NOT NULL UNIQUE,
    role        text NOT NULL CHECK (role IN ('reader', 'commenter', 'writer')),
    expires_at  timestamptz NOT NULL
);
SELECT protect_thread_table('thread_links', 'true', 'SELECT, INSERT, UPDATE, DELETE');

-- What a principal may do in a thread: null (not even know of it), reader, commenter, writer, owner.
CREATE FUNCTION thread_role(thread uuid, owner text, visibility text) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
    me text := threads_me();
    viewer boolean := coalesce(current_setting('penstock.team_role', true), 'viewer') = 'viewer';
    granted text;
BEGIN
    IF me IS NULL THEN
        RETURN NULL;
    ELSIF owner = me THEN
        RETURN CASE WHEN viewer THEN 'commenter' ELSE 'owner' END;
    END IF;
    IF visibility <> 'private' THEN
        SELECT g.role INTO granted FROM thread_grants g WHERE g.thread_id = thread AND g.principal = me
            AND (NOT g.by_link OR visibility IN ('link', 'team')) AND (g.expires_at IS NULL OR g.expires_at > clock_timestamp());
    END IF;
    IF visibility = 'team' AND coalesce(granted, 'reader') IN ('reader', 'commenter') THEN
        granted := CASE WHEN viewer THEN coalesce(granted, 'reader') ELSE 'writer' END;
    END IF;
    RETURN CASE WHEN viewer AND granted IN ('writer', 'owner') THEN 'commenter' ELSE granted END;
END $$;

SELECT protect_thread_table('threads', 'thread_role(id, owner, visibility) IS NOT NULL', 'SELECT, INSERT, UPDATE');
CREATE POLICY of_writer ON threads AS RESTRICTIVE FOR UPDATE TO penstock_member
    USING (thread_role(id, owner, visibility) <> 'reader');

CREATE TABLE thread_ops (
    team_id      uuid NOT NULL,
    thread_id    uuid NOT NULL REFERENCES threads ON DELETE CASCADE,
    seq          bigint NOT NULL,
    client_id    uuid,
    mutation_id  bigint,
    kind         text NOT NULL,
    author       text NOT NULL CHECK (length(author) <= 220),
    body         jsonb NOT NULL,
    size         integer NOT NULL,          -- characters of body
    at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (thread_id, seq)
);
CREATE UNIQUE INDEX thread_ops_by_mutation ON thread_ops (client_id, mutation_id) WHERE client_id IS NOT NULL;
SELECT protect_thread_table('thread_ops', 'EXISTS (SELECT FROM threads t WHERE t.id = thread_id)', 'SELECT, INSERT');
REVOKE UPDATE, DELETE ON thread_ops FROM penstock_app;
-- Whoever may only read does not write, whatever a function forgets.
CREATE POLICY of_writer ON thread_ops AS RESTRICTIVE FOR INSERT TO penstock_member WITH CHECK (
    EXISTS (SELECT FROM threads t WHERE t.id = thread_id AND thread_role(t.id, t.owner, t.visibility) <> 'reader'));

CREATE TABLE thread_messages (
    team_id      uuid NOT NULL,
    thread_id    uuid NOT NULL REFERENCES threads ON DELETE CASCADE,
    id           uuid NOT NULL,
    seq          bigint NOT NULL,
    revision     bigint NOT NULL,           -- the seq of the op that last changed it
    role         text NOT NULL CHECK (role IN ('user', 'assistant', 'info', 'tool_use', 'tool_result')),
    author       text NOT NULL,             -- as it is shown
    principal    text,                      -- null: the platform
    text         text NOT NULL CHECK (octet_length(text) <= 262144),
    body         jsonb NOT NULL DEFAULT '{}',
    siblings     jsonb NOT NULL DEFAULT '[]',
    deleted      boolean NOT NULL DEFAULT false,
    open         boolean NOT NULL DEFAULT false,    -- a tool use without a result
    turn         bigint,
    cost         numeric,                   -- US dollars; stays when the message is deleted
    tokens_in    bigint,
    tokens_out   bigint,
    at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (thread_id, id)
);
CREATE UNIQUE INDEX thread_messages_by_seq ON thread_messages (thread_id, seq);
CREATE INDEX thread_messages_open ON thread_messages (thread_id) WHERE open;
SELECT protect_thread_table('thread_messages', 'EXISTS (SELECT FROM threads t WHERE t.id = thread_id)', 'SELECT, INSERT, UPDATE');

CREATE TABLE thread_blobs (
    team_id     uuid NOT NULL,
    thread_id   uuid NOT NULL REFERENCES threads ON DELETE CASCADE,
    sha256      bytea NOT NULL,
    media_type  text NOT NULL CHECK (length(media_type) <= 100),
    data        bytea NOT NULL CHECK (length(data) <= 1048576),
    at          timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (thread_id, sha256)
);
ALTER TABLE thread_blobs ALTER COLUMN data SET STORAGE EXTERNAL;
SELECT protect_thread_table('thread_blobs', 'EXISTS (SELECT FROM threads t WHERE t.id = thread_id)', 'SELECT, INSERT');

CREATE TABLE sync_clients (
    team_id           uuid NOT NULL REFERENCES teams,
    id                uuid PRIMARY KEY,
    principal         text NOT NULL CHECK (length(principal) <= 220),
    last_mutation_id  bigint NOT NULL DEFAULT 0,
    last_seen         timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 70);
SELECT protect_thread_table('sync_clients', 'true', 'SELECT, INSERT, UPDATE');

-- Answers that no op tells: kept until the client shows that it has read them, by pushing what comes after.
CREATE TABLE sync_outcomes (
    team_id      uuid NOT NULL,
    client_id    uuid NOT NULL REFERENCES sync_clients ON DELETE CASCADE,
    mutation_id  bigint NOT NULL,
    outcome      jsonb NOT NULL,
    PRIMARY KEY (client_id, mutation_id)
);
SELECT protect_thread_table('sync_outcomes', 'true', 'SELECT, INSERT, DELETE');

-- The feed of changed threads. As in the event log, a row has no offset until its transaction has committed:
-- `threads_sequence` gives one to the rows it can see, so no reader skips a transaction that commits late.
CREATE TABLE thread_feeds (
    team_id       uuid PRIMARY KEY REFERENCES teams,
    first_offset  bigint NOT NULL DEFAULT 0,
    next_offset   bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
SELECT protect_thread_table('thread_feeds', 'true', 'SELECT, INSERT, UPDATE');

CREATE TABLE thread_feed (
    team_id      uuid NOT NULL,
    number       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    thread_id    uuid NOT NULL REFERENCES threads ON DELETE CASCADE,
    from_seq     bigint NOT NULL,           -- of the ops that were appended; greater than the head if none was
    before       jsonb,                     -- who could read the thread before its sharing changed
    feed_offset  bigint,
    at           timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 70);
CREATE UNIQUE INDEX thread_feed_by_offset ON thread_feed (team_id, feed_offset) WHERE feed_offset IS NOT NULL;
CREATE INDEX thread_feed_without_offset ON thread_feed (team_id, number) WHERE feed_offset IS NULL;
ALTER TABLE thread_feed SET (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);
SELECT protect_thread_table('thread_feed', 'true', 'SELECT, INSERT, UPDATE');

-- How far a task's trajectory has been copied to its thread.
CREATE TABLE thread_mirrors (
    team_id    uuid NOT NULL REFERENCES teams,
    task_id    uuid PRIMARY KEY REFERENCES tasks,
    thread_id  uuid NOT NULL UNIQUE REFERENCES threads ON DELETE CASCADE,
    attempt    integer NOT NULL DEFAULT 0,
    seq        bigint NOT NULL DEFAULT 0,
    state      text NOT NULL DEFAULT ''
);
SELECT protect_tenant_table('thread_mirrors');

-- What people have said in a task's thread, until the task has it as a remark.
CREATE TABLE thread_remarks (
    team_id     uuid NOT NULL,
    thread_id   uuid NOT NULL REFERENCES threads ON DELETE CASCADE,
    seq         bigint NOT NULL,
    task_id     uuid NOT NULL,
    message_id  uuid NOT NULL,
    PRIMARY KEY (thread_id, seq)
);
CREATE INDEX thread_remarks_by_task ON thread_remarks (task_id);
SELECT protect_thread_table('thread_remarks', 'EXISTS (SELECT FROM threads t WHERE t.id = thread_id)', 'SELECT, INSERT');

-- Whoever copies trajectories to threads is told what there is to copy; it loses nothing with a notice that is lost.
CREATE FUNCTION thread_announce_task() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    task uuid;
BEGIN
    IF TG_TABLE_NAME = 'tasks' THEN
        task := NEW.id;
    ELSE
        task := NEW.task_id;
    END IF;
    IF EXISTS (SELECT FROM thread_mirrors WHERE task_id = task) THEN
        PERFORM pg_notify('penstock_thread_tasks', NEW.team_id || ' ' || task);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER announce_to_thread AFTER INSERT ON trajectory FOR EACH ROW EXECUTE FUNCTION thread_announce_task();
CREATE TRIGGER announce_to_thread AFTER INSERT OR UPDATE ON plan_revisions FOR EACH ROW EXECUTE FUNCTION thread_announce_task();
CREATE TRIGGER announce_to_thread AFTER UPDATE OF state ON tasks FOR EACH ROW EXECUTE FUNCTION thread_announce_task();

-- Whom the rest of the transaction stands for.
CREATE FUNCTION threads_as(team uuid, principal text, team_role text) RETURNS void LANGUAGE sql AS $$
    SELECT set_config('penstock.team_id', team::text, true), set_config('penstock.principal', principal, true),
        set_config('penstock.team_role', team_role, true);
$$;

CREATE FUNCTION threads_announce(team uuid) RETURNS void LANGUAGE sql AS
    $$ SELECT pg_notify('penstock_threads', team::text) $$;

-- Gives offsets to the committed rows of a team's feed that have none, in the order in which they were inserted, and
-- returns the oldest offset and the next one. The team's row of `thread_feeds` is the lock.
CREATE FUNCTION threads_sequence(team uuid, OUT first_kept bigint, OUT next_free bigint) LANGUAGE plpgsql
SET enable_seqscan = off AS $$
DECLARE
    given bigint;
BEGIN
    PERFORM FROM thread_feed WHERE team_id = team AND feed_offset IS NULL ORDER BY number LIMIT 1;
    IF FOUND THEN
        INSERT INTO thread_feeds (team_id) VALUES (team) ON CONFLICT DO NOTHING;
        SELECT next_offset INTO next_free FROM thread_feeds WHERE team_id = team FOR NO KEY UPDATE;
        WITH waiting AS MATERIALIZED (
            SELECT place_in_table, row_number() OVER (ORDER BY number) - 1 AS place
            FROM (
                SELECT ctid AS place_in_table, number FROM thread_feed
                WHERE team_id = team AND feed_offset IS NULL ORDER BY number LIMIT 5000
            ) AS oldest
        )
        UPDATE thread_feed AS f SET feed_offset = next_free + w.place FROM waiting AS w WHERE f.ctid = w.place_in_table;
        GET DIAGNOSTICS given = ROW_COUNT;
        UPDATE thread_feeds SET next_offset = next_offset + given WHERE team_id = team;
    END IF;
    SELECT first_offset, next_offset INTO first_kept, next_free FROM thread_feeds WHERE team_id = team;
    first_kept := coalesce(first_kept, 0);
    next_free := coalesce(next_free, 0);
END $$;

-- Appends an op to a thread whose row is locked, and returns its number. The caller stores the new head.
CREATE FUNCTION thread_append_op(
    t threads, seq bigint, client uuid, mutation bigint, kind text, author text, body jsonb
) RETURNS void LANGUAGE sql AS $$
    INSERT INTO thread_ops (team_id, thread_id, seq, client_id, mutation_id, kind, author, body, size)
    VALUES (t.team_id, t.id, seq, client, mutation, kind, author, body, length(body::text));
$$;

CREATE FUNCTION thread_rank(role text) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
    $$ SELECT CASE role WHEN 'reader' THEN 1 WHEN 'commenter' THEN 2 WHEN 'writer' THEN 3 WHEN 'owner' THEN 4 ELSE 0 END $$;

CREATE FUNCTION thread_rejected(id bigint, thread uuid, code text, message text, more jsonb DEFAULT '{}') RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT jsonb_build_object('id', id, 'status', 'rejected', 'thread', thread, 'code', code, 'message', message) || more;
$$;

-- Applies mutations of one client in order: their effects, `last_mutation_id` and the answers that no op tells, in the one
-- transaction of this statement. `merged` holds results of three-way merges, by mutation, each for the revision that it was
-- made for. Returns {results, last_mutation_id}, with `merge` if the next mutation needs a merge first; or {error: "client"}
-- or {error: "gap", expected}. The ids of `mutations` are consecutive, and their fields were checked by the caller.
CREATE FUNCTION threads_push(
    team uuid, me text, shown text, team_role text, client uuid, mutations jsonb, merged jsonb, most_messages integer
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    m jsonb;
    c sync_clients;
    t threads;
    msg thread_messages;
    there boolean;
    my_role text;
    mid bigint;
    next_seq bigint;
    results jsonb[] := '{}';
    result jsonb;
    to_merge jsonb;
    given jsonb;
    ids uuid[];
    wanted uuid;
    first_id bigint;
    last_id bigint;
    dirty boolean := false;
    announced boolean := false;
    feed_from bigint;
    op_body jsonb;
    op_kind text;
    asked text;
    base_text text;
    base_seq bigint;
    plain boolean;
    remarks uuid[] := '{}';
BEGIN
    PERFORM threads_as(team, me, team_role);
    first_id := (mutations -> 0 ->> 'id')::bigint;
    LOOP
        SELECT * INTO c FROM sync_clients WHERE id = client FOR NO KEY UPDATE;
        EXIT WHEN FOUND;
        INSERT INTO sync_clients (team_id, id, principal) VALUES (team, client, me) ON CONFLICT (id) DO NOTHING;
        -- One of another team is there, but not seen.
        IF NOT EXISTS (SELECT FROM sync_clients WHERE id = client) THEN
            RETURN '{"error": "client"}';
        END IF;
    END LOOP;
    IF c.principal <> me THEN
        RETURN '{"error": "client"}';
    ELSIF first_id > c.last_mutation_id + 1 THEN
        RETURN jsonb_build_object('error', 'gap', 'expected', c.last_mutation_id + 1);
    END IF;
    last_id := c.last_mutation_id;
    DELETE FROM sync_outcomes WHERE client_id = client AND mutation_id < first_id;
    -- Locks all threads in one order, so that two pushes cannot wait for each other.
    SELECT array_agg(DISTINCT (e.value ->> 'thread')::uuid) INTO ids FROM jsonb_array_elements(mutations) e;
    PERFORM FROM threads WHERE id = ANY(ids) ORDER BY id FOR NO KEY UPDATE;
    FOR m IN SELECT value FROM jsonb_array_elements(mutations) LOOP
        mid := (m ->> 'id')::bigint;
        wanted := (m ->> 'thread')::uuid;
        asked := m ->> 'kind';
        result := NULL;
        IF mid <= c.last_mutation_id THEN
            SELECT o.outcome INTO result FROM sync_outcomes o WHERE o.client_id = client AND o.mutation_id = mid;
            IF result IS NULL THEN
                SELECT jsonb_build_object('thread', o.thread_id, 'seq', o.seq,
                    'was', CASE WHEN o.kind = 'sibling' THEN 'conflict' ELSE 'applied' END)
                    || CASE WHEN o.kind = 'sibling' THEN '{"code": "siblings"}'::jsonb ELSE '{}' END
                INTO result FROM thread_ops o WHERE o.client_id = client AND o.mutation_id = mid;
                result := coalesce(result, '{"was": "applied"}');
            ELSE
                result := result || jsonb_build_object('was', result -> 'status');
            END IF;
            results := array_append(results, result || jsonb_build_object('id', mid, 'status', 'duplicate'));
            CONTINUE;
        END IF;

        IF t.id IS DISTINCT FROM wanted THEN
            IF dirty THEN
                UPDATE threads SET head_seq = t.head_seq, title = t.title, messages = t.messages, updated_at = clock_timestamp()
                    WHERE id = t.id;
                INSERT INTO thread_feed (team_id, thread_id, from_seq) VALUES (team, t.id, feed_from);
            END IF;
            dirty := false;
            SELECT * INTO t FROM threads WHERE id = wanted;
            there := FOUND;
            my_role := CASE WHEN there THEN thread_role(t.id, t.owner, t.visibility) END;
            feed_from := t.head_seq + 1;
        END IF;
        next_seq := t.head_seq + 1;
        op_body := NULL;
        op_kind := asked;

        IF asked = 'create' THEN
            IF there THEN
                result := thread_rejected(mid, wanted, 'exists', 'there is a thread with this id');
            ELSIF team_role = 'viewer' THEN
                result := thread_rejected(mid, wanted, 'role', 'viewers do not start threads');
            ELSIF m ? 'parent' AND NOT EXISTS (SELECT FROM threads p WHERE p.id = (m ->> 'parent')::uuid
                    AND thread_role(p.id, p.owner, p.visibility) <> 'reader') THEN
                result := thread_rejected(mid, wanted, 'no-thread', 'there is no such parent thread');
            ELSE
                INSERT INTO threads (team_id, id, owner, title, visibility, parent_id)
                    VALUES (team, wanted, me, m ->> 'title', m ->> 'visibility', (m ->> 'parent')::uuid)
                    ON CONFLICT (id) DO NOTHING;
                SELECT * INTO t FROM threads WHERE id = wanted AND owner = me AND head_seq = 0;
                there := FOUND;
                IF there THEN
                    my_role := 'owner';
                    next_seq := 1;
                    feed_from := 1;
                    op_body := jsonb_build_object('title', t.title, 'owner', me, 'visibility', t.visibility)
                        || CASE WHEN t.parent_id IS NULL THEN '{}' ELSE jsonb_build_object('parent', t.parent_id) END;
                ELSE
                    result := thread_rejected(mid, wanted, 'exists', 'there is a thread with this id');
                END IF;
            END IF;
        ELSIF NOT there THEN
            result := thread_rejected(mid, wanted, 'no-thread', 'there is no such thread');
        ELSIF my_role = 'reader' OR (my_role = 'commenter' AND asked IN ('title', 'truncate')) THEN
            result := thread_rejected(mid, wanted, 'role', format('as %s of this thread you may not do this', my_role));
        ELSIF t.head_seq >= 20 * most_messages OR (asked = 'append' AND t.messages >= most_messages) THEN
            result := thread_rejected(mid, wanted, 'full', format('a thread has at most %s messages', most_messages),
                CASE WHEN t.summary_id IS NULL THEN '{}' ELSE jsonb_build_object('continues_in', t.summary_id) END);

        ELSIF asked = 'append' THEN
            IF m ->> 'role' NOT IN ('user', 'info') AND ((m ->> 'turn')::bigint IS DISTINCT FROM t.turn_epoch
                    OR t.turn_until IS NULL OR t.turn_until <= clock_timestamp()) THEN
                result := thread_rejected(mid, wanted, 'turn', 'the turn is over: claim one, and begin with what is there now');
            ELSIF m ->> 'role' = 'tool_result' THEN
                IF NOT EXISTS (SELECT FROM thread_messages x WHERE x.thread_id = wanted
                        AND x.id = (m -> 'body' ->> 'tool_use')::uuid AND x.open) THEN
                    result := thread_rejected(mid, wanted, 'tool-use', 'the result names no open tool use of this thread');
                END IF;
            END IF;
            IF result IS NULL AND (m -> 'body') ? 'attachments' THEN
                IF EXISTS (SELECT FROM jsonb_array_elements(m -> 'body' -> 'attachments') a WHERE NOT EXISTS (
                        SELECT FROM thread_blobs b WHERE b.thread_id = wanted
                            AND b.sha256 = decode(a.value ->> 'sha256', 'hex'))) THEN
                    result := thread_rejected(mid, wanted, 'attachment', 'an attachment was not uploaded to this thread');
                END IF;
            END IF;
            IF result IS NULL THEN
                INSERT INTO thread_messages (team_id, thread_id, id, seq, revision, role, author, principal, text, body,
                        open, turn, cost, tokens_in, tokens_out)
                    VALUES (team, wanted, (m ->> 'message')::uuid, next_seq, next_seq, m ->> 'role', shown, me,
                        m ->> 'text', coalesce(m -> 'body', '{}'), m ->> 'role' = 'tool_use', (m ->> 'turn')::bigint,
                        (m -> 'body' ->> 'cost')::numeric, (m -> 'body' -> 'tokens' ->> 'in')::bigint,
                        (m -> 'body' -> 'tokens' ->> 'out')::bigint)
                    ON CONFLICT (thread_id, id) DO NOTHING;
                IF NOT FOUND THEN
                    result := thread_rejected(mid, wanted, 'exists', 'there is a message with this id');
                END IF;
            END IF;
            IF result IS NULL THEN
                op_body := jsonb_build_object('id', m -> 'message', 'role', m -> 'role', 'text', m -> 'text',
                    'body', coalesce(m -> 'body', '{}'));
                IF m ->> 'role' = 'tool_result' THEN
                    UPDATE thread_messages x SET open = false WHERE x.thread_id = wanted
                        AND x.id = (m -> 'body' ->> 'tool_use')::uuid;
                END IF;
                t.messages := t.messages + 1;
                IF t.task_id IS NOT NULL AND m ->> 'role' = 'user' AND team_role <> 'viewer' THEN
                    INSERT INTO thread_remarks (team_id, thread_id, seq, task_id, message_id)
                        VALUES (team, wanted, next_seq, t.task_id, (m ->> 'message')::uuid);
                    remarks := array_append(remarks, t.task_id);
                END IF;
            END IF;

        ELSIF asked IN ('edit', 'delete') THEN
            SELECT * INTO msg FROM thread_messages x WHERE x.thread_id = wanted AND x.id = (m ->> 'message')::uuid;
            IF NOT FOUND THEN
                result := thread_rejected(mid, wanted, 'no-message', 'there is no such message');
            ELSIF msg.role NOT IN ('user', 'info') AND asked = 'edit' AND (msg.turn IS DISTINCT FROM t.turn_epoch
                    OR (m ->> 'turn')::bigint IS DISTINCT FROM t.turn_epoch
                    OR t.turn_until IS NULL OR t.turn_until <= clock_timestamp()) THEN
                result := thread_rejected(mid, wanted, 'turn', 'only the holder of its turn edits a message of an agent');
            ELSIF my_role = 'commenter' AND msg.principal IS DISTINCT FROM me THEN
                result := thread_rejected(mid, wanted, 'author', 'as commenter you change your own messages only');
            ELSIF asked = 'edit' AND msg.principal IS NULL THEN
                result := thread_rejected(mid, wanted, 'author', 'what the platform reports is not edited');
            ELSIF msg.open AND asked = 'delete' THEN
                result := thread_rejected(mid, wanted, 'tool-use', 'a tool use is deleted once it has a result');
            ELSIF asked = 'delete' THEN
                IF msg.deleted THEN
                    result := jsonb_build_object('id', mid, 'status', 'applied', 'thread', wanted);
                ELSE
                    op_body := jsonb_build_object('id', msg.id);
                    UPDATE thread_messages x SET deleted = true, text = '', body = '{}', siblings = '[]', revision = next_seq
                        WHERE x.thread_id = wanted AND x.id = msg.id;
                END IF;
            ELSIF msg.deleted THEN
                result := jsonb_build_object('id', mid, 'status', 'conflict', 'thread', wanted, 'code', 'deleted',
                    'message', 'the message was deleted meanwhile');
            ELSE
                given := merged -> mid::text;
                -- What it was written over: a revision, or what an earlier mutation of this client said, which was
                -- possibly merged or set aside.
                base_seq := (m ->> 'base')::bigint;
                IF m ? 'base_mutation' THEN
                    SELECT o.seq, coalesce(o.body ->> 'own', o.body ->> 'text'),
                        o.kind <> 'sibling' AND NOT o.body ? 'own' INTO base_seq, base_text, plain FROM thread_ops o
                    WHERE o.client_id = client AND o.mutation_id = (m ->> 'base_mutation')::bigint AND o.thread_id = wanted
                        AND o.kind IN ('append', 'edit', 'sibling') AND o.body ->> 'id' = msg.id::text;
                ELSE
                    SELECT o.body ->> 'text', true INTO base_text, plain FROM thread_ops o WHERE o.thread_id = wanted
                        AND o.seq = base_seq AND o.kind IN ('append', 'edit') AND o.body ->> 'id' = msg.id::text;
                    -- After a sibling was added, the text is that of an earlier revision.
                    IF NOT FOUND AND base_seq = msg.revision THEN
                        base_text := msg.text;
                        plain := true;
                    END IF;
                END IF;
                IF base_text IS NULL THEN
                    result := thread_rejected(mid, wanted, 'base', 'what it was written over is no version of this message');
                ELSIF plain AND base_seq = msg.revision THEN
                    op_body := jsonb_build_object('id', msg.id, 'text', m -> 'text', 'base', base_seq)
                        || CASE WHEN m ? 'resolves' THEN jsonb_build_object('resolves', m -> 'resolves') ELSE '{}' END;
                ELSIF (given ->> 'revision')::bigint = msg.revision THEN
                    op_body := jsonb_build_object('id', msg.id, 'text', m -> 'text', 'base', base_seq);
                    IF given ->> 'text' IS NULL THEN
                        op_kind := 'sibling';
                    ELSE
                        op_body := op_body || jsonb_build_object('text', given -> 'text', 'own', m -> 'text');
                    END IF;
                ELSE
                    to_merge := jsonb_build_object('id', mid, 'base', base_text, 'theirs', msg.text, 'revision', msg.revision);
                    EXIT;
                END IF;
                IF op_kind = 'sibling' THEN
                    UPDATE thread_messages x SET revision = next_seq,
                        siblings = siblings || jsonb_build_object('seq', next_seq, 'author', shown, 'text', m -> 'text')
                        WHERE x.thread_id = wanted AND x.id = msg.id AND jsonb_array_length(siblings) < 20;
                    IF NOT FOUND THEN
                        op_body := NULL;
                        result := thread_rejected(mid, wanted, 'full', 'a message has at most 20 versions side by side');
                    END IF;
                ELSIF op_body IS NOT NULL THEN
                    UPDATE thread_messages x SET text = body_text, revision = next_seq, siblings = coalesce((
                            SELECT jsonb_agg(s.value) FROM jsonb_array_elements(x.siblings) s
                            WHERE NOT coalesce(m -> 'resolves', '[]') @> jsonb_build_array(s.value -> 'seq')), '[]')
                        FROM (SELECT op_body ->> 'text' AS body_text) AS new
                        WHERE x.thread_id = wanted AND x.id = msg.id;
                END IF;
            END IF;

        ELSIF asked = 'truncate' THEN
            op_body := jsonb_build_object('after', m -> 'after', 'upto', m -> 'upto');
            IF (m ->> 'upto')::bigint > t.head_seq THEN
                op_body := NULL;
                result := thread_rejected(mid, wanted, 'field', 'upto is beyond the end of the thread');
            ELSIF EXISTS (SELECT FROM thread_messages x WHERE x.thread_id = wanted AND x.open
                    AND x.seq > (m ->> 'after')::bigint AND x.seq <= (m ->> 'upto')::bigint) THEN
                op_body := NULL;
                result := thread_rejected(mid, wanted, 'tool-use', 'a tool use is deleted once it has a result');
            ELSE
                UPDATE thread_messages x SET deleted = true, text = '', body = '{}', siblings = '[]', revision = next_seq
                    WHERE x.thread_id = wanted AND x.seq > (m ->> 'after')::bigint AND x.seq <= (m ->> 'upto')::bigint
                    AND NOT x.deleted;
            END IF;

        ELSIF asked = 'title' THEN
            IF m ->> 'title' IN (t.title, m ->> 'base') THEN
                result := jsonb_build_object('id', mid, 'status', 'applied', 'thread', wanted);
            ELSE
                op_body := jsonb_build_object('title', m -> 'title');
                t.title := m ->> 'title';
            END IF;
        ELSE
            result := thread_rejected(mid, wanted, 'field', 'unknown asked of mutation');
        END IF;

        IF op_body IS NOT NULL THEN
            INSERT INTO thread_ops (team_id, thread_id, seq, client_id, mutation_id, kind, author, body, size)
                VALUES (team, wanted, next_seq, client, mid, op_kind, shown, op_body, length(m::text));
            t.head_seq := next_seq;
            dirty := true;
            announced := true;
            result := jsonb_build_object('id', mid, 'thread', wanted, 'seq', next_seq,
                'status', CASE WHEN op_kind = 'sibling' THEN 'conflict' ELSE 'applied' END)
                || CASE WHEN op_kind = 'sibling' THEN '{"code": "siblings"}'::jsonb ELSE '{}' END;
        ELSE
            INSERT INTO sync_outcomes (team_id, client_id, mutation_id, outcome) VALUES (team, client, mid, result);
        END IF;
        last_id := mid;
        results := array_append(results, result);
    END LOOP;
    IF dirty THEN
        UPDATE threads SET head_seq = t.head_seq, title = t.title, messages = t.messages, updated_at = clock_timestamp()
            WHERE id = t.id;
        INSERT INTO thread_feed (team_id, thread_id, from_seq) VALUES (team, t.id, feed_from);
    END IF;
    UPDATE sync_clients SET last_mutation_id = greatest(last_mutation_id, last_id), last_seen = clock_timestamp() WHERE id = client;
    -- The caller announces it after the commit: transactions that notify commit one after the other.
    RETURN jsonb_build_object('results', to_jsonb(results), 'last_mutation_id', greatest(c.last_mutation_id, last_id),
        'changed', announced, 'tasks', to_jsonb(remarks)) || CASE WHEN to_merge IS NULL THEN '{}' ELSE jsonb_build_object('merge', to_merge) END;
END $$;

-- A thread as its readers see it.
CREATE FUNCTION thread_view(t threads) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object('id', t.id, 'title', t.title, 'head', t.head_seq, 'acl_epoch', t.acl_epoch,
        'visibility', t.visibility, 'role', thread_role(t.id, t.owner, t.visibility), 'owner', t.owner,
        'parent', t.parent_id, 'task', t.task_id, 'continued_in', t.summary_id, 'messages', t.messages,
        'updated_at', t.updated_at, 'turn', CASE WHEN t.turn_until > clock_timestamp()
            THEN jsonb_build_object('epoch', t.turn_epoch, 'holder', t.turn_holder, 'until', t.turn_until) END);
$$;

CREATE FUNCTION thread_op_view(o thread_ops) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object('seq', o.seq, 'kind', o.kind, 'author', o.author, 'at', o.at, 'client', o.client_id,
        'mutation', o.mutation_id, 'body', o.body);
$$;

-- Who could read a thread, for `threads_pull` to find whom a change of its sharing concerns.
CREATE FUNCTION thread_readers(t threads) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object('owner', t.owner, 'visibility', t.visibility, 'grants', coalesce(
        (SELECT jsonb_object_agg(g.principal, g.role) FROM thread_grants g WHERE g.thread_id = t.id), '{}'));
$$;

-- What changed since `cursor` in the threads that `me` may see, from one snapshot with the client's last mutation, as text
-- of the answer; and whether anything did. A null cursor begins.
CREATE FUNCTION threads_pull(
    team uuid, me text, team_role text, client uuid, place bigint, most integer, OUT changed boolean, OUT answer text
) LANGUAGE plpgsql AS $$
DECLARE
    kept bigint;
    ending bigint;
    upto bigint;
    lapsed uuid;
BEGIN
    PERFORM threads_as(team, me, team_role);
    -- A grant that has run out is a change of the sharing.
    FOR lapsed IN SELECT thread_id FROM thread_grants WHERE principal = me AND expires_at <= clock_timestamp() LOOP
        INSERT INTO thread_feed (team_id, thread_id, from_seq, before) VALUES (team, lapsed, 9223372036854775807,
            jsonb_build_object('owner', '', 'visibility', 'listed', 'grants', jsonb_build_object(me, 'reader')));
        DELETE FROM thread_grants WHERE thread_id = lapsed AND principal = me AND expires_at <= clock_timestamp();
    END LOOP;
    SELECT s.first_kept, s.next_free INTO kept, ending FROM threads_sequence(team) s;
    IF client IS NOT NULL THEN
        UPDATE sync_clients SET last_seen = clock_timestamp() WHERE id = client AND principal = me
            AND last_seen < clock_timestamp() - interval '1 hour';
    END IF;
    IF place IS NULL OR place < kept OR place > ending THEN
        SELECT jsonb_build_object('cursor', ending::text, 'reset', place IS NOT NULL, 'more', false, 'purge', '[]'::jsonb,
            'last_mutation_id', coalesce((SELECT last_mutation_id FROM sync_clients WHERE id = client AND principal = me), 0),
            'threads', coalesce(jsonb_agg(thread_view(l.t) ORDER BY (l.t).updated_at DESC), '[]'))::text
        INTO answer FROM (SELECT t FROM threads t ORDER BY t.updated_at DESC LIMIT 200) l;
        changed := true;
        RETURN;
    END IF;
    SELECT coalesce(max(f.feed_offset) + 1, ending) INTO upto FROM (
        SELECT feed_offset FROM thread_feed WHERE team_id = team AND feed_offset >= place ORDER BY feed_offset LIMIT most
    ) f;
    IF upto = place THEN
        SELECT false, jsonb_build_object('cursor', upto::text, 'reset', false, 'more', false, 'purge', '[]'::jsonb, 'threads',
            '[]'::jsonb, 'last_mutation_id',
            coalesce((SELECT last_mutation_id FROM sync_clients WHERE id = client AND principal = me), 0))::text
        INTO changed, answer;
        RETURN;
    END IF;
    WITH news AS (
        SELECT f.thread_id, min(f.from_seq) AS since, max(f.feed_offset) AS latest,
            jsonb_agg(f.before) FILTER (WHERE f.before IS NOT NULL) AS befores
        FROM thread_feed f WHERE f.team_id = team AND f.feed_offset >= place AND f.feed_offset < upto GROUP BY f.thread_id
    ), mine AS MATERIALIZED (
        SELECT n.*, t FROM news n JOIN threads t ON t.id = n.thread_id
    ), sized AS (
        SELECT m.thread_id, o.one, sum((o.one).size) OVER (ORDER BY m.latest, (o.one).seq ROWS UNBOUNDED PRECEDING) AS total
        FROM mine m CROSS JOIN LATERAL (SELECT o AS one FROM thread_ops o WHERE o.thread_id = m.thread_id
            AND o.seq >= m.since ORDER BY o.seq LIMIT 200) o
    ), taken AS (
        SELECT thread_id, jsonb_agg(thread_op_view(one) ORDER BY (one).seq) AS ops FROM sized WHERE total <= 1048576
        GROUP BY thread_id
    ), lost AS (
        SELECT n.thread_id FROM news n WHERE n.befores IS NOT NULL
            AND NOT EXISTS (SELECT FROM mine m WHERE m.thread_id = n.thread_id)
            AND EXISTS (SELECT FROM jsonb_array_elements(n.befores) b WHERE b.value ->> 'owner' = me
                OR b.value ->> 'visibility' = 'team' OR b.value ->> 'visibility' <> 'private' AND b.value -> 'grants' ? me)
    )
    SELECT EXISTS (SELECT FROM mine) OR EXISTS (SELECT FROM lost), jsonb_build_object('cursor', upto::text, 'reset', false,
        'more', upto < ending,
        'last_mutation_id', coalesce((SELECT last_mutation_id FROM sync_clients WHERE id = client AND principal = me), 0),
        'threads', coalesce((SELECT jsonb_agg(thread_view(m.t) || jsonb_build_object('from', m.since, 'ops',
            coalesce(k.ops, '[]')) ORDER BY m.latest) FROM mine m LEFT JOIN taken k ON k.thread_id = m.thread_id), '[]'),
        'purge', coalesce((SELECT jsonb_agg(l.thread_id) FROM lost l), '[]'))::text
    INTO changed, answer;
END $$;

-- The version of a thread for `me`, and the client's last mutation; nulls if there is no such thread.
CREATE FUNCTION threads_head(
    team uuid, me text, team_role text, client uuid, thread uuid, OUT head bigint, OUT acl bigint, OUT last_mutation bigint
) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM threads_as(team, me, team_role);
    SELECT t.head_seq, t.acl_epoch, coalesce((SELECT c.last_mutation_id FROM sync_clients c WHERE c.id = client
        AND c.principal = me), 0) INTO head, acl, last_mutation FROM threads t WHERE t.id = thread;
END $$;

-- The same with the ops after a number, from one snapshot; `last_seq` is the last one's, null if there is none.
CREATE FUNCTION threads_ops(
    team uuid, me text, team_role text, client uuid, thread uuid, after_seq bigint, most integer,
    OUT head bigint, OUT acl bigint, OUT last_mutation bigint, OUT ops text, OUT last_seq bigint
) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM threads_as(team, me, team_role);
    SELECT t.head_seq, t.acl_epoch, coalesce((SELECT c.last_mutation_id FROM sync_clients c WHERE c.id = client
        AND c.principal = me), 0), coalesce(page.ops, '[]'), page.last_seq
    INTO head, acl, last_mutation, ops, last_seq FROM threads t CROSS JOIN LATERAL (
        SELECT jsonb_agg(thread_op_view(s.one) ORDER BY (s.one).seq)::text AS ops, max((s.one).seq) AS last_seq FROM (
            SELECT p.one, sum((p.one).size) OVER (ORDER BY (p.one).seq ROWS UNBOUNDED PRECEDING) - (p.one).size AS ahead FROM (
                SELECT o AS one FROM thread_ops o WHERE o.thread_id = t.id AND o.seq > after_seq ORDER BY o.seq LIMIT most
            ) p) s WHERE s.ahead < 2097152) page
    WHERE t.id = thread;
END $$;

-- The last `most` messages before an op's number.
CREATE FUNCTION threads_messages(
    team uuid, me text, team_role text, thread uuid, before_seq bigint, most integer
) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answer text;
BEGIN
    PERFORM threads_as(team, me, team_role);
    SELECT jsonb_build_object('thread', t.id, 'head', t.head_seq, 'acl_epoch', t.acl_epoch, 'messages', coalesce((
        SELECT jsonb_agg(jsonb_build_object('id', (s.one).id, 'seq', (s.one).seq, 'revision', (s.one).revision,
            'role', (s.one).role, 'author', (s.one).author, 'text', (s.one).text, 'body', (s.one).body,
            'siblings', (s.one).siblings, 'deleted', (s.one).deleted, 'at', (s.one).at) ORDER BY (s.one).seq)
        FROM (SELECT p.one, sum(length((p.one).text)) OVER (ORDER BY (p.one).seq DESC ROWS UNBOUNDED PRECEDING)
                - length((p.one).text) AS ahead
            FROM (SELECT m AS one FROM thread_messages m WHERE m.thread_id = t.id AND m.seq < before_seq
                ORDER BY m.seq DESC LIMIT most) p) s WHERE s.ahead < 1048576), '[]'))::text
    INTO answer FROM threads t WHERE t.id = thread;
    RETURN answer;
END $$;

-- One thread with sums and sharing. Cost is summed over all messages, those that were deleted too.
CREATE FUNCTION threads_show(team uuid, me text, team_role text, thread uuid) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answer text;
BEGIN
    PERFORM threads_as(team, me, team_role);
    SELECT (thread_view(t) || jsonb_build_object('created_at', t.created_at,
        'grants', (SELECT coalesce(jsonb_object_agg(g.principal, g.role), '{}') FROM thread_grants g
            WHERE g.thread_id = t.id AND (g.expires_at IS NULL OR g.expires_at > clock_timestamp())),
        'link_until', (SELECT l.expires_at FROM thread_links l WHERE l.thread_id = t.id),
        'children', (SELECT coalesce(jsonb_agg(c.id ORDER BY c.created_at), '[]') FROM threads c WHERE c.parent_id = t.id),
        'sums', (SELECT jsonb_build_object('cost', coalesce(sum(m.cost), 0), 'tokens_in', coalesce(sum(m.tokens_in), 0),
            'tokens_out', coalesce(sum(m.tokens_out), 0)) FROM thread_messages m WHERE m.thread_id = t.id)))::text
    INTO answer FROM threads t WHERE t.id = thread;
    RETURN answer;
END $$;

CREATE FUNCTION threads_list(
    team uuid, me text, team_role text, parent uuid, before_time timestamptz, before_id uuid, most integer
) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answer text;
BEGIN
    PERFORM threads_as(team, me, team_role);
    SELECT coalesce(jsonb_agg(thread_view(s.t) || jsonb_build_object('created_at', (s.t).created_at)
        ORDER BY (s.t).created_at DESC, (s.t).id DESC), '[]')::text INTO answer FROM (
        SELECT t FROM threads t WHERE (parent IS NULL OR t.parent_id = parent)
            AND (before_time IS NULL OR (t.created_at, t.id) < (before_time, before_id))
        ORDER BY t.created_at DESC, t.id DESC LIMIT most) s;
    RETURN answer;
END $$;

CREATE FUNCTION thread_breadth(visibility text) RETURNS integer LANGUAGE sql IMMUTABLE AS
    $$ SELECT array_position(ARRAY['private', 'listed', 'link', 'team'], visibility) $$;

-- Who opens a thread to whom is audited with it.
GRANT INSERT ON audit_log TO penstock_member;
CREATE POLICY of_member ON audit_log FOR INSERT TO penstock_member WITH CHECK (team_id = (SELECT threads_team()));

CREATE FUNCTION thread_audit(team uuid, actor jsonb, action text, thread uuid, detail text) RETURNS void LANGUAGE sql AS $$
    INSERT INTO audit_log (team_id, actor_kind, actor, actor_id, person, action, subject, outcome, detail, request_id)
    VALUES (team, actor ->> 'kind', actor ->> 'name', actor ->> 'id', actor ->> 'person', action, thread::text, 'done',
        left(detail, 500), actor ->> 'request');
$$;

-- Changes who may read and write, if `epoch` is the current one or the new sharing is narrower than the current one.
-- `grants` maps principals to roles. Returns {acl_epoch} or {error}.
CREATE FUNCTION threads_share(
    team uuid, me text, team_role text, thread uuid, epoch bigint, wanted text, grants jsonb,
    link bytea, link_role text, link_until timestamptz, actor jsonb
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    t threads;
    narrower boolean;
BEGIN
    PERFORM threads_as(team, me, team_role);
    PERFORM FROM threads WHERE id = thread FOR NO KEY UPDATE;
    SELECT * INTO t FROM threads WHERE id = thread;
    IF NOT FOUND THEN
        RETURN '{"error": "no-thread"}';
    ELSIF thread_role(t.id, t.owner, t.visibility) <> 'owner' THEN
        RETURN '{"error": "role"}';
    END IF;
    narrower := link IS NULL AND thread_breadth(wanted) <= thread_breadth(t.visibility) AND NOT EXISTS (
        SELECT FROM jsonb_each_text(grants) n LEFT JOIN thread_grants g ON g.thread_id = t.id AND g.principal = n.key
        WHERE thread_rank(n.value) > thread_rank(coalesce(g.role, '')));
    IF t.acl_epoch <> epoch AND NOT narrower THEN
        RETURN jsonb_build_object('error', 'acl', 'acl_epoch', t.acl_epoch, 'visibility', t.visibility,
            'grants', thread_readers(t) -> 'grants');
    END IF;
    INSERT INTO thread_feed (team_id, thread_id, from_seq, before)
        VALUES (team, t.id, 9223372036854775807, thread_readers(t));
    DELETE FROM thread_grants g WHERE g.thread_id = t.id AND NOT grants ? g.principal
        AND (NOT g.by_link OR wanted <> 'link' OR link IS NOT NULL);
    INSERT INTO thread_grants (team_id, thread_id, principal, role)
        SELECT team, t.id, n.key, n.value FROM jsonb_each_text(grants) n ORDER BY n.key
        ON CONFLICT (thread_id, principal) DO UPDATE SET role = excluded.role, by_link = false, expires_at = NULL;
    IF link IS NOT NULL OR wanted <> 'link' THEN
        DELETE FROM thread_links l WHERE l.thread_id = t.id;
    END IF;
    IF link IS NOT NULL THEN
        INSERT INTO thread_links (team_id, thread_id, sha256, role, expires_at) VALUES (team, t.id, link, link_role, link_until);
    END IF;
    PERFORM thread_audit(team, actor, 'thread.share', t.id, format('%s, %s listed%s', wanted,
        (SELECT count(*) FROM jsonb_object_keys(grants)), CASE WHEN link IS NULL THEN '' ELSE ', a link for a ' || link_role END));
    UPDATE threads SET visibility = wanted, acl_epoch = acl_epoch + 1, updated_at = clock_timestamp() WHERE id = t.id;
    PERFORM threads_announce(team);
    RETURN jsonb_build_object('acl_epoch', t.acl_epoch + 1);
END $$;

-- Opens a thread by its link's secret. Returns the thread's id, or null.
CREATE FUNCTION threads_join(team uuid, me text, team_role text, secret bytea, actor jsonb) RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
    l thread_links;
BEGIN
    PERFORM threads_as(team, me, team_role);
    SELECT * INTO l FROM thread_links WHERE sha256 = secret AND expires_at > clock_timestamp() FOR SHARE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    INSERT INTO thread_grants (team_id, thread_id, principal, role, by_link, expires_at)
        VALUES (team, l.thread_id, me, l.role, true, l.expires_at) ON CONFLICT (thread_id, principal) DO UPDATE
        SET role = excluded.role, by_link = true, expires_at = excluded.expires_at WHERE thread_grants.by_link;
    INSERT INTO thread_feed (team_id, thread_id, from_seq) VALUES (team, l.thread_id, 9223372036854775807);
    PERFORM thread_audit(team, actor, 'thread.join', l.thread_id, 'by its link, as ' || l.role);
    PERFORM threads_announce(team);
    RETURN l.thread_id;
END $$;

-- Claims, renews or releases the turn of a thread. A claim after a holder was lost closes the tool uses it left open.
CREATE FUNCTION threads_turn(
    team uuid, me text, shown text, team_role text, thread uuid, action text, holder text, epoch bigint, seconds double precision
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    t threads;
    msg thread_messages;
    live boolean;
    seq_now bigint;
    fresh uuid;
BEGIN
    PERFORM threads_as(team, me, team_role);
    PERFORM FROM threads WHERE id = thread FOR NO KEY UPDATE;
    SELECT * INTO t FROM threads WHERE id = thread;
    IF NOT FOUND THEN
        RETURN '{"error": "no-thread"}';
    ELSIF thread_rank(thread_role(t.id, t.owner, t.visibility)) < 3 THEN
        RETURN '{"error": "role"}';
    END IF;
    live := t.turn_until IS NOT NULL AND t.turn_until > clock_timestamp();
    holder := me || '/' || holder;
    IF action <> 'claim' THEN
        IF t.turn_epoch <> epoch OR NOT live OR NOT starts_with(t.turn_holder, me || '/') THEN
            RETURN '{"error": "turn"}';
        END IF;
        holder := t.turn_holder;
        epoch := t.turn_epoch;
    ELSIF live AND t.turn_holder <> holder THEN
        RETURN jsonb_build_object('error', 'turn', 'until', t.turn_until);
    ELSE
        epoch := t.turn_epoch + CASE WHEN live THEN 0 ELSE 1 END;
    END IF;
    IF action = 'release' OR (action = 'claim' AND NOT live) THEN
        seq_now := t.head_seq;
        FOR msg IN SELECT * FROM thread_messages x WHERE x.thread_id = thread AND x.open ORDER BY x.seq LOOP
            seq_now := seq_now + 1;
            fresh := gen_random_uuid();
            PERFORM thread_append_op(t, seq_now, NULL, NULL, 'append', shown, jsonb_build_object('id', fresh,
                'role', 'tool_result', 'text', '', 'body', jsonb_build_object('tool_use', msg.id, 'error',
                'the turn ended before the tool answered')));
            INSERT INTO thread_messages (team_id, thread_id, id, seq, revision, role, author, text, body)
                VALUES (team, thread, fresh, seq_now, seq_now, 'tool_result', shown, '', jsonb_build_object('tool_use',
                msg.id, 'error', 'the turn ended before the tool answered'));
            UPDATE thread_messages x SET open = false WHERE x.thread_id = thread AND x.id = msg.id;
        END LOOP;
        t.messages := t.messages + (seq_now - t.head_seq);
        INSERT INTO thread_feed (team_id, thread_id, from_seq) VALUES (team, thread, t.head_seq + 1);
        t.head_seq := seq_now;
    END IF;
    UPDATE threads SET turn_epoch = epoch, turn_holder = CASE action WHEN 'release' THEN NULL ELSE holder END,
        turn_until = CASE action WHEN 'release' THEN NULL ELSE clock_timestamp() + seconds * interval '1 second' END,
        head_seq = t.head_seq, messages = t.messages, updated_at = clock_timestamp() WHERE id = thread RETURNING * INTO t;
    PERFORM threads_announce(team);
    RETURN jsonb_build_object('epoch', t.turn_epoch, 'until', t.turn_until, 'head', t.head_seq);
END $$;

CREATE FUNCTION threads_put_blob(
    team uuid, me text, team_role text, thread uuid, digest bytea, kind text, content bytea, most_blobs integer
) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    my_role text;
BEGIN
    PERFORM threads_as(team, me, team_role);
    SELECT thread_role(t.id, t.owner, t.visibility) INTO my_role FROM threads t WHERE t.id = thread;
    IF my_role IS NULL THEN
        RETURN 'no-thread';
    ELSIF my_role = 'reader' THEN
        RETURN 'role';
    ELSIF (SELECT count(*) FROM thread_blobs b WHERE b.thread_id = thread AND b.sha256 <> digest) >= most_blobs THEN
        RETURN 'full';
    END IF;
    INSERT INTO thread_blobs (team_id, thread_id, sha256, media_type, data) VALUES (team, thread, digest, kind, content)
        ON CONFLICT DO NOTHING;
    RETURN 'stored';
END $$;

CREATE FUNCTION threads_blob(team uuid, me text, team_role text, thread uuid, digest bytea, OUT kind text, OUT content bytea)
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM threads_as(team, me, team_role);
    SELECT b.media_type, b.data INTO kind, content FROM thread_blobs b WHERE b.thread_id = thread AND b.sha256 = digest;
END $$;


-- Where a team's feed ends, for whoever waits for its next change.
CREATE FUNCTION threads_end(team uuid) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    PERFORM threads_as(team, '', 'viewer');
    RETURN (SELECT s.next_free FROM threads_sequence(team) s);
END $$;

-- A thread that goes on where `thread` ends: it begins with `summary`. The first call makes it; all give its id.
CREATE FUNCTION threads_continue(
    team uuid, me text, shown text, team_role text, thread uuid, fresh uuid, message uuid, summary text
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    t threads;
    n threads;
BEGIN
    PERFORM threads_as(team, me, team_role);
    PERFORM FROM threads WHERE id = thread FOR NO KEY UPDATE;
    SELECT * INTO t FROM threads WHERE id = thread;
    IF NOT FOUND THEN
        RETURN '{"error": "no-thread"}';
    ELSIF t.summary_id IS NOT NULL THEN
        RETURN jsonb_build_object('thread', t.summary_id);
    ELSIF thread_rank(thread_role(t.id, t.owner, t.visibility)) < 3 THEN
        RETURN '{"error": "role"}';
    END IF;
    INSERT INTO threads (team_id, id, owner, title, visibility, parent_id, head_seq, messages)
        VALUES (team, fresh, me, t.title, 'private', t.parent_id, 2, 1);
    -- Who could read and write before can again: whoever continues it shares it as it was.
    INSERT INTO thread_grants (team_id, thread_id, principal, role)
        SELECT team, fresh, g.principal, g.role FROM thread_grants g WHERE g.thread_id = thread AND NOT g.by_link
            AND g.principal <> me
        UNION SELECT team, fresh, t.owner, 'owner' WHERE t.owner <> me
        ORDER BY 3 ON CONFLICT (thread_id, principal) DO UPDATE SET role = excluded.role;
    UPDATE threads SET visibility = CASE WHEN t.visibility = 'team' THEN 'team'
        WHEN EXISTS (SELECT FROM thread_grants g WHERE g.thread_id = fresh) THEN 'listed' ELSE 'private' END WHERE id = fresh
        RETURNING * INTO n;
    PERFORM thread_append_op(n, 1, NULL, NULL, 'create', shown,
        jsonb_build_object('title', t.title, 'owner', me, 'visibility', n.visibility, 'summary_of', thread));
    PERFORM thread_append_op(n, 2, NULL, NULL, 'append', shown,
        jsonb_build_object('id', message, 'role', 'info', 'text', summary, 'body', '{}'::jsonb));
    INSERT INTO thread_messages (team_id, thread_id, id, seq, revision, role, author, text)
        VALUES (team, fresh, message, 2, 2, 'info', shown, summary);
    PERFORM thread_append_op(t, t.head_seq + 1, NULL, NULL, 'continued', shown, jsonb_build_object('thread', fresh));
    UPDATE threads SET summary_id = fresh, head_seq = head_seq + 1, updated_at = clock_timestamp() WHERE id = thread;
    INSERT INTO thread_feed (team_id, thread_id, from_seq) VALUES (team, fresh, 1), (team, thread, t.head_seq + 1);
    PERFORM threads_announce(team);
    RETURN jsonb_build_object('thread', fresh);
END $$;
