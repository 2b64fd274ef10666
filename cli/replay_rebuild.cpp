#include "cli/offline_verb.hpp"
#include "cli/output.hpp"
#include "cli/progress.hpp"
#include "cli/replay_verbs.hpp"
#include "events/json_writer.hpp"
#include "events/log/data_folder_lock.hpp"
#include "events/log/private_copy.hpp"
#include "projections/compare.hpp"
#include "projections/rebuild.hpp"
#include "projections/view_names.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fmt/format.h>

namespace runledger::cli {

namespace {

struct rebuild_options : offline_options {
  std::string view;
  bool check = false;
};

std::atomic<bool> interrupted{false};

/// The first signal ends the work at its next commit; the second one at once.
extern "C" void interrupt(int number) {
  if (!interrupted.exchange(true))
    return;
  private_copy::remove_now();
  std::signal(number, SIG_DFL);
  std::raise(number);
}

void stop_at_signals() {
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction action = {};
    if (::sigaction(number, nullptr, &action) != 0 || action.sa_handler != SIG_DFL)
      continue; // Somebody wants it to be ignored.
    action.sa_handler = interrupt;
    ::sigaction(number, &action, nullptr);
  }
}

void expect_known(const std::string& view) {
  if (view.empty() || views::find_view(view) != nullptr)
    return;
  std::string names;
  for (const auto& each : views::all_views())
    names += fmt::format("{}{}", names.empty() ? "" : ", ", each.name);
  throw command_failure{exit_wrong,
                        fmt::format("--view {}: there is no such view; there are {}", view, names)};
}

data_folder_lock locked(const std::string& folder, const std::string& view) {
  bool in_use = false;
  auto lock = data_folder_lock::acquire(folder, &in_use);
  if (lock)
    return *std::move(lock);
  throw command_failure{exit_wrong,
                        in_use ? fmt::format("{}. A running server rebuilds its views itself: POST "
                                             "/api/v1/admin/projections/{}/rebuild",
                                             lock.error(), view.empty() ? "runs" : view)
                               : lock.error()};
}

double seconds_since(std::chrono::steady_clock::time_point began) {
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
  return std::max(took.count(), 0.001);
}

std::string rate_text(std::uint64_t events, double seconds) {
  return fmt::format(
      "{} events in {:.1f} s, {}/s", with_commas(events), seconds,
      with_commas(static_cast<std::uint64_t>(static_cast<double>(events) / seconds)));
}

views::fold_watch watch_with(progress& bar) {
  return {[] { return interrupted.load(); },
          [&bar](std::uint64_t done, std::uint64_t of) { bar.update(done, of); }};
}

/// Around the place where two long values part.
std::pair<std::string, std::string> shown_values(const views::difference& d) {
  constexpr std::size_t most = 100, before = 30;
  const auto& a = d.live;
  const auto& b = d.rebuilt;
  const auto parted = static_cast<std::size_t>(
      std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin());
  const auto from = parted > before && std::max(a.size(), b.size()) > most ? parted - before : 0;
  const auto cut = [&](const std::string& text) {
    auto out = printable(text.substr(std::min(from, text.size()), most));
    return (from > 0 ? "..." : "") + out + (text.size() > from + most ? "..." : "");
  };
  return {cut(a), cut(b)};
}

void print_difference(const views::difference& d) {
  const auto [live, rebuilt] = shown_values(d);
  print(fmt::format("NOT what the ledger says. The first difference: table {}", d.table));
  if (!d.key.empty())
    print(fmt::format(", row {}", printable(d.key)));
  if (!d.column.empty())
    print(fmt::format(", column {}", printable(d.column)));
  print(fmt::format("\n  live     {}\n  rebuilt  {}\n", live, rebuilt));
}

std::string check_json(const views::check_report& report, const std::string& path) {
  std::string out;
  json_writer writer{out};
  writer.begin_object()
      .member("ok", !report.found.first)
      .member("views", path)
      .member("position", report.position)
      .member("lag", report.lag)
      .member("events", report.events)
      .member("rows", report.found.rows);
  if (const auto& d = report.found.first) {
    writer.key("first_difference").begin_object().member("table", d->table).member("key", d->key);
    if (!d->column.empty())
      writer.member("column", d->column);
    writer.member("live", d->live).member("rebuilt", d->rebuilt).end_object();
  }
  writer.end_object();
  return out + '\n';
}

[[noreturn]] void give_up(const std::string& why, const std::string& otherwise) {
  throw command_failure{exit_wrong, why == views::stopped ? otherwise : why};
}

int check(const rebuild_options& asked, const offline_ledger& ledger) {
  progress bar{"check", "events"};
  views::check_options options{asked.view, ledger.views_path() + ".check", watch_with(bar)};
  const auto began = std::chrono::steady_clock::now();
  const auto report = views::check(ledger.views_path(), ledger.log(), options);
  bar.finish();
  if (!report)
    give_up(report.error(), "interrupted; nothing was compared");
  if (asked.json) {
    print(check_json(*report, ledger.views_path()));
  } else {
    print(fmt::format("{}; {} rows compared\n", rate_text(report->events, seconds_since(began)),
                      with_commas(report->found.rows)));
    if (report->lag > 0)
      print(fmt::format("the views are {} events behind the ledger, and were compared with what it "
                        "held then\n",
                        with_commas(static_cast<std::uint64_t>(report->lag))));
    if (report->found.first)
      print_difference(*report->found.first);
    else
      print("OK: the views are what the ledger says, to the byte\n");
  }
  return report->found.first ? exit_no : exit_done;
}

void print_rebuilt(const rebuild_options& asked, const views::rebuilt& done,
                   const std::string& path, double seconds) {
  if (asked.json) {
    std::string out;
    json_writer writer{out};
    writer.begin_object()
        .member("views", path)
        .member("view", asked.view.empty() ? "all" : asked.view)
        .member("events", done.events)
        .member("continued_at", done.continued_at)
        .raw_member("seconds", fmt::format("{:.3f}", seconds))
        .end_object();
    return print(out + '\n');
  }
  if (done.continued_at > 0)
    print(fmt::format("went on behind {} events, where the last attempt was interrupted\n",
                      with_commas(done.continued_at)));
  print(fmt::format("{}: {} rebuilt; {}\n", path,
                    asked.view.empty() ? "all views" : "the view " + asked.view,
                    rate_text(done.events, seconds)));
}

std::string folder_of_views(const rebuild_options& asked) {
  auto folder = data_folder_of(asked);
  if (folder.empty())
    throw command_failure{exit_wrong, "--ledger alone has no views: name the folder that holds "
                                      "them with --data"};
  if (std::error_code ec; !std::filesystem::is_directory(folder, ec))
    throw command_failure{exit_wrong, fmt::format("--data {}: there is no such folder", folder)};
  return folder;
}

/// The next server need not fold anew, if everything lies in the one file.
void mark(const std::string& path, const views::rebuilt& done) {
  if (!done.in_one_file)
    return fmt::print(
        stderr,
        "runledger: {} is read by another program, so its write-ahead log could not be "
        "emptied. The views are right; should the machine stop before the next server "
        "does, they are rebuilt at the start behind that\n",
        path);
  if (const auto marked = views::mark_clean(path); !marked)
    throw command_failure{exit_wrong, marked.error()};
}

int rebuild(const rebuild_options& asked) {
  stop_at_signals();
  expect_known(asked.view);
  // What is read must not be what a server writes meanwhile.
  const auto lock = locked(folder_of_views(asked), asked.view);
  const offline_ledger ledger{asked};
  const auto path = ledger.views_path();
  if (asked.check)
    return check(asked, ledger);
  progress bar{"rebuild", "events"};
  const auto began = std::chrono::steady_clock::now();
  const auto done = asked.view.empty()
                        ? views::rebuild(path, ledger.log(), watch_with(bar))
                        : views::rebuild_view(path, ledger.log(), asked.view, watch_with(bar));
  bar.finish();
  if (!done)
    give_up(done.error(), "interrupted; the views are as they were, and the same command goes on "
                          "where it was");
  mark(path, *done);
  print_rebuilt(asked, *done, path, seconds_since(began));
  return exit_done;
}

} // namespace

void add_replay_rebuild(CLI::App& replay, command& chosen) {
  const auto options = std::make_shared<rebuild_options>();
  auto& verb = add_offline_verb(replay, chosen, "rebuild",
                                "Fold the views anew from the ledger, or compare them with it",
                                options, rebuild);
  verb.add_option("--view", options->view, "One view: runs, sessions, timeline, ... (else all)");
  verb.add_flag(
      "--check", options->check,
      "Change nothing: compare the views with rebuilt ones and name the first difference");
  verb.footer("Needs the data folder for itself; a running server rebuilds with POST "
              "/api/v1/admin/projections/{view}/rebuild.\n"
              "Exit 0: done, or the same. Exit 1: not the same. Exit 2: nothing could be done.\n"
              "Examples:\n"
              "  runledger replay rebuild --data /var/lib/runledger\n"
              "  runledger replay rebuild --check --data /var/lib/runledger");
}

} // namespace runledger::cli
