#include "actors/catalog_actors.hpp"

#include "actors/catalog_entity.hpp"
#include "actors/recent_commands.hpp"
#include "actors/version_pinner.hpp"

#include <caf/actor_system.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <map>
#include <set>
#include <unordered_map>

namespace runledger {

namespace {

class agent_impl final : public catalog_entity<agent_impl, agent_actor, agent_traits, agent_mail> {
public:
  using base_type = catalog_entity<agent_impl, agent_actor, agent_traits, agent_mail>;
  friend shell;

  agent_impl(caf::actor_config& cfg, services_ptr s, agent_id id)
      : base_type(cfg, std::move(s), stream_of(id)), id_(id), pinner_(std::move(id)) {}

  behavior_type make_behavior() override {
    load();
    return {[this](agent_mail& mail) { take(std::move(mail)); },
            [this](const append_done& done) { on_append_done(done); },
            [this](leave_atom) { leave(); }, [this](yield_atom) { yield(); }};
  }
  const char* name() const override { return "agent"; }

private:
  bool decide_mail(agent_mail& mail, std::vector<agent::event>& facts) {
    mail.refused.reset();
    if (mail.pin)
      return true;
    auto decided = agent::decide(state_, {services_->clock.now(), mail.workspace, mail.body});
    if (!decided) {
      mail.refused = code_of(decided.error());
      return true;
    }
    facts = std::move(decided->facts);
    mail.replayed = decided->replayed;
    mail.version = decided->version;
    return true;
  }

  void settle(agent_mail& mail) {
    if (mail.pin) {
      pinner_.pin(*services_, state_, mail);
    } else if (mail.refused) {
      mail.to.refuse(*mail.refused);
      created(mail);
    } else {
      mail.to(agent_answer{id_, std::make_shared<const agent::state>(state_), mail.version,
                           mail.replayed});
      created(mail);
    }
    rest();
  }

  void refuse(agent_mail& mail, errc code, const read_error* damage) {
    mail.to(refusal_for(code, damage));
    mail.accepted(refusal_for(code, damage));
    created(mail);
    rest();
  }

  /// The names' actor waits to hear that the creation it coordinates is over.
  void created(const agent_mail& mail) {
    if (mail.coordinator)
      caf::anon_send(mail.coordinator, creation_over{stream_, mail.origin.causation_id});
  }

  static errc code_of(agent::rejection why) {
    switch (why) {
      case agent::rejection::not_found:
        return errc::agent_not_found;
      case agent::rejection::version_not_found:
        return errc::version_not_found;
      case agent::rejection::not_draft:
        return errc::not_draft;
      case agent::rejection::wrong_phase:
        return errc::wrong_phase;
      case agent::rejection::idempotency_conflict:
        return errc::idempotency_conflict;
    }
    return errc::not_found;
  }

  const workspace_id& workspace_of(const agent_mail& mail) const { return mail.workspace; }

  agent_id id_;
  version_pinner pinner_;
};

/// Every creation that needs a name passes through here, so no two that could be in each other's
/// way are under way at once.
class names_impl final : public catalog_entity<names_impl, names_actor, names_traits, names_mail> {
public:
  using base_type = catalog_entity<names_impl, names_actor, names_traits, names_mail>;
  friend shell;

  names_impl(caf::actor_config& cfg, services_ptr s, workspace_id id)
      : base_type(cfg, std::move(s), names_stream_of(id)), id_(std::move(id)) {}

  behavior_type make_behavior() override {
    load();
    return {[this](names_mail& mail) { take(std::move(mail)); },
            [this](const append_done& done) { on_append_done(done); },
            [this](leave_atom) { names_leave(); }, [this](yield_atom) { yield(); },
            [this](const creation_over& e) { over(e); }};
  }
  const char* name() const override { return "names"; }
  void on_exit() override {
    held_.clear();
    drop_mail();
  }

private:
  bool decide_mail(names_mail& mail, std::vector<names::event>& facts) {
    mail.refused.reset();
    auto claim = mail.agent ? claim_of_agent(mail) : claim_of_workspace(mail);
    if (mail.existed) // Its owner answers it, and nobody has to wait for that.
      return true;
    if (!mail.under_way && hold_back(mail))
      return false;
    if (claim) {
      auto decided = names::decide(state_, *claim);
      if (!decided) {
        mail.refused = errc::name_taken;
        return true;
      }
      facts = std::move(decided->facts);
    }
    if (mail.held) { // What it waited for could not be written.
      facts.clear();
      mail.refused = errc::ledger_unavailable;
      return true;
    }
    mail.under_way = true;
    under_way_.insert(mail.owner.value);
    under_way_.insert(mail.origin.causation_id);
    return true;
  }

