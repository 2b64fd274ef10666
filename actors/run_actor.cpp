#include "actors/run_actor.hpp"

#include "actors/entity_shell.hpp"
#include "actors/fork_source.hpp"
#include "actors/history.hpp"
#include "actors/run_beginning.hpp"
#include "actors/run_frames.hpp"
#include "actors/version_recipe.hpp"
#include "events/fail_point.hpp"
#include "events/timeline.hpp"

#include <caf/actor_system.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <filesystem>

namespace runledger {

namespace {

constexpr std::int64_t ask_again_after_ms = 1000; // After the ledger could not write.

run_granted* granted_in(const run_mail& mail) {
  const auto* granted = std::get_if<std::shared_ptr<run_granted>>(&mail.body);
  return granted != nullptr ? granted->get() : nullptr;
}

class run_impl final : public run_actor::base, public entity_shell<run_impl, run_traits, run_mail> {
public:
  using shell = entity_shell<run_impl, run_traits, run_mail>;
  friend shell;

  run_impl(caf::actor_config& cfg, services_ptr s, run_id id, session_id session,
           workspace_id workspace)
      : run_actor::base(cfg),
        shell(std::move(s), stream_of(id)),
        id_(std::move(id)),
        session_(std::move(session)),
        workspace_(std::move(workspace)) {}

  behavior_type make_behavior() override {
    load();
    if (first_) {
      session_ = session_id{first_->event.partition_key};
      workspace_ = first_->event.workspace;
      origin_ = {
          {}, first_->event.correlation_id, first_->event.principal, first_->event.traceparent};
    }
    recover();
    return {[this](run_mail& mail) { receive(std::move(mail)); },
            [this](const append_done& done) { on_append_done(done); },
            [this](leave_atom) { leave(); }, [this](yield_atom) { yield(); }};
  }

  const char* name() const override { return "run"; }
  void on_exit() override {
    launched_.reset();
    held_.clear();
    drop_mail();
  }

private:
  // -- mail in ---------------------------------------------------------------------------------

  void receive(run_mail mail) {
    if (auto* batch = std::get_if<run_frames>(&mail.body)) {
      for (auto& frame : batch->frames) {
        run_mail one;
        one.body = run_frame{batch->attempt, std::move(frame)};
        line_up(std::move(one));
      }
    } else {
      line_up(std::move(mail));
    }
    decide_waiting();
  }

  void line_up(run_mail mail) {
    if (session_.empty()) { // A timer may have woken it before it had an event.
      workspace_ = mail.workspace;
      session_ = mail.session;
    }
    if (const auto* resumed = std::get_if<lease_resumed>(&mail.body))
      resume(*resumed);
    if (auto* frame = std::get_if<run_frame>(&mail.body);
        frame && !importing_ && starts_import(*frame))
      return;
    // Frames take effect in their order: what follows an artifact, the harness's exit too, waits
    // until it is taken over.
    if (importing_
        && (std::holds_alternative<run_frame>(mail.body)
            || std::holds_alternative<attempt_gone>(mail.body))) {
      held_.push_back(std::move(mail));
      return;
    }
    if (std::holds_alternative<artifact_taken>(mail.body))
      importing_ = false;
    queue_mail(std::move(mail));
    while (!importing_ && !held_.empty()) {
      auto next = std::move(held_.front());
      held_.pop_front();
      line_up(std::move(next));
    }
  }

  bool starts_import(const run_frame& frame) {
    if (frame.frame->type != harness::frame_type::artifact || frame.attempt != state_.attempt
        || !launched_)
      return false;
    if (!frame.frame->id.empty() && state_.frames.contains(frame.frame->id))
      return false; // Known: it is acknowledged again, and nothing is read.
    importing_ = true;
    take_artifact_mail mail;
    mail.work_dir = launched_->work_dir;
    mail.uploaded = launched_->remote; // Its worker has stored the content before it speaks of it.
    mail.attempt = frame.attempt;
    mail.frame = frame.frame;
    mail.by = caf::actor_cast<run_actor>(this);
    mail.session = session_;
    mail.workspace = workspace_;
    caf::anon_send(services_->importer, std::move(mail));
    return true;
  }

