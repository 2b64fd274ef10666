#include "actors/system.hpp"

#include "actors/directory_actor.hpp"
#include "actors/dispatcher_actor.hpp"
#include "actors/importer_actor.hpp"
#include "actors/ledger_gateway_actor.hpp"
#include "actors/timer_wheel.hpp"
#include "events/node.hpp"
#include "events/partition.hpp"

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/send.hpp>

#include <stdexcept>

namespace runledger {

void configure(caf::actor_system_config& cfg, std::size_t threads) {
  cfg.set("scheduler.policy", caf::atom("sharing"));
  cfg.set("scheduler.max-threads", threads);
}

services_ptr start_actors(caf::actor_system& sys, engine_settings settings,
                          const engine_parts& parts, id_source& ids,
                          std::function<void(std::string_view)> warn) {
  auto claim = take_partition(parts.log, 0, settings.node, parts.clock, ids);
  if (!claim)
    throw std::runtime_error(claim.error().detail);
  if (settings.heads.key) {
    auto known = node::ensure_registered(parts.log, *claim, settings.node,
                                         settings.heads.key->public_part(), parts.clock);
    if (!known)
      throw std::runtime_error(known.error().detail);
  }
  auto s = std::make_shared<services>(std::move(settings), parts, ids, std::move(warn));
  s->claim = *claim;
  s->epoch = claim->epoch;
  s->ledger_id = claim->ledger;
  s->gateway = spawn_ledger_gateway(sys, s);
  s->timers = spawn_timer_wheel(sys, s);
  s->importer = spawn_importer(sys, s);
  s->directory = spawn_directory(sys, s);
  s->dispatcher = spawn_dispatcher(sys, s);
  return s;
}

namespace {

constexpr std::size_t recovery_page = 500;

/// Wakes a page, then gives way to the actors that it woke.
void recover_page(caf::event_based_actor* self, const services_ptr& s, const std::string& after,
                  recovery_hold& hold) {
  auto page = s->log.unfinished(0, stream_id{after}, recovery_page);
  if (!page) {
    s->warn("unfinished work cannot be listed: " + page.error().detail);
    self->delayed_send(self, std::chrono::seconds{1}, after);
    return;
  }
  for (const auto& one : *page) {
    if (kind_of(one.stream) == stream_kind::run)
      s->folders.keep(run_id{one.stream.value});
    caf::anon_send(s->directory, wake_stream{one.stream, false, hold});
  }
  s->counters.recovered_streams.fetch_add(page->size(), std::memory_order_relaxed);
  if (page->size() == recovery_page)
    self->send(self, page->back().stream.value);
  else {
    s->folders.remove_left();
    s->counters.recovered.store(true);
    hold.reset();
    self->quit();
  }
}

} // namespace

void start_recovery(caf::actor_system& sys, services_ptr s) {
  auto hold = std::make_shared<const recovery_under_way>(s->dispatcher);
  auto recovery = sys.spawn([s, hold](caf::event_based_actor* self) -> caf::behavior {
    return {
        [self, s, hold](const std::string& after) mutable { recover_page(self, s, after, hold); }};
  });
  caf::anon_send(recovery, std::string{});
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
  stop(s->gateway);
}

} // namespace runledger
