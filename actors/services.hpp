#pragma once

#include "actors/interfaces.hpp"
#include "actors/owned_partitions.hpp"
#include "actors/work_folders.hpp"

#include <caf/send.hpp>

#include <atomic>
#include <functional>

namespace runledger {

/// Counters that actors keep for engine::stats; atomics, because other threads read them.
struct engine_counters {
  std::atomic<std::uint64_t> appended_events{0}, append_groups{0}, rejected_appends{0};
  std::atomic<std::uint64_t> live_actors{0}, waiting_runs{0}, queued_runs{0}, running_runs{0},
      live_processes{0};
  std::atomic<std::uint64_t> recovered_streams{0};
  std::atomic<bool> recovered{false};
  std::atomic<bool> draining{false}; ///< No run is given out any more.
};

inline std::string work_root(const std::string& data_dir) {
  return data_dir + "/work";
}

/// What every actor needs of the others and of the outside. Built by the engine before any message
/// is sent; the handles are cleared at the end, so that the circle of references opens.
struct services {
  services(engine_settings given, const engine_parts& parts, id_source& id_generator,
           std::function<void(std::string_view)> to_operator)
      : settings(std::move(given)),
        log(parts.log),
        blobs(parts.blobs),
        harness(parts.harness),
        clock(parts.clock),
        ids(id_generator),
        view_lag(parts.view_lag),
        on_fatal(parts.on_fatal),
        on_lost(parts.on_lost),
        others(parts.others),
        lines(parts.lines),
        warn(std::move(to_operator)),
        folders(
            work_root(settings.data_dir),
            [this](std::string path) { caf::anon_send(importer, remove_folder{std::move(path)}); }),
        partitions(parts.log.partition_names()) {}

  engine_settings settings;
  event_log& log;
  blob_store& blobs;
  harness::harness_host& harness;
  const wall_clock& clock;
  id_source& ids; ///< Actors' thread only.
  std::function<std::uint64_t()> view_lag;
  std::function<void(std::string)> on_fatal;
  std::function<void(std::uint32_t)> on_lost;
  peers* others;                              ///< Null: this process holds all that is held.
  queue_lines* lines;                         ///< Null: no other process holds queues.
  std::function<void(std::string_view)> warn; ///< One line for the operator's log.
  work_folders folders;                       ///< Actors' thread only.
  owned_partitions partitions;                ///< What is held here.
  bool registration_asked = false;            ///< Of this node's key, elsewhere.
  std::string ledger_id;                      ///< Once a partition was taken.
  engine_counters counters;

  ledger_gateway gateway;
  directory_actor directory;
  dispatcher_actor dispatcher;
  timer_wheel_actor timers;
  importer_actor importer;
  courier_actor courier; ///< Where there are others.
};
using services_ptr = std::shared_ptr<services>;

} // namespace runledger
