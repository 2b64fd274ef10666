#include "actors/run_beginning.hpp"

#include "actors/history.hpp"
#include "actors/run_frames.hpp"

namespace runledger {

namespace {

begun_text no_beginning(failure why) {
  const auto cost = cost_of(why);
  return {{}, std::move(why), cost};
}

/// The first attempt of a session's first turn has no history that is not at hand.
result<std::vector<harness::history_item>, failure>
read_or_derive_history(const event_log& log, const blob_store& blobs, const run_beginning& what) {
  if (what.state.turn == 1 && what.state.attempt == 1 && what.first)
    return history_of({what.granted.entry.accepting, what.first}, blobs, what.run, what.work_dir);
  return read_history(log, blobs, what.session, what.run, what.work_dir);
}

/// In front of them the files that they name.
result<std::string, failure> with_files(std::string lines, const harness::run_start& start,
                                        const run_beginning& what) {
  auto files = start.blobs;
  for (const auto& item : start.history)
    files.insert(files.end(), item.blobs.begin(), item.blobs.end());
  auto carried = file_lines(*what.remote, what.work_dir, files);
  if (!carried)
    return carried.error();
  lines.insert(0, *carried);
  if (lines.size() > remote_beginning_max)
    return failure{"beginning_too_large",
                   "The run's beginning (input, history and the files that they name) has "
                       + std::to_string(lines.size()) + " bytes; a remote worker gets at most "
                       + std::to_string(remote_beginning_max)
                       + ". Save checkpoints, which leave out what came before, or start a new "
                         "session."};
  return {boost::system::in_place_value, std::move(lines)};
}

} // namespace

attempt_cost cost_of(const failure& why) {
  if (why.code == "beginning_too_large")
    return attempt_cost::final;
  return why.code == "blob_unavailable" ? attempt_cost::none : attempt_cost::counted;
}

begun_text write_beginning(const event_log& log, const blob_store& blobs,
                           const run_beginning& what) {
  const auto& accepted = *what.granted.entry.fact;
  harness::run_start start;
  start.run = what.run.value;
  start.session = what.session.value;
  start.attempt = static_cast<std::uint32_t>(what.state.attempt);
  start.agent_id = what.state.agent.value;
  start.agent_slug = accepted.agent_slug;
  start.agent_version = static_cast<std::uint32_t>(what.state.agent_version);
  start.workdir = what.work_dir;
  start.limits_json = limits_json(what.state.limits);
  auto prompt =
      as_frame_member(accepted.prompt, blobs, what.work_dir, "/input/prompt", start.blobs);
  if (!prompt)
    return no_beginning(prompt.error());
  auto state = as_frame_member(accepted.initial_state, blobs, what.work_dir, "/input/initial_state",
                               start.blobs);
  if (!state)
    return no_beginning(state.error());
  auto history = read_or_derive_history(log, blobs, what);
  if (!history)
    return no_beginning(history.error());
  start.prompt_json = std::move(*prompt);
  start.initial_state_json = std::move(*state);
  start.history = std::move(*history);
  auto lines = harness::run_start_lines(start);
  if (!what.remote)
    return {std::move(lines), {}, {}};
  auto whole = with_files(std::move(lines), start, what);
  if (!whole)
    return no_beginning(whole.error());
  return {std::move(*whole), {}, {}};
}

} // namespace runledger
