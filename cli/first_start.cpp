#include "cli/first_start.hpp"

#include "cli/private_file.hpp"
#include "projections/queries/workspaces.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <spdlog/spdlog.h>

namespace runledger::cli {

namespace {

const workspace_id first_workspace{"default"};

using completion = std::function<void(result<void, admin_failure>)>;

request_context own_context(const std::string& idempotency_key, std::string_view body) {
  request_context out;
  out.workspace = first_workspace;
  out.principal = "system";
  out.correlation_id = "start";
  out.idempotency_key = idempotency_key;
  out.fingerprint = sha256(body);
  return out;
}

/// The engine's answer, back on the HTTP thread.
template <class T, class Then>
answer<T> back_to(http::net::io_context& io, Then then) {
  return answer<T>{[&io, then = std::move(then)](result<T, refusal_info> outcome) {
    http::net::post(io, [then, outcome = std::move(outcome)] { then(outcome); });
  }};
}

admin_failure failure(std::string_view what, const refusal_info& why) {
  return {fmt::format("{} cannot be made: {}", what, why.detail),
          why.code == errc::not_owner || why.code == errc::ledger_unavailable
              || why.code == errc::outcome_unknown || why.code == errc::unknown_workspace};
}

create_workspace_request first_workspace_request() {
  return {own_context({}, {}), first_workspace, "Default"};
}

create_key_request key_request(const std::string& text, const std::string& title) {
  const auto hash = sha256(text);
  create_key_request out;
  out.context = own_context("admin-" + to_hex(hash), title);
  out.workspace = first_workspace;
  out.title = title;
  out.scopes = {"admin"};
  out.secret_hash = hash;
  return out;
}

void make_key(http::route_context& c, create_key_request ask, completion done) {
  c.actors->create_key(
      std::move(ask), back_to<key_answer>(c.io, [&c, done](const auto& outcome) {
        if (!outcome)
          return done(failure("the first key", outcome.error()));
        const auto& [id, state, replayed] = *outcome;
        if (state.revoked_at)
          spdlog::warn("RUNLEDGER_BOOTSTRAP_KEY was revoked as {}: it opens nothing", id.value);
        else
          c.keys.add({id, state.workspace, key::scopes_from(state.scopes).value_or(0),
                      state.secret_hash, state.expires_at});
        done({});
      }));
}

bool is_held(const http::route_context& c, std::optional<std::uint32_t> partition) {
  return partition && c.actors->holds(*partition);
}

/// A key that can be made here. Keys live in the topic of the first workspace, so one of the draws
/// falls into a partition that is held.
std::string draw_key_text(const http::route_context& c, const std::string& title) {
  constexpr int draws_max = 100'000;
  auto text = http::make_key_text();
  for (int i = 0; i < draws_max && !is_held(c, c.actors->partition_of(key_request(text, title)));
       ++i)
    text = http::make_key_text();
  return text;
}

void ensure_key(http::route_context& c, const std::optional<std::string>& given,
                const completion& done) {
  if (given) {
    if (c.keys.knows(sha256(*given)))
      return done({});
    return make_key(c, key_request(*given, "bootstrap"), done);
  }
  if (c.keys.has_admin())
    return done({});
  // One of several nodes only, or there would be several keys.
  if (!is_held(c, c.actors->partition_of(first_workspace_request())))
    return done(admin_failure{"another node makes the first key", true});
  const auto text = draw_key_text(c, "admin");
  const auto path = c.data_dir + "/admin.key";
  if (auto written = write_private_file(path, text + "\n"); !written)
    return done(admin_failure{written.error()});
  make_key(c, key_request(text, "admin"), [done, path](const result<void, admin_failure>& made) {
    if (made)
      spdlog::info("the admin key is in {}", path);
    done(made);
  });
}

} // namespace

bool is_possible_key(std::string_view text) {
  return text.size() >= 16 && text.size() <= 256
         && std::ranges::all_of(text, [](char c) { return c > ' ' && c < 0x7F; });
}

void ensure_admin(http::route_context& c, std::optional<std::string> given, completion done) {
  const auto found = views::workspace_by_id(*c.reader, first_workspace.value);
  if (!found)
    return done(admin_failure{"the workspaces cannot be read: " + found.error().detail});
  if (*found)
    return ensure_key(c, given, done);
  c.actors->create_workspace(
      first_workspace_request(),
      back_to<workspace_answer>(c.io, [&c, given = std::move(given), done](const auto& outcome) {
        if (!outcome && outcome.error().code != errc::workspace_exists)
          return done(failure("the first workspace", outcome.error()));
        ensure_key(c, given, done);
      }));
}

} // namespace runledger::cli
