// Measures the views: rebuilding them, keeping them up to date, and looking things up in them.
//   rebuild_bench [events = 1000000] [memory|sqlite] [rebuild|live|questions: only that]
// Each run is nine events: accepted, started, three steps, succeeded, turn ended.

#include "events/log/memory_log.hpp"
#include "events/log/sqlite_log.hpp"
#include "projections/compare.hpp"
#include "projections/queries/agents.hpp"
#include "projections/queries/list_runs.hpp"
#include "projections/queries/run_by_id.hpp"
#include "projections/queries/session_by_id.hpp"
#include "projections/queries/session_timeline.hpp"
#include "projections/rebuild.hpp"
#include "projections/render.hpp"
#include "projections/view_store.hpp"
#include "tests/support/history.hpp"
#include "tests/support/temp_folder.hpp"

#include <sys/stat.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

namespace runledger::test {
namespace {

/// Wall-clock time, and the processor's time of all threads: the one that other programs on the
/// machine do not change.
class stopwatch {
public:
  double wall() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }
  double cpu() const { return static_cast<double>(std::clock() - cpu_) / CLOCKS_PER_SEC; }

private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  std::clock_t cpu_ = std::clock();
};

struct known_ids {
  std::vector<run_id> runs;
  std::vector<session_id> sessions;
};

/// Runs that progress side by side, as they do under load: `width` at a time, one event each in
/// turn.
class generator {
public:
  generator(event_log& log, std::size_t width) : log_(log), facts_(log), live_(width) {}

  known_ids make(std::size_t events) {
    write_agent();
    for (std::size_t n = 0; n < events; ++n) {
      advance(live_[n % live_.size()]);
      if (group_.size() == 4096)
        flush();
      if (n % 50 == 0)
        facts_.clock.time += std::chrono::milliseconds{1};
    }
    flush();
    return std::move(ids_);
  }

private:
  struct progress {
    session_id session;
    run_id run;
    int at = 0;
  };

  void write_agent() {
    agent::created fact;
    fact.slug = "helper";
    fact.title = "Helper";
    facts_.write(stream_id{"ag_01HZZZZZZZZZZZZZZZZZZZZZZZ"}, agent::event{fact});
  }
  template <class Event>
  void add(const stream_id& stream, const std::string& key, const Event& fact) {
    auto encoded = encode(fact);
    append_request request;
    request.events.push_back(facts_.make(stream, encoded.type, encoded.data, key, true));
    group_.push_back(std::move(request));
  }
  template <class Fact>
  void add_run(const progress& p, const Fact& fact) {
    add(stream_of(p.run), p.session.value, run::event{fact});
  }
  void advance(progress& p) {
    static const char* keys[] = {"read", "count", "write"};
    if (p.at == 0) {
      p.session = facts_.fresh_session();
      p.run = facts_.fresh_run(p.session);
      ids_.runs.push_back(p.run);
      ids_.sessions.push_back(p.session);
      add(stream_of(p.session), {}, session::event{facts_.turn(p.run)});
    } else if (p.at == 1) {
      run::started fact;
      fact.session = p.session;
      fact.turn = 1;
      fact.agent = agent_id{"ag_01HZZZZZZZZZZZZZZZZZZZZZZZ"};
      fact.agent_version = 1;
      add_run(p, fact);
    } else if (p.at < 8) {
      std::string key = keys[(p.at - 2) / 2];
      if (p.at % 2 == 0)
        add_run(p, run::step_started{key, "The step " + key, "tool", 1, {}, {}, "f1"});
      else
        add_run(p, run::step_completed{key, 1, 12, text_payload("some output"), "f2"});
    } else if (p.at == 8) {
      add_run(p, run::succeeded{1, payload{"{\"words\":1234}", {}}, "f9"});
    } else {
      add(stream_of(p.session), {}, session::event{session::turn_ended{p.run, "succeeded"}});
    }
    p.at = (p.at + 1) % 10;
  }
  void flush() {
    log_.append(std::move(group_), [](std::vector<append_result> results) {
      for (const auto& r : results)
        if (r.outcome != append_outcome::accepted) {
          std::fprintf(stderr, "not accepted: %s\n", r.detail.c_str());
          std::exit(1);
        }
    });
    group_.clear();
  }