  // -- decide ----------------------------------------------------------------------------------

  bool decide_mail(run_mail& mail, std::vector<run::event>& facts) {
    mail.decided = {}; // Of a round whose append was refused: nothing of it came to be.
    auto body = command_of(mail);
    complete_origin(mail);
    if (!body)
      return true;
    auto decided =
        run::decide(state_, {services_->clock.now(), services_->ids.random(), std::move(*body)});
    if (!decided)
      return take_refusal(mail, decided.error());
    facts = std::move(decided->facts);
    mail.decided = std::move(*decided);
    return true;
  }

  /// Rule 1: a run's id follows from its session and the command that its first event names as its
  /// cause.
  void complete_origin(run_mail& mail) {
    if (head_.seq == 0) {
      auto* granted = granted_in(mail);
      auto accepting = granted != nullptr && granted->entry.accepting ? granted->entry.accepting
                                                                      : read_accepting();
      if (accepting) {
        mail.origin.causation_id = accepting->event.causation_id;
        origin_ = {{},
                   accepting->event.correlation_id,
                   accepting->event.principal,
                   accepting->event.traceparent};
      }
    } else if (mail.origin.causation_id.empty()) {
      mail.origin.causation_id = stream_.value + ':' + std::to_string(head_.seq);
    }
    if (mail.origin.principal.empty())
      mail.origin.principal = principal_of(mail);
    if (mail.origin.correlation_id.empty())
      mail.origin.correlation_id = origin_.correlation_id;
    if (mail.origin.traceparent.empty())
      mail.origin.traceparent = origin_.traceparent;
  }

  /// Who: the asker of the run, its harness, or the server.
  std::string principal_of(const run_mail& mail) const {
    if (granted_in(mail) != nullptr)
      return origin_.principal;
    if (std::holds_alternative<run_frame>(mail.body)
        || std::holds_alternative<artifact_taken>(mail.body))
      return id_.value;
    return "system";
  }

  record_ptr read_accepting() {
    auto seq = accepted_seq();
    if (seq == 0)
      return nullptr;
    auto records = services_->log.read_stream(stream_of(session_), seq, 1);
    return records && !records->empty() ? records->front() : nullptr;
  }

  std::optional<run::command_body> command_of(run_mail& mail) {
    return std::visit(
        overloaded{
            [&](std::shared_ptr<run_granted>& granted) { return command_of_grant(*granted); },
            [](run_frame& frame) -> std::optional<run::command_body> {
              if (frame.frame->type == harness::frame_type::artifact) // Known by its id.
                return run::frame{frame.attempt, frame.frame->id,
                                  run::note{run::artifact_published{}}};
              auto id = frame.frame->id;
              auto body = body_of(*frame.frame);
              if (!body)
                return std::nullopt;
              return run::frame{frame.attempt, std::move(id), std::move(*body)};
            },
            [](attempt_gone& gone) -> std::optional<run::command_body> {
              return run::end_attempt{gone.attempt, gone.error, gone.counted, gone.final};
            },
            [&](artifact_taken& taken) -> std::optional<run::command_body> {
              return command_of_artifact(taken);
            },
            [&](cancel_run& cancel) -> std::optional<run::command_body> {
              return run::cancel{session_, cancel.turn, cancel.reason};
            },
            [](timer_due&) -> std::optional<run::command_body> { return run::fire_timers{}; },
            [](auto&) -> std::optional<run::command_body> { return std::nullopt; }},
        mail.body);
  }

  std::optional<run::command_body> command_of_grant(run_granted& granted) {
    if (run::terminal(state_.at))
      return run::start{};
    read_input(granted);
    auto problem = granted.problem;
    if (!granted.entry.fact)
      problem = {"ledger_corrupt", "The run's input cannot be read from the ledger."};
    else if (problem.empty())
      problem = resolve_environment(*granted.how, services_->settings, workspace_, environment_);
    if (!problem.empty())
      return run::refuse{session_, granted.entry.turn, std::move(problem)};
    run::start ask;
    ask.session = session_;
    ask.turn = granted.entry.turn;
    ask.agent = granted.entry.agent;
    ask.agent_version = granted.entry.agent_version;
    ask.limits = granted.entry.fact->limits;
    ask.retry = granted.how->retry;
    ask.drain_ms = granted.how->drain_ms;
    ask.worker = granted.worker;
    if (const auto& fork = granted.entry.fact->fork; fork && state_.at == run::phase::absent) {
      auto steps = read_inherited(services_->log, granted.entry.fact->parent_run, *fork);
      if (!steps)
        return run::refuse{
            session_,
            granted.entry.turn,
            {"ledger_corrupt", "The run that this one was forked from: " + steps.error().detail}};
      ask.inherited = std::move(*steps);
    }
    return ask;
  }

