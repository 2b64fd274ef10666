#include "actors/directory_actor.hpp"

#include "actors/abroad.hpp"
#include "actors/agent_names.hpp"
#include "actors/catalog_actors.hpp"
#include "actors/choose_ulid.hpp"
#include "actors/entity_host.hpp"
#include "actors/entity_traits.hpp"
#include "actors/partition_taker.hpp"
#include "actors/queue_actor.hpp"
#include "actors/queue_places.hpp"
#include "actors/remote_queue.hpp"
#include "actors/request_home.hpp"
#include "actors/run_actor.hpp"
#include "actors/session_actor.hpp"
#include "actors/slot_actor.hpp"
#include "actors/turn_away.hpp"

#include <caf/actor_system.hpp>
#include <caf/send.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <deque>
#include <map>
#include <set>
#include <unordered_map>

namespace runledger {

namespace {

constexpr std::size_t idle_actors_max = 4096;
constexpr std::int64_t rebuild_after_ms = 500; // A broken entity is not rebuilt in a tight loop.

class directory final : public directory_actor::base {
public:
  directory(caf::actor_config& cfg, services_ptr s)
      : directory_actor::base(cfg),
        services_(std::move(s)),
        places_(services_->settings.max_queued),
        agent_names_(services_->log),
        abroad_(system(), services_),
        queues_elsewhere_(services_) {}

  behavior_type make_behavior() override {
    return {[this](directory_request& ask) {
              std::visit([&](auto& one) { on(one.first, one.second); }, ask.body);
              count();
            },
            [this](to_session& m) { pass_on(m.id, std::move(m.mail)); },
            [this](to_run& m) { pass_on(m.id, std::move(m.mail)); },
            [this](to_agent& m) { deliver(m.id, std::move(m.mail)); },
            [this](to_workspace& m) { deliver(m.id, std::move(m.mail)); },
            [this](to_queue& m) { deliver(m.id, std::move(m.mail)); },
            [this](to_audit& m) { deliver_audit(m.id, std::move(m.mail)); },
            [this](to_slot& m) { deliver(m.id, std::move(m.mail)); },
            [this](const entity_idle& e) { on_idle(e); },
            [this](const entity_left& e) { on_left(e); },
            [this](const entity_broken& e) { on_broken(e); },
            [this](const wake_stream& e) { wake(e); },
            [this](const place_returned& e) {
              places_.give_back(e.workspace.value, e.run.value);
              count_waiting();
            },
            [this](const runs_waiting& e) { note_waiting(e); },
            [this](const run_left_queue& e) { leave_queue(e.workspace, e.run); },
            [this](take_partitions& ask) { take(std::move(ask)); },
            [this](const taking_over& e) { end_taking(e); },
            [this](const release_partitions& ask) { release(ask); },
            [this](const partition_lost& e) { lose(e.partition); },
            [this](const line_end_here& e) { queues_elsewhere_.note(e); },
            [this](go_on_with& e) { e.what(); },
            [this](tick_atom) {
              tick_asked_ = false;
              passivate(to_ms(services_->clock.now()) - services_->settings.idle_actor_ms);
            },
            [this](drain_atom) { draining_ = services_->others == nullptr; }}; // Others go on.
  }

  const char* name() const override { return "directory"; }

  void on_exit() override {
    vacating_.clear();
    until_lost_.clear();
    takes_.clear();
    releases_.clear();
    each_host([](auto& host) { host.stop_all(); });
    queues_elsewhere_.stop_all();
  }

private:
  // -- requests --------------------------------------------------------------------------------

  static event_origin origin_of(const request_context& c, const command_id& command) {
    return {command.value, c.correlation_id, c.principal, c.traceparent};
  }

  std::string id_for(const request_context& c, std::string_view route,
                     std::string_view prefix = {}) {
    return choose_ulid(*services_, turn_, c, route, prefix);
  }

  /// False: answered. A keyed request is looked up even where nothing new is taken.
  bool may_start(const request_context& c, const answer<accepted_run>& to) {
    if (draining_)
      to.refuse(errc::draining, "The server is about to end.");
    else if (c.idempotency_key.empty() && places_.full(c.workspace.value))
      refuse_full(to);
    else
      return true;
    return false;
  }