  /// True: a creation is in the way, and it is kept until it is known how that ends.
  bool hold_back(names_mail& mail) {
    for (const auto& id : {mail.owner.value, mail.origin.causation_id}) {
      if (!under_way_.contains(id))
        continue;
      mail.held = true;
      held_[id].push_back(std::move(mail));
      return true;
    }
    return false;
  }

  /// The slug, unless the request is an earlier one again: then only its agent can say.
  std::optional<names::claim> claim_of_agent(names_mail& mail) const {
    mail.owner = stream_id{"ag_" + mail.ulid};
    mail.existed = !mail.agent->context.idempotency_key.empty() && first_of(mail.owner);
    names::claim out{"agent", mail.agent->slug, mail.owner.value, {}};
    const auto* owner = names::owner_of(state_, out.kind, out.text);
    if (owner != nullptr && *owner != out.owner && never_came_to_be(*owner))
      out.ghost = *owner;
    return out;
  }

  /// An id that a keyed request chose cannot be found by the key, so it is noted under the
  /// request's own: the same key finds it, whatever id comes with it (docs/decisions/0065).
  std::optional<names::claim> claim_of_workspace(names_mail& mail) const {
    const auto& ask = *mail.create_workspace;
    bool keyed = !ask.context.idempotency_key.empty();
    auto derived = workspace_id{"ws_" + mail.ulid};
    names::claim out{"request", mail.origin.causation_id, {}, {}};
    const auto* noted = names::owner_of(state_, out.kind, out.text);
    for (const auto& known : {noted != nullptr ? workspace_id{*noted} : workspace_id{}, derived})
      if (keyed && !known.empty() && made_by(stream_of(known), mail.origin.causation_id)) {
        mail.owner = stream_of(known);
        mail.existed = true;
        return std::nullopt;
      }
    auto chosen = ask.id.empty() ? derived : ask.id;
    mail.owner = stream_of(chosen);
    mail.existed = first_of(mail.owner) != nullptr;
    if (!keyed || ask.id.empty())
      return std::nullopt;
    out.owner = chosen.value;
    out.ghost = noted != nullptr ? *noted : std::string{};
    return out;
  }

  /// One that is not under way and has no event died with its server. Where the owner lives
  /// elsewhere, it may just have been asked for, by an earlier holder of these names or by this
  /// one, which has given up since: then it may still come.
  bool never_came_to_be(const std::string& owner) const {
    if (under_way_.contains(owner)
        || (lives_elsewhere(owner) && (!held_for_long() || was_just_given_up(owner))))
      return false;
    auto head = services_->log.head(stream_id{owner});
    return head && !head->has_value();
  }

  bool lives_elsewhere(const std::string& owner) const {
    if (services_->others == nullptr)
      return false;
    auto home = services_->partitions.home_of(stream_id{owner}, owner);
    return !home || !services_->partitions.holds(*home);
  }
  bool was_just_given_up(const std::string& owner) const {
    const auto when = given_up_.find(owner);
    return when != given_up_.end() && now_ms() - when->second < long_ms;
  }
  bool held_for_long() const {
    auto home = services_->partitions.home_of(stream_, stream_.value);
    auto since = home ? to_ms(services_->partitions.claim_of(*home).head.time) : 0;
    return now_ms() - since > long_ms;
  }

  record_ptr first_of(const stream_id& stream) const {
    auto records = services_->log.read_stream(stream, 1, 1);
    return records && !records->empty() ? records->front() : nullptr;
  }
  bool made_by(const stream_id& stream, const std::string& command) const {
    auto first = first_of(stream);
    return first && first->event.causation_id == command;
  }

  void settle(names_mail& mail) {
    if (mail.refused)
      answer_refusal(mail);
    else if (mail.agent)
      create_agent(mail);
    else
      create_workspace(mail);
    rest();
  }

  void answer_refusal(names_mail& mail) {
    auto detail = mail.agent && mail.refused == errc::name_taken
                      ? "The slug `" + mail.agent->slug + "` is in use."
                      : std::string{};
    mail.to_agent.refuse(*mail.refused, std::move(detail));
    mail.to_workspace.refuse(*mail.refused);
    if (mail.under_way) // Since an earlier decision, whose append was refused.
      over({mail.owner, mail.origin.causation_id});
  }

