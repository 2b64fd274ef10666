#include "http/routes/refusals.hpp"

#include "events/json_writer.hpp"

#include <algorithm>

namespace runledger::http {

namespace {

struct refusal_row {
  errc why;
  fault shape; ///< Gives status and title.
  std::string_view code, detail;
};

constexpr refusal_row refusal_rows[] = {
    {errc::not_found, fault::not_found, "not_found", "There is no such object."},
    {errc::agent_not_found, fault::not_found, "agent_not_found", "There is no such agent."},
    {errc::version_not_found, fault::not_found, "version_not_found",
     "The agent has no such version."},
    {errc::no_active_version, fault::conflict, "no_active_version",
     "The agent has no active version."},
    {errc::version_not_active, fault::conflict, "version_not_active",
     "Only active versions can be run."},
    {errc::not_draft, fault::conflict, "not_draft",
     "The recipes of active and archived versions are immutable."},
    {errc::wrong_phase, fault::conflict, "wrong_phase",
     "A version goes from draft to active to archived, and no other way."},
    {errc::name_taken, fault::conflict, "name_taken", "Another agent has this slug."},
    {errc::workspace_exists, fault::conflict, "workspace_exists",
     "There is a workspace with this id."},
    {errc::unknown_workspace, fault::validation_failed, "unknown_workspace",
     "There is no such workspace."},
    {errc::session_terminated, fault::conflict, "session_terminated",
     "The session is terminated: it takes no more messages."},
    {errc::idempotency_conflict, fault::idempotency_conflict, "idempotency_conflict",
     "The Idempotency-Key was used with another body."},
    {errc::unknown_step, fault::validation_failed, "unknown_step",
     "The run never started a step with this key."},
    {errc::state_mismatch, fault::validation_failed, "state_mismatch",
     "initial_state does not match the state_schema."},
    {errc::queue_full, fault::queue_full, "queue_full", "Too many runs are waiting."},
    {errc::ledger_unavailable, fault::ledger_unavailable, "ledger_unavailable",
     "The ledger cannot be written now; nothing was changed."},
    {errc::outcome_unknown, fault::outcome_unknown, "outcome_unknown",
     "Whether the request took effect is not known; the same Idempotency-Key finds out."},
    {errc::ledger_corrupt, fault::ledger_corrupt, "ledger_corrupt", "A stored record is damaged."},
    {errc::draining, fault::not_ready, "draining", "The server is about to end."},
    {errc::not_owner, fault::not_ready, "not_owner",
     "Another server has this part of the ledger; nothing was changed."},
};

/// `/a/b~1c/0` as places below `body.initial_state`.
std::vector<place_part> state_place(std::string_view pointer) {
  std::vector<place_part> out{std::string{"body"}, std::string{"initial_state"}};
  while (!pointer.empty()) {
    pointer.remove_prefix(1);
    const auto end = std::min(pointer.find('/'), pointer.size());
    std::string part;
    for (std::size_t at = 0; at < end; ++at) {
      const bool escaped = pointer[at] == '~' && at + 1 < end;
      part.push_back(escaped ? (pointer[at + 1] == '1' ? '/' : '~') : pointer[at]);
      at += escaped ? 1 : 0;
    }
    out.emplace_back(std::move(part));
    pointer.remove_prefix(end);
  }
  return out;
}

std::string place_of_damage(std::string_view stream, std::uint64_t seq, std::int64_t offset) {
  std::string out{"\"stream\":"};
  json_writer::append_quoted(out, stream);
  return out + ",\"seq\":" + std::to_string(seq) + ",\"offset\":" + std::to_string(offset);
}

} // namespace

problem problem_of(const refusal_info& why) {
  const refusal_row* found = nullptr;
  for (const auto& each : refusal_rows)
    if (each.why == why.code)
      found = &each;
  if (found == nullptr)
    return problem::of(fault::internal);
  auto made =
      problem::of(found->shape, why.detail.empty() ? std::string{found->detail} : why.detail);
  made.code = found->code;
  if (why.code == errc::not_owner)
    made.partition = why.partition;
  else if (why.code == errc::state_mismatch)
    made.errors.push_back({state_place(why.path), made.detail, "state_mismatch"});
  else if (why.code == errc::unknown_workspace)
    made.errors.push_back(
        {{std::string{"body"}, std::string{"workspace"}}, made.detail, "unknown_workspace"});
  else if (why.code == errc::unknown_step)
    made.errors.push_back({{std::string{"body"}, std::string{"at"}}, made.detail, "unknown_step"});
  else if (why.code == errc::ledger_corrupt)
    made.extra = place_of_damage(why.stream, why.seq, why.offset);
  return made;
}

std::optional<errc> errc_of(std::string_view code) {
  for (const auto& each : refusal_rows)
    if (each.code == code)
      return each.why;
  return std::nullopt;
}

problem problem_of(const read_error& why) {
  if (why.what == read_error::kind::unavailable)
    return problem::of(fault::timeout, "The answer cannot be read now.");
  auto made = problem::of(fault::ledger_corrupt, why.detail);
  made.extra = place_of_damage(why.stream.value, why.seq, why.offset);
  return made;
}

} // namespace runledger::http
