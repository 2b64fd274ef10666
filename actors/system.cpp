#include "actors/system.hpp"

#include "actors/courier_actor.hpp"
#include "actors/directory_actor.hpp"
#include "actors/dispatcher_actor.hpp"
#include "actors/importer_actor.hpp"
#include "actors/ledger_gateway_actor.hpp"
#include "actors/node_registrar.hpp"
#include "actors/partition_taker.hpp"
#include "actors/timer_wheel.hpp"
#include "events/node.hpp"
#include "events/partition.hpp"

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/send.hpp>

#include <numeric>
#include <stdexcept>

namespace runledger {

void configure(caf::actor_system_config& cfg, std::size_t threads) {
  cfg.set("scheduler.policy", caf::atom("sharing"));
  cfg.set("scheduler.max-threads", threads);
}

namespace {

/// Where another process holds the node's stream, it stays as it is for now.
void register_key(services& s) {
  const auto own = node_stream_of(s.settings.node);
  const auto home = s.partitions.home_of(own, own.value);
  if (!s.settings.heads.key || !home || !s.partitions.holds(*home))
    return;
  auto known = node::ensure_registered(s.log, s.partitions.claim_of(*home), s.settings.node,
                                       s.settings.heads.key->public_part(), s.clock);
  if (!known)
    throw std::runtime_error(known.error().detail);
}

} // namespace

services_ptr start_actors(caf::actor_system& sys, engine_settings settings,
                          const engine_parts& parts, id_source& ids,
                          std::function<void(std::string_view)> warn) {
  std::vector<std::uint32_t> wanted(parts.log.partition_count());
  std::iota(wanted.begin(), wanted.end(), 0U);
  if (settings.partitions)
    wanted = *settings.partitions;
  auto s = std::make_shared<services>(std::move(settings), parts, ids, std::move(warn));
  for (auto partition : wanted) {
    auto claim = take_partition(s->log, partition, s->settings.node, s->clock, ids);
    if (!claim)
      throw std::runtime_error(claim.error().detail);
    s->partitions.take(*claim);
    s->ledger_id = claim->ledger;
  }
  register_key(*s);
  s->gateway = spawn_ledger_gateway(sys, s);
  s->timers = spawn_timer_wheel(sys, s);
  s->importer = spawn_importer(sys, s);
  s->directory = spawn_directory(sys, s);
  if (s->others != nullptr) {
    s->courier = spawn_courier(sys, s);
    ask_for_registration(*s);
  }
  s->dispatcher = spawn_dispatcher(sys, s);
  return s;
}

void start_recovery(caf::actor_system& sys, services_ptr s) {
  recover(sys, s, s->partitions.held(), [s] {
    if (!s->partitions.held().empty()) // Else it is not known yet which runs are unfinished here.
      s->folders.remove_left();
    s->counters.recovered.store(true);
  });
}

void stop_actors(const services_ptr& s) {
  auto stop = [](auto& handle) {
    caf::anon_send_exit(handle, caf::exit_reason::user_shutdown);
    handle = nullptr;
  };
  stop(s->dispatcher);
  stop(s->directory);
  stop(s->timers);
  stop(s->importer);
  if (s->courier)
    stop(s->courier);
  stop(s->gateway);
}

} // namespace runledger
