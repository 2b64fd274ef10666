#include "actors/abroad.hpp"

#include "actors/entity_traits.hpp"
#include "actors/node_registrar.hpp"
#include "actors/peer_commands.hpp"

#include <caf/typed_event_based_actor.hpp>

namespace runledger {

namespace {

/// A creation that is not over keeps its names' partition from being handed over.
constexpr std::int64_t creation_patience_ms = 5000;

/// The end of an answer that says no more than that it was done.
answer<peer_done> told_through(const answer<refusal_recorded>& to) {
  return answer<peer_done>{[to](result<peer_done, refusal_info> done) {
    if (done)
      to(refusal_recorded{});
    else
      to(std::move(done.error()));
  }};
}

} // namespace

void abroad::when_current(std::function<void(bool)> then) {
  services_->others->when_current(
      [to = services_->directory, then = std::move(then)](bool current) {
        caf::anon_send(to, go_on_with{[then, current] { then(current); }});
      });
}

std::optional<std::uint32_t> abroad::elsewhere(const stream_id& stream) const {
  if (services_->others == nullptr)
    return std::nullopt;
  auto home = services_->partitions.home_of(stream, stream.value);
  return home && !services_->partitions.holds(*home) ? home : std::nullopt;
}

// -- mail for entities elsewhere ---------------------------------------------------------------

bool abroad::takes(const agent_id& id, agent_mail& mail) {
  const bool creates = std::holds_alternative<agent::create>(mail.body);
  const auto home = mail.pin || creates ? elsewhere(stream_of(id)) : std::nullopt;
  if (!home || mail.from_peer)
    return false;
  if (mail.pin)
    pin(id, mail);
  else
    create(id, *home, mail);
  return true;
}

bool abroad::takes(const workspace_id& id, workspace_mail& mail) {
  const auto home = elsewhere(stream_of(id));
  if (!home || mail.from_peer)
    return false;
  create(id, *home, mail);
  return true;
}

bool abroad::takes(const workspace_id& id, audit_mail& mail) {
  const auto home = elsewhere(audit_stream_of(id));
  if (!home || mail.from_peer)
    return false;
  carry_command ask;
  ask.partition = *home;
  ask.what = command_of(id, mail);
  ask.to = told_through(mail.to);
  caf::anon_send(services_->courier, std::move(ask));
  return true;
}

/// A read, so no other process has to be asked.
void abroad::pin(const agent_id& id, agent_mail& mail) {
  auto kept = std::make_shared<agent_mail>(std::move(mail));
  when_current([this, id, kept](bool current) {
    if (!current)
      return kept->accepted.refuse(errc::ledger_unavailable);
    if (!elsewhere(stream_of(id))) // By now it is held here.
      return caf::anon_send(services_->directory, to_agent{id, std::move(*kept)});
    if (auto* known = read(id))
      known->pinner.pin(*services_, known->state, *kept);
    else
      kept->accepted.refuse(errc::ledger_unavailable, "The agent cannot be read.");
  });
}

abroad::known_agent* abroad::read(const agent_id& id) {
  constexpr std::size_t kept_max = 1000;
  auto head = services_->log.head(stream_of(id));
  if (!head)
    return nullptr;
  if (agents_.size() >= kept_max && !agents_.contains(id.value))
    agents_.clear();
  auto& known = agents_.try_emplace(id.value, id).first->second;
  if (!*head || (*head)->seq == known.seq)
    return &known;
  auto now = fold_stream<agent_traits>(services_->log, stream_of(id));
  if (!now)
    return nullptr;
  known.seq = now->head.seq;
  known.state = std::move(now->state);
  return &known;
}

/// Creates what bears a claimed name in another process. The names' actor hears that it is over
/// when the outcome can be read here, and not before: until then the claim is no ghost's.
template <class Id, class Mail>
void abroad::create(const Id& id, std::uint32_t home, Mail& mail) {
  const foreign_home place{stream_of(id), home};
  auto kept = std::make_shared<Mail>(std::move(mail));
  auto end = [place, kept](const refusal_info& why) {
    kept->to(why);
    tell_over(place, kept->coordinator, kept->origin);
  };
  auto command = command_of(id, *kept, services_->blobs);
  if (!command) {
    kept->to.refuse(errc::ledger_unavailable);
    return tell_over(place, kept->coordinator, kept->origin);
  }
  auto found = [this, id, place, kept](bool replayed) {
    when_current([this, id, place, kept, replayed](bool current) {
      if (current)
        tell_created(id, *kept, replayed);
      else
        kept->to.refuse(errc::outcome_unknown);
      tell_over(place, kept->coordinator, kept->origin);
    });
  };
  carry_command ask;
  ask.partition = home;
  ask.what = std::move(*command);
  ask.is_new = kept->coordinator != nullptr;
  ask.patience_ms = creation_patience_ms;
  ask.to = answer<peer_done>{
      [to = services_->directory, end, found](const result<peer_done, refusal_info>& done) {
        if (done)
          caf::anon_send(to, go_on_with{[found, again = done->replayed] { found(again); }});
        else
          end(done.error());
      }};
  caf::anon_send(services_->courier, std::move(ask));
}

void abroad::tell_created(const agent_id& id, const agent_mail& mail, bool replayed) const {
  auto made = fold_stream<agent_traits>(services_->log, stream_of(id));
  if (!made || !made->state.exists())
    return mail.to.refuse(errc::outcome_unknown);
  const std::int64_t version = made->state.versions.empty() ? 0 : 1;
  mail.to(agent_answer{id, std::make_shared<const agent::state>(std::move(made->state)), version,
                       replayed});
}

void abroad::tell_created(const workspace_id& id, const workspace_mail& mail, bool replayed) const {
  auto made = fold_stream<workspace_traits>(services_->log, stream_of(id));
  if (!made || !made->state.exists())
    return mail.to.refuse(errc::outcome_unknown);
  mail.to(workspace_answer{id, std::move(made->state), replayed});
}

// -- commands of other processes ---------------------------------------------------------------

void abroad::carry_out(const peer_command& ask, const answer<peer_done>& to, bool current) {
  const auto home = services_->partitions.home_of(ask.stream, ask.stream.value);
  if (!home || !services_->partitions.holds(*home))
    return to(foreign_home{ask.stream, home}.refusal());
  const auto& own = services_->directory;
  switch (kind_of(ask.stream)) {
    case stream_kind::agent:
      return create_agent(ask, to, current);
    case stream_kind::workspace: {
      if (is_again(ask))
        return to(peer_done{true});
      if (auto mail = workspace_mail_of(ask, to))
        return caf::anon_send(own, to_workspace{ask.workspace, std::move(*mail)});
      break;
    }
    case stream_kind::audit:
      if (auto mail = audit_mail_of(ask, to))
        return caf::anon_send(own, to_audit{ask.workspace, std::move(*mail)});
      break;
    case stream_kind::worker:
      if (auto mail = slot_mail_of(ask, to))
        return caf::anon_send(own, to_slot{worker_id{ask.stream.value}, std::move(*mail)});
      break;
    default:
      if (is_node_stream(ask.stream))
        return register_node(system_, services_, *home, ask, to);
  }
  to.refuse(errc::ledger_corrupt, "The command for " + ask.stream.value + " cannot be read.");
}

/// The names of the workspace are held elsewhere. Whoever held them before may have asked for this
/// and given up, and its claim have passed on.
void abroad::create_agent(const peer_command& ask, const answer<peer_done>& to, bool current) {
  const agent_id id{ask.stream.value};
  const auto wished = agent_mail_of(ask, {});
  if (!wished)
    return to.refuse(errc::ledger_corrupt, "The command for " + id.value + " cannot be read.");
  auto deliver = [&] {
    caf::anon_send(services_->directory, to_agent{id, *agent_mail_of(ask, to)});
  };
  const auto head = services_->log.head(ask.stream);
  if (head && *head) {
    if (is_again(ask))
      return to(peer_done{true});
    return deliver();
  }
  if (may_be_old() && !current)
    return when_current([this, ask, to](bool now) {
      if (now)
        carry_out(ask, to, true);
      else
        to.refuse(errc::ledger_unavailable);
    });
  const auto* known = names_.of(ask.workspace);
  if (known == nullptr)
    return to.refuse(errc::ledger_unavailable, "The names of the workspace cannot be read.");
  const auto& slug = std::get<agent::create>(wished->body).slug;
  const auto* owner = names::owner_of(*known, "agent", slug);
  if (owner == nullptr || *owner != id.value)
    return to.refuse(errc::name_taken, "The slug `" + slug + "` is in use.");
  deliver();
}

/// Without a key only the command's id says that it was carried out before.
bool abroad::is_again(const peer_command& ask) const {
  auto records = services_->log.read_stream(ask.stream, 1, 1);
  return records && !records->empty()
         && records->front()->event.causation_id == ask.origin.causation_id
         && ask.fact.data.find("\"idempotency_key\":") == std::string::npos;
}

} // namespace runledger
