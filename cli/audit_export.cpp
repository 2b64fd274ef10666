#include "cli/audit_evidence.hpp"
#include "cli/audit_verbs.hpp"
#include "cli/offline_verb.hpp"
#include "cli/output.hpp"
#include "cli/output_file.hpp"
#include "cli/progress.hpp"
#include "cli/version.hpp"
#include "projections/replay/history.hpp"
#include "projections/replay/sheets.hpp"

#include <fmt/format.h>

namespace runledger::cli {

namespace {

constexpr const char* bundle_word = "bundle";
constexpr const char* runs_word = "runs-csv";
constexpr const char* spend_word = "spend-csv";

struct audit_export_options : offline_options {
  std::string run, session, workspace, since, until, out;
  std::string format = bundle_word;
  std::vector<std::string> against;
  bool force = false;
};

std::optional<timestamp> time_of(const char* option, const std::string& text) {
  if (text.empty())
    return std::nullopt;
  const auto read = parse_rfc3339(text);
  if (!read)
    throw command_failure{exit_wrong, fmt::format("{} {}: write a time as 2026-06-30T00:00:00Z",
                                                  option, printable(text))};
  return read;
}

/// What of the call can be judged without the ledger.
replay::selection selection_of(const audit_export_options& asked) {
  replay::selection out;
  if (!asked.run.empty() && !is_id(asked.run, "run_"))
    throw command_failure{exit_wrong,
                          fmt::format("--run {}: a run is run_...", printable(asked.run))};
  if (!asked.session.empty() && !is_id(asked.session, "sess_"))
    throw command_failure{
        exit_wrong, fmt::format("--session {}: a session is sess_...", printable(asked.session))};
  out.run.value = asked.run;
  out.session.value = asked.session;
  out.workspace.value = asked.workspace;
  out.since = time_of("--since", asked.since);
  out.until = time_of("--until", asked.until);
  if (out.since && out.until && *out.since >= *out.until)
    throw command_failure{exit_wrong, "--since is not before --until"};
  const bool of_an_object = !asked.run.empty() || !asked.session.empty();
  if (of_an_object && !out.whole_streams())
    throw command_failure{exit_wrong,
                          "--run and --session take whole streams: leave --since and --until out"};
  if (asked.format == bundle_word && out.everything() && out.whole_streams())
    throw command_failure{exit_wrong, "say what to export: --run, --session, --workspace, --since "
                                      "or --until (all: --since 1970-01-01T00:00:00Z)"};
  return out;
}

void find_session(const offline_ledger& ledger, replay::selection& what) {
  if (what.run.empty())
    return;
  const auto session = replay::session_of_run(ledger.log(), what.run);
  if (!session)
    refuse(ledger, session.error());
  if (!*session)
    throw command_failure{exit_wrong, fmt::format("{} holds no {}", ledger.name(), what.run.value)};
  what.session = **session;
}

[[noreturn]] void fail(const offline_ledger& ledger, const output_file& file,
                       const replay::export_error& why) {
  using kind = replay::export_error::kind;
  switch (why.what) {
    case kind::nothing:
      throw command_failure{exit_wrong,
                            fmt::format("{} holds nothing of what was asked for", ledger.name())};
    case kind::ledger:
      refuse(ledger, why.why);
    case kind::unsound:
      throw command_failure{
          exit_no, fmt::format("{}: {}. Nothing was written; `runledger audit verify` tells more",
                               ledger.name(), why.detail)};
    case kind::output:
      break;
  }
  throw command_failure{exit_wrong, file.wrote() ? why.detail : file.complaint()};
}

int export_bundle(const audit_export_options& asked, const offline_ledger& ledger,
                  replay::bundle_options options, output_file& file) {
  options.kept = brought_heads(asked.against);
  options.made_at = system_wall_clock{}.now();
  options.made_by = fmt::format("runledger {}", version());
  options.folder = file.folder();
  const auto done = replay::write_bundle(ledger.log(), options);
  if (!done)
    fail(ledger, file, done.error());
  file.commit();
  if (asked.json) {
    std::string out;
    json_writer{out}
        .begin_object()
        .member("out", asked.out)
        .member("format", asked.format)
        .member("ledger", done->ledger)
        .raw_member("asked", options.what.to_json())
        .member("events", done->events)
        .member("unsigned_events", done->unsigned_events)
        .member("tree_heads", done->tree_heads)
        .member("keys", done->keys)
        .end_object();
    print(out + "\n");
    return exit_done;
  }
  print(fmt::format("{}: {} events, {} of them under a signed tree head\n", asked.out,
                    with_commas(done->events), with_commas(done->events - done->unsigned_events)));
  if (done->unsigned_events > 0)
    print(fmt::format("{} events stand under no tree head yet: verifying fails for them. Export "
                      "again after the next head, or verify with --allow-unsigned\n",
                      with_commas(done->unsigned_events)));
  return exit_done;
}

int export_sheet(const audit_export_options& asked, const offline_ledger& ledger,
                 const replay::bundle_options& options, output_file& file) {
  const auto which = asked.format == runs_word ? replay::sheet::runs : replay::sheet::spend;
  const auto lines =
      replay::write_sheet(ledger.log(), which, options.what, options.write, options.progress);
  if (!lines)
    fail(ledger, file, lines.error());
  file.commit();
  if (asked.json) {
    std::string out;
    json_writer{out}
        .begin_object()
        .member("out", asked.out)
        .member("format", asked.format)
        .raw_member("asked", options.what.to_json())
        .member("lines", *lines)
        .end_object();
    print(out + "\n");
  } else {
    print(
        fmt::format("{}: {} {}\n", asked.out, with_commas(*lines), *lines == 1 ? "line" : "lines"));
  }
  return exit_done;
}

int run_export(const audit_export_options& asked) {
  replay::bundle_options options;
  options.what = selection_of(asked);
  if (asked.format != bundle_word && !asked.against.empty())
    throw command_failure{exit_wrong, "--against ties a bundle to tree heads; a table has none"};
  const offline_ledger ledger{asked};
  find_session(ledger, options.what);
  output_file file{asked.out, asked.force};
  options.write = [&file](std::string_view bytes) { return file.write(bytes); };
  progress bar{"export", "events read"};
  options.progress = [&bar](std::uint64_t done, std::uint64_t of) { bar.update(done, of); };
  return asked.format == bundle_word ? export_bundle(asked, ledger, std::move(options), file)
                                     : export_sheet(asked, ledger, options, file);
}

} // namespace

void add_audit_export(CLI::App& noun, command& chosen) {
  const auto asked = std::make_shared<audit_export_options>();
  auto& verb = add_offline_verb(
      noun, chosen, "export",
      "Write events with their proofs into a file that verifies far from the ledger", asked,
      run_export);
  auto* run = verb.add_option("--run", asked->run, "The run and its session, whole");
  auto* session = verb.add_option("--session", asked->session, "The session and its runs, whole");
  auto* workspace = verb.add_option("--workspace", asked->workspace, "All of a workspace");
  run->excludes(session)->excludes(workspace);
  session->excludes(workspace);
  verb.add_option("--since", asked->since, "Only events from this time on (RFC 3339)");
  verb.add_option("--until", asked->until, "Only events before this time (RFC 3339)");
  verb.add_option("--out", asked->out, "The file; it is there whole or not at all")->required();
  verb.add_flag("--force", asked->force, "Replace the file where it is there already");
  verb.add_option("--against", asked->against,
                  "File with tree heads that you kept: the bundle is tied to them, too");
  verb.add_option("--format", asked->format,
                  "bundle; or a table for spreadsheets, which proves nothing: runs-csv, spend-csv")
      ->check(CLI::IsMember({bundle_word, runs_word, spend_word}))
      ->capture_default_str();
  verb.footer("Exit 0: written. Exit 1: the ledger is damaged or not as it was signed. Exit 2: "
              "nothing of it, or nothing could be written.\n"
              "Examples:\n"
              "  runledger audit export --session sess_01J9... --out dispute.jsonl\n"
              "  runledger audit export --since 2026-06-01T00:00:00Z --until 2026-07-01T00:00:00Z "
              "--out june.jsonl\n"
              "  runledger audit export --format spend-csv --out spend.csv\n"
              "Then: runledger audit verify --bundle dispute.jsonl");
}

} // namespace runledger::cli