  event_log& log_;
  history facts_;
  std::vector<progress> live_;
  std::vector<append_request> group_;
  known_ids ids_;
};

void measure_rebuild(const std::string& path, const event_log& log) {
  for (int round = 0; round < 3; ++round) {
    stopwatch watch;
    auto rebuilt = views::rebuild(path, log);
    auto took = watch.wall(), cpu = watch.cpu();
    if (!rebuilt) {
      std::fprintf(stderr, "%s\n", rebuilt.error().c_str());
      std::exit(1);
    }
    struct stat file {};
    ::stat(path.c_str(), &file);
    auto count = static_cast<double>(rebuilt->events);
    std::printf("rebuild: %.0f events in %.2f s = %.0f k/s; cpu %.2f s = %.0f k/s; file %.1f MB\n",
                count, took, count / took / 1000, cpu, count / cpu / 1000,
                static_cast<double>(file.st_size) / 1e6);
  }
}

/// The comparison of the views at `path` with the ledger, as `replay rebuild --check` makes it.
void measure_check(const std::string& path, const event_log& log) {
  stopwatch watch;
  auto report = views::check(path, log, {{}, path + ".check", {}});
  auto took = watch.wall();
  if (!report || report->found.first) {
    std::fprintf(stderr, "%s\n",
                 report ? views::to_text(*report->found.first).c_str() : report.error().c_str());
    std::exit(1);
  }
  std::printf("check: %.0f events, %.0f rows in %.2f s = %.0f k events/s\n",
              static_cast<double>(report->events), static_cast<double>(report->found.rows), took,
              static_cast<double>(report->events) / took / 1000);
}

/// The cost of an event when commits hold `batch` of them.
void measure_live(const std::string& path, const event_log& log, std::size_t batch,
                  std::size_t events) {
  auto store = views::view_store::open(path, views::writing::live);
  if (!store) {
    std::fprintf(stderr, "%s\n", store.error().message.c_str());
    std::exit(1);
  }
  auto records = log.read_partition(0, 0, events);
  events = records->size();
  std::span<const record_ptr> rest{*records};
  stopwatch watch;
  while (!rest.empty()) {
    auto now = rest.first(std::min(batch, rest.size()));
    if (auto done = (*store)->apply(now); !done) {
      std::fprintf(stderr, "%s\n", done.error().message.c_str());
      std::exit(1);
    }
    rest = rest.subspan(now.size());
  }
  std::printf("live, %4zu events a commit: %.2f us an event, cpu %.2f us\n", batch,
              watch.wall() * 1e6 / static_cast<double>(events),
              watch.cpu() * 1e6 / static_cast<double>(events));
}

template <class Ask>
void measure(const char* what, std::size_t times, Ask&& ask) {
  stopwatch watch;
  for (std::size_t i = 0; i < times; ++i)
    ask(i * 7919);
  std::printf("%-28s %.2f us, cpu %.2f us\n", what, watch.wall() * 1e6 / static_cast<double>(times),
              watch.cpu() * 1e6 / static_cast<double>(times));
}

void measure_questions(const std::string& path, const event_log& log, const known_ids& ids) {
  auto reader = views::view_reader::open(path, log, nullptr);
  if (!reader) {
    std::fprintf(stderr, "%s\n", reader.error().detail.c_str());
    std::exit(1);
  }
  workspace_id workspace{"default"};
  std::string text;
  auto check = [](bool ok) {
    if (!ok)
      std::abort();
  };
  measure("run by id, rendered", 100'000, [&](std::size_t i) {
    auto r = views::run_by_id(**reader, workspace, ids.runs[i % ids.runs.size()].value);
    check(r && *r);
    text.clear();
    views::append_run_json(text, **r);
  });
  measure("session by id", 100'000, [&](std::size_t i) {
    check(*views::session_by_id(**reader, workspace, ids.sessions[i % ids.sessions.size()].value)
          != std::nullopt);
  });
  measure("agent by slug", 100'000, [&](std::size_t) {
    check(*views::agent_by_ref(**reader, workspace, "helper") != std::nullopt);
  });
  measure("newest 50 runs", 2000, [&](std::size_t) {
    check(views::list_runs(**reader, workspace, {})->items.size() == 50);
  });
  measure("timeline of a session", 20'000, [&](std::size_t i) {
    auto page = views::session_timeline(**reader, workspace,
                                        ids.sessions[i % ids.sessions.size()].value, 0, 100);
    check(page && *page && !(*page)->items.empty());
  });
}

} // namespace
} // namespace runledger::test

int main(int argc, char** argv) {
  using namespace runledger;
  using namespace runledger::test;
  auto events = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 1'000'000UL;
  bool in_file = argc > 2 && std::strcmp(argv[2], "sqlite") == 0;
  temp_folder folder;
  std::unique_ptr<event_log> log;
  if (in_file) {
    auto opened = sqlite_log::open({.folder = folder.path()});
    if (!opened) {
      std::fprintf(stderr, "%s\n", opened.error().c_str());
      return 1;
    }
    log = std::move(*opened);
  } else {
    log = std::make_unique<memory_log>();
  }
  auto ids = generator{*log, 64}.make(events);
  std::printf("%lu events in the ledger (%s)\n", events, in_file ? "sqlite" : "memory");
  auto path = folder.path() + "/views.db";
  auto wanted = [&](const char* part) { return argc <= 3 || std::strcmp(argv[3], part) == 0; };
  if (wanted("rebuild")) {
    measure_rebuild(path, *log);
    measure_check(path, *log);
  }
  if (wanted("live"))
    for (std::size_t batch : {1, 16, 64, 256, 1024})
      measure_live(folder.path() + "/live" + std::to_string(batch) + ".db", *log, batch, 50'000);
  if (wanted("questions")) {
    (void)views::rebuild(path, *log);
    measure_questions(path, *log, ids);
  }
  return 0;
}
