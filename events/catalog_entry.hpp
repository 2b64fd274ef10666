#pragma once

#include "events/fields.hpp"
#include "events/result.hpp"

#include <map>
#include <string>
#include <variant>
#include <vector>

/// Three small entities of the catalog: API keys, workspaces, and the names that are unique in a
/// workspace.
namespace runledger {

/// An API KEY. Stream `key_...`. Only the hash of the secret is ever stored.
namespace key {

enum scope : std::uint8_t { read = 1, write = 2, budget = 4, worker = 8, admin = 16 };
std::optional<std::uint8_t>
scopes_from(const std::vector<std::string>& names); ///< Nothing: an unknown name.
std::vector<std::string> scope_names(std::uint8_t scopes);

struct created {
  static constexpr std::string_view name = "key.created";
  std::string title;
  std::vector<std::string> scopes;
  digest secret_hash; ///< SHA-256 of the whole key text.
  std::optional<timestamp> expires_at;
  std::string idempotency_key;
  digest fingerprint;
  friend bool operator==(const created&, const created&) = default;
  template <class Fact, class Visit>
  static void fields(Fact& f, Visit&& v) {
    v("name", f.title);
    v("scopes", f.scopes);
    v("secret_hash", f.secret_hash);
    v("expires_at", f.expires_at);
    v("idempotency_key", f.idempotency_key);
    v("fingerprint", f.fingerprint);
  }
};
struct revoked {
  static constexpr std::string_view name = "key.revoked";
  friend bool operator==(const revoked&, const revoked&) = default;
  template <class Fact, class Visit>
  static void fields(Fact&, Visit&&) {}
};
using event = std::variant<created, revoked>;

struct state {
  workspace_id workspace; ///< Empty: does not exist.
  std::string title;
  std::vector<std::string> scopes;
  digest secret_hash;
  std::optional<timestamp> expires_at, created_at, revoked_at;
  digest fingerprint;
  bool exists() const { return !workspace.empty(); }
  friend bool operator==(const state&, const state&) = default;
};

struct create {
  created fact;
};
struct revoke {};
struct command {
  workspace_id workspace; ///< create: the key's.
  std::variant<create, revoke> body;
};
enum class rejection : std::uint8_t { not_found = 1, idempotency_conflict };
struct outcome {
  std::vector<event> facts;
  bool replayed = false;
};
[[nodiscard]] result<outcome, rejection> decide(const state& now, const command& asked);
[[nodiscard]] state evolve(state before, const event& fact, timestamp at,
                           const workspace_id& workspace);
bool fits(const state& now, const event& fact);

} // namespace key

/// A WORKSPACE. Stream `ws/<id>`.
namespace workspace {

struct created {
  static constexpr std::string_view name = "workspace.created";
  std::string title;
  std::string idempotency_key;
  digest fingerprint;
  friend bool operator==(const created&, const created&) = default;
  template <class Fact, class Visit>
  static void fields(Fact& f, Visit&& v) {
    v("name", f.title);
    v("idempotency_key", f.idempotency_key);
    v("fingerprint", f.fingerprint);
  }
};
using event = std::variant<created>;

struct state {
  std::optional<timestamp> created_at; ///< Absent: does not exist.
  std::string title, idempotency_key;
  digest fingerprint;
  bool exists() const { return created_at.has_value(); }
  friend bool operator==(const state&, const state&) = default;
};
struct create {
  created fact;
};
using command = create;
enum class rejection : std::uint8_t { exists = 1, idempotency_conflict };
struct outcome {
  std::vector<event> facts;
  bool replayed = false;
};
[[nodiscard]] result<outcome, rejection> decide(const state& now, const command& asked);
[[nodiscard]] state evolve(state before, const event& fact, timestamp at);
bool fits(const state& now, const event& fact);

} // namespace workspace

/// The NAMES of a workspace: slugs that must be unique. Stream `ws/<id>/names`.
namespace names {

struct claimed {
  static constexpr std::string_view name = "name.claimed";
  std::string kind;  ///< `agent`
  std::string text;  ///< The name.
  std::string owner; ///< The id of the entity that bears it.
  friend bool operator==(const claimed&, const claimed&) = default;
  template <class Fact, class Visit>
  static void fields(Fact& f, Visit&& v) {
    v("kind", f.kind);
    v("name", f.text);
    v("owner", f.owner);
  }
};
using event = std::variant<claimed>;

struct state {
  std::map<std::string, std::string> owners; ///< `<kind>/<name>` -> owner.
  friend bool operator==(const state&, const state&) = default;
};

/// Claims a name for an owner. `ghost`: the present owner, of whom the asker knows that it never
/// came to be (a crash between the claim and the owner's first event); its claim passes on.
struct claim {
  std::string kind, text, owner;
  std::string ghost;
};
using command = claim;
enum class rejection : std::uint8_t { taken = 1 };
struct outcome {
  std::vector<event> facts;
};
const std::string* owner_of(const state& s, std::string_view kind, std::string_view text);
[[nodiscard]] result<outcome, rejection> decide(const state& now, const command& asked);
[[nodiscard]] state evolve(state before, const event& fact);
bool fits(const state& now, const event& fact);

} // namespace names

/// A WORKER: what runs harnesses. A slot on this server. Stream `wrk_...`.
namespace worker {

struct registered {
  static constexpr std::string_view name = "worker.registered";
  std::string node;
  std::int64_t slot = 0;
  friend bool operator==(const registered&, const registered&) = default;
  template <class Fact, class Visit>
  static void fields(Fact& f, Visit&& v) {
    v("node", f.node);
    v("slot", f.slot);
  }
};
/// A harness process was started in this slot.
struct process_started {
  static constexpr std::string_view name = "worker.process_started";
  agent_id agent;
  std::int64_t agent_version = 0, max_runs = 1; ///< At once, as the recipe allows.
  run_id run;                                   ///< With one process per run.
  std::vector<std::string> layers; ///< What the sandbox is made of: which layers were active.
  friend bool operator==(const process_started&, const process_started&) = default;
  template <class Fact, class Visit>
  static void fields(Fact& f, Visit&& v) {
    v("agent_id", f.agent);
    v("agent_version", f.agent_version);
    v("max_runs", f.max_runs);
    v("run_id", f.run);
    v("layers", f.layers);
  }
};
struct process_ended {
  static constexpr std::string_view name = "worker.process_ended";
  std::string reason;
  std::int64_t exit_code = 0, signal = 0;
  friend bool operator==(const process_ended&, const process_ended&) = default;
  template <class Fact, class Visit>
  static void fields(Fact& f, Visit&& v) {
    v("reason", f.reason);
    v("exit_code", f.exit_code);
    v("signal", f.signal);
  }
};
using event = std::variant<registered, process_started, process_ended>;

struct state {
  bool exists = false, busy = false;
  std::string node;
  std::int64_t slot = 0;
  std::optional<timestamp> registered_at, changed_at;
  agent_id agent;
  std::int64_t agent_version = 0;
  std::vector<std::string> layers;
  std::string last_reason;
  friend bool operator==(const state&, const state&) = default;
};
/// Reports are facts already; a slot that is not registered yet registers first, and a process that
/// is reported to have started while one runs means that the earlier one ended with its server.
struct command {
  std::string node;
  std::int64_t slot = 0;
  std::variant<process_started, process_ended> report;
};
enum class rejection : std::uint8_t { none = 1 };
struct outcome {
  std::vector<event> facts;
};
[[nodiscard]] result<outcome, rejection> decide(const state& now, const command& asked);
[[nodiscard]] state evolve(state before, const event& fact, timestamp at);
bool fits(const state& now, const event& fact);

} // namespace worker

} // namespace runledger
