// Goal: what the tools read out of a ledger does not depend on how it is divided.

#include "events/log/memory_log.hpp"
#include "events/log/tree_keeper.hpp"
#include "events/node.hpp"
#include "projections/replay/sheets.hpp"
#include "projections/replay/verify.hpp"
#include "projections/replay/who.hpp"
#include "tests/support/random_history.hpp"
#include "tests/support/seeds.hpp"
#include "tests/support/signed_history.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace runledger::test {

namespace {

const std::vector<topic_size> divided{
    {"runs", 3}, {"workers", 1}, {"workspaces", 1}, {"catalog", 2}};

std::vector<std::string> sorted_lines(const event_log& log, replay::sheet which) {
  std::string text;
  auto written = replay::write_sheet(log, which, {},
                                     [&](std::string_view bytes) {
                                       text += bytes;
                                       return true;
                                     },
                                     {});
  EXPECT_TRUE(written);
  std::vector<std::string> out;
  for (std::size_t at = 0; at < text.size();) {
    auto end = text.find('\n', at);
    out.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  std::ranges::sort(out);
  return out;
}

std::map<std::string, std::uint64_t> touchers(const event_log& log, const std::string& id) {
  std::map<std::string, std::uint64_t> out;
  auto report = replay::who_touched(log, id, *replay::who_subject_of(id));
  EXPECT_TRUE(report);
  for (const auto& one : report->who)
    for (const auto& [type, touched] : one.by_type)
      out[one.principal + ' ' + type] = touched.events;
  for (const auto& [stream, touched] : report->streams)
    out[stream] = touched.events;
  return out;
}

partition_claim claim_of(const event_log& log, std::uint32_t partition) {
  auto own = *log.read_stream(partition_stream(log.partition_name(partition)), 1, 10);
  const auto& last = own.back()->event;
  return {partition,
          own.back()->epoch,
          read_opened(own.front()->event.data)->ledger,
          {last.seq, last.eventhash, last.partition_key, last.time}};
}

/// A head over everything in each partition that holds anything.
std::vector<signed_tree_head> sign_all(event_log& log, const wall_clock& clock) {
  const auto home = partition_of(node_stream_of("node-1"), "node/node-1", log.partition_names());
  EXPECT_TRUE(node::ensure_registered(log, claim_of(log, *home), "node-1",
                                      signing_key().public_part(), clock));
  std::vector<signed_tree_head> out;
  for (std::uint32_t p = 0; p < log.partition_count(); ++p) {
    tree_keeper keeper{log, claim_of(log, p)};
    keeper.start();
    while (keeper.advance(10'000)) {
    }
    if (keeper.uncovered() == 0)
      continue; // Nothing has this partition's topic and number.
    log.append(
        {append_request{{keeper.make_head("node-1", signing_key(), clock.now())}}},
        [](const auto& results) { EXPECT_EQ(results.at(0).outcome, append_outcome::accepted); });
    keeper.advance(10'000);
    for (auto& head : keeper.take_heads())
      out.push_back(std::move(head));
  }
  return out;
}

} // namespace

TEST(divided_ledger, says_the_same) {
  for_each_seed(1, 10, [](std::uint64_t seed) {
    memory_log one, many{divided};
    random_history whole{one, seed}, parts{many, seed};
    for (int i = 0; i < 300; ++i) {
      whole.step();
      parts.step();
    }
    ASSERT_EQ(whole.runs.size(), parts.runs.size());
    for (auto which : {replay::sheet::runs, replay::sheet::spend})
      EXPECT_EQ(sorted_lines(one, which), sorted_lines(many, which));
    for (const auto& [id, life] : whole.runs)
      EXPECT_EQ(touchers(one, id.value), touchers(many, id.value));
    for (const auto& [id, state] : whole.sessions)
      EXPECT_EQ(touchers(one, id.value), touchers(many, id.value));
    EXPECT_EQ(touchers(one, "default"), touchers(many, "default"));
  });
}

// Goal: each partition is verified under its own heads, with keys that stand in another one; a row
// that is changed, a head of another partition and an index that is wrong are found.
TEST(divided_ledger, is_verified) {
  memory_log log{divided};
  random_history life{log, 7};
  for (int i = 0; i < 300; ++i)
    life.step();
  const auto heads = sign_all(log, life.facts.clock);
  replay::verify_options options;
  options.offsets_without_gaps = true;
  options.check_unfinished = true;
  for (const auto& head : heads)
    options.kept.push_back({"heads.jsonl", head});
  auto sound = replay::verify(log, options);
  EXPECT_EQ(sound.found, 0U) << (sound.found > 0 ? sound.findings[0].what : "");
  EXPECT_EQ(sound.claims, log.partition_count());
  ASSERT_GE(heads.size(), 4U); // Three of runs, and the node's.
  EXPECT_EQ(sound.tree_heads, heads.size());
  EXPECT_EQ(sound.kept_matched, heads.size());
  EXPECT_EQ(sound.unsigned_events, 0U);

  options.trusted = {ed25519::private_key::from_seed(sha256("another")).public_part()};
  EXPECT_GE(replay::verify(log, options).found, heads.size());
  options.trusted.clear();
  log.damage(stream_of(life.runs.begin()->first), 1);
  const auto broken = replay::verify(log, options);
  ASSERT_GT(broken.found, 0U);
  EXPECT_EQ(broken.findings[0].stream, stream_of(life.runs.begin()->first));
}

} // namespace runledger::test