  static void refuse_full(const answer<accepted_run>& to) {
    to.refuse(errc::queue_full, "Too many runs wait in this workspace.");
  }

  bool no_place_for(const workspace_id& workspace, const run_id& run) const {
    return places_.full(workspace.value) && !places_.holds(workspace.value, run.value);
  }

  /// False: the workspace has no place left.
  bool take_place(session_mail& mail, const session_id& session, const run_id& run) {
    if (!places_.take(mail.workspace.value, run.value, home_of(session.value).value_or(0)))
      return false;
    count_waiting();
    mail.place =
        held_place{[to = caf::actor_cast<directory_actor>(this), workspace = mail.workspace, run] {
          caf::anon_send(to, place_returned{workspace, run});
        }};
    return true;
  }

  void note_waiting(const runs_waiting& e) {
    auto home = home_of(e.session.value);
    if (!home || !services_->partitions.holds(*home))
      return; // They left with their partition.
    for (const auto& run : e.runs)
      places_.wait(e.workspace.value, run.value, *home);
    count_waiting();
  }

  void leave_queue(const workspace_id& workspace, const run_id& run) {
    places_.leave(workspace.value, run.value);
    count_waiting();
  }

  void count_waiting() {
    services_->counters.waiting_runs.store(places_.size(), std::memory_order_relaxed);
  }

  void on(start_run_request& ask, answer<accepted_run>& to) {
    if (!may_start(ask.context, to))
      return;
    auto agent = agent_names_.find(ask.agent, ask.context.workspace);
    if (!agent)
      return once_more(ask, to, errc::agent_not_found);
    auto ulid = id_for(ask.context, route_of(ask, *agent), "sess_");
    session_id session{"sess_" + ulid};
    command_id command{"cmd_" + ulid};
    session::accept_turn turn;
    turn.id = command;
    turn.run = derive_run_id(session, command);
    turn.agent = *agent;
    turn.first = true;
    turn.trigger = ask.trigger;
    turn.prompt = ask.prompt;
    turn.initial_state = ask.initial_state;
    turn.key = ask.context.idempotency_key;
    turn.fingerprint = ask.context.fingerprint;
    auto origin = origin_of(ask.context, command);
    auto workspace = ask.context.workspace;
    auto shared = std::make_shared<start_run_request>(std::move(ask));
    if (turn.key.empty()) {
      agent_mail pin;
      pin.origin = std::move(origin);
      pin.workspace = std::move(workspace);
      pin.pin = std::move(shared);
      pin.turn = std::move(turn);
      pin.session = std::move(session);
      pin.accepted = std::move(to);
      return deliver(*agent, std::move(pin));
    }
    // The earlier command is looked up before anything is validated against the present state.
    session_mail accept;
    accept.origin = std::move(origin);
    accept.workspace = std::move(workspace);
    accept.queue_full = no_place_for(accept.workspace, turn.run);
    accept.on_end = shared->on_end;
    accept.body = std::move(turn);
    accept.accepted = std::move(to);
    accept.unpinned = std::move(shared);
    deliver(session, std::move(accept));
  }

  void on(fork_run_request& ask, answer<accepted_run>& to) {
    if (!is_id(ask.parent.value, "run_"))
      return to.refuse(errc::not_found);
    if (!may_start(ask.context, to))
      return;
    if (abroad_.may_be_old() && !current_) // The parent may have run elsewhere.
      return when_current(ask, to);
    auto ulid = id_for(ask.context, route_of(ask), "sess_");
    session_id session{"sess_" + ulid};
    session::accept_turn turn;
    turn.id = command_id{"cmd_" + ulid};
    turn.run = derive_run_id(session, turn.id);
    turn.first = true;
    turn.parent_run = std::move(ask.parent);
    turn.key = ask.context.idempotency_key;
    turn.fingerprint = ask.context.fingerprint;
    session_mail mail;
    mail.origin = origin_of(ask.context, turn.id);
    mail.workspace = ask.context.workspace;
    mail.queue_full = no_place_for(mail.workspace, turn.run);
    mail.on_end = std::move(ask.on_end);
    mail.body = std::move(turn);
    mail.accepted = std::move(to);
    mail.fork_at = std::move(ask.at);
    deliver(session, std::move(mail));
  }

