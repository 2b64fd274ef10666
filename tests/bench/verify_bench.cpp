// Measures `audit verify` on a SQLite ledger of runs that progressed side by side, with a tree head
// after each 1,000 events: one thread, so one core.
//   verify_bench [events = 1000000]
// Each run is nine events: accepted, started, three steps, succeeded, turn ended.

#include "events/log/sqlite_log.hpp"
#include "events/log/tree_keeper.hpp"
#include "events/node.hpp"
#include "projections/replay/verify.hpp"
#include "tests/support/history.hpp"
#include "tests/support/temp_folder.hpp"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <future>

namespace runledger::test {
namespace {

constexpr std::size_t head_every = 1000;

class generator {
public:
  explicit generator(event_log& log)
      : log_(log), facts_(log), live_(64), claim_(claim_of(log)), keeper_(log, claim_) {
    auto known = node::ensure_registered(log, claim_, "test", key_.public_part(), facts_.clock);
    if (!known)
      throw std::runtime_error(known.error().detail);
    keeper_.start();
  }

  void make(std::size_t events) {
    for (std::size_t n = 0; n < events; ++n) {
      advance(live_[n % live_.size()]);
      if (group_.size() == head_every)
        flush();
      if (n % 50 == 0)
        facts_.clock.time += std::chrono::milliseconds{1};
    }
    flush();
    flush(); // The last head.
  }

private:
  struct progress {
    session_id session;
    run_id run;
    int at = 0;
  };

  static partition_claim claim_of(const event_log& log) {
    auto own = *log.read_stream(partition_stream(log.partition_name(0)), 1, 10);
    const auto& last = own.back();
    return {0,
            last->epoch,
            read_opened(own.front()->event.data)->ledger,
            {last->event.seq, last->event.eventhash, last->event.partition_key, last->event.time}};
  }

  template <class Event>
  void add(const stream_id& stream, const std::string& key, const Event& fact) {
    auto encoded = encode(fact);
    group_.push_back({{facts_.make(stream, encoded.type, encoded.data, key)}});
  }

  void advance(progress& p) {
    auto key = "s" + std::to_string(p.at / 2);
    switch (p.at) {
      case 0:
        p.session = facts_.fresh_session();
        p.run = facts_.fresh_run(p.session);
        add(stream_of(p.session), {}, session::event{facts_.turn(p.run)});
        break;
      case 1:
        add(stream_of(p.run), p.session.value, run::event{run::started{}});
        break;
      case 8:
        add(stream_of(p.run), p.session.value, run::event{run::succeeded{}});
        break;
      default:
        if (p.at % 2 == 0)
          add(stream_of(p.run), p.session.value,
              run::event{run::step_started{key, {}, {}, 1, {}, {}, {}}});
        else
          add(stream_of(p.run), p.session.value,
              run::event{run::step_completed{key, 1, 1, text_payload("xxxxxxxxxxxxxxxx"), {}}});
    }
    p.at = (p.at + 1) % 9;
  }

  void flush() {
    while (keeper_.advance(100'000)) {
    }
    if (keeper_.uncovered() > 0)
      group_.insert(group_.begin(), {{keeper_.make_head("test", key_, facts_.clock.now())}});
    // The next head covers what is durable: the answer comes from the thread that syncs.
    std::promise<std::string> refused;
    log_.append(std::exchange(group_, {}), [&](const std::vector<append_result>& results) {
      std::string why;
      for (const auto& r : results)
        if (r.outcome != append_outcome::accepted)
          why = "not accepted: " + r.detail;
      refused.set_value(why);
    });
    if (const auto why = refused.get_future().get(); !why.empty())
      throw std::runtime_error(why);
  }

  event_log& log_;
  history facts_;
  std::vector<progress> live_;
  partition_claim claim_;
  tree_keeper keeper_;
  const ed25519::private_key key_ = ed25519::private_key::generate();
  std::vector<append_request> group_;
};

int run(std::size_t events) {
  const temp_folder folder;
  {
    auto log = *sqlite_log::open({.folder = folder.path()});
    generator{*log}.make(events);
  }
  auto log = *sqlite_log::open({.folder = folder.path(), .read_only = true});
  replay::verify_options options;
  options.offsets_without_gaps = true;
  for (int round = 0; round < 3; ++round) {
    const auto began = std::chrono::steady_clock::now();
    const auto cpu = std::clock();
    const auto report = replay::verify(*log, options);
    const auto used = static_cast<double>(std::clock() - cpu) / CLOCKS_PER_SEC;
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
    std::printf("verify: %llu events in %.3f s, %.3f s of one core; %llu tree heads\n",
                static_cast<unsigned long long>(report.events), took.count(), used,
                static_cast<unsigned long long>(report.tree_heads));
    if (report.found != 0 || report.unsigned_events != 0) {
      std::fprintf(stderr, "verify_bench: a sound ledger was accused: %s\n",
                   report.findings.empty() ? "" : report.findings[0].what.c_str());
      return 1;
    }
  }
  return 0;
}

} // namespace
} // namespace runledger::test

int main(int argc, char** argv) {
  return runledger::test::run(argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 1'000'000);
}
