#include "events/log/memory_log.hpp"
#include "events/timeline.hpp"
#include "projections/queries/agent_analytics.hpp"
#include "projections/queries/list_runs.hpp"
#include "projections/queries/run_by_id.hpp"
#include "projections/queries/session_by_id.hpp"
#include "projections/queries/session_timeline.hpp"
#include "projections/rebuild.hpp"
#include "projections/render.hpp"
#include "projections/view_store.hpp"
#include "tests/support/random_history.hpp"
#include "tests/support/temp_folder.hpp"

#include <gtest/gtest.h>
#include <sqlite3.h>

#include <cstdlib>
#include <set>

namespace runledger::test {
namespace {

std::uint64_t first_seed() {
  const char* text = std::getenv("TEST_SEED");
  return text != nullptr ? std::strtoull(text, nullptr, 10) : 1;
}
std::uint64_t seed_count(std::uint64_t usual) {
  return std::getenv("TEST_SEED") != nullptr ? 1 : usual;
}

/// Views that grow while their ledger does: with random batches, with partitions in random order,
/// with commits that fail and files that are closed and opened in between.
class growing_views {
public:
  growing_views(const event_log& log, std::uint64_t seed) : log_(log), ids_(seed * 31) { open(); }

  void grow() {
    auto partition = static_cast<std::uint32_t>(ids_.below(log_.partition_count()));
    auto records =
        log_.read_partition(partition, store_->next_offset(partition), 1 + ids_.below(40));
    ASSERT_TRUE(records);
    auto dice = ids_.below(12);
    if (dice == 0)
      refuse_commits(true);
    auto done = store_->apply(*records);
    if (dice == 0) {
      EXPECT_EQ(done.has_value(), records->empty());
      refuse_commits(false);
    } else {
      ASSERT_TRUE(done) << done.error().message;
    }
    if (dice == 1)
      open();
  }

  void finish() {
    for (std::uint32_t p = 0; p < log_.partition_count(); ++p)
      for (;;) {
        auto records = log_.read_partition(p, store_->next_offset(p), 1000);
        ASSERT_TRUE(records);
        if (records->empty())
          break;
        ASSERT_TRUE(store_->apply(*records));
      }
  }

  const std::string& path() const { return path_; }
  std::string other_path() const { return folder_ / "rebuilt.db"; }

private:
  void open() {
    store_.reset();
    auto opened = views::view_store::open(path_, views::writing::live);
    ASSERT_TRUE(opened) << opened.error().message;
    store_ = std::move(*opened);
  }
  void refuse_commits(bool refuse) {
    sqlite3_commit_hook(store_->database().raw(), refuse ? +[](void*) { return 1; } : nullptr,
                        nullptr);
  }

