#include "projections/schema.hpp"

namespace runledger::views {

// `at` is the place in the ledger of the event that made the row (rows.hpp). Times are milliseconds
// since 1970. No index is unique but the primary keys: what is unique is the ledger's business, and
// a row that it should not hold must not stop the views.
const char* const schema_tables = R"sql(
CREATE TABLE meta(name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE positions(partition INTEGER PRIMARY KEY, next INTEGER NOT NULL,
  hash BLOB NOT NULL) STRICT;
CREATE TABLE parked(view TEXT NOT NULL, entity TEXT NOT NULL, stream TEXT NOT NULL,
  seq INTEGER NOT NULL, at INTEGER NOT NULL, reason TEXT NOT NULL,
  PRIMARY KEY(entity, view)) STRICT, WITHOUT ROWID;

CREATE TABLE sessions(at INTEGER PRIMARY KEY, id TEXT NOT NULL, workspace TEXT NOT NULL,
  agent_id TEXT NOT NULL, agent_slug TEXT NOT NULL, agent_version INTEGER NOT NULL,
  phase INTEGER NOT NULL, reason TEXT NOT NULL, created_ms INTEGER NOT NULL,
  last_activity_ms INTEGER NOT NULL, terminated_ms INTEGER, parked INTEGER NOT NULL) STRICT;
CREATE INDEX session_ids ON sessions(id);

-- An input or a result is copied here while it is short; a longer one is read from the ledger:
-- long_content says which (1 prompt, 2 initial_state: in the event at `at`; 4 result: in the event
-- at result_at).
CREATE TABLE runs(at INTEGER PRIMARY KEY, id TEXT NOT NULL, session INTEGER NOT NULL,
  turn INTEGER NOT NULL, workspace TEXT NOT NULL, agent_id TEXT NOT NULL,
  created_ms INTEGER NOT NULL,
  kind TEXT NOT NULL, trigger TEXT NOT NULL, accepted_seq INTEGER NOT NULL,
  first_seq INTEGER NOT NULL, parent_run TEXT, prompt TEXT, initial_state TEXT,
  phase INTEGER NOT NULL, started_ms INTEGER, finished_ms INTEGER,
  cost_micro_usd INTEGER NOT NULL, tokens_in INTEGER NOT NULL, tokens_out INTEGER NOT NULL,
  attempt INTEGER NOT NULL, steps_completed INTEGER NOT NULL, artifact_count INTEGER NOT NULL,
  last_seq INTEGER NOT NULL, cause_seq INTEGER NOT NULL, due_ms INTEGER, timeout_due_ms INTEGER,
  cancelling INTEGER NOT NULL, turn_ended INTEGER NOT NULL, parked INTEGER NOT NULL,
  long_content INTEGER NOT NULL, result TEXT, result_at INTEGER NOT NULL,
  error_code TEXT, error_message TEXT) STRICT;
CREATE INDEX run_ids ON runs(id);

-- The items of a session in chunks of 128 (projections/timeline_chunk.hpp).
CREATE TABLE timeline(session INTEGER NOT NULL, chunk INTEGER NOT NULL, items BLOB NOT NULL,
  PRIMARY KEY(session, chunk)) STRICT, WITHOUT ROWID;

CREATE TABLE artifacts(at INTEGER PRIMARY KEY, id TEXT NOT NULL, run INTEGER NOT NULL,
  workspace TEXT NOT NULL, name TEXT NOT NULL, media_type TEXT NOT NULL,
  size_bytes INTEGER NOT NULL, content BLOB NOT NULL, created_ms INTEGER NOT NULL) STRICT;
CREATE INDEX artifact_ids ON artifacts(id);
CREATE INDEX artifacts_of_run ON artifacts(run);

CREATE TABLE agents(at INTEGER PRIMARY KEY, id TEXT NOT NULL, workspace TEXT NOT NULL,
  slug TEXT NOT NULL, name TEXT NOT NULL, description TEXT NOT NULL,
  active_version INTEGER NOT NULL, versions INTEGER NOT NULL, created_ms INTEGER NOT NULL,
  updated_ms INTEGER NOT NULL, parked INTEGER NOT NULL) STRICT;
CREATE INDEX agent_ids ON agents(id);
CREATE INDEX agent_slugs ON agents(workspace, slug);
CREATE INDEX agents_listed ON agents(workspace, created_ms);
CREATE TABLE agent_versions(agent INTEGER NOT NULL, version INTEGER NOT NULL,
  phase INTEGER NOT NULL, created_ms INTEGER NOT NULL, recipe_at INTEGER NOT NULL,
  PRIMARY KEY(agent, version)) STRICT, WITHOUT ROWID;

CREATE TABLE workers(at INTEGER PRIMARY KEY, id TEXT NOT NULL, node TEXT NOT NULL,
  slot INTEGER NOT NULL, busy INTEGER NOT NULL, agent_id TEXT NOT NULL,
  agent_version INTEGER NOT NULL, layers TEXT NOT NULL, last_reason TEXT NOT NULL,
  registered_ms INTEGER NOT NULL, changed_ms INTEGER NOT NULL, parked INTEGER NOT NULL,
  workspace TEXT NOT NULL, queue TEXT NOT NULL, name TEXT NOT NULL, slots INTEGER NOT NULL,
  leases INTEGER NOT NULL, gone INTEGER NOT NULL) STRICT;
CREATE INDEX worker_ids ON workers(id);

CREATE TABLE keys(at INTEGER PRIMARY KEY, id TEXT NOT NULL, workspace TEXT NOT NULL,
  name TEXT NOT NULL, scopes INTEGER NOT NULL, secret_hash BLOB NOT NULL,
  created_ms INTEGER NOT NULL, expires_ms INTEGER, revoked_ms INTEGER,
  parked INTEGER NOT NULL) STRICT;
CREATE INDEX key_ids ON keys(id);
CREATE INDEX key_secrets ON keys(secret_hash);

CREATE TABLE workspaces(at INTEGER PRIMARY KEY, id TEXT NOT NULL, name TEXT NOT NULL,
  created_ms INTEGER NOT NULL) STRICT;
CREATE INDEX workspace_ids ON workspaces(id);
)sql";

// Phases: 0 pending, 1 running, 2 backing off, 3 succeeded, 4 failed, 5 cancelled. Most runs
// succeed: that filter needs no index of its own.
const char* const schema_list_indexes = R"sql(
CREATE INDEX sessions_listed ON sessions(workspace, created_ms);
CREATE INDEX runs_listed ON runs(workspace, created_ms);
CREATE INDEX runs_of_agent ON runs(agent_id, created_ms);
CREATE INDEX runs_of_session ON runs(session, turn);
CREATE INDEX runs_unfinished ON runs(workspace, created_ms) WHERE phase < 3;
CREATE INDEX runs_failed ON runs(workspace, created_ms) WHERE phase = 4;
CREATE INDEX runs_cancelled ON runs(workspace, created_ms) WHERE phase = 5;
)sql";

} // namespace runledger::views
