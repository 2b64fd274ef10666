#include "events/log/ledger_copy.hpp"
#include "cli/audit_evidence.hpp"
#include "cli/command.hpp"
#include "cli/copy_sides.hpp"
#include "cli/kafka_access.hpp"
#include "cli/output.hpp"
#include "cli/private_file.hpp"
#include "cli/progress.hpp"
#include "events/json_writer.hpp"
#include "events/log/kafka/client.hpp"
#include "projections/replay/verify.hpp"

#include <CLI/CLI.hpp>

#include <atomic>
#include <chrono>
#include <csignal>
#include <fmt/format.h>
#include <memory>

namespace runledger::cli {

namespace {

struct copy_call {
  std::string from, to, from_blobs, to_blobs, node_key;
  kafka_access kafka;
  std::vector<std::string> properties; ///< Beside those.
  std::uint32_t partitions = 12, replication = 0;
  std::size_t batch = 2000;
  bool json = false;

  ledger_place source, target; ///< As the names say.
  side_wishes of_source, of_target;
};

std::atomic<bool> copy_interrupted{false};

extern "C" void interrupt_copy(int) {
  copy_interrupted = true;
}

/// A copy ends between two writes, and removes what it has put elsewhere.
void interrupt_at_signals() {
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction action = {};
    if (::sigaction(number, nullptr, &action) != 0 || action.sa_handler != SIG_DFL)
      continue; // Somebody wants it to be ignored.
    action.sa_handler = interrupt_copy;
    ::sigaction(number, &action, nullptr);
  }
}

void end_if_interrupted() {
  if (copy_interrupted)
    throw command_failure{exit_wrong, "interrupted; the same command goes on where it was"};
}

void update(progress& bar, std::uint64_t done, std::uint64_t of) {
  end_if_interrupted();
  bar.update(done, of);
}

/// As a server finds them, and what the command line says beside.
std::map<std::string, std::string> properties_of(const copy_call& asked) {
  std::map<std::string, std::string> out;
  if (asked.source.in_kafka || asked.target.in_kafka)
    out = kafka_settings_of(asked.kafka).properties;
  for (const auto& each : asked.properties) {
    const auto at = each.find('=');
    if (at == std::string::npos || at == 0)
      throw command_failure{exit_wrong, fmt::format("--kafka-property {}: write NAME=VALUE", each)};
    const auto name = each.substr(0, at);
    if (const auto why = kafka::forbidden_property(name))
      throw command_failure{exit_wrong, fmt::format("--kafka-property {}: {}", name, *why)};
    out[name] = each.substr(at + 1);
  }
  return out;
}

/// A source's contents, for its verification. Where it has no place for them every one that it
/// names is missing; one that cannot be read now ends the command, for nobody has tampered with it.
class source_contents final : public blob_store {
public:
  explicit source_contents(const blob_store* of) : of_(of) {}
  result<blob_ref, blob_errc> put(std::string_view) override { return blob_errc::unavailable; }
  result<blob_ref, blob_errc> put_file(int, std::uint64_t) override {
    return blob_errc::unavailable;
  }
  result<std::string, blob_errc> get(const digest& id) const override {
    end_if_interrupted();
    auto content =
        of_ != nullptr ? of_->get(id) : result<std::string, blob_errc>{blob_errc::missing};
    if (!content && content.error() == blob_errc::unavailable)
      throw command_failure{exit_wrong,
                            fmt::format("the content {} cannot be read now: nothing was sealed "
                                        "and nothing copied",
                                        to_hex(id))};
    return content;
  }
  std::optional<std::string> path_of(const digest&) const override { return std::nullopt; }

private:
  const blob_store* of_;
};

/// A ledger that somebody has tampered with is not sealed and taken for whole.
void expect_sound(const event_log& log, const blob_store* blobs, const ledger_place& place) {
  progress bar{"verify", "events"};
  const source_contents contents{blobs};
  replay::verify_options options;
  options.blobs = &contents;
  options.offsets_without_gaps = !place.in_kafka;
  options.progress = [&](std::uint64_t done, std::uint64_t of) { update(bar, done, of); };
  replay::verify_report outside;
  if (!place.in_kafka)
    add_kept_beside(place.folder + "/tree-heads", options.kept, outside);
  auto report = replay::verify(log, options);
  bar.finish();
  put_behind(report, std::move(outside));
  if (report.found == 0)
    return;
  print_findings(report.findings, report.found, "outside of the ledger");
  throw command_failure{exit_no, fmt::format("{} is not as it was written: nothing was sealed and "
                                             "nothing copied. `runledger audit verify` says more",
                                             place.name())};
}

[[noreturn]] void refuse_copy(const copy_error& why) {
  throw command_failure{why.what == copy_error::kind::damaged ? exit_no : exit_wrong, why.detail};
}

void print_copy(const copy_call& asked, const copy_report& report) {
  if (asked.json) {
    std::string out;
    json_writer{out}
        .begin_object()
        .member("from", asked.source.name())
        .member("from_ledger", report.from_ledger)
        .member("to", asked.target.name())
        .member("to_ledger", report.to_ledger)
        .member("was_done", report.was_done)
        .member("events", report.events)
        .member("appended", report.appended)
        .member("blobs", report.contents)
        .end_object();
    return print(out + "\n");
  }
  if (report.was_done)
    return print(fmt::format("{} is a whole copy of {} already: {} events, ledger {}\n",
                             asked.target.name(), asked.source.name(), with_commas(report.events),
                             report.to_ledger));
  print(fmt::format("sealed  {} (ledger {}, {} partition{}): no server starts on it any more\n",
                    asked.source.name(), report.from_ledger, report.partitions,
                    report.partitions == 1 ? "" : "s"));
  print(fmt::format("copied  {} events and {} blobs", with_commas(report.events),
                    with_commas(report.contents)));
  if (report.appended < report.events)
    print(fmt::format("; {} of the events were there already",
                      with_commas(report.events - report.appended)));
  print(fmt::format("\nto      {} (ledger {})\n", asked.target.name(), report.to_ledger));
}

/// What signs a last tree head of the source; nothing: none is there.
std::optional<ed25519::private_key> signing_key_of(const copy_call& asked,
                                                   const open_side& source) {
  if (asked.node_key.empty())
    return source.node_key;
  const auto text = read_private_file(asked.node_key);
  auto key = text ? ed25519::private_key::from_pem(*text + "\n") : std::nullopt;
  if (!key)
    throw command_failure{exit_wrong, fmt::format("--node-key {}: it cannot be read, or is no "
                                                  "Ed25519 key in PEM",
                                                  asked.node_key)};
  return key;
}

/// Looks at what lies there, before anything is locked or made. True: all is done.
bool is_done(const copy_call& asked, const event_log& source, copy_report& report) {
  if (asked.target.in_kafka)
    return false;
  const auto target = peek_at(asked.target);
  const auto state = look_at_copy(source, target.get(), asked.target.name());
  if (!state)
    refuse_copy(state.error());
  if (!state->done)
    return false;
  const auto facts = copy_facts_of(*target);
  report = {true,
            state->from_ledger,
            state->seal->ledger,
            source.partition_count(),
            facts && facts->ended ? facts->ended->events : 0,
            0,
            0};
  return true;
}

bool is_sealed(const event_log& log) {
  for (std::uint32_t p = 0; p < log.partition_count(); ++p)
    if (!log.partition_state(p).sealed)
      return false;
  return true;
}

/// The source, verified unless it is sealed already. Nothing: the copy is done, see `report`.
std::optional<open_side> prepare_source(const copy_call& asked, copy_report& report) {
  if (asked.source.in_kafka) {
    expect_no_nodes(asked.source, asked.of_source);
    auto source = open_source(asked.source, asked.of_source, std::nullopt);
    if (is_done(asked, *source.log, report))
      return std::nullopt;
    if (!is_sealed(*source.log))
      expect_sound(*source.log, source.blobs.get(), asked.source);
    return source;
  }
  auto looked_at = peek_at(asked.source);
  if (!looked_at)
    throw command_failure{exit_wrong, fmt::format("{} is not there", asked.source.file())};
  if (is_done(asked, *looked_at, report))
    return std::nullopt;
  auto lock = lock_side(asked.source);
  looked_at = peek_at(asked.source);
  if (!is_sealed(*looked_at))
    expect_sound(*looked_at, blobs_of_folder(asked.source, asked.of_source).get(), asked.source);
  looked_at.reset(); // Two connections of one process to one file would disturb each other.
  return open_source(asked.source, asked.of_source, std::move(lock));
}

/// A whole copy may have its servers; one that is to be written to has none.
void expect_unused_target(const copy_call& asked, const event_log& source,
                          const event_log& target) {
  if (!asked.target.in_kafka)
    return; // Its folder is locked.
  const auto state = look_at_copy(source, &target, asked.target.name());
  if (!state)
    refuse_copy(state.error());
  if (!state->done)
    expect_no_nodes(asked.target, asked.of_target);
}

int copy(const copy_call& given) {
  auto asked = given;
  asked.source = place_of_ledger("--from", asked.from);
  asked.target = place_of_ledger("--to", asked.to);
  if (asked.source.name() == asked.target.name())
    throw command_failure{exit_wrong, "--from and --to name the same ledger"};
  const auto properties = properties_of(asked);
  asked.of_source = {asked.from_blobs, 0, 0, properties, end_if_interrupted};
  asked.of_target = {asked.to_blobs, asked.partitions, asked.replication, properties,
                     end_if_interrupted};
  interrupt_at_signals();
  copy_report report;
  const auto source = prepare_source(asked, report);
  if (!source) {
    print_copy(asked, report);
    return exit_done;
  }
  const auto target = open_target(asked.target, asked.of_target);
  expect_unused_target(asked, *source->log, *target.log);
  system_wall_clock clock;
  system_id_source ids;
  progress bar{"copy", "events"};
  copy_options options;
  options.from = {source->log.get(), source->blobs.get(), asked.source.name()};
  options.to = {target.log.get(), target.blobs.get(), asked.target.name()};
  options.clock = &clock;
  options.ids = &ids;
  options.key = signing_key_of(asked, *source);
  options.group_events = asked.batch;
  options.patience = std::chrono::seconds{90};
  options.progress = [&](std::uint64_t done, std::uint64_t of) { update(bar, done, of); };
  options.pause = end_if_interrupted;
  const auto copied = copy_ledger(options);
  bar.finish();
  if (!copied)
    refuse_copy(copied.error());
  print_copy(asked, *copied);
  return exit_done;
}

void add_ledger_copy(CLI::App& noun, command& chosen) {
  const auto asked = std::make_shared<copy_call>();
  auto& verb = *noun.add_subcommand(
      "copy", "Move a ledger to another back end, or to topics with other partitions");
  verb.add_option("--from", asked->from, "The source: sqlite:FILE or kafka:BROKERS[/PREFIX]")
      ->required();
  verb.add_option("--to", asked->to, "The target, empty or this very copy, likewise named")
      ->required();
  verb.add_option("--partitions", asked->partitions, "Partitions of topics that are made (12)")
      ->check(CLI::Range(1, 1000));
  verb.add_option("--replication", asked->replication,
                  "Replicas of topics that are made (3, or as many as there are brokers)");
  verb.add_option("--from-blobs", asked->from_blobs,
                  "Folder of the source's blobs, where its servers have `blobs.dir`");
  verb.add_option("--to-blobs", asked->to_blobs,
                  "Folder for the target's blobs, where its servers will have `blobs.dir`");
  verb.add_option("--node-key", asked->node_key,
                  "PEM file with the key of a node of the source, which signs a last tree head (a "
                  "SQLite source: DATA/node.key)");
  add_kafka_access(verb, asked->kafka);
  verb.add_option("--kafka-property", asked->properties,
                  "NAME=VALUE for Kafka's client, such as security.protocol=SSL; again for more. "
                  "Passwords belong into the settings' file or the variables");
  verb.add_option("--batch", asked->batch, "Events that are written at once (2000)")
      ->check(CLI::Range(1, 10'000));
  verb.add_flag("--json", asked->json, "Print JSON");
  verb.callback([&chosen, asked] { chosen = [asked] { return copy(*asked); }; });
  verb.footer(
      "Stop every server of the source first. The source is verified, then sealed: from there on "
      "no server starts on it. A copy that was interrupted goes on with the same command.\n"
      "Exit 0: done, now or before. Exit 1: the source is not as it was written. Exit 2: nothing "
      "could be done.\n"
      "Examples:\n"
      "  runledger ledger copy --from sqlite:/var/lib/runledger/ledger.db --to "
      "kafka:10.0.0.7:9092\n"
      "  runledger ledger copy --from kafka:10.0.0.7:9092 --to sqlite:/srv/runledger/ledger.db\n"
      "  runledger ledger copy --from kafka:10.0.0.7:9092/small --to kafka:10.0.0.7:9092/large "
      "--partitions 48");
}

} // namespace

void add_ledger(CLI::App& app, command& chosen) {
  auto& noun = *app.add_subcommand("ledger", "Work on a whole ledger, its servers stopped");
  noun.require_subcommand(1);
  add_ledger_copy(noun, chosen);
  noun.footer("Example:\n  runledger ledger copy --from sqlite:/var/lib/runledger/ledger.db --to "
              "kafka:10.0.0.7:9092");
}

} // namespace runledger::cli
