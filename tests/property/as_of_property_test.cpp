#include "events/log/memory_log.hpp"
#include "projections/queries/agent_analytics.hpp"
#include "projections/queries/analytics_as_of.hpp"
#include "projections/queries/run_by_id.hpp"
#include "projections/queries/session_by_id.hpp"
#include "projections/queries/workers.hpp"
#include "projections/render.hpp"
#include "projections/replay/as_of.hpp"
#include "projections/replay/history.hpp"
#include "projections/replay/spend.hpp"
#include "projections/view_store.hpp"
#include "tests/support/random_history.hpp"
#include "tests/support/seeds.hpp"
#include "tests/support/temp_folder.hpp"

#include <algorithm>
#include <set>

namespace runledger::test {
namespace {

using replay::point;

const std::string absent = "(not there)";
constexpr timestamp the_start = from_ms(0), the_end = from_ms(INT64_C(1) << 50);

point offset_point(std::int64_t offset) {
  return {point::kind::offset, offset, {}};
}
point seq_point(std::uint64_t seq) {
  return {point::kind::seq, static_cast<std::int64_t>(seq), {}};
}
point time_point(timestamp t) {
  return {point::kind::time, 0, t};
}

std::string text_of(const views::analytics& a) {
  std::string out;
  views::append_analytics_json(out, a);
  return out;
}
/// Without the span, which the two ways to ask do not share.
std::string sums_of(views::analytics a) {
  a.start = a.end = timestamp{};
  return text_of(a);
}

/// The objects as replay makes them from the ledger alone.
class past {
public:
  explicit past(const event_log& log) : from_{log, nullptr} {}

  std::string of(const std::string& id, const point& when) const {
    std::string out;
    switch (kind_of(stream_id{id})) {
      case stream_kind::run:
        return read(
            replay::run_as_of(from_, run_id{id}, when),
            [&](const auto& row) { views::append_run_json(out, row); }, out);
      case stream_kind::session:
        return read(
            replay::session_as_of(from_, session_id{id}, when),
            [&](const auto& view) { views::append_session_json(out, view.session, view.runs); },
            out);
      default:
        return read(
            replay::worker_as_of(from_, worker_id{id}, when),
            [&](const auto& row) { views::append_worker_json(out, row); }, out);
    }
  }
  std::string spend(const point& when) const {
    auto found = replay::spend_as_of(from_.log, workspace_id{"default"}, when);
    EXPECT_TRUE(found);
    return found && *found ? sums_of(**found) : sums_of({});
  }

private:
  template <class Found, class Render>
  static std::string read(const Found& found, Render&& render, const std::string& out) {
    EXPECT_TRUE(found) << (found ? "" : found.error().detail);
    if (!found || !*found)
      return absent;
    render((*found)->row);
    return out;
  }
  replay::sources from_;
};

/// The objects as views show them that were fed with a prefix and with nothing else.
class fed_views {
public:
  explicit fed_views(const event_log& log) {
    auto opened = views::view_store::open(folder_ / "views.db", views::writing::live);
    if (!opened)
      throw std::runtime_error(opened.error().message);
    store_ = std::move(*opened);
    auto reader = views::view_reader::open(folder_ / "views.db", log, nullptr);
    if (!reader)
      throw std::runtime_error(reader.error().detail);
    reader_ = std::move(*reader);
  }
  void feed(const std::vector<record_ptr>& batch) { ASSERT_TRUE(store_->apply(batch)); }