  void on(post_message_request& ask, answer<accepted_run>& to) {
    if (!is_id(ask.session.value, "sess_"))
      return to.refuse(errc::not_found);
    if (!may_start(ask.context, to))
      return;
    auto ulid = id_for(ask.context, route_of(ask));
    command_id command{"cmd_" + ulid};
    session_mail mail;
    mail.origin = origin_of(ask.context, command);
    mail.workspace = ask.context.workspace;
    mail.on_end = std::move(ask.on_end);
    session::accept_turn turn;
    turn.id = command;
    turn.run = derive_run_id(ask.session, command);
    turn.prompt = std::move(ask.message);
    turn.key = ask.context.idempotency_key;
    turn.fingerprint = ask.context.fingerprint;
    // Only the session knows whether it needs a place: it may not exist, or know the message.
    mail.queue_full = no_place_for(mail.workspace, turn.run);
    mail.body = std::move(turn);
    mail.accepted = std::move(to);
    deliver(ask.session, std::move(mail));
  }

  void on(cancel_session_request& ask, answer<session_answer>& to) {
    if (!is_id(ask.session.value, "sess_"))
      return to.refuse(errc::not_found);
    session_mail mail;
    mail.origin = origin_of(ask.context, {"cmd_" + id_for(ask.context, route_of(ask))});
    mail.workspace = ask.context.workspace;
    mail.body = session::cancel{ask.reason, ask.context.idempotency_key, ask.context.fingerprint};
    mail.changed = std::move(to);
    deliver(ask.session, std::move(mail));
  }

  void on(create_agent_request& ask, answer<agent_answer>& to) {
    if (draining_)
      return to.refuse(errc::draining);
    auto mail = creation(create_agent_route, "ag_", ask.context);
    mail.to_agent = std::move(to);
    auto names_of = ask.context.workspace;
    mail.agent = std::make_shared<create_agent_request>(std::move(ask));
    deliver_names(names_of, std::move(mail));
  }

  names_mail creation(std::string_view route, std::string_view prefix,
                      const request_context& context) {
    names_mail mail;
    mail.ulid = id_for(context, route, prefix);
    mail.origin = origin_of(context, {"cmd_" + mail.ulid});
    mail.workspace = context.workspace;
    return mail;
  }

  void on(change_version_request& ask, answer<agent_answer>& to) {
    auto agent = agent_names_.find(ask.agent, ask.context.workspace);
    if (!agent)
      return once_more(ask, to, errc::agent_not_found);
    agent_mail mail;
    auto ulid = id_for(ask.context, "POST /agents/" + agent->value + "/versions");
    mail.origin = origin_of(ask.context, {"cmd_" + ulid});
    mail.workspace = ask.context.workspace;
    std::visit([&](auto& change) { mail.body = change; }, ask.change);
    if (auto* create = std::get_if<agent::create_version>(&mail.body)) {
      create->command = {"cmd_" + ulid};
      create->key = ask.context.idempotency_key;
      create->fingerprint = ask.context.fingerprint;
    }
    mail.to = std::move(to);
    deliver(*agent, std::move(mail));
  }

  void on(create_key_request& ask, answer<key_answer>& to) {
    auto stream = stream_of(ask.workspace);
    auto workspace = services_->log.head(stream);
    if (kind_of(stream) != stream_kind::workspace || !workspace || !workspace->has_value())
      return once_more(ask, to, errc::unknown_workspace,
                       "There is no workspace `" + ask.workspace.value + "`.");
    auto ulid = id_for(ask.context, create_key_route, "key_");
    key_mail mail;
    mail.origin = origin_of(ask.context, {"cmd_" + ulid});
    mail.command.workspace = ask.workspace;
    mail.command.body = key::create{{ask.title, ask.scopes, ask.secret_hash, ask.expires_at,
                                     ask.context.idempotency_key, ask.context.fingerprint}};
    mail.to = std::move(to);
    deliver(key_id{"key_" + ulid}, std::move(mail));
  }