  void create_agent(names_mail& mail) {
    agent_mail next;
    next.origin = mail.origin;
    next.workspace = mail.workspace;
    auto& ask = *mail.agent;
    next.body = agent::create{ask.slug,
                              ask.title,
                              ask.description,
                              ask.recipe,
                              ask.context.idempotency_key,
                              ask.context.fingerprint};
    next.to = std::move(mail.to_agent);
    next.coordinator = coordinator_of(mail);
    caf::anon_send(services_->directory, to_agent{agent_id{mail.owner.value}, std::move(next)});
  }

  /// Nobody waits for what existed already.
  names_actor coordinator_of(const names_mail& mail) {
    return mail.under_way ? caf::actor_cast<names_actor>(this) : names_actor{};
  }

  void create_workspace(names_mail& mail) {
    workspace_mail next;
    next.origin = mail.origin;
    auto& ask = *mail.create_workspace;
    next.command.fact = {ask.title, ask.context.idempotency_key, ask.context.fingerprint};
    // Another's key of the same text is another key.
    if (mail.existed && !made_by(mail.owner, mail.origin.causation_id))
      next.command.fact.idempotency_key.clear();
    next.to = std::move(mail.to_workspace);
    next.coordinator = coordinator_of(mail);
    workspace_id id{mail.owner.value.substr(stream_of(workspace_id{}).value.size())};
    caf::anon_send(services_->directory, to_workspace{std::move(id), std::move(next)});
  }

  void refuse(names_mail& mail, errc code, const read_error* damage) {
    mail.to_agent(refusal_for(code, damage));
    mail.to_workspace(refusal_for(code, damage));
    if (mail.under_way)
      over({mail.owner, mail.origin.causation_id});
  }

  void over(const creation_over& e) {
    if (lives_elsewhere(e.owner.value) && !first_of(e.owner))
      given_up_[e.owner.value] = now_ms();
    for (const auto& id : {e.owner.value, e.command}) {
      under_way_.erase(id);
      auto behind = held_.extract(id);
      if (behind.empty())
        continue;
      for (auto& mail : behind.mapped())
        caf::anon_send(caf::actor_cast<names_actor>(this), std::move(mail));
    }
    rest();
    end_if_vacated();
  }

  /// A creation that is under way keeps its name until it is over: nobody may take that over.
  bool vacate() {
    for (auto& [id, waiting] : std::exchange(held_, {}))
      for (auto& mail : waiting)
        refuse(mail, errc::not_owner, nullptr);
    return under_way_.empty();
  }

  void names_leave() {
    if (broken_)
      return quit();
    std::erase_if(given_up_,
                  [now = now_ms()](const auto& one) { return now - one.second >= long_ms; });
    bool stays = !idle() || !under_way_.empty() || !given_up_.empty();
    caf::anon_send(services_->directory, entity_left{stream_, stays});
    if (!stays)
      quit();
  }

  const workspace_id& workspace_of(const names_mail&) const { return id_; }
  std::int64_t now_ms() const { return to_ms(services_->clock.now()); }

  static constexpr std::int64_t long_ms = 10'000;
  workspace_id id_;
  std::map<std::string, std::int64_t> given_up_; // Owners elsewhere that had not come by then.
  std::set<std::string> under_way_; // Streams that are being created, and the commands that ask.
  /// Behind one of these, by its name. When that is over its owner exists, and answers them all;
  /// or it does not, and they are refused: each being tried in its turn, with the others waiting
  /// for it, would cost the square of their number.
  std::unordered_map<std::string, std::vector<names_mail>> held_;
};

class key_impl final : public catalog_entity<key_impl, key_actor, key_traits, key_mail> {
public:
  using base_type = catalog_entity<key_impl, key_actor, key_traits, key_mail>;
  friend shell;

  key_impl(caf::actor_config& cfg, services_ptr s, key_id id)
      : base_type(cfg, std::move(s), stream_of(id)), id_(std::move(id)) {}

  behavior_type make_behavior() override {
    load();
    return {[this](key_mail& mail) { take(std::move(mail)); },
            [this](const append_done& done) { on_append_done(done); },
            [this](leave_atom) { leave(); }, [this](yield_atom) { yield(); }};
  }
  const char* name() const override { return "key"; }

private:
  bool decide_mail(key_mail& mail, std::vector<key::event>& facts) {
    mail.refused.reset();
    auto decided = key::decide(state_, mail.command);
    if (!decided) {
      mail.refused = decided.error() == key::rejection::not_found ? errc::not_found
                                                                  : errc::idempotency_conflict;
      return true;
    }
    facts = std::move(decided->facts);
    mail.replayed = decided->replayed;
    return true;
  }
  void settle(key_mail& mail) {
    if (mail.refused)
      mail.to.refuse(*mail.refused);
    else
      mail.to(key_answer{id_, state_, mail.replayed});
    rest();
  }
  void refuse(key_mail& mail, errc code, const read_error* damage) {
    mail.to(refusal_for(code, damage));
    rest();
  }
  const workspace_id& workspace_of(const key_mail& mail) const {
    return state_.exists() ? state_.workspace : mail.command.workspace;
  }

