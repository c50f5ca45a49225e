-- The outcome of each action of an attempt, so that a killed one goes on where it was.

ALTER TABLE trajectory
    -- Seconds of the attempt's budget that were used by then.
    ADD COLUMN elapsed double precision NOT NULL DEFAULT 0,
    -- Of what was to be done; NULL for what is not an action.
    ADD COLUMN digest  text,
    -- Compressed JSON, once the action has ended.
    ADD COLUMN outcome bytea,
    -- The last entry that was written while it ran.
    ADD COLUMN ended   bigint;
ALTER TABLE trajectory ALTER COLUMN outcome SET STORAGE EXTERNAL;
