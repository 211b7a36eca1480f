-- Version 2. `events` is what happened; every other table is derived from it in the same commit.
-- Money is TEXT, canonical decimals: SQLite would add it in floating point. Times are UTC ns.

CREATE TABLE events(
  seq INTEGER PRIMARY KEY,
  epoch INTEGER NOT NULL,
  at_ns INTEGER NOT NULL,
  kind TEXT NOT NULL,
  payload BLOB NOT NULL,
  hash BLOB NOT NULL            -- blake2b-16 of the hash before and of everything here
) STRICT;

CREATE TRIGGER events_are_not_changed BEFORE UPDATE ON events
BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;

CREATE TRIGGER events_are_not_removed BEFORE DELETE ON events
BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;

CREATE TRIGGER events_leave_no_gap BEFORE INSERT ON events
WHEN NEW.seq <> (SELECT coalesce(max(seq), 0) + 1 FROM events)
BEGIN SELECT RAISE(ABORT, 'events are numbered without a gap'); END;

CREATE INDEX events_by_kind ON events(kind, seq);

CREATE TABLE legal(
  old TEXT NOT NULL,
  new TEXT NOT NULL,
  PRIMARY KEY(old, new)
) STRICT, WITHOUT ROWID;

-- Every intent that was judged; those with a client_order_id became orders.
CREATE TABLE intents(
  intent_id TEXT PRIMARY KEY,
  intent BLOB NOT NULL,         -- OrderIntent, as decided
  strategy TEXT NOT NULL,
  slot TEXT NOT NULL,
  pair TEXT NOT NULL,
  side TEXT NOT NULL,
  state TEXT NOT NULL,          -- 'REFUSED', or a state of an order
  rule TEXT,                    -- of a refusal
  detail TEXT NOT NULL,
  decided_ns INTEGER NOT NULL,
  approved_ns INTEGER,
  created_ns INTEGER NOT NULL,  -- when the verdict was written
  client_order_id TEXT UNIQUE,
  posts INTEGER NOT NULL CHECK(posts IN (0, 1)),
  stamp_ms INTEGER,
  id_floor INTEGER,
  reserved TEXT,
  order_id INTEGER UNIQUE,
  acked_ns INTEGER,
  executed TEXT,                -- what the exchange says was executed, once it left the book
  filled TEXT NOT NULL,         -- the sum of our fills
  cost TEXT NOT NULL,           -- the sum of price x quantity of our fills
  cancel_by TEXT,
  cancel_reason TEXT,
  closed_ns INTEGER,
  seq INTEGER NOT NULL,
  CHECK((posts = 1) = (client_order_id IS NOT NULL)),
  CHECK((state = 'REFUSED') = (posts = 0))
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX one_live_order_per_slot ON intents(slot)
  WHERE state NOT IN ('REFUSED', 'REJECTED', 'NOT_SENT', 'ABSENT', 'CLOSED');

CREATE INDEX intents_by_time ON intents(created_ns);

CREATE TRIGGER intents_begin_at_the_beginning BEFORE INSERT ON intents
WHEN NEW.state NOT IN ('REFUSED', 'SENDING')
BEGIN SELECT RAISE(ABORT, 'an intent begins as REFUSED or SENDING'); END;

CREATE TRIGGER an_intent_is_written_once
BEFORE UPDATE OF intent_id, intent, client_order_id, posts, stamp_ms, id_floor, reserved ON intents
BEGIN SELECT RAISE(ABORT, 'an intent is written once'); END;

CREATE TRIGGER an_order_has_one_id BEFORE UPDATE OF order_id ON intents
WHEN OLD.order_id IS NOT NULL AND NEW.order_id IS NOT OLD.order_id
BEGIN SELECT RAISE(ABORT, 'an order has one id'); END;

CREATE TRIGGER intents_are_not_removed BEFORE DELETE ON intents
BEGIN SELECT RAISE(ABORT, 'intents are not removed'); END;

CREATE TRIGGER orders_move_legally BEFORE UPDATE OF state ON intents
WHEN NOT EXISTS (SELECT 1 FROM legal WHERE old = OLD.state AND new = NEW.state)
BEGIN SELECT RAISE(ABORT, 'illegal transition'); END;

CREATE TABLE fills(
  trade_id INTEGER NOT NULL,
  order_id INTEGER NOT NULL,
  side TEXT NOT NULL,
  intent_id TEXT,
  client_order_id TEXT,
  pair TEXT NOT NULL,
  quantity TEXT NOT NULL,
  price TEXT NOT NULL,
  fee TEXT NOT NULL,
  tax TEXT NOT NULL,
  fee_asset TEXT NOT NULL,
  event_ns INTEGER NOT NULL,
  liquidity TEXT,
  seq INTEGER NOT NULL,
  PRIMARY KEY(trade_id, order_id, side)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER fills_are_not_changed BEFORE UPDATE ON fills
BEGIN SELECT RAISE(ABORT, 'fills are append-only'); END;

CREATE TRIGGER fills_are_not_removed BEFORE DELETE ON fills
BEGIN SELECT RAISE(ABORT, 'fills are append-only'); END;

CREATE TABLE postings(
  seq INTEGER NOT NULL,
  line INTEGER NOT NULL,
  account TEXT NOT NULL,
  asset TEXT NOT NULL,
  amount TEXT NOT NULL,
  PRIMARY KEY(seq, line)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER postings_are_not_changed BEFORE UPDATE ON postings
BEGIN SELECT RAISE(ABORT, 'postings are append-only'); END;

CREATE TRIGGER postings_are_not_removed BEFORE DELETE ON postings
BEGIN SELECT RAISE(ABORT, 'postings are append-only'); END;

-- The latest fact of a kind and key, as it was written: balances, trading state, pauses, records.
CREATE TABLE latest(
  kind TEXT NOT NULL,
  key TEXT NOT NULL,
  payload BLOB NOT NULL,
  seq INTEGER NOT NULL,
  PRIMARY KEY(kind, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE commands(
  command_id TEXT PRIMARY KEY,
  refused TEXT NOT NULL,        -- empty: done
  seq INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TRIGGER commands_are_not_changed BEFORE UPDATE ON commands
BEGIN SELECT RAISE(ABORT, 'commands happen once'); END;

CREATE TRIGGER commands_are_not_removed BEFORE DELETE ON commands
BEGIN SELECT RAISE(ABORT, 'commands happen once'); END;