  const event_log& log_;
  seeded_ids ids_;
  temp_folder folder_;
  std::string path_ = folder_ / "views.db";
  std::unique_ptr<views::view_store> store_;
};

/// The items of every session as the definition says, straight from the log.
std::map<session_id, std::vector<std::string>> timelines_of(const memory_log& log) {
  std::map<session_id, std::vector<std::string>> out;
  for (std::uint32_t p = 0; p < log.partition_count(); ++p) {
    auto records = log.read_partition(p, 0, SIZE_MAX);
    for (const auto& r : *records) {
      auto session = session_of(r->event);
      if (!session || place_of(*r) == timeline_verdict::no_place)
        continue;
      auto& items = out[*session];
      append_item_json(items.emplace_back(), *r, item_of(*r), items.size() + 1, {});
    }
  }
  return out;
}

void expect_answers(views::view_reader& reader, const random_history& model,
                    const memory_log& log) {
  const auto& workspace = model.facts.workspace;
  views::analytics_numbers total;
  for (const auto& [id, life] : model.runs) {
    auto found = views::run_by_id(reader, workspace, id.value);
    ASSERT_TRUE(found && *found) << id.value;
    std::string from_views, from_state;
    views::append_run_json(from_views, **found);
    views::append_run_json(from_state, views::run_row_from(id, life.state, life.session, workspace,
                                                           life.accepted, life.accepted_at, {}));
    EXPECT_EQ(from_views, from_state);
    ++total.runs;
    total.cost += life.state.cost;
    total.tokens_in += life.state.tokens_in;
    total.succeeded += life.state.at == run::phase::succeeded;
  }
  auto sums = views::agent_analytics(reader, workspace, from_ms(0), from_ms(INT64_C(1) << 50));
  ASSERT_TRUE(sums);
  EXPECT_EQ(sums->total.runs, total.runs);
  EXPECT_EQ(sums->total.cost, total.cost);
  EXPECT_EQ(sums->total.tokens_in, total.tokens_in);
  EXPECT_EQ(sums->total.succeeded, total.succeeded);

  for (const auto& [id, items] : timelines_of(log)) {
    auto page = views::session_timeline(reader, workspace, id.value, 0, 100'000);
    ASSERT_TRUE(page && *page);
    std::vector<std::string> got;
    for (const auto& item : (*page)->items)
      got.push_back(item.json);
    EXPECT_EQ(got, items) << id.value;
  }
  for (const auto& [id, state] : model.sessions) {
    auto found = views::session_by_id(reader, workspace, id.value);
    ASSERT_TRUE(found && *found);
    EXPECT_EQ((*found)->session.phase, state.at);
    EXPECT_EQ((*found)->session.last_activity_at, state.last_activity_at);
    EXPECT_EQ((*found)->session.terminated_at, state.terminated_at);
    ASSERT_EQ((*found)->runs.size(), state.turns.size());
    for (std::size_t i = 0; i < state.turns.size(); ++i)
      EXPECT_EQ((*found)->runs[i].id, state.turns[i].run);
  }
}

void check_history(std::uint64_t seed, const std::vector<topic_size>& topics) {
  SCOPED_TRACE("TEST_SEED=" + std::to_string(seed));
  memory_log log{topics};
  random_history model{log, seed};
  growing_views live{log, seed};
  for (int i = 0; i < 400; ++i) {
    if (seed % 3 == 0 && i % 50 == 0)
      log.duplicate_next(1);
    model.step();
    if (i % 5 == 0)
      live.grow();
  }
  live.finish();
  auto rebuilt = views::rebuild(live.other_path(), log);
  ASSERT_TRUE(rebuilt) << rebuilt.error();
  auto grown = views::dump(live.path()), fresh = views::dump(live.other_path());
  ASSERT_TRUE(grown && fresh);
  EXPECT_EQ(*grown, *fresh);
  EXPECT_FALSE(grown->at("runs").empty());
  EXPECT_EQ(grown->at("parked"), "");
  auto reader = views::view_reader::open(live.path(), log, nullptr);
  ASSERT_TRUE(reader);
  expect_answers(**reader, model, log);
}

// Goal: however the views grew, they equal the rebuilt ones byte for byte, and answer what the
// entities' own states say.
TEST(projection_rebuild, live_equals_rebuilt) {
  for (auto seed = first_seed(); seed < first_seed() + seed_count(60); ++seed) {
    check_history(seed, {topic_size{}});
    if (HasFailure())
      return;
  }
}

// Goal: nothing depends on how partitions interleave.
TEST(projection_rebuild, partitions_in_any_order) {
  for (auto seed = first_seed(); seed < first_seed() + seed_count(30); ++seed) {
    if (seed % 2 == 0)
      check_history(seed, {{"ledger", 3}});
    else
      check_history(seed, {{"runs", 3}, {"workers", 1}, {"workspaces", 1}, {"catalog", 2}});
    if (HasFailure())
      return;
  }
}

// Goal: a list's pages give every run once, in its order, for any page size and any filter.
TEST(projection_rebuild, pages_give_every_run_once) {
  for (auto seed = first_seed(); seed < first_seed() + seed_count(15); ++seed) {
    SCOPED_TRACE("TEST_SEED=" + std::to_string(seed));
    memory_log log;
    random_history model{log, seed};
    for (int i = 0; i < 600; ++i)
      model.step();
    temp_folder folder;
    auto path = folder / "views.db";
    ASSERT_TRUE(views::rebuild(path, log));
    auto reader = views::view_reader::open(path, log, nullptr);
    ASSERT_TRUE(reader);
    for (const char* status : {"", "pending", "running", "succeeded", "failed", "cancelled"})
      for (std::size_t limit : {1, 3, 200}) {
        views::run_filter filter;
        filter.status = status;
        filter.limit = limit;
        std::set<std::string> got;
        std::pair<timestamp, views::place> last{timestamp::max(), views::place{INT64_MAX}};
        for (;;) {
          auto page = views::list_runs(**reader, model.facts.workspace, filter);
          ASSERT_TRUE(page) << page.error().detail;
          for (const auto& r : page->items) {
            EXPECT_TRUE(got.insert(r.id.value).second);
            std::pair now{r.created_at, r.at};
            EXPECT_LT(now, last);
            last = now;
          }
          if (page->next.empty())
            break;
          filter.after = views::parse_cursor(page->next);
          ASSERT_TRUE(filter.after);
        }
        std::set<std::string> expected;
        for (const auto& [id, life] : model.runs)
          if (*status == '\0' || run::to_string(life.state.at) == status)
            expected.insert(id.value);
        EXPECT_EQ(got, expected) << status << ' ' << limit;
      }
  }
}

} // namespace
} // namespace runledger::test
