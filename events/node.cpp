#include "events/node.hpp"

#include "events/base64.hpp"
#include "events/chain.hpp"
#include "events/codec.hpp"
#include "events/log/append_and_wait.hpp"

namespace runledger::node {

namespace {

constexpr std::string_view algorithm_name = "ed25519";
constexpr std::size_t page = 1000;

struct stored {
  state keys;
  stream_head head;
};

result<stored, read_error> load(const event_log& log, const stream_id& stream) {
  stored out;
  for (;;) {
    auto records = log.read_stream(stream, out.head.seq + 1, page);
    if (!records)
      return records.error();
    for (const auto& r : *records) {
      auto fact = decode<event>(r->event);
      if (!fact)
        return read_error{read_error::kind::corrupt, stream, r->event.seq, r->offset,
                          "the data cannot be read"};
      out.keys = evolve(std::move(out.keys), *fact, r->event.time);
      follow(out.head, *r);
    }
    if (records->size() < page)
      return out;
  }
}

claim_error failed(const stream_id& stream, const std::string& why) {
  return {claim_error::kind::unavailable,
          "the node's key cannot be registered in " + stream.value + ": " + why};
}

} // namespace

outcome decide(const state& now, const command& asked) {
  if (!now.keys.empty() && now.keys.back().key == asked.key)
    return {};
  auto der = asked.key.der();
  return {{key_registered{std::string{algorithm_name}, to_base64(der), sha256(der)}}};
}

state evolve(state before, const event& fact, timestamp at) {
  const auto& registered = std::get<key_registered>(fact);
  auto der = from_base64(registered.public_key);
  auto key = der ? ed25519::public_key_from_der(*der) : std::nullopt;
  if (key && registered.algorithm == algorithm_name)
    before.keys.push_back({*key, at});
  return before;
}

result<state, read_error> read(const event_log& log, std::string_view id) {
  auto found = load(log, node_stream_of(id));
  if (!found)
    return found.error();
  return std::move(found->keys);
}

result<append_request, claim_error> registration(const event_log& log, const partition_claim& claim,
                                                 std::string_view id,
                                                 const ed25519::public_key& key,
                                                 const wall_clock& clock) {
  auto stream = node_stream_of(id);
  auto known = load(log, stream);
  if (!known)
    return failed(stream, known.error().detail);
  append_request out;
  for (const auto& fact : decide(known->keys, {key}).facts) {
    auto encoded = encode(fact);
    envelope e;
    e.stream = stream;
    e.partition_key = stream.value;
    e.workspace.value = system_workspace;
    e.principal = "system";
    e.time = clock.now();
    e.type = std::move(encoded.type);
    e.data = std::move(encoded.data);
    out.events.push_back(make_record(known->head, std::move(e), claim.epoch, false));
  }
  return out;
}

result<void, claim_error> ensure_registered(event_log& log, const partition_claim& claim,
                                            std::string_view id, const ed25519::public_key& key,
                                            const wall_clock& clock,
                                            std::chrono::milliseconds patience) {
  auto request = registration(log, claim, id, key, clock);
  if (!request)
    return request.error();
  if (request->events.empty())
    return {};
  auto written = append_and_wait(log, std::move(*request), patience);
  if (written.outcome != append_outcome::accepted)
    return failed(node_stream_of(id), written.detail);
  return {};
}

} // namespace runledger::node
