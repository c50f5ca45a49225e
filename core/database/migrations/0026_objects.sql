-- Durable objects: types and their code, objects with their state, calls, alarms, subscriptions, and the nodes that run
-- them. Runs as the owner role, inside one transaction.

INSERT INTO log_topics (topic) VALUES ('penstock.objects');

-- A node runs objects. Its lease, not one for each object, says that it lives. `secret` lets the router in.
CREATE TABLE object_nodes (
    id           uuid PRIMARY KEY,
    address      text NOT NULL,             -- host:port
    secret       text NOT NULL,
    lease_until  timestamptz NOT NULL,
    draining     boolean NOT NULL DEFAULT false,
    started_at   timestamptz NOT NULL DEFAULT clock_timestamp()
);
GRANT SELECT, INSERT, UPDATE, DELETE ON object_nodes TO penstock_system;
GRANT SELECT (id, address, lease_until, draining) ON object_nodes TO penstock_app;

CREATE TABLE object_types (
    team_id           uuid NOT NULL REFERENCES teams,
    type              text NOT NULL CHECK (type ~ '^[a-z][a-z0-9-]{0,62}$'),
    builtin           boolean NOT NULL,
    labels            jsonb NOT NULL DEFAULT '{}',
    active_version    integer,              -- null: no version was accepted yet
    previous_version  integer,              -- where going back leads
    canary_version    integer,
    canary_percent    integer NOT NULL DEFAULT 0 CHECK (canary_percent BETWEEN 0 AND 100),
    changed_at        timestamptz NOT NULL DEFAULT clock_timestamp(),  -- of the last move of a version
    reason            text,                 -- of that move
    created_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (team_id, type)
);
SELECT protect_tenant_table('object_types');

CREATE TABLE object_code (
    team_id     uuid NOT NULL REFERENCES teams,
    type        text NOT NULL,
    version     integer NOT NULL CHECK (version >= 1),
    sha256      text NOT NULL,              -- of source and manifest; the verdict is about exactly these
    source      text NOT NULL CHECK (octet_length(source) <= 262144),
    manifest    jsonb NOT NULL,             -- methods with their schemas, sharding, limits
    scenarios   jsonb NOT NULL DEFAULT '[]',-- the tests that came with it
    state       text NOT NULL DEFAULT 'submitted' CHECK (state IN ('submitted', 'accepted', 'refused')),
    verdict     jsonb,
    percent     integer NOT NULL DEFAULT 20 CHECK (percent BETWEEN 1 AND 100),  -- of the keys, which get it first
    checked_by  timestamptz,                -- until then a node is checking it
    author      text NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (team_id, type, version),
    UNIQUE (team_id, type, sha256)
);
SELECT protect_tenant_table('object_code');

-- Only these states are stored. What a node is doing with an object is derived, so that no crash strands an object in it.
CREATE TABLE objects (
    team_id        uuid NOT NULL REFERENCES teams,
    type           text NOT NULL,
    key            text NOT NULL CHECK (octet_length(key) BETWEEN 1 AND 200),
    incarnation    integer NOT NULL DEFAULT 1,
    status         text NOT NULL DEFAULT 'Created'
                   CHECK (status IN ('Created', 'Active', 'Hibernating', 'Failed', 'Terminated')),
    intent         text CHECK (intent IN ('terminate')),
    code_version   integer NOT NULL,        -- whose state this is
    state          text CHECK (octet_length(state) <= 1048576),     -- JSON; null before the first step
    state_version  bigint NOT NULL DEFAULT 0,
    epoch          bigint NOT NULL DEFAULT 0,
    node           uuid,                    -- who runs it; null: nobody
    failures       integer NOT NULL DEFAULT 0,
    retry_at       timestamptz,
    reason         text,
    last_call_at   timestamptz,
    created_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (team_id, type, key)
);
CREATE INDEX objects_of_node ON objects (node) WHERE node IS NOT NULL;
CREATE INDEX objects_ending ON objects (type) WHERE intent IS NOT NULL;
SELECT protect_tenant_table('objects');

