#include "http/routes/metrics.hpp"

#include <cstdio>
#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

namespace runledger::http {

namespace {

class writer {
public:
  explicit writer(std::string& out) : out_(out) {}
  template <class T>
  void counter(std::string_view name, std::string_view help, T value) {
    sample(name, help, "counter", value);
  }
  template <class T>
  void gauge(std::string_view name, std::string_view help, T value) {
    sample(name, help, "gauge", value);
  }

private:
  template <class T>
  void sample(std::string_view name, std::string_view help, std::string_view type, T value) {
    fmt::format_to(std::back_inserter(out_), "# HELP {0} {1}\n# TYPE {0} {2}\n{0} {3}\n", name,
                   help, type, value);
  }
  std::string& out_;
};

double seconds(const timeval& t) {
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
}

std::uint64_t resident_bytes() {
  unsigned long total = 0, resident = 0;
  if (auto* file = std::fopen("/proc/self/statm", "r")) {
    if (std::fscanf(file, "%lu %lu", &total, &resident) != 2)
      resident = 0;
    std::fclose(file);
  }
  return resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

void append_process(writer& to, const route_context& c) {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  to.counter("process_cpu_seconds_total", "Processor time of the server, without its harnesses.",
             seconds(used.ru_utime) + seconds(used.ru_stime));
  to.gauge("process_resident_memory_bytes", "Resident memory.", resident_bytes());
  to.gauge(
      "runledger_uptime_seconds", "Time since the start.",
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now() - c.started)
          .count());
}

void append_engine(writer& to, const engine_stats& s) {
  to.counter("runledger_ledger_appended_events_total", "Events made durable.", s.appended_events);
  to.counter("runledger_ledger_append_groups_total", "Flushes that made them durable.",
             s.append_groups);
  to.counter("runledger_ledger_rejected_appends_total", "Appends that the fold refused.",
             s.rejected_appends);
  to.gauge("runledger_live_actors", "Entities in memory.", s.live_actors);
  to.gauge("runledger_waiting_runs",
           "Runs that wait for their turn in session or queue: what runs.max_queued bounds.",
           s.waiting_runs);
  to.gauge("runledger_queued_runs", "Runs that wait for a worker.", s.queued_runs);
  to.gauge("runledger_running_runs", "Runs that execute.", s.running_runs);
  to.gauge("runledger_live_processes", "Harness processes.", s.live_processes);
  to.counter("runledger_recovered_streams_total", "Streams with unfinished work at the start.",
             s.recovered_streams);
}

} // namespace

void append_metrics(std::string& out, const route_context& c) {
  writer to{out};
  to.gauge("runledger_ready", "1 while requests are served.",
           c.at.load() == stage::serving && c.actors->recovered() ? 1 : 0);
  append_process(to, c);
  if (c.actors != nullptr)
    append_engine(to, c.actors->stats());
  const auto end = c.log.end_offset(0), position = c.views.position();
  to.gauge("runledger_ledger_end_offset", "One past the last durable event.", end);
  to.gauge("runledger_views_position", "The next event that the views read.", position);
  to.gauge("runledger_views_lag_events", "How far the views are behind.", end - position);
  to.gauge("runledger_views_failing", "1 while the views cannot be written.",
           c.views.failure() ? 1 : 0);
  if (c.queries)
    to.gauge("runledger_queries_waiting", "Questions that wait for a thread.",
             c.queries->waiting());
  if (c.streams)
    to.gauge("runledger_event_streams", "Open event streams.", c.streams->open_streams());
  if (c.edge_metrics)
    c.edge_metrics(out);
}

} // namespace runledger::http
