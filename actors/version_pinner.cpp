#include "actors/version_pinner.hpp"

#include "events/json_schema.hpp"

namespace runledger {

namespace {

bool state_fits(const recipe& how, const start_run_request& ask, const answer<accepted_run>& to) {
  if (how.state_schema.empty() || ask.initial_state.empty())
    return true;
  auto state = json::parse(ask.initial_state.json);
  auto mismatch = state ? json_schema::validate(how.state_schema, state->root()) : std::nullopt;
  if (!mismatch)
    return true;
  refusal_info why;
  why.code = errc::state_mismatch;
  why.detail = mismatch->message;
  why.path = mismatch->path;
  to(std::move(why));
  return false;
}

} // namespace

void version_pinner::pin(const services& s, const agent::state& state, agent_mail& mail) {
  const auto& ask = *mail.pin;
  if (!state.exists() || state.workspace != mail.workspace)
    return mail.accepted.refuse(errc::agent_not_found);
  auto version = ask.version.value_or(agent::active_version(state));
  if (ask.version && (version < 1 || version > static_cast<std::int64_t>(state.versions.size())))
    return mail.accepted.refuse(errc::version_not_found);
  if (version == 0)
    return mail.accepted.refuse(errc::no_active_version);
  if (state.versions[static_cast<std::size_t>(version) - 1].at != agent::version_phase::active)
    return mail.accepted.refuse(errc::version_not_active);
  const auto* how = recipe_of(s, state, version);
  if (how == nullptr)
    return mail.accepted.refuse(errc::ledger_corrupt, "The recipe of this version cannot be read.");
  if (!state_fits(*how, ask, mail.accepted))
    return;
  session_mail accept;
  accept.origin = mail.origin;
  accept.workspace = mail.workspace;
  auto turn = mail.turn;
  turn.agent = id_;
  turn.agent_slug = state.slug;
  turn.agent_version = version;
  turn.limits = how->limits;
  accept.body = std::move(turn);
  accept.accepted = mail.accepted;
  accept.on_end = mail.pin->on_end;
  caf::anon_send(s.directory, to_session{mail.session, std::move(accept)});
}

const recipe* version_pinner::recipe_of(const services& s, const agent::state& state,
                                        std::int64_t version) {
  auto known = recipes_.find(version);
  if (known != recipes_.end())
    return &known->second;
  auto text =
      runledger::load(state.versions[static_cast<std::size_t>(version) - 1].recipe, s.blobs);
  auto parsed = text ? json::parse(*text) : result<json::document, json::error>{json::error{}};
  if (!parsed)
    return nullptr;
  auto how = parse_recipe(parsed->root(), s.settings.recipe_defaults);
  return how ? &recipes_.emplace(version, std::move(*how)).first->second : nullptr;
}

} // namespace runledger
