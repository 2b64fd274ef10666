#pragma once

#include "actors/harness/process_host.hpp"
#include "cli/client.hpp"
#include "cli/worker_lease.hpp"
#include "cli/worker_wire.hpp"
#include "events/log/data_folder_lock.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>

#include <atomic>
#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace runledger::cli {

struct remote_worker_options {
  std::vector<server_address> servers; ///< Tried in turn.
  std::string key, queue, name, folder;
  std::vector<std::string> command;
  std::vector<std::pair<std::string, std::string>> environment;
  std::int64_t slots = 1;
  harness::sandbox_mode sandbox = harness::sandbox_mode::none;
  bool once = false;
  std::chrono::milliseconds drain = std::chrono::seconds{30};
};

/// Runs the harnesses of a queue's runs on this machine: keeps one connection to a server, starts a
/// process for each run that it is granted, and carries lines between the two. A connection that is
/// lost is made again, at the next server of the list; runs go on meanwhile.
class remote_worker {
public:
  explicit remote_worker(remote_worker_options options);

  /// Until SIGTERM or SIGINT (then what runs is drained), or the end of the one run. The process's
  /// exit code.
  int run();

private:
  class sink;
  struct slot {
    explicit slot(worker_lease of) : lease(std::move(of)) {}
    worker_lease lease;
    std::int64_t attempt = 0, heartbeat_ms = 0;
    std::vector<std::pair<std::string, std::string>> environment;
    harness::process_handle process = harness::process_handle::none;
    std::string waiting; ///< Lines until the harness is ready.
    bool ready = false;
    bool uploading = false;
    std::deque<harness::frame> held; ///< What came behind the artifact that is being uploaded.
    std::optional<harness::exit_info> exit; ///< Likewise.
  };
  /// A file of a work folder on its way to the server.
  struct upload {
    harness::held_lease lease;
    harness::frame frame;
    std::string problem;
  };
  using slots = std::map<std::string, slot>; // By run.

  void connect();
  void opened();
  void lost(const std::string& why, unsigned status);
  void drop_unbegun();
  void say(std::string message);
  void beat();
  void hear(std::string_view text);
  void welcomed(const harness::server_line& line);
  void granted(harness::server_line& line);
  void pass_on(const harness::server_line& line, std::string_view text);
  void start(slot& one, const std::string& run, const harness::server_line& line);
  void store_file(const harness::server_line& line);
  void lease_over(const harness::server_line& line);
  void end_harness(slot& one, bool clean);

  void on_ready(const harness::held_lease& lease);
  void on_frames(const harness::held_lease& lease, const std::vector<harness::frame>& frames);
  void on_trouble(const harness::held_lease& lease, const std::string& code,
                  const std::string& message);
  void on_exit(const harness::held_lease& lease, const harness::exit_info& info);
  void exited(const harness::held_lease& lease, const harness::exit_info& info);
  void begin_upload(slot& one, const harness::frame& f);
  void store(upload& what) const;
  void uploaded(const upload& what);
  slot* find(const harness::held_lease& lease);
  std::string work_folder(const harness::held_lease& lease) const;

  void on_signal();
  void drain();
  void leave();
  void stop_if_done();
  void finish(int code);

  remote_worker_options options_;
  std::string token_;
  boost::asio::io_context loop_{1};
  boost::asio::signal_set signals_{loop_};
  boost::asio::thread_pool uploads_{2};
  boost::asio::steady_timer again_{loop_}, heartbeat_{loop_}, patience_{loop_};
  std::optional<data_folder_lock> lock_; // What another worker's processes are is not swept here.
  std::unique_ptr<harness::process_host> host_;
  std::shared_ptr<worker_wire> wire_;
  std::size_t server_ = 0, failures_ = 0;
  std::int64_t lease_ms_ = 30'000;
  slots slots_;
  std::size_t processes_ = 0; // That have not ended.
  bool welcome_ = false, draining_ = false, leaving_ = false, served_ = false, finished_ = false;
  std::atomic<bool> uploads_end_ = false;
  int exit_code_ = 0;
};

} // namespace runledger::cli
