#include "actors/engine.hpp"

#include "actors/partition_taker.hpp"
#include "actors/remote_queue.hpp"
#include "actors/request_home.hpp"
#include "actors/system.hpp"

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/send.hpp>
#include <spdlog/spdlog.h>

#include <chrono>
#include <future>

namespace runledger {

struct engine::implementation {
  caf::actor_system_config config;
  system_id_source ids;
  std::unique_ptr<caf::actor_system> system;
  services_ptr actors;
  directory_actor directory; // Of its own: requests may come while the rest is being stopped.

  template <class Request, class Answer>
  void ask(Request request, answer<Answer> to) {
    caf::anon_send(directory, directory_request{std::pair{std::move(request), std::move(to)}});
  }

  template <class Request>
  std::optional<std::uint32_t> home_of(const Request& request) const {
    auto stream = deciding_stream(request, [this](const std::string& agent, const workspace_id& w) {
      return find_agent(actors->log, agent, w);
    });
    return stream.empty() ? std::nullopt : actors->partitions.home_of(stream, stream.value);
  }
};

engine::engine(engine_settings settings, engine_parts parts)
    : self_(std::make_unique<implementation>()) {
  configure(self_->config, settings.scheduler_threads);
  self_->system = std::make_unique<caf::actor_system>(self_->config);
  self_->actors = start_actors(*self_->system, std::move(settings), parts, self_->ids,
                               [](std::string_view line) { spdlog::warn("{}", line); });
  self_->directory = self_->actors->directory;
  start_recovery(*self_->system, self_->actors);
}

engine::~engine() {
  if (self_->actors)
    stop_actors(self_->actors);
  self_->directory = nullptr;
  self_->system.reset(); // Waits for the actors.
}

void engine::start_run(start_run_request request, answer<accepted_run> to) {
  self_->ask(std::move(request), std::move(to));
}
void engine::fork_run(fork_run_request request, answer<accepted_run> to) {
  self_->ask(std::move(request), std::move(to));
}
void engine::post_message(post_message_request request, answer<accepted_run> to) {
  self_->ask(std::move(request), std::move(to));
}
void engine::cancel_session(cancel_session_request request, answer<session_answer> to) {
  self_->ask(std::move(request), std::move(to));
}
void engine::create_agent(create_agent_request request, answer<agent_answer> to) {
  self_->ask(std::move(request), std::move(to));
}
void engine::change_version(change_version_request request, answer<agent_answer> to) {
  self_->ask(std::move(request), std::move(to));
}
void engine::create_key(create_key_request request, answer<key_answer> to) {
  self_->ask(std::move(request), std::move(to));
}
void engine::revoke_key(revoke_key_request request, answer<key_answer> to) {
  self_->ask(std::move(request), std::move(to));
}
void engine::create_workspace(create_workspace_request request, answer<workspace_answer> to) {
  self_->ask(std::move(request), std::move(to));
}

void engine::record_refusal(record_refusal_request request, answer<refusal_recorded> to) {
  self_->ask(std::move(request), std::move(to));
}

void engine::attach_worker(attach_worker_request request, answer<attached_worker> to) {
  self_->ask(std::move(request), std::move(to));
}

line_listener engine::accept_line(const stream_id& queue, std::shared_ptr<queue_line> to) {
  return take_line(*self_->system, self_->actors, queue, std::move(to));
}

void engine::carry_out(peer_command command, answer<peer_done> to) {
  self_->ask(std::move(command), std::move(to));
}

// -- partitions --------------------------------------------------------------------------------

void engine::take(std::vector<std::uint32_t> partitions,
                  std::function<void(std::vector<take_failure>)> done) {
  caf::anon_send(self_->directory, take_partitions{std::move(partitions), std::move(done)});
}
void engine::release(std::vector<std::uint32_t> partitions, std::function<void()> done) {
  caf::anon_send(self_->directory,
                 release_partitions{std::move(partitions), after_the_last(std::move(done))});
}
void engine::look_for_claims() {
  caf::anon_send(self_->directory,
                 go_on_with{[s = self_->actors] { runledger::look_for_claims(s); }});
}
bool engine::holds(std::uint32_t partition) const {
  return self_->actors->partitions.holds(partition);
}
std::vector<std::uint32_t> engine::held() const {
  return self_->actors->partitions.held();
}

std::optional<std::uint32_t> engine::partition_of(const start_run_request& request) const {
  return self_->home_of(request);
}
std::optional<std::uint32_t> engine::partition_of(const fork_run_request& request) const {
  return self_->home_of(request);
}
std::optional<std::uint32_t> engine::partition_of(const post_message_request& request) const {
  return self_->home_of(request);
}
std::optional<std::uint32_t> engine::partition_of(const cancel_session_request& request) const {
  return self_->home_of(request);
}
std::optional<std::uint32_t> engine::partition_of(const create_agent_request& request) const {
  return self_->home_of(request);
}
std::optional<std::uint32_t> engine::partition_of(const change_version_request& request) const {
  return self_->home_of(request);
}
std::optional<std::uint32_t> engine::partition_of(const create_key_request& request) const {
  return self_->home_of(request);
}
std::optional<std::uint32_t> engine::partition_of(const revoke_key_request& request) const {
  return self_->home_of(request);
}
std::optional<std::uint32_t> engine::partition_of(const create_workspace_request& request) const {
  return self_->home_of(request);
}
std::optional<std::uint32_t> engine::partition_of(const record_refusal_request& request) const {
  return self_->home_of(request);
}

engine_stats engine::stats() const {
  const auto& c = self_->actors->counters;
  engine_stats out;
  out.appended_events = c.appended_events.load(std::memory_order_relaxed);
  out.append_groups = c.append_groups.load(std::memory_order_relaxed);
  out.rejected_appends = c.rejected_appends.load(std::memory_order_relaxed);
  out.live_actors = c.live_actors.load(std::memory_order_relaxed);
  out.waiting_runs = c.waiting_runs.load(std::memory_order_relaxed);
  out.queued_runs = c.queued_runs.load(std::memory_order_relaxed);
  out.running_runs = c.running_runs.load(std::memory_order_relaxed);
  out.live_processes = c.live_processes.load(std::memory_order_relaxed);
  out.recovered_streams = c.recovered_streams.load(std::memory_order_relaxed);
  return out;
}

bool engine::recovered() const {
  return self_->actors->counters.recovered.load();
}

void engine::drain() {
  auto over = std::make_shared<std::promise<void>>();
  auto drained = over->get_future();
  caf::anon_send(self_->actors->directory, drain_atom_v);
  caf::anon_send(self_->actors->dispatcher, drain_slots{std::move(over)});
  drained.wait_for(std::chrono::milliseconds{self_->actors->settings.drain_ms});
}

} // namespace runledger