  std::string of(const std::string& id) {
    std::string out;
    if (kind_of(stream_id{id}) == stream_kind::run) {
      auto found = views::run_by_id(*reader_, workspace_, id);
      if (!found || !*found)
        return absent;
      views::append_run_json(out, **found);
    } else if (kind_of(stream_id{id}) == stream_kind::session) {
      auto found = views::session_by_id(*reader_, workspace_, id);
      if (!found || !*found)
        return absent;
      views::append_session_json(out, (*found)->session, (*found)->runs);
    } else {
      auto found = views::list_workers(*reader_, workspace_, 100, {});
      EXPECT_TRUE(found);
      for (const auto& row : found->items)
        if (row.id.value == id)
          views::append_worker_json(out, row);
      if (out.empty())
        return absent;
    }
    return out;
  }
  std::string spend(timestamp from, timestamp to) {
    auto found = views::agent_analytics(*reader_, workspace_, from, to);
    EXPECT_TRUE(found);
    return found ? text_of(*found) : "";
  }
  std::string spend() {
    auto found = views::agent_analytics(*reader_, workspace_, the_start, the_end);
    EXPECT_TRUE(found);
    return found ? sums_of(*found) : "";
  }
  std::string spend_as_of(timestamp from, timestamp to, const point& when) {
    auto found = views::analytics_as_of(*reader_, workspace_, from, to, when);
    EXPECT_TRUE(found);
    return found ? text_of(*found) : "";
  }

private:
  workspace_id workspace_{"default"};
  temp_folder folder_;
  std::unique_ptr<views::view_store> store_;
  std::unique_ptr<views::view_reader> reader_;
};

/// A history whose streams' clocks do not agree: a run's events may be older than its acceptance.
/// With two workers, whose processes come and go.
class skewed_history {
public:
  skewed_history(std::uint64_t seed, std::uint32_t partitions, int steps)
      : log{{topic_size{"ledger", partitions}}}, model{log, seed}, dice_(seed) {
    for (int slot = 0; slot < 2; ++slot) {
      workers.push_back(model.facts.fresh<worker_id_tag>("wrk_"));
      model.facts.write(stream_of(workers.back()), worker::event{worker::registered{"node", slot}});
    }
    for (int i = 0; i < steps; ++i) {
      const auto now = model.facts.clock.time;
      model.facts.clock.time += std::chrono::milliseconds{dice_.between(-300, 300)};
      if (dice_.percent(10))
        tell_worker(dice_.below(2));
      model.step();
      model.facts.clock.time = now + std::chrono::milliseconds{dice_.between(0, 100)};
    }
    EXPECT_GT(model.runs.size(), 5U); // So that there is something to compare.
    for (const auto& [id, state] : model.sessions)
      ids.push_back(id.value);
    for (const auto& [id, life] : model.runs)
      ids.push_back(id.value);
    for (const auto& id : workers)
      ids.push_back(id.value);
  }
  std::vector<record_ptr> records() const {
    std::vector<record_ptr> out;
    for (std::uint32_t p = 0; p < log.partition_count(); ++p) {
      auto some = log.read_partition(p, 0, SIZE_MAX);
      out.insert(out.end(), some->begin(), some->end());
    }
    return out;
  }

