#pragma once

#include "events/time.hpp"

#include <compare>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>

namespace runledger {

/// A string with a meaning. Two kinds of id never mix by accident.
template <class Tag>
struct named_id {
  std::string value;
  bool empty() const { return value.empty(); }
  friend auto operator<=>(const named_id&, const named_id&) = default;
};

using run_id = named_id<struct run_id_tag>;           ///< `run_` and a ULID.
using session_id = named_id<struct session_id_tag>;   ///< `sess_` and a ULID.
using agent_id = named_id<struct agent_id_tag>;       ///< `ag_` and a ULID.
using worker_id = named_id<struct worker_id_tag>;     ///< `wrk_` and a ULID.
using key_id = named_id<struct key_id_tag>;           ///< `key_` and a ULID.
using artifact_id = named_id<struct artifact_id_tag>; ///< `art_` and a ULID.
using workspace_id =
    named_id<struct workspace_id_tag>;              ///< `default` or `ws_` and a ULID, or chosen.
using command_id = named_id<struct command_id_tag>; ///< `cmd_` and a ULID.
using stream_id = named_id<struct stream_id_tag>;   ///< The name of a stream (docs/events.md).

template <class Tag>
stream_id stream_of(const named_id<Tag>& entity) {
  return stream_id{entity.value};
}
inline stream_id stream_of(const workspace_id& w) {
  return stream_id{"ws/" + w.value};
}
inline stream_id names_stream_of(const workspace_id& w) {
  return stream_id{"ws/" + w.value + "/names"};
}

inline stream_id audit_stream_of(const workspace_id& w) {
  return stream_id{"ws/" + w.value + "/audit"};
}
inline stream_id queue_stream_of(const workspace_id& w, std::string_view queue) {
  return stream_id{"queue/" + w.value + '/' + std::string{queue}};
}

/// What a stream holds, told by its name.
enum class stream_kind : std::uint8_t {
  unknown,
  run,
  session,
  agent,
  worker,
  key,
  workspace,
  names,
  audit,
  partition,
  queue,
};
stream_kind kind_of(const stream_id& stream);

/// 26 characters of Crockford's base 32: 48 bits of milliseconds, 80 bits that make it unique (the
/// ULID form).
std::string make_ulid(timestamp t, std::uint64_t random_high16, std::uint64_t random_low64);

/// The form of a ULID without a time in it: the first 128 bits of SHA-256 over the parts, each
/// preceded by its length in bytes and a colon (so that no two lists of parts look alike). Of these
/// the first 64 bits, big endian, are shifted right by two (docs/events.md).
std::string derive_ulid(std::initializer_list<std::string_view> parts);

/// `prefix` (with its underscore) and 26 characters that make_ulid could have written.
bool is_id(std::string_view text, std::string_view prefix);

/// A run's id follows from its session and the command that asked for it (docs/decisions/0003): the
/// first ten characters are those of the session's ULID, so that both lie close together in every
/// index.
run_id derive_run_id(const session_id& session, const command_id& command);

/// Where fresh ids and jitter come from. The simulation passes a seeded one.
class id_source {
public:
  virtual ~id_source() = default;
  virtual std::uint64_t random() = 0;
  /// A fresh ULID; within one millisecond each is greater than the one before.
  std::string ulid(timestamp now);

private:
  std::int64_t last_ms_ = -1;
  std::uint64_t last_high_ = 0, last_low_ = 0;
};

/// Seeded from the operating system. Not for secrets. One per thread.
class system_id_source final : public id_source {
public:
  system_id_source();
  std::uint64_t random() override;

private:
  std::uint64_t state_[4];
};

} // namespace runledger

template <class Tag>
struct std::hash<runledger::named_id<Tag>> {
  std::size_t operator()(const runledger::named_id<Tag>& id) const noexcept {
    return std::hash<std::string>{}(id.value);
  }
};