  void on(revoke_key_request& ask, answer<key_answer>& to) {
    if (!is_id(ask.id.value, "key_"))
      return to.refuse(errc::not_found);
    key_mail mail;
    mail.origin = origin_of(ask.context, {"cmd_" + services_->ids.ulid(services_->clock.now())});
    mail.command.body = key::revoke{};
    mail.to = std::move(to);
    deliver(ask.id, std::move(mail));
  }

  void on(create_workspace_request& ask, answer<workspace_answer>& to) {
    auto mail = creation(create_workspace_route, {}, ask.context);
    mail.to_workspace = std::move(to);
    mail.create_workspace = std::make_shared<create_workspace_request>(std::move(ask));
    deliver_names(workspace_id{std::string{system_workspace}}, std::move(mail));
  }

  void on(record_refusal_request& ask, answer<refusal_recorded>& to) {
    auto id = std::move(ask.context.workspace);
    audit_mail mail;
    mail.origin = origin_of(ask.context, {"cmd_" + services_->ids.ulid(services_->clock.now())});
    mail.command.report = std::move(ask.report);
    mail.to = std::move(to);
    deliver_audit(id, std::move(mail));
  }

  void on(attach_worker_request& ask, answer<attached_worker>& to) {
    const bool alone = services_->others == nullptr; // Who comes back is served by its holder.
    if (services_->counters.draining.load() && (alone || ask.leases.empty()))
      return to.refuse(errc::draining, "The server is about to end.");
    auto stream = queue_stream_of(ask.context.workspace, ask.queue);
    deliver(stream, queue_message{std::make_shared<attach_worker>(
                        attach_worker{std::move(ask), std::move(to)})});
  }

  void on(peer_command& ask, answer<peer_done>& to) { abroad_.carry_out(ask, to, false); }

  /// The request once more, when all is read that any process has written.
  template <class Request, class Answer>
  void when_current(Request& ask, answer<Answer>& to) {
    auto kept = std::make_shared<std::pair<Request, answer<Answer>>>(std::move(ask), to);
    abroad_.when_current([this, kept](bool current) {
      if (!current)
        return kept->second.refuse(errc::ledger_unavailable);
      current_ = true;
      on(kept->first, kept->second);
      current_ = false;
    });
  }
  /// Not found, but what is known here may be old.
  template <class Request, class Answer>
  void once_more(Request& ask, answer<Answer>& to, errc refusal, std::string detail = {}) {
    if (abroad_.may_be_old() && !current_)
      when_current(ask, to);
    else
      to.refuse(refusal, std::move(detail));
  }

  // -- delivery --------------------------------------------------------------------------------

  /// A run that is about to be accepted takes its place in the queue here. One request after the
  /// other passes, so the bound is exact.
  void pass_on(const session_id& id, session_mail mail) {
    const auto* turn = std::get_if<session::accept_turn>(&mail.body);
    if (turn != nullptr && !mail.place && !take_place(mail, id, turn->run)) {
      if (turn->key.empty())
        return refuse_full(mail.accepted);
      mail.queue_full = true; // The first of two requests may have been accepted meanwhile.
    }
    deliver(id, std::move(mail));
  }
  void pass_on(const run_id& id, run_mail mail) {
    if (std::holds_alternative<std::shared_ptr<run_granted>>(mail.body)
        || std::holds_alternative<cancel_run>(mail.body))
      leave_queue(mail.workspace, id);
    deliver(id, std::move(mail));
  }

