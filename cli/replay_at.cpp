#include "cli/offline_verb.hpp"
#include "cli/output.hpp"
#include "cli/past_object.hpp"
#include "cli/replay_verbs.hpp"

#include <fmt/format.h>

namespace runledger::cli {

namespace {

struct at_options : offline_options {
  std::string id, when;
};

int at(const at_options& asked) {
  const auto when = point_of(asked.when);
  const offline_ledger ledger{asked};
  const auto what = past_kind_of(ledger, asked.id, when);
  const auto object = object_at(ledger, what, asked.id, when);
  if (!object)
    refuse_absent(ledger, what, asked.id, when);
  if (asked.json)
    print(object->json + "\n");
  else
    print(fmt::format("as of {} (last event: {})\n\n{}", replay::to_text(when), object->last,
                      past_text(what, *object, wants_colour())));
  return exit_done;
}

} // namespace

void add_replay_at(CLI::App& replay, command& chosen) {
  const auto options = std::make_shared<at_options>();
  auto& verb = add_offline_verb(replay, chosen, "at",
                                "Show what an entity was at a point in the past", options, at);
  verb.add_option("ID", options->id, "run_..., sess_..., wrk_..., or ws/ID for what it had spent")
      ->required();
  verb.add_option("POINT", options->when,
                  "seq:N or N: behind the entity's own event N. offset:N: behind that place of the "
                  "ledger. Or a time, RFC 3339")
      ->required();
  verb.footer("Ages are told as they were then. --json: the API's own object, to the byte.\n"
              "Exit 1: it was not there yet.\n"
              "Examples:\n  runledger replay at run_01J9... 12\n"
              "  runledger replay at ws/default 2026-01-31T12:00:00Z --json");
}

} // namespace runledger::cli
