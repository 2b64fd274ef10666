#include "cli/audit_evidence.hpp"
#include "cli/audit_verbs.hpp"
#include "cli/offline_verb.hpp"
#include "cli/output.hpp"
#include "cli/progress.hpp"
#include "events/json_writer.hpp"
#include "projections/replay/verify.hpp"

#include <algorithm>
#include <chrono>
#include <fmt/format.h>

namespace runledger::cli {

namespace {

struct audit_verify_options : offline_options {
  std::string bundle, public_key;
  std::vector<std::string> against;
  bool blobs = false, allow_unsigned = false;
};

void print_report(const replay::verify_report& report, const audit_verify_options& asked,
                  std::size_t brought, double seconds) {
  print(fmt::format("{} events in {} streams, {} claims; {}/s\n", with_commas(report.events),
                    with_commas(report.streams), with_commas(report.claims),
                    with_commas(static_cast<std::uint64_t>(static_cast<double>(report.events)
                                                           / std::max(seconds, 0.001)))));
  print(fmt::format("{} tree heads; {} events stand under a right one, {} behind it are chained "
                    "only\n",
                    with_commas(report.tree_heads), with_commas(report.signed_events),
                    with_commas(report.unsigned_events)));
  print(asked.public_key.empty()
            ? "keys: those that the ledger itself has registered (--public-key trusts yours)\n"
            : fmt::format("keys: those of {}\n", printable(asked.public_key)));
  if (brought > 0)
    print(fmt::format("kept heads: the ledger bears out {} of {}\n",
                      with_commas(report.kept_matched), with_commas(brought)));
  if (report.copied_events > 0)
    print(fmt::format("{} events were copied from another ledger; {} of its last tree heads bear "
                      "them out, {} events stand under none\n",
                      with_commas(report.copied_events), with_commas(report.foreign_heads),
                      with_commas(report.copied_unsigned)));
  if (asked.blobs)
    print(fmt::format("{} contents of blobs\n", with_commas(report.contents)));
  if (report.found > 0)
    print_findings(report.findings, report.found, "outside of the ledger");
  else
    print("OK: nothing was changed, removed, added or moved\n");
}

void print_json(const replay::verify_report& report, const std::string& ledger, std::size_t kept,
                double seconds) {
  std::string out;
  json_writer writer{out};
  writer.begin_object()
      .member("ok", report.found == 0)
      .member("ledger", ledger)
      .member("events", report.events)
      .member("streams", report.streams)
      .member("claims", report.claims)
      .member("tree_heads", report.tree_heads)
      .member("signed_events", report.signed_events)
      .member("unsigned_events", report.unsigned_events)
      .member("copied_events", report.copied_events)
      .member("foreign_heads", report.foreign_heads)
      .member("copied_unsigned_events", report.copied_unsigned)
      .member("kept_heads", kept)
      .member("kept_heads_matched", report.kept_matched)
      .member("contents", report.contents)
      .raw_member("seconds", fmt::format("{:.3f}", seconds));
  write_findings(writer, report.findings, report.found);
  writer.end_object();
  print(out + "\n");
}

int verify(const audit_verify_options& asked) {
  if (!asked.bundle.empty())
    return verify_bundle({asked.bundle, asked.public_key, brought_heads(asked.against),
                          asked.allow_unsigned, asked.json});
  replay::verify_options options;
  options.trusted = trusted_keys(asked.public_key);
  options.kept = brought_heads(asked.against);
  const offline_ledger ledger{asked};
  replay::verify_report outside;
  if (!ledger.tree_heads().empty())
    add_kept_beside(ledger.tree_heads(), options.kept, outside);
  options.offsets_without_gaps = ledger.log().partition_name(0).topic == whole_ledger;
  if (asked.blobs) {
    options.blobs = ledger.blobs();
    if (options.blobs == nullptr)
      throw command_failure{exit_wrong, "--blobs: there is no folder of blobs; name the data "
                                        "folder with --data"};
  }
  progress bar{"verify", "events"};
  options.progress = [&bar](std::uint64_t done, std::uint64_t of) { bar.update(done, of); };
  const auto began = std::chrono::steady_clock::now();
  auto report = replay::verify(ledger.log(), options);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
  bar.finish();
  put_behind(report, std::move(outside));
  if (asked.json)
    print_json(report, ledger.name(), options.kept.size(), took.count());
  else
    print_report(report, asked, options.kept.size(), took.count());
  return report.found == 0 ? exit_done : exit_no;
}

} // namespace

void add_audit_verify(CLI::App& noun, command& chosen) {
  const auto asked = std::make_shared<audit_verify_options>();
  auto& verb = add_offline_verb(
      noun, chosen, "verify",
      "Whether a ledger is as it was written: hashes, chains, claims, tree heads", asked, verify);
  verb.add_option("--bundle", asked->bundle,
                  "Verify a file of `audit export` instead, far from any ledger")
      ->excludes(verb.get_option("--data"))
      ->excludes(verb.get_option("--ledger"));
  verb.add_flag("--allow-unsigned", asked->allow_unsigned,
                "Accept events of the bundle under no signed head: whoever wrote the file could "
                "have written them")
      ->needs(verb.get_option("--bundle"));
  verb.add_option("--public-key", asked->public_key,
                  "PEM file with the only keys that count (else those in the ledger or bundle)");
  verb.add_option("--against", asked->against,
                  "File with tree heads that you kept, lines of DATA/tree-heads: the ledger must "
                  "still hold what they cover");
  verb.add_flag("--blobs", asked->blobs, "Read every content beside the ledger, too")
      ->excludes(verb.get_option("--bundle"));
  verb.footer("Exit 0: as it was written. Exit 1: it is not; the first bad place is named. Exit 2: "
              "nothing could be checked.\n"
              "Examples:\n"
              "  runledger audit verify --data /var/lib/runledger\n"
              "  runledger audit verify --ledger sqlite:copy.db --public-key node.pem --against "
              "head-of-june.jsonl\n"
              "  runledger audit verify --bundle dispute.jsonl --public-key node.pem");
}

} // namespace runledger::cli
