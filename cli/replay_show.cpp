#include "cli/event_lines.hpp"
#include "cli/offline_verb.hpp"
#include "cli/output.hpp"
#include "cli/replay_events.hpp"
#include "cli/replay_verbs.hpp"

#include <fmt/format.h>

namespace runledger::cli {

namespace {

struct show_options : offline_options {
  std::string id;
};

int show(const show_options& asked) {
  constexpr std::size_t printed_at_once = 64 * 1024;
  const offline_ledger ledger{asked};
  event_lines lines{asked.json, asked.id};
  std::string text;
  bool any = false;
  const auto walked = each_event_of(ledger, stream_id{asked.id}, [&](const record_ptr& r) {
    text += lines.line(*r);
    any = true;
    if (text.size() > printed_at_once) {
      print(text);
      text.clear();
    }
    return true;
  });
  print(text);
  if (!walked)
    refuse(ledger, walked.error());
  if (!any)
    throw command_failure{
        exit_wrong, fmt::format("{} has no events of {}", ledger.name(), printable(asked.id))};
  return exit_done;
}

} // namespace

void add_replay_show(CLI::App& replay, command& chosen) {
  const auto options = std::make_shared<show_options>();
  auto& verb = add_offline_verb(
      replay, chosen, "show", "Print what happened to an entity, one line an event", options, show);
  verb.add_option("ID", options->id,
                  "A stream: run_..., sess_..., wrk_..., ag_..., key_..., ws/..., part_...")
      ->required();
  verb.footer("A session is shown with its runs, in the order of the ledger: 7 is the session's "
              "own event, 2.7 one of its second turn's run. A run begins with the event of its "
              "session (s7) that accepted it.\n"
              "--json: one CloudEvent a line, with partition, offset and epoch.\n"
              "Example:\n  runledger replay show sess_01J9... --data /var/lib/runledger");
}

} // namespace runledger::cli
