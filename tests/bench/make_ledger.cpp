// Fills the ledger of a stopped server, as its entities would have: for measuring starts.
//
//   make_ledger --data DIR --agent AG_ID --slug SLUG [--events N] [--unfinished N]
//
// DIR is the data folder of a server that has made the agent (version 1 active). At least N events
// (default 1000000) are written: ended runs of ten events each, three steps s1 to s3, one run a
// session, and at the end the unfinished runs (default 0), of which a third each is
// only accepted, in its first step, and behind its first step.

#include "events/chain.hpp"
#include "events/codec.hpp"
#include "events/log/data_folder_lock.hpp"
#include "events/log/sqlite_log.hpp"
#include "events/partition.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace runledger;

[[noreturn]] void fail(const std::string& why) {
  std::fprintf(stderr, "make_ledger: %s\n", why.c_str());
  std::exit(1);
}

struct options {
  std::string data, agent, slug;
  std::size_t events = 1'000'000, unfinished = 0;
};

options read(int argc, char** argv) {
  options out;
  for (int i = 1; i + 1 < argc; i += 2) {
    std::string name = argv[i], value = argv[i + 1];
    if (name == "--data")
      out.data = value;
    else if (name == "--agent")
      out.agent = value;
    else if (name == "--slug")
      out.slug = value;
    else if (name == "--events")
      out.events = std::stoul(value);
    else if (name == "--unfinished")
      out.unfinished = std::stoul(value);
    else
      fail("unknown option " + name);
  }
  if (out.data.empty() || out.agent.empty() || out.slug.empty())
    fail("--data, --agent and --slug are needed");
  return out;
}

/// Runs that progress side by side, as they do under load: one event each in turn.
class generator {
public:
  generator(sqlite_log& log, std::uint64_t epoch, options o)
      : log_(log), epoch_(epoch), options_(std::move(o)), live_(width) {}

  std::size_t make() {
    static constexpr int depths[] = {1, 3, 4};
    const auto ended = options_.events - std::min(options_.events, options_.unfinished * 8 / 3);
    for (std::size_t n = 0; n < (ended + round - 1) / round * round; ++n)
      advance(live_[n % width]);
    for (std::size_t n = 0; n < options_.unfinished; ++n) {
      progress p;
      for (int left = depths[n % 3]; left > 0; --left)
        advance(p);
    }
    flush();
    return written_;
  }

private:
  static constexpr std::size_t width = 64; // Runs at a time.
  static constexpr int whole = 10;         // Events of a run and its session.
  static constexpr std::size_t round = width * whole;

  struct progress {
    session_id session;
    run_id run;
    command_id command;
    stream_head session_head, run_head;
    int at = 0;
  };

  template <class Event>
  void add(progress& p, bool of_run, bool open, const Event& fact) {
    auto& head = of_run ? p.run_head : p.session_head;
    auto encoded = encode(fact);
    envelope e;
    e.stream = of_run ? stream_of(p.run) : stream_of(p.session);
    e.type = std::move(encoded.type);
    e.data = std::move(encoded.data);
    e.workspace = workspace_id{"default"};
    e.partition_key = p.session.value;
    e.time = now();
    e.principal = "system";
    e.causation_id = p.command.value;
    e.correlation_id = "make_ledger";
    append_request request;
    request.events.push_back(make_record(head, std::move(e), epoch_, open));
    follow(head, *request.events.back());
    group_.push_back(std::move(request));
    if (group_.size() == 4096)
      flush();
  }

  static timestamp now() {
    return std::chrono::time_point_cast<std::chrono::milliseconds>(
        std::chrono::system_clock::now());
  }

  void begin(progress& p) {
    p = {};
    p.session.value = "sess_" + ids_.ulid(now());
    p.command.value = "cmd_" + ids_.ulid(now());
    p.run = derive_run_id(p.session, p.command);
    session::turn_accepted fact;
    fact.turn = 1;
    fact.run = p.run;
    fact.agent = agent_id{options_.agent};
    fact.agent_slug = options_.slug;
    fact.agent_version = 1;
    fact.prompt = text_payload("3");
    add(p, false, true, session::event{fact});
  }

  void advance(progress& p) {
    if (p.at == 0) {
      begin(p);
    } else if (p.at == 1) {
      run::started fact;
      fact.session = p.session;
      fact.agent = agent_id{options_.agent};
      fact.agent_version = 1;
      add(p, true, true, run::event{fact});
    } else if (p.at < 8) {
      auto key = "s" + std::to_string(p.at / 2);
      if (p.at % 2 == 0)
        add(p, true, true, run::event{run::step_started{key, {}, {}, 1, {}, {}, {}}});
      else
        add(p, true, true,
            run::event{run::step_completed{key, 1, 1, text_payload("xxxxxxxxxxxxxxxx"), {}}});
    } else if (p.at == 8) {
      add(p, true, false, run::event{run::succeeded{1, payload{"{\"steps\":3}", {}}, {}}});
    } else {
      add(p, false, false, session::event{session::turn_ended{p.run, "succeeded"}});
    }
    p.at = (p.at + 1) % whole;
  }

  void flush() {
    written_ += group_.size();
    log_.append(std::exchange(group_, {}), [](const std::vector<append_result>& results) {
      for (const auto& r : results)
        if (r.outcome != append_outcome::accepted)
          fail("not accepted: " + r.detail);
    });
  }

  sqlite_log& log_;
  std::uint64_t epoch_;
  options options_;
  std::vector<progress> live_;
  std::vector<append_request> group_;
  system_id_source ids_;
  std::size_t written_ = 0;
};

} // namespace

int main(int argc, char** argv) {
  auto o = read(argc, argv);
  auto lock = data_folder_lock::acquire(o.data);
  if (!lock)
    fail(lock.error());
  auto log = sqlite_log::open({.folder = o.data});
  if (!log)
    fail(log.error());
  system_wall_clock clock;
  system_id_source ids;
  auto claim = take_partition(**log, 0, "make_ledger", clock, ids);
  if (!claim)
    fail(claim.error().detail);
  auto written = generator{**log, claim->epoch, o}.make();
  std::printf("%zu events written, the ledger ends at %lld\n", written,
              static_cast<long long>((*log)->end_offset(0)));
  return 0;
}
