#pragma once

#include "actors/engine.hpp"
#include "actors/harness/process_host.hpp"
#include "cli/cluster_node.hpp"
#include "cli/settings.hpp"
#include "events/log/data_folder_lock.hpp"
#include "events/log/file_blob_store.hpp"
#include "events/log/kafka_log.hpp"
#include "http/cluster/key_watch.hpp"
#include "http/cluster/neighbours.hpp"
#include "http/cluster/node_lines.hpp"
#include "http/context.hpp"
#include "http/refusal_recorder.hpp"
#include "http/server.hpp"
#include "projections/runner.hpp"

#include <boost/asio/signal_set.hpp>

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <thread>

namespace runledger::cli {

/// The composition root: builds the server of its parts, in order, runs it, and takes it apart.
///
/// Start: lock the folder, open ledger and blobs, end what an earlier server left running, listen,
/// take the partitions (one of several nodes: those that the others leave to it, from now on) and
/// begin recovery, bring the views up, load the keys; from then on requests are served. End, on
/// SIGTERM or SIGINT: /readyz turns 503, the listener closes (one of several: when its partitions
/// went to the other nodes), requests in flight end, harnesses get `runs.drain_seconds`. A second
/// signal ends the process at once: what is durable stays, harnesses die with their server.
class server_process {
public:
  /// Throws std::runtime_error with a sentence for the operator.
  explicit server_process(const settings& with);
  ~server_process();
  server_process(const server_process&) = delete;
  server_process& operator=(const server_process&) = delete;

  /// Until the end. 0: as asked; 1: it had to stop by itself.
  int run();

private:
  void open_parts();
  void open_ledger();
  void expect_open_ledger() const;
  void meet_others();
  void make_edge();
  void listen();
  void start_engine();
  void start_views();
  void on_signal();
  void watch_ledger();
  void views_ready();
  void ensure_admin_exists();
  void begin_service();
  void watch_keys();
  void begin_drain();
  void work_drained(std::chrono::steady_clock::time_point until);
  void fail(const std::string& why, int exit_code = 1);
  void take_apart();
  engine_settings engine_settings_from() const;

  const settings& settings_;
  const std::string data_;
  const system_wall_clock clock_;
  int exit_code_ = 0;
  bool ending_ = false;
  std::atomic<bool> keys_changed_ = false;
  std::atomic<http::sse_hub*> hub_ = nullptr;

  std::optional<data_folder_lock> lock_;
  std::unique_ptr<event_log> log_;
  kafka_log* kafka_ = nullptr; ///< The same, where it is one.
  std::unique_ptr<blob_store> blobs_;
  http::net::io_context io_{1};
  std::unique_ptr<http::url_signer> signer_;
  http::key_ring keys_{clock_};
  std::shared_ptr<cluster_node> node_;           ///< Where this is one of several.
  std::string cluster_secret_;                   ///< Likewise.
  std::unique_ptr<http::neighbours> neighbours_; ///< Likewise.
  std::unique_ptr<http::key_watch> key_watch_;   ///< Likewise.
  std::unique_ptr<http::node_lines> lines_;      ///< Likewise.
  std::unique_ptr<views::view_runner> views_;
  std::unique_ptr<http::route_context> context_;
  http::refusal_recorder refusals_;
  std::unique_ptr<http::server> edge_;
  std::unique_ptr<harness::process_host> host_;
  std::unique_ptr<engine> engine_;
  boost::asio::signal_set signals_{io_};
  http::net::steady_timer ledger_timer_{io_}, admin_timer_{io_};
  std::thread drainer_;
};

} // namespace runledger::cli