  key_id id_;
};

class workspace_impl final
    : public catalog_entity<workspace_impl, workspace_actor, workspace_traits, workspace_mail> {
public:
  using base_type =
      catalog_entity<workspace_impl, workspace_actor, workspace_traits, workspace_mail>;
  friend shell;

  workspace_impl(caf::actor_config& cfg, services_ptr s, workspace_id id)
      : base_type(cfg, std::move(s), stream_of(id)), id_(std::move(id)) {}

  behavior_type make_behavior() override {
    load();
    return {[this](workspace_mail& mail) { take(std::move(mail)); },
            [this](const append_done& done) { on_append_done(done); },
            [this](leave_atom) { leave(); }, [this](yield_atom) { yield(); }};
  }
  const char* name() const override { return "workspace"; }

private:
  bool decide_mail(workspace_mail& mail, std::vector<workspace::event>& facts) {
    mail.refused.reset();
    auto decided = workspace::decide(state_, mail.command);
    if (!decided) {
      mail.refused = decided.error() == workspace::rejection::exists ? errc::workspace_exists
                                                                     : errc::idempotency_conflict;
      return true;
    }
    facts = std::move(decided->facts);
    mail.replayed = decided->replayed;
    return true;
  }
  void settle(workspace_mail& mail) {
    if (mail.refused)
      mail.to.refuse(*mail.refused);
    else
      mail.to(workspace_answer{id_, state_, mail.replayed});
    created(mail);
    rest();
  }
  void refuse(workspace_mail& mail, errc code, const read_error* damage) {
    mail.to(refusal_for(code, damage));
    created(mail);
    rest();
  }
  void created(const workspace_mail& mail) {
    if (mail.coordinator)
      caf::anon_send(mail.coordinator, creation_over{stream_, mail.origin.causation_id});
  }
  const workspace_id& workspace_of(const workspace_mail&) const { return id_; }

  workspace_id id_;
};

class audit_impl final : public catalog_entity<audit_impl, audit_actor, audit_traits, audit_mail> {
public:
  using base_type = catalog_entity<audit_impl, audit_actor, audit_traits, audit_mail>;
  friend shell;

  audit_impl(caf::actor_config& cfg, services_ptr s, workspace_id id)
      : base_type(cfg, std::move(s), audit_stream_of(id)), id_(std::move(id)) {}

  behavior_type make_behavior() override {
    load();
    return {[this](audit_mail& mail) { take(std::move(mail)); },
            [this](const append_done& done) { on_append_done(done); },
            [this](leave_atom) { leave(); }, [this](yield_atom) { yield(); }};
  }
  const char* name() const override { return "audit"; }

private:
  bool decide_mail(audit_mail& mail, std::vector<audit::event>& facts) {
    if (mail.from_peer
        && recent_.known(services_->log, stream_, head_.seq, mail.origin.causation_id))
      return true;
    auto decided = audit::decide(state_, mail.command);
    if (decided)
      facts = std::move(decided->facts);
    return true;
  }
  void settle(audit_mail& mail) {
    mail.to(refusal_recorded{});
    rest();
  }
  void refuse(audit_mail& mail, errc code, const read_error* damage) {
    mail.to(refusal_for(code, damage));
    rest();
  }
  const workspace_id& workspace_of(const audit_mail&) const { return id_; }

  workspace_id id_;
  recent_commands recent_;
};

} // namespace

agent_actor spawn_agent(caf::actor_system& sys, services_ptr s, agent_id id) {
  return sys.spawn<agent_impl>(std::move(s), std::move(id));
}
names_actor spawn_names(caf::actor_system& sys, services_ptr s, workspace_id id) {
  return sys.spawn<names_impl>(std::move(s), std::move(id));
}
key_actor spawn_key(caf::actor_system& sys, services_ptr s, key_id id) {
  return sys.spawn<key_impl>(std::move(s), std::move(id));
}
workspace_actor spawn_workspace(caf::actor_system& sys, services_ptr s, workspace_id id) {
  return sys.spawn<workspace_impl>(std::move(s), std::move(id));
}
audit_actor spawn_audit(caf::actor_system& sys, services_ptr s, workspace_id id) {
  return sys.spawn<audit_impl>(std::move(s), std::move(id));
}

} // namespace runledger