  /// Where a stream lives that is its own partition key.
  std::optional<std::uint32_t> home_of(const std::string& stream) const {
    const auto& mine = services_->partitions;
    return mine.count() == 1 ? 0 : mine.home_of(stream_id{stream}, stream);
  }
  /// A run's. Nothing: it has no event yet, and who wakes it did not say of which session it is.
  std::optional<std::uint32_t> home_of(const run_id& run, const session_id& session) const {
    const auto& mine = services_->partitions;
    if (mine.count() == 1)
      return 0;
    if (!session.empty())
      return mine.home_of(stream_of(run), session.value);
    if (auto known = runs_.partition_of(run.value))
      return known;
    auto head = services_->log.head(stream_of(run));
    return head && *head ? mine.home_of(stream_of(run), (*head)->partition_key) : std::nullopt;
  }

  /// Only what this process holds has actors here.
  template <class Host, class Mail, class Spawn>
  void hand_over(Host& host, const std::string& stream, std::optional<std::uint32_t> home,
                 Mail mail, Spawn spawn) {
    if (!home || !services_->partitions.holds(*home))
      return turn_away({stream_id{stream}, home, services_.get()}, mail);
    host.deliver(stream, *home, std::move(mail), spawn);
  }

  void deliver(const session_id& id, session_mail mail) {
    hand_over(sessions_, id.value, home_of(id.value), std::move(mail),
              [&] { return spawn_session(system(), services_, id); });
    count();
  }
  void deliver(const run_id& id, run_mail mail, std::optional<std::uint32_t> home = std::nullopt) {
    auto session = mail.session;
    auto workspace = mail.workspace;
    if (!home)
      home = home_of(id, session);
    hand_over(runs_, id.value, home, std::move(mail),
              [&] { return spawn_run(system(), services_, id, session, workspace); });
    count();
  }
  void deliver(const agent_id& id, agent_mail mail) {
    if (abroad_.takes(id, mail))
      return;
    hand_over(agents_, id.value, home_of(id.value), std::move(mail),
              [&] { return spawn_agent(system(), services_, id); });
  }
  void deliver(const workspace_id& id, workspace_mail mail) {
    auto stream = stream_of(id);
    if (abroad_.takes(id, mail))
      return;
    hand_over(workspaces_, stream.value, home_of(stream.value), std::move(mail),
              [&] { return spawn_workspace(system(), services_, id); });
  }
  void deliver(const stream_id& queue, queue_message mail) {
    const auto home = home_of(queue.value);
    if (!queues_elsewhere_.takes(system(), queue, home, mail))
      hand_over(queues_, queue.value, home, std::move(mail),
                [&] { return spawn_queue(system(), services_, queue); });
    count();
  }
  void deliver_audit(const workspace_id& of, audit_mail mail) {
    if (abroad_.takes(of, mail))
      return;
    auto stream = audit_stream_of(of);
    hand_over(audits_, stream.value, home_of(stream.value), std::move(mail),
              [&] { return spawn_audit(system(), services_, of); });
  }
  void deliver(const worker_id& id, slot_mail mail) {
    hand_over(slots_, id.value, home_of(id.value), std::move(mail),
              [&] { return spawn_slot(system(), services_, id); });
  }
  void deliver_names(const workspace_id& of, names_mail mail) {
    auto stream = names_stream_of(of);
    hand_over(names_, stream.value, home_of(stream.value), std::move(mail),
              [&] { return spawn_names(system(), services_, of); });
  }
  void deliver(const key_id& id, key_mail mail) {
    hand_over(keys_, id.value, home_of(id.value), std::move(mail),
              [&] { return spawn_key(system(), services_, id); });
  }

  void wake(const wake_stream& e) {
    switch (kind_of(e.stream)) {
      case stream_kind::session: {
        session_mail mail;
        mail.hold = e.hold;
        deliver(session_id{e.stream.value}, std::move(mail));
        return;
      }
      case stream_kind::run: {
        run_mail mail;
        if (e.timer)
          mail.body = timer_due{};
        mail.hold = e.hold;
        deliver(run_id{e.stream.value}, std::move(mail), e.partition);
        return;
      }
      case stream_kind::queue:
        return deliver(e.stream, queue_message{});
      default:
        return; // Nothing else has unfinished work.
    }
  }

  // -- life of the entities --------------------------------------------------------------------