  void read_input(run_granted& granted) {
    auto& entry = granted.entry;
    if (entry.fact && entry.accepting)
      return;
    auto records = services_->log.read_stream(stream_of(session_), entry.accepted_seq, 1);
    if (!records || records->empty())
      return;
    auto fact = decode<session::event>(records->front()->event);
    if (!fact || !std::holds_alternative<session::turn_accepted>(*fact))
      return;
    entry.accepting = records->front();
    entry.fact =
        std::make_shared<const session::turn_accepted>(std::get<session::turn_accepted>(*fact));
  }

  std::optional<run::command_body> command_of_artifact(artifact_taken& taken) {
    if (!taken.problem.empty())
      return run::end_attempt{taken.attempt, {"artifact_refused", taken.problem}, true, false};
    run::artifact_published fact;
    // The same file under the same frame id is the same artifact, in whatever attempt.
    fact.artifact =
        artifact_id{"art_" + derive_ulid({"artifact", id_.value, std::to_string(head_.seq + 1)})};
    fact.title = taken.frame->name.empty()
                     ? std::filesystem::path{taken.frame->path}.filename().string()
                     : taken.frame->name;
    fact.media_type =
        taken.frame->media_type.empty() ? "application/octet-stream" : taken.frame->media_type;
    fact.size_bytes = static_cast<std::int64_t>(taken.blob->size);
    fact.content = taken.blob->id;
    return run::frame{taken.attempt, taken.frame->id, run::note{std::move(fact)}};
  }

  /// True: settle it although nothing is decided.
  bool take_refusal(run_mail& mail, const run::refusal& why) {
    if (granted_in(mail) != nullptr) {
      if (why.why == run::rejection::already_ended)
        mail.decided.effects.emplace_back(run::announce_end{});
      else if (state_.at == run::phase::backing_off) // The clock went back since it asked.
        arm_again();
      return true;
    }
    if (why.why == run::rejection::protocol_error && launched_) {
      end_attempt_later({"protocol_error", why.detail});
    }
    return true;
  }

  void end_attempt_later(failure error, attempt_cost cost = attempt_cost::counted) {
    run_mail mail;
    mail.body = attempt_gone{state_.attempt, std::move(error), cost != attempt_cost::none,
                             cost == attempt_cost::final, false};
    caf::anon_send(caf::actor_cast<run_actor>(this), std::move(mail));
  }

  void give_back(const run_granted& granted) {
    caf::anon_send(granted.by, worker_mail{finish_run{id_, granted.grant, true}});
  }

  // -- after the commit ------------------------------------------------------------------------

  void after_commit(const record_ptr& r) {
    if (r->event.seq == 1)
      first_record_ = r;
    if (r->due_ms != armed_)
      arm(r->due_ms);
  }

  void arm(std::optional<std::int64_t> due_ms) {
    armed_ = due_ms;
    bool asked_for_now = due_ms && state_.at == run::phase::backing_off
                         && *due_ms == to_ms(*state_.backoff_due)
                         && *due_ms <= to_ms(services_->clock.now());
    if (!asked_for_now) // Else the effect `requeue` of the same commit asks at once.
      caf::anon_send(services_->timers, arm_timer{stream_, due_ms});
  }

  void arm_again() { caf::anon_send(services_->timers, arm_timer{stream_, run::due_ms(state_)}); }