  memory_log log;
  random_history model;
  std::vector<worker_id> workers;
  std::vector<std::string> ids;

private:
  void tell_worker(std::size_t n) {
    const auto stream = stream_of(workers[n]);
    if (busy_[n])
      model.facts.write(stream, worker::event{worker::process_ended{"done", 0, 0}});
    else
      model.facts.write(stream, worker::event{worker::process_started{{}, 1, 4, {}, {"rlimits"}}});
    busy_[n] = !busy_[n];
  }
  dice dice_;
  bool busy_[2] = {false, false};
};

/// The records that had happened at a time: of each stream the longest prefix, and of a run nothing
/// before its session had accepted it.
std::vector<record_ptr> until(const std::vector<record_ptr>& all, timestamp t) {
  std::set<std::string> over, accepted;
  std::vector<record_ptr> out;
  for (const auto& r : all) {
    const auto& stream = r->event.stream.value;
    if (r->event.time > t)
      over.insert(stream);
    if (over.contains(stream)
        || (kind_of(r->event.stream) == stream_kind::run && !accepted.contains(stream)))
      continue;
    out.push_back(r);
    if (auto fact = decode<session::event>(r->event))
      if (const auto* turn = std::get_if<session::turn_accepted>(&*fact))
        accepted.insert(turn->run.value);
  }
  return out;
}

} // namespace

// Goal: as of every offset, and as of every event's seq, each object is byte for byte what the
// views show that folded exactly that prefix.
TEST(as_of_property, every_offset_and_every_seq) {
  for_each_seed(1, 6, [](std::uint64_t seed) {
    skewed_history h{seed, 1, 250};
    const past replayed{h.log};
    fed_views grown{h.log};
    for (const auto& r : h.records()) {
      grown.feed({r});
      for (const auto& id : h.ids)
        ASSERT_EQ(replayed.of(id, offset_point(r->offset)), grown.of(id))
            << id << " at offset " << r->offset;
      ASSERT_EQ(replayed.spend(offset_point(r->offset)), grown.spend()) << r->offset;
      const auto& own = r->event.stream;
      if (std::ranges::find(h.ids, own.value) != h.ids.end()) {
        ASSERT_EQ(replayed.of(own.value, seq_point(r->event.seq)), grown.of(own.value))
            << r->event.id();
      }
    }
    for (const auto& id : h.ids) // Behind the end is the end.
      ASSERT_EQ(replayed.of(id, seq_point(1'000'000)), grown.of(id));
  });
}

// Goal: before its first event an entity is not there, but a run that its session has accepted is
// pending.
TEST(as_of_property, before_the_first_event) {
  for_each_seed(1, 6, [](std::uint64_t seed) {
    skewed_history h{seed, 2, 250};
    const past replayed{h.log};
    for (const auto& id : h.ids) {
      const auto was = replayed.of(id, seq_point(0));
      if (kind_of(stream_id{id}) == stream_kind::run)
        EXPECT_NE(was.find("\"status\":\"pending\""), std::string::npos) << was;
      else
        EXPECT_EQ(was, absent);
      EXPECT_EQ(replayed.of(id, time_point(from_ms(0))), absent);
    }
    EXPECT_EQ(replayed.of("run_01HZZZZZZZZZZZZZZZZZZZZZZZ", seq_point(1)), absent);
    EXPECT_EQ(replayed.of("sess_01HZZZZZZZZZZZZZZZZZZZZZZZ", seq_point(1)), absent);
    EXPECT_EQ(replayed.of("wrk_01HZZZZZZZZZZZZZZZZZZZZZZZ", seq_point(1)), absent);
  });
}

// Goal: as of a time is of each stream the longest prefix, on one partition and on several, though
// the streams' clocks disagree.
TEST(as_of_property, times) {
  for_each_seed(1, 8, [](std::uint64_t seed) {
    skewed_history h{seed, seed % 2 == 0 ? 3U : 1U, 200};
    const past replayed{h.log};
    dice d{seed};
    const auto all = h.records();
    for (int i = 0; i < 8; ++i) {
      const auto t = d.pick(all)->event.time - std::chrono::milliseconds{d.below(2)};
      fed_views then{h.log};
      then.feed(until(all, t));
      for (const auto& id : h.ids)
        ASSERT_EQ(replayed.of(id, time_point(t)), then.of(id)) << id << ' ' << to_rfc3339(t);
      ASSERT_EQ(replayed.spend(time_point(t)), then.spend()) << to_rfc3339(t);
    }
  });
}

// Goal: the sums that the API gives for a point, from today's views and the streams of what was
// under way, are those of the views of that point.
TEST(as_of_property, analytics_from_todays_views) {
  for_each_seed(1, 8, [](std::uint64_t seed) {
    skewed_history h{seed, 1, 300};
    const auto all = h.records();
    fed_views today{h.log};
    today.feed(all);
    dice d{seed};
    for (int i = 0; i < 12; ++i) {
      const auto pick = d.below(all.size());
      const auto at = all[pick]->event.time;
      const auto from = at - std::chrono::milliseconds{d.below(5000)};
      const auto to = at + std::chrono::milliseconds{d.below(500)};
      fed_views then{h.log}, at_time{h.log};
      then.feed({all.begin(), all.begin() + static_cast<std::ptrdiff_t>(pick) + 1});
      at_time.feed(until(all, at));
      for (const auto& [begin, end] : {std::pair{the_start, the_end}, std::pair{from, to}}) {
        ASSERT_EQ(today.spend_as_of(begin, end, offset_point(all[pick]->offset)),
                  then.spend(begin, end))
            << pick;
        ASSERT_EQ(today.spend_as_of(begin, end, time_point(at)), at_time.spend(begin, end))
            << to_rfc3339(at);
      }
    }
  });
}

// Goal: a session's walk is the order of its partition, each event once.
TEST(as_of_property, a_sessions_walk_is_its_partitions_order) {
  for_each_seed(1, 10, [](std::uint64_t seed) {
    skewed_history h{seed, 3, 400};
    std::map<std::string, std::vector<std::string>> expected, walked;
    for (const auto& r : h.records())
      if (kind_of(r->event.stream) == stream_kind::session
          || kind_of(r->event.stream) == stream_kind::run)
        expected[r->event.partition_key].push_back(r->event.id());
    for (const auto& [id, state] : h.model.sessions)
      ASSERT_TRUE(replay::each_session_event(h.log, id, [&](const record_ptr& r) {
        walked[id.value].push_back(r->event.id());
        return true;
      }));
    ASSERT_EQ(walked, expected);
  });
}

} // namespace runledger::test
