#include "cli/audit_evidence.hpp"
#include "cli/command.hpp"
#include "cli/output.hpp"
#include "cli/progress.hpp"
#include "projections/replay/bundle_check.hpp"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>

namespace runledger::cli {

namespace {

void print_report(const replay::bundle_report& report, const bundle_call& asked) {
  print(fmt::format("bundle of the ledger {}, made {} by {} for {}\n", printable(report.ledger),
                    printable(report.made_at), printable(report.made_by),
                    printable(report.asked.to_json())));
  print(fmt::format(
      "{} events in {} streams{}\n", with_commas(report.events), with_commas(report.streams),
      report.asked.whole_streams() ? ", each from its first event on" : ", parts of them"));
  print(fmt::format("{} tree heads; {} events stand under the newest, {} behind it are chained "
                    "only\n",
                    with_commas(report.tree_heads), with_commas(report.signed_events),
                    with_commas(report.unsigned_events)));
  print(asked.public_key.empty()
            ? "keys: those that the bundle itself holds (--public-key trusts yours)\n"
            : fmt::format("keys: those of {}\n", printable(asked.public_key)));
  if (!asked.kept.empty())
    print(fmt::format("kept heads: the bundle is tied to {} of {}; {} events stand under them\n",
                      with_commas(report.kept_matched), with_commas(asked.kept.size()),
                      with_commas(report.kept_events)));
  if (report.found > 0)
    print_findings(report.findings, report.found, "outside of the events");
  else if (report.unsigned_events == 0)
    print("OK: this is what the ledger said\n");
  else
    print(fmt::format("OK as far as it is signed. {} events stand under no signed head: whoever "
                      "wrote the file could have written them\n",
                      with_commas(report.unsigned_events)));
}

void print_json(const replay::bundle_report& report, const bundle_call& asked) {
  std::string out;
  json_writer json{out};
  json.begin_object()
      .member("ok", report.found == 0)
      .member("bundle", asked.path)
      .member("ledger", report.ledger)
      .raw_member("asked", report.asked.to_json())
      .member("made_at", report.made_at)
      .member("made_by", report.made_by)
      .member("events", report.events)
      .member("streams", report.streams)
      .member("tree_heads", report.tree_heads)
      .member("signed_events", report.signed_events)
      .member("unsigned_events", report.unsigned_events)
      .member("kept_heads", asked.kept.size())
      .member("kept_heads_matched", report.kept_matched)
      .member("kept_events", report.kept_events);
  write_findings(json, report.findings, report.found);
  json.end_object();
  print(out + "\n");
}

} // namespace

int verify_bundle(const bundle_call& asked) {
  replay::bundle_check_options options;
  options.trusted = trusted_keys(asked.public_key);
  options.kept = asked.kept;
  options.allow_unsigned = asked.allow_unsigned;
  std::error_code ec;
  if (std::filesystem::is_directory(asked.path, ec))
    throw command_failure{exit_wrong, fmt::format("{} is a folder, not a bundle", asked.path)};
  std::ifstream file{asked.path, std::ios::binary};
  if (!file)
    throw command_failure{exit_wrong,
                          fmt::format("{} cannot be read: {}", asked.path, std::strerror(errno))};
  if (const auto size = std::filesystem::file_size(asked.path, ec); !ec)
    options.size_bytes = size;
  progress bar{"verify", "bytes"};
  options.progress = [&bar](std::uint64_t done, std::uint64_t of) { bar.update(done, of); };
  const auto report = replay::check_bundle(file, options);
  bar.finish();
  if (!report)
    throw command_failure{exit_wrong,
                          fmt::format("{} cannot be checked: {}", asked.path, report.error())};
  if (asked.json)
    print_json(*report, asked);
  else
    print_report(*report, asked);
  return report->found == 0 ? exit_done : exit_no;
}

} // namespace runledger::cli