  void settle(run_mail& mail) {
    if (const auto* gone = std::get_if<attempt_gone>(&mail.body))
      alone_ = alone_ || gone->alone;
    if (const auto* resumed = std::get_if<lease_resumed>(&mail.body))
      say_again(resumed->grant);
    if (const auto* back = std::get_if<worker_returned>(&mail.body))
      say_again(back->grant);
    if (const auto* moved = std::get_if<queue_moved>(&mail.body))
      ask_for_lease(moved->grant);
    for (auto& one : mail.decided.effects)
      std::visit([&](auto& effect) { perform(mail, effect); }, one);
    flush_lines();
    const auto* granted = granted_in(mail);
    if (granted != nullptr && (!launched_ || launched_->grant != granted->grant))
      give_back(*granted);
    rest();
  }

  /// The attempt outlived the server in a remote worker, or its queue moved.
  void resume(const lease_resumed& e) {
    if (launched_ && launched_->remote && launched_->grant == e.grant) {
      launched_->by = e.by;
      return;
    }
    if (state_.at != run::phase::running || state_.attempt != e.attempt || launched_) {
      caf::anon_send(e.by, worker_mail{finish_run{id_, e.grant, false}});
      return;
    }
    launched_ = launch_place{e.by, e.grant, {}, work_dir(), true};
  }

  void ask_for_lease(std::uint64_t grant) {
    if (!launched_ || launched_->grant != grant)
      return;
    const auto queue =
        remote_queue(services_->log, services_->blobs, state_, services_->settings.recipe_defaults);
    if (!queue.empty())
      ask_for_lease_of(queue);
  }
  void ask_for_lease_of(const std::string& queue) {
    queue_message mail;
    mail.body = resume_lease{id_, state_.attempt, caf::actor_cast<run_actor>(this), session_, 0};
    caf::anon_send(services_->directory,
                   to_queue{queue_stream_of(workspace_, queue), std::move(mail)});
  }

  /// What the harness may have missed while its worker was away. It knows a line that it has got.
  void say_again(std::uint64_t grant) {
    if (!launched_ || launched_->grant != grant)
      return;
    say(lines_said_again(id_, state_, services_->clock.now()));
  }

  /// Nothing to do, now or later: the directory may take the actor away.
  void rest() {
    if (idle() && !run::open(state_))
      caf::anon_send(services_->directory, entity_idle{stream_, true});
  }

  void perform(run_mail& mail, const run::launch&) {
    auto& granted = *granted_in(mail);
    launched_ = launch_place{
        granted.by, granted.grant, granted.entry.fact->agent_slug, {}, !granted.queue.empty()};
    begin_run begin;
    begin.run = id_;
    begin.grant = granted.grant;
    begin.session = session_;
    begin.workspace = workspace_;
    begin.attempt = state_.attempt;
    begin.by = caf::actor_cast<run_actor>(this);
    begin.how = granted.how;
    begin.agent = state_.agent;
    begin.agent_version = state_.agent_version;
    begin.environment = std::move(environment_);
    auto problem = prepare_folders(begin, granted);
    launched_->work_dir = begin.work_dir;
    if (!problem.empty())
      return end_attempt_later(std::move(problem));
    auto text = write_run_start(begin, granted);
    if (!text.problem.empty())
      return end_attempt_later(std::move(text.problem), text.cost);
    begin.lines = std::move(text.lines);
    caf::anon_send(granted.by, worker_mail{std::move(begin)});
  }

  failure prepare_folders(begin_run& begin, const run_granted& granted) {
    begin.work_dir = work_dir();
    if (granted.how->pool && !granted.entry.alone)
      begin.pool_dir = services_->folders.of_version(state_.agent, state_.agent_version);
    begin.raw_log = services_->settings.data_dir + "/logs/" + id_.value + ".log";
    folder_user_ =
        begin.pool_dir.empty() ? work_folders::user::own_process : work_folders::user::pool;
    auto made = services_->folders.provide(begin.work_dir, folder_user_);
    return made ? failure{} : failure{"work_folder_unwritable", made.error()};
  }

  /// Nothing: the run has no beginning that its harness could get.
  begun_text write_run_start(const begin_run& begin, const run_granted& granted) {
    run_beginning what{state_, granted, first_record_, id_, session_, begin.work_dir, {}};
    if (!granted.queue.empty())
      what.remote = lease();
    return write_beginning(services_->log, services_->blobs, what);
  }

