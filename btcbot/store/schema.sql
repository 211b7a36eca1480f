-- Version 1. `events` is what happened; every other table is derived from it in the same commit.
-- Money is TEXT, canonical decimals: SQLite would add it in floating point. Times are UTC ns.

CREATE TABLE events(
  seq INTEGER PRIMARY KEY,
  epoch INTEGER NOT NULL,
  at_ns INTEGER NOT NULL,
  kind TEXT NOT NULL,
  payload BLOB NOT NULL,
  hash BLOB NOT NULL            -- blake2b-16 of the hash before, seq, epoch and payload
) STRICT;

CREATE TRIGGER events_are_not_changed BEFORE UPDATE ON events
BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;

CREATE TRIGGER events_are_not_removed BEFORE DELETE ON events
BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;

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
  seq INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX one_live_order_per_slot ON intents(slot)
  WHERE state NOT IN ('REFUSED', 'REJECTED', 'NOT_SENT', 'ABSENT', 'CLOSED');

CREATE INDEX intents_by_time ON intents(created_ns);

CREATE TRIGGER an_intent_is_written_once BEFORE UPDATE OF intent_id, client_order_id, posts, stamp_ms
ON intents BEGIN SELECT RAISE(ABORT, 'an intent is written once'); END;

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

CREATE TABLE postings(
  seq INTEGER NOT NULL,
  line INTEGER NOT NULL,
  account TEXT NOT NULL,
  asset TEXT NOT NULL,
  amount TEXT NOT NULL,
  PRIMARY KEY(seq, line)
) STRICT, WITHOUT ROWID;

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