  template <class F>
  void with_host(const stream_id& stream, F f) {
    switch (kind_of(stream)) {
      case stream_kind::session:
        return f(sessions_, [this, &stream] {
          return spawn_session(system(), services_, session_id{stream.value});
        });
      case stream_kind::run:
        return f(runs_, [this, &stream] {
          return spawn_run(system(), services_, run_id{stream.value}, {}, {});
        });
      case stream_kind::agent:
        return f(agents_, [this, &stream] {
          return spawn_agent(system(), services_, agent_id{stream.value});
        });
      case stream_kind::key:
        return f(keys_,
                 [this, &stream] { return spawn_key(system(), services_, key_id{stream.value}); });
      case stream_kind::worker:
        return f(slots_, [this, &stream] {
          return spawn_slot(system(), services_, worker_id{stream.value});
        });
      case stream_kind::queue:
        return f(queues_, [this, &stream] { return spawn_queue(system(), services_, stream); });
      case stream_kind::names:
      case stream_kind::audit:
      case stream_kind::workspace: {
        auto id = workspace_id{stream.value.substr(3, stream.value.find('/', 3) - 3)};
        if (kind_of(stream) == stream_kind::names)
          return f(names_, [this, id] { return spawn_names(system(), services_, id); });
        if (kind_of(stream) == stream_kind::audit)
          return f(audits_, [this, id] { return spawn_audit(system(), services_, id); });
        return f(workspaces_, [this, id] { return spawn_workspace(system(), services_, id); });
      }
      default:
        return;
    }
  }

  void on_idle(const entity_idle& e) {
    bool fresh = false;
    with_host(e.stream, [&](auto& host, auto) { fresh = host.mark_idle(e.stream.value); });
    if (e.now)
      with_host(e.stream, [&](auto& host, auto) { host.ask_to_leave(e.stream.value); });
    else if (fresh)
      idle_.emplace_back(to_ms(services_->clock.now()), e.stream);
    passivate(0);
  }

  /// Those beyond the bound leave, and those that have been idle since before.
  void passivate(std::int64_t before_ms) {
    while (!idle_.empty() && (idle_.size() > idle_actors_max || idle_.front().first <= before_ms)) {
      const auto stream = std::move(idle_.front().second);
      idle_.pop_front();
      with_host(stream, [&](auto& host, auto) { host.ask_to_leave(stream.value); });
    }
    if (!idle_.empty() && !std::exchange(tick_asked_, true))
      delayed_send(this, std::chrono::milliseconds{services_->settings.idle_actor_ms}, tick_atom_v);
  }

  void on_left(const entity_left& e) {
    std::optional<std::uint32_t> with;
    with_host(e.stream,
              [&](auto& host, auto spawn) { with = host.left(e.stream.value, e.stays, spawn); });
    count();
    if (with)
      one_vacated(*with);
  }

  void on_broken(const entity_broken& e) {
    std::optional<std::uint32_t> with;
    with_host(e.stream,
              [&](auto& host, auto spawn) { with = host.replace(e.stream.value, spawn); });
    count();
    if (with)
      return one_vacated(*with);
    caf::anon_send(services_->timers,
                   arm_timer{e.stream, to_ms(services_->clock.now()) + rebuild_after_ms});
  }

  // -- partitions come and go --------------------------------------------------------------------

  /// One claim of a partition after the other: a second one would overtake what is written under
  /// the first.
  void take(take_partitions ask) {
    if (std::ranges::any_of(ask.partitions, [&](auto p) { return taking_.contains(p); }))
      return takes_.push_back(std::move(ask));
    taking_.insert(ask.partitions.begin(), ask.partitions.end());
    take_and_recover(system(), services_, std::move(ask.partitions), std::move(ask.done));
  }

  void end_taking(const taking_over& e) {
    for (auto p : e.partitions)
      taking_.erase(taking_.find(p));
    for (auto& ask : std::exchange(takes_, {}))
      take(std::move(ask));
    for (auto& ask : std::exchange(releases_, {}))
      release(ask);
  }