  void perform(run_mail&, const run::go& e) {
    say(harness::step_go_line(id_.value, e.key, static_cast<std::uint32_t>(e.attempt)));
    ++step_answers_;
  }
  void perform(run_mail&, const run::give_cached& e) {
    auto known = outcome_of(e.key, e.output, {}, e.source);
    if (!known || !launched_)
      return;
    std::vector<harness::blob_descriptor> files;
    auto output =
        as_frame_member(known->output, services_->blobs, launched_->work_dir, "/output", files);
    if (!output)
      return end_attempt_later(output.error(), cost_of(output.error()));
    if (launched_->remote) {
      auto carried = file_lines(lease(), launched_->work_dir, files);
      if (!carried)
        return end_attempt_later(carried.error());
      say(*carried);
    }
    say(harness::step_cached_line(id_.value, e.key,
                                  output->empty() && files.empty() ? "null" : *output, files));
    ++step_answers_;
  }
  void perform(run_mail&, const run::give_up& e) {
    auto known = outcome_of(e.key, {}, e.error, e.source);
    if (known)
      say(harness::step_give_up_line(id_.value, e.key, error_json(known->error)));
  }
  /// A step's outcome, if it is another run's from there. Nothing: it cannot be read, and the
  /// attempt ends.
  std::optional<inherited_outcome> outcome_of(const std::string& key, const payload& output,
                                              const failure& error,
                                              const std::optional<run::outcome_source>& source) {
    if (!source)
      return inherited_outcome{output, error};
    auto read = read_outcome(services_->log, key, *source);
    if (read)
      return std::move(*read);
    end_attempt_later({"ledger_corrupt", read.error().detail});
    return std::nullopt;
  }
  void perform(run_mail&, const run::acknowledge& e) { say(harness::ack_line(id_.value, e.id)); }
  void perform(run_mail&, const run::drain& e) { say(harness::cancel_line(id_.value, e.drain_ms)); }
  void perform(run_mail&, const run::stop& e) { let_go(e.clean); }
  void perform(run_mail&, const run::announce_end&) {
    if (!launched_ || launched_->remote) // It may wait for a place that it does not need any more.
      caf::anon_send(services_->dispatcher, forget_run{id_});
    let_go(true);
    session_mail mail;
    mail.origin.causation_id = stream_.value + ':' + std::to_string(head_.seq);
    mail.origin.principal = "system";
    mail.workspace = workspace_;
    mail.body = session::end_turn{id_, std::string{run::to_string(state_.at)}};
    mail.at_end = std::make_shared<const run::state>(state_);
    caf::anon_send(services_->directory, to_session{session_, std::move(mail)});
    remove_work_folder();
  }
  void perform(run_mail&, const run::requeue&) {
    if (state_.at != run::phase::backing_off
        || to_ms(*state_.backoff_due) > to_ms(services_->clock.now()))
      return arm_again(); // The timer will ask again.
    dispatch_entry entry;
    entry.run = id_;
    entry.session = session_;
    entry.workspace = workspace_;
    entry.turn = state_.turn;
    entry.agent = state_.agent;
    entry.agent_version = state_.agent_version;
    entry.alone = alone_;
    entry.again = true;
    entry.attempt = state_.attempt + 1;
    entry.accepted_seq = accepted_seq();
    caf::anon_send(services_->dispatcher, std::move(entry));
  }

  /// Where the session accepted this run.
  std::uint64_t accepted_seq() {
    if (accepted_seq_ == 0)
      if (auto s = fold_stream<session_traits>(services_->log, stream_of(session_)))
        if (const auto* turn = session::find(s->state, id_))
          accepted_seq_ = turn->seq;
    return accepted_seq_;
  }

  void say(std::string line) { lines_ += line; }

  void flush_lines() {
    if (!lines_.empty() && launched_)
      caf::anon_send(launched_->by,
                     worker_mail{write_lines{id_, std::move(lines_), step_answers_}});
    lines_.clear();
    step_answers_ = 0;
  }

  void let_go(bool clean) {
    flush_lines();
    if (launched_)
      caf::anon_send(launched_->by, worker_mail{finish_run{id_, launched_->grant, clean}});
    launched_.reset();
    held_.clear();
    importing_ = false;
  }

