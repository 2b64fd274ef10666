#pragma once

#include "events/fields.hpp"
#include "events/result.hpp"

#include <string>
#include <variant>
#include <vector>

/// The AGENT with its versions. Stream `ag_...`.
namespace runledger::agent {

struct created {
  static constexpr std::string_view name = "agent.created";
  std::string slug, title, description;
  payload recipe; ///< With it, version 1 exists and is active.
  std::string key;
  digest fingerprint;
  friend bool operator==(const created&, const created&) = default;
  template <class Fact, class Visit>
  static void fields(Fact& f, Visit&& v) {
    v("slug", f.slug);
    v("name", f.title);
    v("description", f.description);
    v("recipe", f.recipe);
    v("idempotency_key", f.key);
    v("fingerprint", f.fingerprint);
  }
};

/// A draft.
struct version_created {
  static constexpr std::string_view name = "agent.version_created";
  std::int64_t version = 0;
  payload recipe;
  command_id command; ///< Tells a repeated request.
  std::string key;
  digest fingerprint;
  friend bool operator==(const version_created&, const version_created&) = default;
  template <class Fact, class Visit>
  static void fields(Fact& f, Visit&& v) {
    v("version", f.version);
    v("recipe", f.recipe);
    v("command_id", f.command);
    v("idempotency_key", f.key);
    v("fingerprint", f.fingerprint);
  }
};

struct draft_changed {
  static constexpr std::string_view name = "agent.draft_changed";
  std::int64_t version = 0;
  payload recipe;
  friend bool operator==(const draft_changed&, const draft_changed&) = default;
  template <class Fact, class Visit>
  static void fields(Fact& f, Visit&& v) {
    v("version", f.version);
    v("recipe", f.recipe);
  }
};

struct version_activated {
  static constexpr std::string_view name = "agent.version_activated";
  std::int64_t version = 0;
  friend bool operator==(const version_activated&, const version_activated&) = default;
  template <class Fact, class Visit>
  static void fields(Fact& f, Visit&& v) {
    v("version", f.version);
  }
};

struct version_archived {
  static constexpr std::string_view name = "agent.version_archived";
  std::int64_t version = 0;
  friend bool operator==(const version_archived&, const version_archived&) = default;
  template <class Fact, class Visit>
  static void fields(Fact& f, Visit&& v) {
    v("version", f.version);
  }
};

using event =
    std::variant<created, version_created, draft_changed, version_activated, version_archived>;

enum class version_phase : std::uint8_t { draft, active, archived };
std::string_view to_string(version_phase p);

struct version {
  version_phase at = version_phase::draft;
  payload recipe;
  command_id command;
  digest fingerprint;
  timestamp created_at{};
  friend bool operator==(const version&, const version&) = default;
};

struct state {
  workspace_id workspace; ///< Empty: the agent does not exist.
  std::string slug, title, description;
  digest fingerprint;
  std::vector<version> versions; ///< Version n stands at n - 1.
  std::optional<timestamp> created_at, updated_at;
  bool exists() const { return !workspace.empty(); }
  friend bool operator==(const state&, const state&) = default;
};

/// The highest-numbered active version; 0: none.
std::int64_t active_version(const state& s);

struct create {
  std::string slug, title, description;
  payload recipe;
  std::string key;
  digest fingerprint;
};
struct create_version {
  command_id command; ///< Derived from the Idempotency-Key, or fresh.
  payload recipe;
  std::string key;
  digest fingerprint;
};
struct change_draft {
  std::int64_t version = 0;
  payload recipe;
};
struct activate {
  std::int64_t version = 0;
};
struct archive {
  std::int64_t version = 0;
};
using command_body = std::variant<create, create_version, change_draft, activate, archive>;
struct command {
  timestamp now{};
  workspace_id workspace;
  command_body body;
};

enum class rejection : std::uint8_t {
  not_found = 1,
  version_not_found,
  not_draft,   ///< Active and archived recipes are immutable.
  wrong_phase, ///< draft -> active -> archived, nothing else.
  idempotency_conflict,
};

struct outcome {
  std::vector<event> facts;
  bool replayed = false;
  std::int64_t version = 0; ///< The version that the command speaks of.
};
using decision = runledger::result<outcome, rejection>;

[[nodiscard]] decision decide(const state& now, const command& asked);
[[nodiscard]] state evolve(state before, const event& fact, timestamp at,
                           const workspace_id& workspace);
bool fits(const state& now, const event& fact);

} // namespace runledger::agent
