#include "actors/queue_line_messages.hpp"
#include "actors/remote_queue.hpp"

#include <caf/actor_system.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <map>

namespace runledger {

namespace {

class line_end_impl final : public line_end_actor::base {
public:
  line_end_impl(caf::actor_config& cfg, services_ptr s, stream_id queue,
                std::shared_ptr<queue_line> line)
      : line_end_actor::base(cfg),
        services_(std::move(s)),
        queue_(std::move(queue)),
        line_(std::move(line)) {}

  behavior_type make_behavior() override {
    caf::anon_send(services_->directory,
                   line_end_here{caf::actor_cast<line_end_actor>(this), true});
    return {[this](run_mail& mail) {
              std::visit([&](auto& body) { from_queue(mail.run, body); }, mail.body);
            },
            [](const append_done&) {}, [this](leave_atom) { line_->close(); }, [](yield_atom) {},
            [this](line_event& e) { std::visit([&](auto& what) { on_line(what); }, e.what); }};
  }

  const char* name() const override { return "line"; }
  void on_exit() override {
    if (line_)
      line_->close();
    line_.reset();
    kept_.clear();
  }

private:
  // -- from the queue --------------------------------------------------------------------------

  void say(line::message what) { line_->send(line::to_text(what)); }

  void from_queue(const run_id& run, std::shared_ptr<run_granted>& e) {
    say(line::granted{run, static_cast<std::int64_t>(e->grant), e->worker});
  }
  /// A frame is kept until it is durable: the worker that said it is bounded by that.
  void from_queue(const run_id& run, run_frames& e) {
    for (auto& each : e.frames) {
      const auto number = ++frames_;
      say(line::frame{run, e.attempt, number, *each});
      kept_.emplace(number, std::move(each));
    }
  }
  void from_queue(const run_id& run, attempt_gone& e) {
    say(line::gone{run, e.attempt, std::move(e.error.code), std::move(e.error.message), e.counted});
  }
  void from_queue(const run_id& run, lease_resumed& e) {
    say(line::resumed{run, static_cast<std::int64_t>(e.grant), e.attempt});
  }
  void from_queue(const run_id& run, worker_returned& e) {
    say(line::returned{run, static_cast<std::int64_t>(e.grant)});
  }
  template <class Other>
  void from_queue(const run_id&, Other&) {}

  // -- from the line ---------------------------------------------------------------------------

  void on_line(std::string& text) {
    auto what = line::parse(text);
    if (!what)
      return line_->close();
    std::visit([&](auto& said) { on_said(said); }, *what);
  }
  void on_line(line_event::frame_done&) {}
  void on_line(line_event::over&) {
    pass_on(line_is_over{});
    caf::anon_send(services_->directory,
                   line_end_here{caf::actor_cast<line_end_actor>(this), false});
    quit();
  }

  template <class Body>
  void pass_on(Body body) {
    queue_message mail;
    mail.body = std::move(body);
    mail.line = own();
    caf::anon_send(services_->directory, to_queue{queue_, std::move(mail)});
  }
  run_actor own() { return caf::actor_cast<run_actor>(this); }

  void on_said(line::wait_for_worker& m) {
    auto asked = std::make_shared<queued_run>();
    asked->entry.run = std::move(m.run);
    asked->entry.session = std::move(m.session);
    asked->entry.attempt = m.attempt;
    asked->entry.again = m.again;
    asked->line = own();
    asked->epoch = m.epoch;
    pass_on(std::move(asked));
  }
  void on_said(line::stop_waiting& m) { pass_on(forget_run{std::move(m.run)}); }
  void on_said(line::resume& m) {
    pass_on(resume_lease{std::move(m.run), m.attempt, own(), {}, m.epoch});
  }
  void on_said(line::begin& m) {
    auto how = std::make_shared<recipe>();
    how->heartbeat_ms = m.heartbeat_ms;
    how->drain_ms = m.drain_ms;
    begin_run ask;
    ask.run = std::move(m.run);
    ask.grant = static_cast<std::uint64_t>(m.lease);
    ask.attempt = m.attempt;
    ask.by = own();
    ask.how = std::move(how);
    ask.environment = std::move(m.environment);
    ask.lines = std::move(m.lines);
    pass_on(std::move(ask));
  }
  void on_said(line::write& m) { pass_on(write_lines{std::move(m.run), std::move(m.lines)}); }
  void on_said(line::finish& m) {
    pass_on(
        finish_run{std::move(m.run), static_cast<std::uint64_t>(m.lease), m.clean, m.moves, own()});
  }
  void on_said(line::done& m) { kept_.erase(m.number); }
  template <class Other>
  void on_said(Other&) {}

  services_ptr services_;
  const stream_id queue_;
  std::shared_ptr<queue_line> line_;
  std::map<std::uint64_t, frame_ptr> kept_;
  std::uint64_t frames_ = 0;
};

} // namespace

line_listener take_line(caf::actor_system& sys, const services_ptr& s, const stream_id& queue,
                        std::shared_ptr<queue_line> to) {
  auto end = sys.spawn<line_end_impl>(s, queue, std::move(to));
  return {[end](std::string text) {
            caf::anon_send(end, line_event{0, std::move(text)});
          },
          [end] {
            caf::anon_send(end, line_event{0, line_event::over{}});
          }};
}

bool queues_elsewhere::takes(caf::actor_system& sys, const stream_id& queue,
                             std::optional<std::uint32_t> home, queue_message& mail) {
  if (!mail.line)
    stamp(mail);
  if (services_->lines == nullptr || mail.line || !home || services_->partitions.holds(*home))
    return false;
  const auto& body = mail.body;
  const bool asks =
      std::holds_alternative<queued_run_ptr>(body) || std::holds_alternative<resume_lease>(body);
  auto known = queues_.find(queue.value);
  if (!asks && (known == queues_.end() || !std::holds_alternative<forget_run>(body)))
    return false;
  if (known == queues_.end())
    known = queues_.emplace(queue.value, spawn_remote_queue(sys, services_, queue, *home)).first;
  caf::anon_send(known->second, std::move(mail));
  return true;
}

/// Of two processes that speak for a run the one with the later claim has it.
void queues_elsewhere::stamp(queue_message& mail) const {
  auto epoch_of = [&](const session_id& session) {
    const auto home = services_->partitions.home_of(stream_of(session), session.value);
    return home ? services_->partitions.epoch_of(*home) : 0;
  };
  if (auto* asked = std::get_if<queued_run_ptr>(&mail.body))
    (*asked)->epoch = epoch_of((*asked)->entry.session);
  else if (auto* ask = std::get_if<resume_lease>(&mail.body))
    ask->epoch = epoch_of(ask->session);
}

void queues_elsewhere::note(const line_end_here& e) {
  if (e.open)
    ends_.insert(e.end);
  else
    ends_.erase(e.end);
}

void queues_elsewhere::stop_all() {
  for (auto& [stream, one] : queues_)
    caf::anon_send_exit(one, caf::exit_reason::user_shutdown);
  for (const auto& one : std::exchange(ends_, {}))
    caf::anon_send_exit(one, caf::exit_reason::user_shutdown);
  queues_.clear();
}

} // namespace runledger