  void remove_work_folder() {
    if (state_.agent.empty())
      return;
    services_->folders.give_back(work_dir(), folder_user_);
  }

  harness::held_lease lease() const {
    return {id_.value, static_cast<std::int64_t>(launched_->grant)};
  }

  std::string work_dir() const {
    return services_->folders.of_run(state_.agent, state_.agent_version, id_);
  }

  void refuse(run_mail& mail, errc why, const read_error* damage) {
    if (const auto* granted = granted_in(mail))
      give_back(*granted);
    if (why == errc::not_owner)
      hand_on();
    if (launched_) { // The harness waits for an answer that will not come: a later attempt goes on.
      caf::anon_send(launched_->by, worker_mail{finish_run{id_, launched_->grant, false}});
      launched_.reset();
    }
    if (damage != nullptr)
      return;
    // What a run was asked to do and has not written, only its session can ask again. (Whether
    // something is written is not known after an unknown outcome.)
    caf::anon_send(services_->timers, arm_timer{stream_of(session_), to_ms(services_->clock.now())
                                                                         + ask_again_after_ms});
    break_off();
  }

  // -- life ------------------------------------------------------------------------------------

  void recover() {
    if (auto due = run::due_ms(state_))
      arm(due);
    if (state_.at == run::phase::running) {
      if (auto queue = remote_queue(services_->log, services_->blobs, state_,
                                    services_->settings.recipe_defaults);
          !queue.empty())
        return ask_for_lease_of(queue);
      run_mail mail;
      mail.origin.principal = "system";
      mail.body = attempt_gone{state_.attempt,
                               {"server_restarted", "The server ended during the attempt."},
                               false,
                               false,
                               false};
      take(std::move(mail));
      return;
    }
    if (state_.at == run::phase::absent)
      return;
    run_mail none;
    for (auto& one : run::recover(state_))
      std::visit([&](auto& effect) { perform(none, effect); }, one);
    rest();
  }

  /// What runs is cut off. The next holder of the partition finds the attempt under way and lost,
  /// which costs the run nothing. In a remote worker it goes on, and the next holder with it.
  bool vacate() {
    hand_on();
    let_go(false);
    return true;
  }

  void hand_on() {
    if (!launched_ || !launched_->remote)
      return;
    caf::anon_send(launched_->by, worker_mail{finish_run{id_, launched_->grant, false, true,
                                                         caf::actor_cast<run_actor>(this)}});
    launched_.reset();
  }

  void leave() {
    if (broken_)
      return quit();
    bool stays = !idle() || run::open(state_);
    caf::anon_send(services_->directory, entity_left{stream_, stays});
    if (!stays)
      quit();
  }

  const workspace_id& workspace_of(const run_mail&) const { return workspace_; }
  const std::string& partition_key_of(const run_mail&) const { return session_.value; }
  const event_origin& origin_of(const run_mail& mail) const { return mail.origin; }

  /// The attempt's harness.
  struct launch_place {
    worker_actor by;
    std::uint64_t grant = 0;
    std::string slug, work_dir;
    bool remote = false; ///< `by` is a queue, and `grant` the lease's epoch.
  };

  run_id id_;
  session_id session_;
  workspace_id workspace_;
  std::optional<launch_place> launched_;
  std::vector<std::pair<std::string, std::string>>
      environment_;              // Between the grant and the launch.
  event_origin origin_;          // Of the request that asked for the run, for what follows from it.
  std::string lines_;            // To the harness, until the round ends.
  std::size_t step_answers_ = 0; // Among them.
  std::deque<run_mail> held_;
  record_ptr first_record_;
  std::optional<std::int64_t> armed_;
  std::uint64_t accepted_seq_ = 0;
  /// Of the last attempt here: only what no other process has used goes from run to run.
  work_folders::user folder_user_ = work_folders::user::own_process;
  bool importing_ = false;
  bool alone_ = false;
};

} // namespace

run_actor spawn_run(caf::actor_system& sys, services_ptr s, run_id id, session_id session,
                    workspace_id workspace) {
  return sys.spawn<run_impl>(std::move(s), std::move(id), std::move(session), std::move(workspace));
}

} // namespace runledger