-- What was answered to each call, for as long as its id counts.
CREATE TABLE object_calls (
    team_id       uuid NOT NULL REFERENCES teams,
    type          text NOT NULL,
    key           text NOT NULL,
    incarnation   integer NOT NULL,
    call_id       text NOT NULL CHECK (octet_length(call_id) BETWEEN 1 AND 400),
    method        text NOT NULL,
    request       bytea NOT NULL,           -- hash of method and argument
    outcome       text NOT NULL CHECK (outcome IN ('ok', 'refused')),
    answer        text NOT NULL,
    state_version bigint NOT NULL,          -- after it
    code_version  integer NOT NULL,
    seconds       double precision NOT NULL,
    caller        text NOT NULL,
    at            timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (team_id, type, key, incarnation, call_id)
);
CREATE INDEX object_calls_at ON object_calls (at);
CREATE INDEX object_calls_of_type ON object_calls (team_id, type, at);
SELECT protect_tenant_table('object_calls');

-- Steps that failed: the handler's fault, not a refusal, and not the platform's.
CREATE TABLE object_faults (
    team_id       uuid NOT NULL REFERENCES teams,
    id            bigint GENERATED ALWAYS AS IDENTITY,
    type          text NOT NULL,
    key           text NOT NULL,
    code_version  integer NOT NULL,
    what          text NOT NULL,            -- call, initialise, migrate
    reason        text NOT NULL,
    at            timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (team_id, id)
);
CREATE INDEX object_faults_of_type ON object_faults (team_id, type, at);
CREATE INDEX object_faults_at ON object_faults (at);
SELECT protect_tenant_table('object_faults');

CREATE TABLE object_history (
    team_id        uuid NOT NULL REFERENCES teams,
    type           text NOT NULL,
    key            text NOT NULL,
    state_version  bigint NOT NULL,
    code_version   integer NOT NULL,
    state          text,
    at             timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (team_id, type, key, state_version)
);
SELECT protect_tenant_table('object_history');

-- What an object is to be told later: its alarms, and messages of other objects. A row leaves in the transaction that
-- commits the step it caused.
CREATE TABLE object_alarms (
    team_id        uuid NOT NULL REFERENCES teams,
    type           text NOT NULL,
    key            text NOT NULL,
    name           text NOT NULL CHECK (octet_length(name) BETWEEN 1 AND 300),
    kind           text NOT NULL CHECK (kind IN ('alarm', 'message')),
    due_at         timestamptz NOT NULL,
    every_seconds  double precision CHECK (every_seconds >= 1),
    method         text NOT NULL,
    argument       text NOT NULL,
    sender         jsonb NOT NULL DEFAULT '{}',     -- of a message: who sent it, its chain of calls and its deadline
    state          text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'dead')),
    tries          integer NOT NULL DEFAULT 0,
    next_try_at    timestamptz NOT NULL,
    claimed_until  timestamptz,
    last_error     text,
    PRIMARY KEY (team_id, type, key, name)
);
CREATE INDEX object_alarms_due ON object_alarms (next_try_at) WHERE state = 'waiting';
CREATE INDEX object_alarms_dead ON object_alarms (team_id, type) WHERE state = 'dead';
SELECT protect_tenant_table('object_alarms');

CREATE TABLE object_subscriptions (
    team_id        uuid NOT NULL REFERENCES teams,
    type           text NOT NULL,
    key            text NOT NULL,
    topic          text NOT NULL REFERENCES log_topics,
    event_type     text NOT NULL,           -- a prefix of the events' types
    method         text NOT NULL,
    next_offset    bigint NOT NULL,
    claimed_until  timestamptz,
    tries          integer NOT NULL DEFAULT 0,
    last_error     text,
    PRIMARY KEY (team_id, type, key, topic)
);
SELECT protect_tenant_table('object_subscriptions');

CREATE TABLE object_blobs (
    team_id   uuid NOT NULL REFERENCES teams,
    type      text NOT NULL,
    key       text NOT NULL,
    sha256    text NOT NULL,
    size      integer NOT NULL CHECK (size <= 8388608),
    content   bytea NOT NULL,
    at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (team_id, type, key, sha256)
);
ALTER TABLE object_blobs ALTER COLUMN content SET STORAGE EXTERNAL;
SELECT protect_tenant_table('object_blobs');

-- From here on: what a node does, one function for each round trip. Each assumes the role and team of the object for the
-- rest of its transaction, so that row-level security holds for nodes, which serve all teams.

CREATE FUNCTION object_team(p_team uuid) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('penstock.team_id', p_team::text, true);
    PERFORM set_config('role', 'penstock_app', true);
END $$;

