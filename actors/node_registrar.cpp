#include "actors/node_registrar.hpp"

#include <caf/actor_system.hpp>
#include <caf/send.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <limits>

namespace runledger {

namespace {

class registrar final : public append_sink::base {
public:
  registrar(caf::actor_config& cfg, answer<peer_done> to)
      : append_sink::base(cfg), to_(std::move(to)) {}
  behavior_type make_behavior() override {
    return {[this](const append_done& done) {
      using enum append_outcome;
      if (done.result.outcome == accepted)
        to_(peer_done{});
      else if (done.result.outcome == unknown)
        to_.refuse(errc::outcome_unknown, done.result.detail);
      else // Somebody was first: what is written next may be nothing any more.
        to_.refuse(errc::ledger_unavailable, done.result.detail);
      quit();
    }};
  }
  const char* name() const override { return "node registrar"; }

private:
  answer<peer_done> to_;
};

std::optional<ed25519::public_key> key_in(const peer_command& command) {
  envelope e;
  e.stream = command.stream;
  e.type = command.fact.type;
  e.data = command.fact.data;
  auto fact = decode<node::event>(e);
  if (!fact)
    return std::nullopt;
  auto known = node::evolve({}, *fact, {});
  return known.keys.empty() ? std::nullopt : std::optional{known.keys.back().key};
}

} // namespace

void register_node(caf::actor_system& sys, const services_ptr& s, std::uint32_t partition,
                   const peer_command& command, answer<peer_done> to) {
  const auto key = key_in(command);
  if (!key)
    return to.refuse(errc::ledger_corrupt, "The node's key cannot be read.");
  const auto id = command.stream.value.substr(node_stream_of({}).value.size());
  auto request = node::registration(s->log, s->partitions.claim_of(partition), id, *key, s->clock);
  if (!request)
    return to.refuse(errc::ledger_unavailable, request.error().detail);
  if (request->events.empty())
    return to(peer_done{true});
  append_batch batch;
  batch.ticket = 1;
  batch.request = std::move(*request);
  batch.partition = partition;
  batch.reply_to = sys.spawn<registrar>(std::move(to));
  caf::anon_send(s->gateway, std::move(batch));
}

void ask_for_registration(services& s) {
  const auto own = node_stream_of(s.settings.node);
  const auto home = s.partitions.home_of(own, own.value);
  if (s.others == nullptr || !s.settings.heads.key || !home || s.partitions.holds(*home)
      || std::exchange(s.registration_asked, true))
    return;
  const auto key = s.settings.heads.key->public_part();
  carry_command ask;
  ask.partition = *home;
  ask.patience_ms = std::numeric_limits<std::int64_t>::max();
  ask.what.stream = own;
  ask.what.workspace.value = system_workspace;
  ask.what.origin.principal = system_workspace;
  ask.what.origin.causation_id = own.value + ':' + to_hex(sha256(key.der()));
  ask.what.fact = encode(node::event{node::decide({}, {key}).facts.front()});
  caf::anon_send(s.courier, std::move(ask));
}

} // namespace runledger
