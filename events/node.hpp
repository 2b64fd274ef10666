#pragma once

#include "events/ed25519.hpp"
#include "events/fields.hpp"
#include "events/partition.hpp"

#include <chrono>
#include <string>
#include <variant>
#include <vector>

/// A NODE: a server with a key of its own, with which it signs tree heads. Stream `node/<id>`.
namespace runledger {

inline stream_id node_stream_of(std::string_view id) {
  return stream_id{"node/" + std::string{id}};
}
inline bool is_node_stream(const stream_id& stream) {
  return stream.value.starts_with("node/");
}

} // namespace runledger

namespace runledger::node {

/// The node signs with this key from here on.
struct key_registered {
  static constexpr std::string_view name = "node.key_registered";
  std::string algorithm;  ///< `ed25519`
  std::string public_key; ///< SubjectPublicKeyInfo in DER, base64: the body of a PEM file.
  digest fingerprint;     ///< SHA-256 of these bytes.
  friend bool operator==(const key_registered&, const key_registered&) = default;
  template <class Fact, class Visit>
  static void fields(Fact& f, Visit&& v) {
    v("algorithm", f.algorithm);
    v("public_key", f.public_key);
    v("fingerprint", f.fingerprint);
  }
};
using event = std::variant<key_registered>;

struct registered_key {
  ed25519::public_key key;
  timestamp since{};
  friend bool operator==(const registered_key&, const registered_key&) = default;
};
struct state {
  std::vector<registered_key> keys; ///< In their order; keys that cannot be read are left out.
  friend bool operator==(const state&, const state&) = default;
};

struct register_key {
  ed25519::public_key key;
};
using command = register_key;
struct outcome {
  std::vector<event> facts; ///< None: the node's newest key is this one.
};
[[nodiscard]] outcome decide(const state& now, const command& asked);
[[nodiscard]] state evolve(state before, const event& fact, timestamp at);

/// Its keys as the ledger holds them.
result<state, read_error> read(const event_log& log, std::string_view id);

/// What is to be appended so that the ledger knows `key` as the node's newest; no events: it does.
/// `claim`: of the partition where the node's stream lives.
result<append_request, claim_error> registration(const event_log& log, const partition_claim& claim,
                                                 std::string_view id,
                                                 const ed25519::public_key& key,
                                                 const wall_clock& clock);

/// Sees to it at once. Blocks until the log has answered, at most `patience`; call it right after
/// the partition was taken.
result<void, claim_error>
ensure_registered(event_log& log, const partition_claim& claim, std::string_view id,
                  const ed25519::public_key& key, const wall_clock& clock,
                  std::chrono::milliseconds patience = std::chrono::seconds{30});

} // namespace runledger::node