CREATE FUNCTION object_end(p_team uuid, p_type text, p_key text, p_reason text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE objects SET status = 'Terminated', intent = NULL, state = NULL, node = NULL, epoch = epoch + 1,
        state_version = state_version + 1, reason = coalesce(p_reason, reason)
        WHERE team_id = p_team AND type = p_type AND key = p_key;
    DELETE FROM object_alarms WHERE team_id = p_team AND type = p_type AND key = p_key;
    DELETE FROM object_subscriptions WHERE team_id = p_team AND type = p_type AND key = p_key;
    DELETE FROM object_history WHERE team_id = p_team AND type = p_type AND key = p_key;
    DELETE FROM object_blobs WHERE team_id = p_team AND type = p_type AND key = p_key;
END $$;

-- Makes a node the one that runs an object, and raises its epoch: whoever ran it before can commit nothing more.
-- outcome: claimed; absent; terminated; failed (until `seconds` from now); elsewhere (`address`, whose lease ends in
-- `seconds`); unknown-node (its lease is gone).
CREATE FUNCTION object_claim(
    p_team uuid, p_type text, p_key text, p_node uuid, p_create boolean, p_code integer,
    OUT outcome text, OUT epoch bigint, OUT incarnation integer, OUT status text, OUT state text,
    OUT state_version bigint, OUT code_version integer, OUT address text, OUT seconds double precision, OUT reason text
) LANGUAGE plpgsql AS $$
DECLARE
    o objects;
    owner record;
BEGIN
    PERFORM object_team(p_team);
    PERFORM FROM object_nodes n WHERE n.id = p_node AND n.lease_until > clock_timestamp() AND NOT n.draining;
    IF NOT FOUND THEN
        outcome := 'unknown-node';
        RETURN;
    END IF;
    SELECT * INTO o FROM objects x WHERE x.team_id = p_team AND x.type = p_type AND x.key = p_key FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        IF NOT p_create THEN
            outcome := 'absent';
            RETURN;
        END IF;
        INSERT INTO objects (team_id, type, key, code_version) VALUES (p_team, p_type, p_key, p_code)
            ON CONFLICT DO NOTHING;
        SELECT * INTO STRICT o FROM objects x
            WHERE x.team_id = p_team AND x.type = p_type AND x.key = p_key FOR NO KEY UPDATE;
    END IF;
    reason := o.reason;
    IF o.status <> 'Terminated' AND o.node IS NOT NULL AND o.node <> p_node THEN
        SELECT n.address, extract(epoch FROM n.lease_until - clock_timestamp())::double precision AS left_over INTO owner
            FROM object_nodes n WHERE n.id = o.node AND n.lease_until > clock_timestamp();
        IF FOUND THEN
            outcome := 'elsewhere';
            address := owner.address;
            seconds := owner.left_over;
            RETURN;
        END IF;
    END IF;
    IF o.intent = 'terminate' THEN
        PERFORM object_end(p_team, p_type, p_key, NULL);
        outcome := 'terminated';
        RETURN;
    END IF;
    IF o.status = 'Terminated' THEN
        outcome := 'terminated';
        RETURN;
    END IF;
    IF o.status = 'Failed' AND o.retry_at > clock_timestamp() THEN
        outcome := 'failed';
        seconds := extract(epoch FROM o.retry_at - clock_timestamp());
        RETURN;
    END IF;
    UPDATE objects x SET node = p_node, epoch = x.epoch + 1,
        status = CASE WHEN x.status = 'Hibernating' THEN 'Active' ELSE x.status END
        WHERE x.team_id = p_team AND x.type = p_type AND x.key = p_key
        RETURNING x.epoch, x.incarnation, x.status, x.state, x.state_version, x.code_version
        INTO epoch, incarnation, status, state, state_version, code_version;
    outcome := 'claimed';
END $$;

-- Commits one step: state, history, the call with its answer, events, alarms and messages, or nothing of them.
-- outcome: done; repeat (of a call that is answered with `answer`, as `said`); mismatch (the id was another call's);
-- fenced (the node does not run the object any more); terminated; gone (what caused it was done or cancelled already).
CREATE FUNCTION object_commit(
    p_team uuid, p_type text, p_key text, p_node uuid, p_epoch bigint, p_version bigint, p_call text, p_request bytea,
    p_method text, p_outcome text, p_answer text, p_state text, p_code integer, p_seconds double precision,
    p_caller text, p_more jsonb,
    OUT outcome text, OUT said text, OUT answer text, OUT version bigint
) LANGUAGE plpgsql AS $$
DECLARE
    o record;
    known record;
BEGIN
    PERFORM object_team(p_team);
    SELECT x.epoch, x.node, x.status, x.intent, x.incarnation, x.state_version INTO o FROM objects x
        WHERE x.team_id = p_team AND x.type = p_type AND x.key = p_key FOR NO KEY UPDATE;
    IF NOT FOUND OR o.status = 'Terminated' THEN
        outcome := 'terminated';
        RETURN;
    END IF;
    IF o.epoch <> p_epoch OR o.node IS DISTINCT FROM p_node OR o.state_version <> p_version THEN
        outcome := 'fenced';
        RETURN;
    END IF;
    version := o.state_version;
    SELECT c.request, c.outcome, c.answer INTO known FROM object_calls c
        WHERE c.team_id = p_team AND c.type = p_type AND c.key = p_key AND c.incarnation = o.incarnation
            AND c.call_id = p_call AND c.at > clock_timestamp() - interval '24 hours';
    IF FOUND THEN
        outcome := CASE WHEN known.request = p_request THEN 'repeat' ELSE 'mismatch' END;
        said := known.outcome;
        answer := known.answer;
        RETURN;
    END IF;
    IF p_more IS NOT NULL AND NOT object_cause(p_team, p_type, p_key, p_more) THEN
        outcome := 'gone';
        RETURN;
    END IF;
    version := o.state_version + 1;
    INSERT INTO object_calls (team_id, type, key, incarnation, call_id, method, request, outcome, answer, state_version,
            code_version, seconds, caller)
        VALUES (p_team, p_type, p_key, o.incarnation, p_call, p_method, p_request, p_outcome, p_answer, version, p_code,
            p_seconds, p_caller)
        ON CONFLICT (team_id, type, key, incarnation, call_id) DO UPDATE      -- one that is older than its id counts
        SET method = excluded.method, request = excluded.request, outcome = excluded.outcome, answer = excluded.answer,
            state_version = excluded.state_version, code_version = excluded.code_version, seconds = excluded.seconds,
            caller = excluded.caller, at = excluded.at;
    UPDATE objects x SET state = coalesce(p_state, x.state), state_version = version, status = 'Active', failures = 0,
            retry_at = NULL, reason = NULL, last_call_at = clock_timestamp(), code_version = p_code
        WHERE x.team_id = p_team AND x.type = p_type AND x.key = p_key;
    IF p_state IS NOT NULL THEN
        INSERT INTO object_history (team_id, type, key, state_version, code_version, state)
            VALUES (p_team, p_type, p_key, version, p_code, p_state);
        DELETE FROM object_history h WHERE h.team_id = p_team AND h.type = p_type AND h.key = p_key
            AND h.state_version <= (SELECT s.state_version FROM object_history s
                WHERE s.team_id = p_team AND s.type = p_type AND s.key = p_key
                ORDER BY s.state_version DESC OFFSET 5 LIMIT 1);
    END IF;
    IF p_more IS NOT NULL THEN
        PERFORM object_effects(p_team, p_type, p_key, p_more);
    END IF;
    IF o.intent = 'terminate' OR p_more @> '{"terminate": true}' THEN
        PERFORM object_end(p_team, p_type, p_key, NULL);
    END IF;
    outcome := 'done';
END $$;

-- Takes what caused a step: an alarm or message (`taken`), or an event of a subscription (`event`). False if that was
-- done or cancelled already.
CREATE FUNCTION object_cause(p_team uuid, p_type text, p_key text, p_more jsonb) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    taken jsonb := p_more -> 'taken';
    event jsonb := p_more -> 'event';
    due timestamptz := (taken ->> 'due')::timestamptz;
BEGIN
    IF taken IS NOT NULL THEN
        -- Missed periods become one.
        UPDATE object_alarms a SET due_at = n.next, next_try_at = n.next, tries = 0, claimed_until = NULL, last_error = NULL
            FROM (SELECT x.name, x.due_at + make_interval(secs => x.every_seconds * greatest(1, ceil(
                    extract(epoch FROM clock_timestamp() - x.due_at) / x.every_seconds))) AS next
                FROM object_alarms x WHERE x.team_id = p_team AND x.type = p_type AND x.key = p_key
                    AND x.name = taken ->> 'name' AND x.due_at = due AND x.state = 'waiting'
                    AND x.every_seconds IS NOT NULL) n
            WHERE a.team_id = p_team AND a.type = p_type AND a.key = p_key AND a.name = n.name;
        IF NOT FOUND THEN
            DELETE FROM object_alarms a WHERE a.team_id = p_team AND a.type = p_type AND a.key = p_key
                AND a.name = taken ->> 'name' AND a.due_at = due AND a.state = 'waiting' AND a.every_seconds IS NULL;
            IF NOT FOUND THEN
                RETURN false;
            END IF;
        END IF;
    END IF;
    IF event IS NOT NULL THEN
        UPDATE object_subscriptions s SET next_offset = (event ->> 'offset')::bigint + 1, tries = 0, last_error = NULL
            WHERE s.team_id = p_team AND s.type = p_type AND s.key = p_key AND s.topic = event ->> 'topic'
                AND s.next_offset <= (event ->> 'offset')::bigint;
        IF NOT FOUND THEN
            RETURN false;
        END IF;
    END IF;
    RETURN true;
END $$;

CREATE FUNCTION object_effects(p_team uuid, p_type text, p_key text, p_more jsonb) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    found text;
BEGIN
    IF p_more ? 'events' THEN
        WITH given AS (SELECT nextval('log_batches') AS batch)
        INSERT INTO event_log (topic, team_id, event_id, batch, position, size, body)
            SELECT 'penstock.objects', p_team, e.body ->> 'id', given.batch, e.number - 1,
                octet_length(e.body::text), e.body::json
            FROM given, jsonb_array_elements(p_more -> 'events') WITH ORDINALITY AS e(body, number)
            ON CONFLICT DO NOTHING;
        PERFORM pg_notify('penstock_log', 'penstock.objects');
    END IF;
    IF p_more ? 'cancel' THEN
        DELETE FROM object_alarms a WHERE a.team_id = p_team AND a.type = p_type AND a.key = p_key AND a.kind = 'alarm'
            AND a.name IN (SELECT jsonb_array_elements_text(p_more -> 'cancel'));
    END IF;
    IF p_more ? 'alarms' THEN
        INSERT INTO object_alarms (team_id, type, key, name, kind, due_at, every_seconds, method, argument, next_try_at)
            SELECT p_team, p_type, p_key, a.name, 'alarm', d.due, a.every, a.method, a.argument, d.due
            FROM jsonb_to_recordset(p_more -> 'alarms')
                AS a(name text, at double precision, after double precision, every double precision, method text,
                    argument text),
            LATERAL (SELECT CASE WHEN a.at IS NOT NULL THEN to_timestamp(a.at)
                ELSE clock_timestamp() + make_interval(secs => coalesce(a.after, a.every, 0)) END AS due) d
            ON CONFLICT (team_id, type, key, name) DO UPDATE
            SET due_at = excluded.due_at, every_seconds = excluded.every_seconds, method = excluded.method,
                argument = excluded.argument, state = 'waiting', tries = 0, next_try_at = excluded.next_try_at,
                claimed_until = NULL, last_error = NULL;
    END IF;
    IF p_more ? 'messages' THEN
        INSERT INTO object_alarms (team_id, type, key, name, kind, due_at, method, argument, sender, next_try_at)
            SELECT p_team, m.type, m.key, m.name, 'message', clock_timestamp(), m.method, m.argument, m.sender,
                clock_timestamp()
            FROM jsonb_to_recordset(p_more -> 'messages')
                AS m(type text, key text, name text, method text, argument text, sender jsonb)
            ON CONFLICT DO NOTHING;
    END IF;
    IF p_more ? 'unsubscribe' THEN
        DELETE FROM object_subscriptions s WHERE s.team_id = p_team AND s.type = p_type AND s.key = p_key
            AND s.topic IN (SELECT jsonb_array_elements_text(p_more -> 'unsubscribe'));
    END IF;
    IF p_more ? 'subscribe' THEN
        INSERT INTO object_subscriptions (team_id, type, key, topic, event_type, method, next_offset)
            SELECT p_team, p_type, p_key, t.topic, s.event_type, s.method, t.next_offset
            FROM jsonb_to_recordset(p_more -> 'subscribe') AS s(topic text, event_type text, method text)
            JOIN log_topics t USING (topic)
            ON CONFLICT (team_id, type, key, topic) DO UPDATE
            SET event_type = excluded.event_type, method = excluded.method;
    END IF;
    IF p_more ? 'blobs' THEN
        INSERT INTO object_blobs (team_id, type, key, sha256, size, content)
            SELECT p_team, p_type, p_key, b.sha256, length(d.content), d.content
            FROM jsonb_to_recordset(p_more -> 'blobs') AS b(sha256 text, content text),
            LATERAL (SELECT decode(b.content, 'base64') AS content) d
            ON CONFLICT DO NOTHING;
    END IF;
    IF p_more ? 'drop_blobs' THEN
        DELETE FROM object_blobs b WHERE b.team_id = p_team AND b.type = p_type AND b.key = p_key
            AND b.sha256 IN (SELECT jsonb_array_elements_text(p_more -> 'drop_blobs'));
    END IF;
END $$;

-- Whether a node still runs an object: asked before the answer of a method that only reads.
CREATE FUNCTION object_holds(p_team uuid, p_type text, p_key text, p_node uuid, p_epoch bigint) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM object_team(p_team);
    RETURN EXISTS (SELECT FROM objects x WHERE x.team_id = p_team AND x.type = p_type AND x.key = p_key
        AND x.node = p_node AND x.epoch = p_epoch AND x.status <> 'Terminated');
END $$;

-- Gives an object the state that another version of its code made of its state.
CREATE FUNCTION object_migrate(
    p_team uuid, p_type text, p_key text, p_node uuid, p_epoch bigint, p_version bigint, p_code integer, p_state text,
    OUT version bigint
) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM object_team(p_team);
    UPDATE objects x SET state = p_state, code_version = p_code, state_version = x.state_version + 1
        WHERE x.team_id = p_team AND x.type = p_type AND x.key = p_key AND x.node = p_node AND x.epoch = p_epoch
            AND x.state_version = p_version AND x.status <> 'Terminated'
        RETURNING x.state_version INTO version;
    IF version IS NOT NULL AND p_state IS NOT NULL THEN
        INSERT INTO object_history (team_id, type, key, state_version, code_version, state)
            VALUES (p_team, p_type, p_key, version, p_code, p_state);
    END IF;
END $$;

-- Notes that an object could not be made ready. After three times it is Failed, and is tried again after a while.
CREATE FUNCTION object_unready(p_team uuid, p_type text, p_key text, p_node uuid, p_epoch bigint, p_reason text)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    now_status text;
BEGIN
    PERFORM object_team(p_team);
    UPDATE objects x SET failures = x.failures + 1, node = NULL, reason = p_reason,
            status = CASE WHEN x.failures >= 2 THEN 'Failed' ELSE x.status END,
            retry_at = CASE WHEN x.failures >= 2
                THEN clock_timestamp() + make_interval(secs => 60 * 2 ^ least(x.failures - 2, 6)) END
        WHERE x.team_id = p_team AND x.type = p_type AND x.key = p_key AND x.node = p_node AND x.epoch = p_epoch
        RETURNING x.status INTO now_status;
    RETURN now_status;
END $$;

-- Takes up to `p_limit` due alarms and messages; they are this node's for half a minute.
CREATE FUNCTION object_due(p_limit integer) RETURNS SETOF object_alarms LANGUAGE sql AS $$
    UPDATE object_alarms a SET claimed_until = clock_timestamp() + interval '30 seconds'
    FROM (SELECT team_id, type, key, name FROM object_alarms
        WHERE state = 'waiting' AND next_try_at <= clock_timestamp()
            AND (claimed_until IS NULL OR claimed_until < clock_timestamp())
        ORDER BY next_try_at LIMIT p_limit FOR UPDATE SKIP LOCKED) d
    WHERE (a.team_id, a.type, a.key, a.name) = (d.team_id, d.type, d.key, d.name)
    RETURNING a.*
$$;

-- Notes that telling an object of an alarm failed. `p_counts`: it was the handler's failure; the sixth is the last.
CREATE FUNCTION object_alarm_failed(
    p_team uuid, p_type text, p_key text, p_name text, p_due timestamptz, p_counts boolean, p_reason text
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM object_team(p_team);
    UPDATE object_alarms a SET tries = a.tries + p_counts::integer, last_error = p_reason, claimed_until = NULL,
            state = CASE WHEN p_counts AND a.tries >= 5 THEN 'dead' ELSE a.state END,
            next_try_at = clock_timestamp() + make_interval(secs => CASE WHEN p_counts THEN 2 ^ (a.tries + 1) ELSE 1 END)
        WHERE a.team_id = p_team AND a.type = p_type AND a.key = p_key AND a.name = p_name AND a.due_at = p_due;
END $$;