  /// What is just being taken is given up once that is over.
  void release(const release_partitions& ask) {
    release_partitions later{{}, ask.until_done};
    for (auto p : ask.partitions) {
      if (taking_.contains(p))
        later.partitions.push_back(p);
      else if (auto known = vacating_.find(p); known != vacating_.end())
        known->second.until_done.push_back(ask.until_done);
      else if (p < services_->partitions.count() && services_->partitions.holds(p))
        vacate(p, ask.until_done);
      else if (p < services_->partitions.count() && services_->partitions.is_leaving(p))
        until_lost_[p].push_back(ask.until_done); // It was lost, and lose() is on its way.
    }
    if (!later.partitions.empty())
      releases_.push_back(std::move(later));
  }

  void lose(std::uint32_t partition) {
    if (services_->on_lost)
      vacate(partition, after_the_last([s = services_, partition] { s->on_lost(partition); }));
    else
      vacate(partition, nullptr);
  }

  void vacate(std::uint32_t partition, pending_work until_done) {
    services_->partitions.give_up(partition);
    auto& going = vacating_[partition];
    going.until_done.push_back(std::move(until_done));
    if (auto late = until_lost_.extract(partition))
      going.until_done.insert(going.until_done.end(), late.mapped().begin(), late.mapped().end());
    each_host([&](auto& host) {
      going.actors += host.yield(partition, [&](const std::string& stream, auto& mail) {
        turn_away({stream_id{stream}, partition, services_.get()}, mail);
      });
    });
    places_.leave_partition(partition);
    count_waiting();
    caf::anon_send(services_->dispatcher, drop_what_is_not_held{});
    end_if_vacated(partition);
  }

  void one_vacated(std::uint32_t partition) {
    if (auto going = vacating_.find(partition); going != vacating_.end())
      --going->second.actors;
    end_if_vacated(partition);
  }

  void end_if_vacated(std::uint32_t partition) {
    auto going = vacating_.find(partition);
    if (going == vacating_.end() || going->second.actors > 0)
      return;
    for (auto& work : going->second.until_done)
      caf::anon_send(services_->gateway, partition_vacated{partition, std::move(work)});
    vacating_.erase(going);
    services_->partitions.forget(partition);
  }

  template <class F>
  void each_host(F f) {
    f(sessions_), f(runs_), f(agents_), f(names_), f(keys_), f(workspaces_), f(audits_), f(slots_),
        f(queues_);
  }

  void count() {
    std::size_t actors = 0;
    each_host([&](const auto& host) { actors += host.size(); });
    services_->counters.live_actors.store(actors, std::memory_order_relaxed);
  }

  services_ptr services_;
  entity_host<session_actor, session_mail> sessions_;
  entity_host<run_actor, run_mail> runs_;
  entity_host<agent_actor, agent_mail> agents_;
  entity_host<names_actor, names_mail> names_;
  entity_host<key_actor, key_mail> keys_;
  entity_host<workspace_actor, workspace_mail> workspaces_;
  entity_host<audit_actor, audit_mail> audits_;
  entity_host<slot_actor, slot_mail> slots_; // Of other processes.
  entity_host<queue_actor, queue_message> queues_;
  partition_turn turn_{services_->settings.streams_in_a_row};
  bool current_ = false; // The request at hand has waited for what others have written.
  queue_places places_;
  agent_names agent_names_;
  abroad abroad_;
  queues_elsewhere queues_elsewhere_;
  struct leaving_partition {
    std::size_t actors = 0; // That are still there.
    std::vector<pending_work> until_done;
  };
  std::map<std::uint32_t, leaving_partition> vacating_;
  std::map<std::uint32_t, std::vector<pending_work>> until_lost_; // Of what the gateway gave up.
  std::multiset<std::uint32_t> taking_;
  std::vector<take_partitions> takes_;       // Of what is just being taken.
  std::vector<release_partitions> releases_; // Likewise.
  std::deque<std::pair<std::int64_t, stream_id>> idle_;
  bool tick_asked_ = false, draining_ = false;
};

} // namespace

directory_actor spawn_directory(caf::actor_system& sys, services_ptr s) {
  return sys.spawn<directory>(std::move(s));
}

} // namespace runledger
