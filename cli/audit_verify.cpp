#include "cli/audit_verbs.hpp"
#include "cli/offline_verb.hpp"
#include "cli/output.hpp"
#include "cli/progress.hpp"
#include "events/json_writer.hpp"
#include "events/log/tree_head_files.hpp"
#include "projections/replay/verify.hpp"

#include <algorithm>
#include <chrono>
#include <fmt/format.h>
#include <iterator>

namespace runledger::cli {

namespace {

struct audit_verify_options : offline_options {
  std::string public_key;
  std::vector<std::string> against;
  bool blobs = false;
};

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> out;
  while (!text.empty()) {
    const auto end = text.find('\n');
    out.push_back(text.substr(0, end));
    text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
  }
  return out;
}

std::vector<ed25519::public_key> trusted_keys(const std::string& path) {
  if (path.empty())
    return {};
  auto keys = ed25519::public_keys_from_pem(file_text(path));
  if (!keys)
    throw command_failure{exit_wrong,
                          fmt::format("{} holds no Ed25519 public key (PEM), or another besides; "
                                      "`runledger audit keys` prints the right ones",
                                      path)};
  return *std::move(keys);
}

/// What the auditor brought along: every line must be a tree head.
void add_brought(const std::string& path, std::vector<replay::kept_head>& to) {
  const auto text = file_text(path);
  const auto before = to.size();
  std::size_t number = 0;
  for (const auto line : lines_of(text)) {
    ++number;
    if (line.empty())
      continue;
    auto head = head_from_line(line);
    if (!head)
      throw command_failure{
          exit_wrong, fmt::format("{}, line {}: this is no tree head; lines of DATA/tree-heads are",
                                  path, number)};
    to.push_back({fmt::format("{}, line {}", path, number), *std::move(head)});
  }
  if (to.size() == before)
    throw command_failure{exit_wrong, fmt::format("{} holds no tree head", path)};
}

/// What lies beside the ledger. Half a line at the end is what a crash leaves.
void add_lying_about(const std::string& folder, std::vector<replay::kept_head>& to,
                     replay::verify_report& report) {
  for (const auto& name : tree_head_file_names(folder)) {
    const auto path = folder + '/' + name;
    const auto text = file_text(path);
    const auto lines = lines_of(text);
    for (std::size_t i = 0; i < lines.size(); ++i) {
      const auto place = fmt::format("{}, line {}", path, i + 1);
      if (auto head = head_from_line(lines[i]))
        to.push_back({place, *std::move(head)});
      else if (i + 1 < lines.size() || text.ends_with('\n'))
        ++report.found,
            report.findings.push_back(
                {replay::finding_kind::head_unreadable, 0, {}, 0, -1, place + " is no tree head"});
    }
  }
}

std::string place_of(const replay::finding& f) {
  std::string out;
  if (!f.stream.empty())
    out += fmt::format("stream {}, ", printable(f.stream.value));
  if (f.seq > 0)
    out += fmt::format("seq {}, ", f.seq);
  if (f.offset >= 0)
    out += fmt::format("offset {}, ", f.offset);
  return out.empty() ? "outside of the ledger" : out.substr(0, out.size() - 2);
}

void print_findings(const replay::verify_report& report) {
  print(fmt::format("NOT as it was written: {} found. The first bad place: {}\n",
                    with_commas(report.found), place_of(report.findings.front())));
  for (const auto& f : report.findings)
    print(fmt::format("  {:16}  {}: {}\n", replay::to_string(f.kind), place_of(f),
                      printable(f.what)));
  if (report.found > report.findings.size())
    print(fmt::format("  and {} more\n", with_commas(report.found - report.findings.size())));
}

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
  if (asked.blobs)
    print(fmt::format("{} contents of blobs\n", with_commas(report.contents)));
  if (report.found > 0)
    print_findings(report);
  else
    print("OK: nothing was changed, removed, added or moved\n");
}

void write_finding(json_writer& writer, const replay::finding& f) {
  writer.begin_object().member("kind", replay::to_string(f.kind));
  if (!f.stream.empty())
    writer.member("stream", f.stream.value);
  if (f.seq > 0)
    writer.member("seq", f.seq);
  if (f.offset >= 0)
    writer.member("partition", f.partition).member("offset", f.offset);
  writer.member("what", f.what).end_object();
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
      .member("kept_heads", kept)
      .member("kept_heads_matched", report.kept_matched)
      .member("contents", report.contents)
      .raw_member("seconds", fmt::format("{:.3f}", seconds))
      .member("found", report.found)
      .key("findings")
      .begin_array();
  for (const auto& f : report.findings)
    write_finding(writer, f);
  writer.end_array().end_object();
  print(out + "\n");
}

/// Findings from outside of the ledger come behind its own.
void put_behind(replay::verify_report& report, replay::verify_report outside) {
  report.found += outside.found;
  std::ranges::move(outside.findings, std::back_inserter(report.findings));
}

int verify(const audit_verify_options& asked) {
  replay::verify_options options;
  options.trusted = trusted_keys(asked.public_key);
  for (const auto& path : asked.against)
    add_brought(path, options.kept);
  const offline_ledger ledger{asked};
  replay::verify_report outside;
  if (!ledger.tree_heads().empty())
    add_lying_about(ledger.tree_heads(), options.kept, outside);
  options.offsets_without_gaps = ledger.log().topic() == "ledger";
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
  verb.add_option("--public-key", asked->public_key,
                  "PEM file with the only keys that count (else those in the ledger)");
  verb.add_option("--against", asked->against,
                  "File with tree heads that you kept, lines of DATA/tree-heads: the ledger must "
                  "still hold what they cover");
  verb.add_flag("--blobs", asked->blobs, "Read every content beside the ledger, too");
  verb.footer("Exit 0: as it was written. Exit 1: it is not; the first bad place is named. Exit 2: "
              "nothing could be checked.\n"
              "Examples:\n"
              "  runledger audit verify --data /var/lib/runledger\n"
              "  runledger audit verify --ledger sqlite:copy.db --public-key node.pem --against "
              "head-of-june.jsonl");
}

} // namespace runledger::cli
