#pragma once

#include "actors/system.hpp"
#include "tests/sim/log_port.hpp"
#include "tests/sim/oracle.hpp"
#include "tests/sim/scripted_host.hpp"
#include "tests/support/temp_folder.hpp"

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/scheduler/test_coordinator.hpp>

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace runledger::sim {

/// What happened, for people (the last lines; with TEST_TRACE=1 in the environment all of them on
/// stderr) and for comparing two runs (the hash of all).
class trace {
public:
  void note(std::string line);
  std::uint64_t hash() const { return hash_; }
  std::string tail() const;

private:
  static constexpr std::size_t kept_max = 40;
  std::deque<std::string> kept_;
  std::uint64_t hash_ = 14'695'981'039'346'656'037ULL;
  std::uint64_t lines_ = 0;
};

/// A command on its way from one server to another.
struct letter {
  std::size_t from = 0; ///< Number of the server.
  std::uint32_t partition = 0;
  peer_command what;
  answer<peer_done> to;
};
/// What becomes of one.
enum class journey : std::uint8_t {
  arrives,
  lost,        ///< On the way there.
  answer_lost, ///< It is carried out, and the sender hears nothing certain.
  doubled,     ///< It arrives, and once more at any later time.
};

/// One server's way to the others. All read the same ledger, so nothing here is ever old.
class road final : public peers {
public:
  road(std::vector<letter>& letters, std::size_t from) : letters_(letters), from_(from) {}
  void send(std::uint32_t partition, peer_command what, answer<peer_done> to) override {
    letters_.push_back({from_, partition, std::move(what), std::move(to)});
  }
  void when_current(std::function<void(bool)> then) override { then(true); }

private:
  std::vector<letter>& letters_;
  std::size_t from_;
};

/// One server: the production actors with a ledger connection and harnesses of their own.
struct server {
  server(memory_log& disk, outside& world, const wall_clock& clock, std::uint64_t seed,
         std::int64_t rude_percent)
      : ids(test::mix(seed, 1)), port(disk), host(world, clock, test::mix(seed, 2), rude_percent) {}
  std::size_t number = 0;
  test::seeded_ids ids;
  log_port port;
  scripted_host host;
  std::unique_ptr<road> others; ///< Only in a world of several.
  services_ptr actors;
  directory_actor directory;
  bool alive = true;
};

/// A request, as a client of this server sends it; the answer comes from within a later step.
template <class Request, class Answer>
void ask(const server& to, Request request, answer<Answer> reply) {
  caf::anon_send(to.directory, directory_request{std::pair{std::move(request), std::move(reply)}});
}

/// One ledger, the servers that come and go over it, and the time, moved by hand. Nothing happens
/// unless one of the functions is called. One thread.
class world {
public:
  explicit world(std::uint64_t seed, const std::vector<topic_size>& topics = {topic_size{}});
  ~world();
  world(const world&) = delete;
  world& operator=(const world&) = delete;

  /// Settings for the servers that start from now on.
  engine_settings settings;
  std::int64_t rude_percent = 0;
  /// The way of the server with this number to queues of others; empty: there is none.
  std::function<queue_lines*(std::size_t number)> lines_of;
  /// One small step of what is neither server nor harness; false: nothing to do. May be empty.
  std::function<bool()> outside_step;
  bool several = false; ///< Servers that start from now on speak to each other.

  test::manual_clock clock;
  std::vector<letter> letters; ///< Between servers.
  memory_log disk;
  std::vector<std::uint32_t> lost; ///< Partitions, as servers heard of it.
  test::memory_blob_store blobs;
  outside out;
  oracle judge{disk};
  trace story;

  /// Starts a server and its recovery. It takes settings.partitions, by default all of them;
  /// earlier servers that are alive become zombies there.
  server& start();
  /// The server is asked to take or release partitions; `done` may be empty.
  void take(server& which, std::vector<std::uint32_t> partitions, std::function<void()> done = {});
  void release(server& which, std::vector<std::uint32_t> partitions,
               std::function<void()> done = {});
  /// Somebody else claims the partition, and does nothing with it.
  void claim_elsewhere(std::uint32_t partition);
  /// The server dies at once. Gives the appends that it had under way.
  std::vector<std::vector<append_request>> crash(server& which);
  std::vector<std::unique_ptr<server>>& servers() { return servers_; }
  /// The newest server.
  server& current() { return *servers_.back(); }

  /// Of the letter at `place`. `who` chooses among servers that hold its partition, or believe so.
  void deliver(std::size_t place, journey how, std::size_t who = 0);

  std::size_t jobs() const { return coordinator_->jobs.size(); }
  /// Handles one message of the actor at `place` of those that can run.
  void run_job(std::size_t place = 0);
  void run_jobs();
  /// Both clocks go on; what is due becomes runnable.
  void advance(std::chrono::milliseconds by);
  /// Actors, harnesses and the ledger go on in a fixed order until only time can change anything.
  /// False: there was no end.
  bool settle();
  bool timers_pending() const { return coordinator_->has_pending_timeout(); }

  /// Ends all servers; nothing may be left of them.
  void shut_down();

private:
  std::uint64_t seed_;
  test::temp_folder folder_; // What an earlier world left must not decide anything here.
  caf::actor_system_config config_;
  std::unique_ptr<caf::actor_system> system_;
  caf::scheduler::test_coordinator* coordinator_ = nullptr;
  std::vector<std::unique_ptr<server>> servers_;
};

} // namespace runledger::sim
