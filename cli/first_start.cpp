#include "cli/first_start.hpp"

#include "cli/private_file.hpp"
#include "projections/queries/workspaces.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <spdlog/spdlog.h>

namespace runledger::cli {

namespace {

const workspace_id first_workspace{"default"};

using completion = std::function<void(result<void, std::string>)>;

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

void make_key(http::route_context& c, const std::string& text, const std::string& title,
              completion done) {
  const auto hash = sha256(text);
  create_key_request ask;
  ask.context = own_context("admin-" + to_hex(hash), title);
  ask.workspace = first_workspace;
  ask.title = title;
  ask.scopes = {"admin"};
  ask.secret_hash = hash;
  c.actors->create_key(
      std::move(ask), back_to<key_answer>(c.io, [&c, done](const auto& outcome) {
        if (!outcome)
          return done("the first key cannot be made: " + outcome.error().detail);
        const auto& [id, state, replayed] = *outcome;
        if (state.revoked_at)
          spdlog::warn("RUNLEDGER_BOOTSTRAP_KEY was revoked as {}: it opens nothing", id.value);
        else
          c.keys.add({id, state.workspace, key::scopes_from(state.scopes).value_or(0),
                      state.secret_hash, state.expires_at});
        done({});
      }));
}

void ensure_key(http::route_context& c, const std::optional<std::string>& given,
                const completion& done) {
  if (given) {
    if (c.keys.knows(sha256(*given)))
      return done({});
    return make_key(c, *given, "bootstrap", done);
  }
  if (c.keys.has_admin())
    return done({});
  const auto text = http::make_key_text();
  const auto path = c.data_dir + "/admin.key";
  if (auto written = write_private_file(path, text + "\n"); !written)
    return done(written.error());
  make_key(c, text, "admin", [done, path](const result<void, std::string>& made) {
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
    return done("the workspaces cannot be read: " + found.error().detail);
  if (*found)
    return ensure_key(c, given, done);
  c.actors->create_workspace(
      {own_context({}, {}), first_workspace, "Default"},
      back_to<workspace_answer>(c.io, [&c, given = std::move(given), done](const auto& outcome) {
        if (!outcome && outcome.error().code != errc::workspace_exists)
          return done("the first workspace cannot be made: " + outcome.error().detail);
        ensure_key(c, given, done);
      }));
}

} // namespace runledger::cli
