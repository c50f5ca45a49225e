-- Sessions and their tokens refer to rows of their own team, also where row-level security does not look.
ALTER TABLE api_tokens ADD CONSTRAINT api_tokens_of_team UNIQUE (team_id, id);
ALTER TABLE sessions ADD CONSTRAINT sessions_of_team UNIQUE (team_id, id);
ALTER TABLE sessions DROP CONSTRAINT sessions_token_id_fkey,
    ADD CONSTRAINT sessions_token FOREIGN KEY (team_id, token_id) REFERENCES api_tokens (team_id, id) ON DELETE CASCADE;
ALTER TABLE session_tokens DROP CONSTRAINT session_tokens_session_id_fkey,
    ADD CONSTRAINT session_tokens_session FOREIGN KEY (team_id, session_id) REFERENCES sessions (team_id, id)
    ON DELETE CASCADE;

-- Changes of `threads_push`, which stays as 0024 has it otherwise:
-- * An edit that was merged says in its op which versions beside the message it resolves, as it does in `thread_messages`:
--   a copy that folds the ops then drops them too.
-- * An edit of what was shown after a version was set beside it is merged, if others edited meanwhile; it was refused.
-- * A text that was given up on (merged again and again while others edit, or in conflict) is set beside the message,
--   whatever its revision is by now, so that the caller's loop ends.
DO $$
DECLARE
    body text := pg_get_functiondef('threads_push'::regproc);
    change text[];
BEGIN
    FOREACH change SLICE 1 IN ARRAY ARRAY[
        [$old$op_body := op_body || jsonb_build_object('text', given -> 'text', 'own', m -> 'text');$old$,
         $new$op_body := op_body || jsonb_build_object('text', given -> 'text', 'own', m -> 'text')
                            || CASE WHEN m ? 'resolves' THEN jsonb_build_object('resolves', m -> 'resolves') ELSE '{}' END;$new$],
        [$old$ELSIF (given ->> 'revision')::bigint = msg.revision THEN$old$,
         $new$ELSIF given ->> 'text' IS NULL AND given IS NOT NULL OR (given ->> 'revision')::bigint = msg.revision THEN$new$],
        [$old$                        base_text := msg.text;
                        plain := true;$old$,
         $new$                        base_text := msg.text;
                        plain := true;
                    ELSIF NOT FOUND AND EXISTS (SELECT FROM thread_ops o WHERE o.thread_id = wanted AND o.seq = base_seq
                            AND o.kind = 'sibling' AND o.body ->> 'id' = msg.id::text) THEN
                        SELECT o.body ->> 'text', true INTO base_text, plain FROM thread_ops o
                        WHERE o.thread_id = wanted AND o.seq < base_seq AND o.kind IN ('append', 'edit')
                            AND o.body ->> 'id' = msg.id::text ORDER BY o.seq DESC LIMIT 1;$new$]
    ] LOOP
        IF strpos(body, change[1]) = 0 THEN
            RAISE EXCEPTION 'threads_push is not as migration 0024 made it: %', change[1];
        END IF;
        body := replace(body, change[1], change[2]);
    END LOOP;
    EXECUTE body;
END $$;
