-- Durable objects: what is needed no longer, and an index. Runs as the owner role, inside one transaction.

-- Types that come with Penstock have no rows. Versions before this one write the column and read it; a later migration
-- drops it.
ALTER TABLE object_types ALTER COLUMN builtin SET DEFAULT false;
COMMENT ON COLUMN object_types.builtin IS 'not used any more';

-- Subscriptions are taken by what they have not read.
CREATE INDEX object_subscriptions_next ON object_subscriptions (topic, next_offset);

-- What waits to be checked; nodes ask each second.
CREATE INDEX object_code_submitted ON object_code (created_at) WHERE state = 'submitted';

-- Failed objects that are tried again.
CREATE INDEX objects_failed ON objects (retry_at) WHERE status = 'Failed';
