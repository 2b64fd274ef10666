#include "actors/worker_actor.hpp"

#include "actors/entity_shell.hpp"

#include <caf/actor_system.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <map>

namespace runledger {

namespace {

constexpr std::int64_t exit_grace_ms = 5000; // For a harness that has said its last word.
constexpr std::int64_t cut_off_grace_ms = 2000;

/// Carries what one process does to its worker's mailbox.
class worker_sink final : public harness::process_sink {
public:
  worker_sink(worker_actor to, std::uint64_t process) : to_(std::move(to)), process_(process) {}
  void on_started(const std::vector<std::string>& layers) override {
    send(process_started{process_, layers});
  }
  void on_ready(int max_runs) override { send(process_ready{process_, max_runs}); }
  void on_frame(harness::frame&& f) override {
    send(process_frames{process_, {std::make_shared<harness::frame>(std::move(f))}});
  }
  void on_frames(std::vector<harness::frame>&& batch) override {
    process_frames all{process_, {}};
    all.frames.reserve(batch.size());
    for (auto& f : batch)
      all.frames.push_back(std::make_shared<harness::frame>(std::move(f)));
    send(std::move(all));
  }
  void on_protocol_error(const harness::protocol_error& error) override {
    send(process_broke_protocol{process_, error.text()});
  }
  void on_flood(const std::string& run, const harness::protocol_error& error) override {
    send(process_flooded{process_, run, error.text()});
  }
  void on_heartbeat_lost(const std::string& run) override { send(process_silent{process_, run}); }
  void on_exit(const harness::exit_info& info) override { send(process_gone{process_, info}); }

private:
  template <class Body>
  void send(Body body) {
    caf::anon_send(to_, worker_mail{std::move(body)});
  }
  worker_actor to_;
  std::uint64_t process_;
};

/// A report for the worker's stream.
struct worker_report {
  std::variant<worker::process_started, worker::process_ended> body;
};

class worker_impl final : public worker_actor::base,
                          public entity_shell<worker_impl, worker_traits, worker_report> {
public:
  using shell = entity_shell<worker_impl, worker_traits, worker_report>;
  friend shell;

  worker_impl(caf::actor_config& cfg, services_ptr s, worker_id id, std::size_t slot)
      : worker_actor::base(cfg), shell(std::move(s), stream_of(id)), slot_(slot) {}

  behavior_type make_behavior() override {
    load();
    return {[this](worker_mail& mail) { std::visit([&](auto& body) { on(body); }, mail.body); },
            [this](const append_done& done) { on_append_done(done); },
            [this](tick_atom, std::uint64_t process) { grace_is_over(process); }};
  }

  const char* name() const override { return "worker"; }
  void on_exit() override {
    runs_.clear();
    drop_mail();
  }

private:
  struct open_run {
    run_actor by;
    std::uint64_t grant = 0;
    std::int64_t attempt = 0;
    std::int64_t heartbeat_ms = 0;
    std::string raw_log;
    std::string lines;    // Waiting for `ready`.
    bool cut_off = false; // Later frames are dropped.
    bool heard = false;   // It has said something in this process.
  };

  // -- from runs and the dispatcher ------------------------------------------------------------

  void on(begin_run& ask) {
    if (process_ == harness::process_handle::none)
      start_process(ask);
    else if (!may_join(ask))
      return turn_away(ask);
    auto& run = runs_[ask.run.value];
    run = {};
    run.by = ask.by;
    run.grant = ask.grant;
    run.attempt = ask.attempt;
    run.heartbeat_ms = ask.how->heartbeat_ms;
    run.raw_log = ask.raw_log;
    if (ready_ || !pooled_) // A single run hears of stderr before `ready` too.
      services_->harness.open_run(process_, ask.run.value, run.heartbeat_ms, run.raw_log);
    if (ready_) {
      services_->harness.write(process_, std::move(ask.lines));
    } else {
      run.lines = std::move(ask.lines);
    }
  }

  /// Only a warm process of the same agent version that is not ending takes a further run.
  bool may_join(const begin_run& ask) const {
    return pooled_ && !ask.pool_dir.empty() && !ended_by_us_ && !tainted_ && agent_ == ask.agent
           && agent_version_ == ask.agent_version;
  }

  /// The process began to end while the run was on its way here: that costs the run nothing.
  void turn_away(const begin_run& ask) {
    run_mail mail;
    mail.body = attempt_gone{
        ask.attempt, {"slot_taken", "The process of the slot was ending."}, false, false, false};
    caf::anon_send(ask.by, std::move(mail));
    caf::anon_send(services_->dispatcher, slot_tainted{slot_});
    release(ask.run, ask.grant);
  }

  void start_process(begin_run& ask) {
    ++process_number_;
    pooled_ = !ask.pool_dir.empty();
    ready_ = ended_by_us_ = tainted_ = false;
    agent_ = ask.agent;
    agent_version_ = ask.agent_version;
    harness::process_spec spec;
    spec.command = ask.how->command;
    spec.files = ask.how->files;
    for (const auto& m : ask.how->mounts)
      spec.mounts.push_back({m.source, m.target, m.mode == "rw"});
    spec.mount_roots = services_->settings.sandbox_mount_roots;
    spec.network = ask.how->network;
    spec.sandbox = sandbox_of(*ask.how);
    spec.resources.memory_mb = static_cast<std::uint64_t>(ask.how->resources.memory_mb);
    spec.resources.processes = static_cast<std::uint32_t>(ask.how->resources.processes);
    spec.resources.disk_mb = static_cast<std::uint64_t>(ask.how->resources.disk_mb);
    if (ask.how->resources.cpu_seconds)
      spec.resources.cpu_seconds = static_cast<std::uint64_t>(*ask.how->resources.cpu_seconds);
    spec.environment = std::move(ask.environment);
    spec.work_dir = pooled_ ? ask.pool_dir : ask.work_dir;
    if (!pooled_) {
      spec.run = ask.run.value;
      spec.session = ask.session.value;
      spec.attempt = static_cast<std::uint32_t>(ask.attempt);
    }
    run_alone_ = pooled_ ? run_id{} : ask.run;
    runs_allowed_ = pooled_ ? ask.how->pool->max_runs_per_process : 1;
    auto self = caf::actor_cast<worker_actor>(this);
    process_ = services_->harness.start(std::move(spec),
                                        std::make_shared<worker_sink>(self, process_number_));
    services_->counters.live_processes.fetch_add(1, std::memory_order_relaxed);
    services_->harness.write(process_, harness::hello_line("runledger"));
  }

  static harness::sandbox_mode sandbox_of(const recipe& how) {
    if (how.sandbox == "none")
      return harness::sandbox_mode::none;
    return how.sandbox == "best_effort" ? harness::sandbox_mode::best_effort
                                        : harness::sandbox_mode::required;
  }

  void on(write_lines& ask) {
    auto found = runs_.find(ask.run.value);
    if (found == runs_.end())
      return;
    if (ready_)
      services_->harness.write(process_, {std::move(ask.lines), ask.run.value, ask.step_answers});
    else
      found->second.lines += ask.lines;
  }

  /// The run needs this slot no more.
  void on(finish_run& ask) {
    auto found = runs_.find(ask.run.value);
    if (found != runs_.end() && found->second.grant == ask.grant) {
      if (!ask.clean)
        cut_off(ask.run.value);
      services_->harness.close_run(process_, ask.run.value);
      runs_.erase(found);
      end_process_if_done(ask.clean);
    }
    release(ask.run, ask.grant);
  }

  /// A run that did not drain shares its process with others perhaps: they go on, but no new one
  /// joins.
  void cut_off(const std::string& run) {
    services_->harness.write(process_, harness::cancel_line(run, 0));
    if (pooled_ && !tainted_) {
      tainted_ = true;
      caf::anon_send(services_->dispatcher, slot_tainted{slot_});
    }
  }

  void end_process_if_done(bool clean) {
    if (process_ == harness::process_handle::none || !runs_.empty()
        || (pooled_ && !tainted_ && !retiring_))
      return;
    end_process(clean ? exit_grace_ms : cut_off_grace_ms, clean);
  }

  /// A harness that is done leaves by itself; one that was cut off gets SIGTERM at once.
  void end_process(std::int64_t grace_ms, bool by_itself) {
    if (ended_by_us_)
      return;
    ended_by_us_ = true;
    services_->harness.write(process_, harness::shutdown_line(grace_ms));
    if (by_itself)
      delayed_send(this, std::chrono::milliseconds{grace_ms}, tick_atom_v, process_number_);
    else
      services_->harness.terminate(process_, grace_ms);
  }

  void grace_is_over(std::uint64_t process) {
    if (process == process_number_ && process_ != harness::process_handle::none)
      services_->harness.terminate(process_, cut_off_grace_ms);
  }

  void on(retire& ask) {
    if (process_ == harness::process_handle::none) {
      caf::anon_send(services_->dispatcher, slot_empty{slot_});
      return;
    }
    if (ask.if_unused)
      return;
    retiring_ = true;
    if (ask.server_ends) {
      server_ends_ = ended_by_us_ = true;
      services_->harness.write(process_, harness::shutdown_line(ask.drain_ms));
      delayed_send(this, std::chrono::milliseconds{ask.drain_ms}, tick_atom_v, process_number_);
    } else {
      end_process_if_done(true);
    }
  }

  void release(const run_id& run, std::uint64_t grant) {
    caf::anon_send(services_->dispatcher, slot_released{slot_, run, grant});
  }

  // -- from the process ------------------------------------------------------------------------

  void on(process_started& e) {
    if (e.process != process_number_)
      return;
    started_ = true;
    take(worker_report{
        worker::process_started{agent_, agent_version_, runs_allowed_, run_alone_, e.layers}});
  }

  void on(process_ready& e) {
    if (e.process != process_number_)
      return;
    ready_ = true;
    for (auto& [id, run] : runs_) {
      if (pooled_)
        services_->harness.open_run(process_, id, run.heartbeat_ms, run.raw_log);
      services_->harness.write(process_, std::exchange(run.lines, {}));
    }
    if (pooled_)
      caf::anon_send(services_->dispatcher, slot_ready{slot_, e.max_runs});
  }

  void on(process_frames& e) {
    if (e.process != process_number_)
      return;
    std::map<std::string_view, std::vector<frame_ptr>> by_run; // The frames own the names.
    for (auto& frame : e.frames)
      by_run[frame->run].push_back(std::move(frame));
    for (auto& [id, frames] : by_run) {
      auto found = runs_.find(id);
      if (found == runs_.end() || found->second.cut_off)
        continue; // Of a run that is over here.
      found->second.heard = true;
      run_mail mail;
      mail.body = run_frames{found->second.attempt, std::move(frames)};
      caf::anon_send(found->second.by, std::move(mail));
    }
  }

  void on(process_broke_protocol& e) {
    if (e.process == process_number_)
      fail_runs({"protocol_error", e.text});
  }

  void on(process_silent& e) {
    auto found = runs_.find(e.run);
    if (e.process != process_number_ || found == runs_.end())
      return;
    tell_gone(found->second,
              {"heartbeat_lost", "The harness was silent for longer than its heartbeat allows."},
              true, false, false);
  }

  /// It is known who did it, so the others go on; the next attempt has a process of its own.
  void on(process_flooded& e) {
    auto found = runs_.find(e.run);
    if (e.process == process_number_ && found != runs_.end())
      tell_gone(found->second, {"protocol_error", e.text}, true, false, true);
  }

  void on(process_gone& e) {
    if (e.process != process_number_)
      return;
    fail_runs(failure_of(e.info));
    for (const auto& [id, run] : std::exchange(runs_, {}))
      release(run_id{id}, run.grant);
    if (started_ || state_.busy)
      take(worker_report{worker::process_ended{e.info.reason, e.info.code, e.info.signal}});
    process_ = harness::process_handle::none;
    services_->counters.live_processes.fetch_sub(1, std::memory_order_relaxed);
    started_ = ready_ = retiring_ = false;
    caf::anon_send(services_->dispatcher, slot_empty{slot_});
  }

  static failure failure_of(const harness::exit_info& info) {
    if (info.reason == "exited" && info.code == 0)
      return {"no_result", "The harness exited without a result."};
    return {info.reason == "exited" ? "harness_exited" : info.reason, info.message};
  }

  /// Tells every run of this process that its attempt is over. Where several share it none loses an
  /// attempt, because nobody knows which of them was the cause; each is tried next in a process of
  /// its own.
  void fail_runs(const failure& error) {
    bool shared = pooled_ && runs_.size() > 1;
    bool final = error.code == "sandbox_unavailable" || error.code == "sandbox_refused";
    for (auto& [id, run] : runs_) {
      // A warm process may end just as a run is given to it: that is not the run's doing.
      bool innocent = shared || (pooled_ && !run.heard);
      tell_gone(run, error, !innocent && !server_ends_, final, innocent);
    }
  }

  static void tell_gone(open_run& run, const failure& error, bool counted, bool final, bool alone) {
    if (std::exchange(run.cut_off, true))
      return; // Told already.
    run_mail mail;
    mail.body = attempt_gone{run.attempt, error, counted, final, alone};
    caf::anon_send(run.by, std::move(mail));
  }

  // -- the worker's own stream -----------------------------------------------------------------

  bool decide_mail(worker_report& report, std::vector<worker::event>& facts) {
    worker::command asked{services_->settings.node, static_cast<std::int64_t>(slot_), report.body};
    facts = std::move(worker::decide(state_, asked)->facts);
    return true;
  }
  void after_commit(const record_ptr&) {}
  void break_off() { load(); }   // What runs in the slot goes on.
  bool vacate() { return true; } // Never asked: it belongs to this server, not to a partition.
  void settle(worker_report&) {}
  void refuse(worker_report& report, errc code, const read_error*) {
    if (code == errc::not_owner && services_->others != nullptr)
      report_elsewhere(report);
  }
  /// The worker's stream is held by another process.
  void report_elsewhere(const worker_report& report) {
    auto home = services_->partitions.home_of(stream_, stream_.value);
    if (!home)
      return;
    carry_command ask;
    ask.partition = *home;
    ask.what.stream = stream_;
    ask.what.workspace.value = system_workspace;
    ask.what.origin.principal = system_workspace;
    ask.what.origin.causation_id =
        stream_.value + ':' + services_->ids.ulid(services_->clock.now());
    ask.what.node = services_->settings.node;
    ask.what.slot = static_cast<std::int64_t>(slot_);
    ask.what.fact =
        std::visit([](const auto& fact) { return encode(worker::event{fact}); }, report.body);
    caf::anon_send(services_->courier, std::move(ask));
  }
  workspace_id workspace_of(const worker_report&) const { return workspace_id{"system"}; }
  const std::string& partition_key_of(const worker_report&) const { return stream_.value; }
  const event_origin& origin_of(const worker_report&) const {
    static const event_origin origin{{}, {}, "system", {}};
    return origin;
  }

  std::size_t slot_;
  std::map<std::string, open_run, std::less<>> runs_;
  harness::process_handle process_ = harness::process_handle::none;
  std::uint64_t process_number_ = 0;
  agent_id agent_;
  std::int64_t agent_version_ = 0;
  run_id run_alone_;
  std::int64_t runs_allowed_ = 1;
  bool pooled_ = false, started_ = false, ready_ = false, retiring_ = false, tainted_ = false,
       ended_by_us_ = false;
  bool server_ends_ = false;
};

} // namespace

worker_actor spawn_worker(caf::actor_system& sys, services_ptr s, worker_id id, std::size_t slot) {
  return sys.spawn<worker_impl>(std::move(s), std::move(id), slot);
}

} // namespace runledger
