// Goal: what a copy holds of another ledger is held against the roots that the other one signed:
// an edit, a deletion, an insertion and a swap among the copied events are found, also where
// streams were hashed anew and offsets closed up.

#include "events/log/ledger_copy.hpp"
#include "projections/replay/verify.hpp"
#include "tests/support/log_writers.hpp"
#include "tests/support/memory_blob_store.hpp"
#include "tests/support/rows_log.hpp"
#include "tests/support/signed_history.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace runledger::replay {

namespace {

using ::testing::HasSubstr;

/// A copy as its rows; its source is signed to the end.
class copy_check_test : public ::testing::Test {
protected:
  copy_check_test() {
    for (const char* content : {"a", "b", "c", "d"})
      (void)blobs.put(content);
    EXPECT_TRUE(copy(source, target));
    rows = test::rows_log{target};
    options.offsets_without_gaps = true;
  }
  result<copy_report, copy_error> copy(event_log& from, event_log& to) {
    copy_options asked;
    asked.from = {&from, &blobs, "sqlite:/a/ledger.db"};
    asked.to = {&to, &blobs, "sqlite:/b/ledger.db"};
    asked.clock = &clock;
    asked.ids = &ids;
    return copy_ledger(asked);
  }
  verify_report look() const { return verify(rows, options); }
  bool finds(finding_kind kind) const {
    const auto report = look();
    return std::ranges::any_of(report.findings, [&](const finding& f) { return f.kind == kind; });
  }
  /// The row of a copied event, somewhere in the middle.
  std::size_t some_row() const {
    auto i = rows.rows.size() / 2;
    while (rows.rows[i].origin.empty())
      ++i;
    return i;
  }
  /// The row of a copied event that is the last of its stream.
  std::size_t some_last() const {
    auto i = some_row();
    for (auto j = i + 1; j < rows.rows.size(); ++j)
      if (rows.rows[j].event.stream == rows.rows[i].event.stream)
        i = j;
    return i;
  }

  test::memory_blob_store blobs;
  test::fixed_clock clock;
  test::counting_ids ids;
  memory_log source, target;
  test::signed_history history{source, 7, 200, 40};
  test::rows_log rows;
  verify_options options;
};

} // namespace

// Goal: a sound copy is borne out by the source's last head, and heads of the source that somebody
// kept are held against it.
TEST_F(copy_check_test, bears_out_a_sound_copy) {
  options.trusted = {test::signing_key().public_part()};
  options.kept = {{"first.jsonl, line 1", history.heads().front()},
                  {"last.jsonl, line 1", history.heads().back()}};
  const auto report = look();
  EXPECT_EQ(report.found, 0u) << report.findings.front().what;
  EXPECT_EQ(report.copied_events, history.heads().back().tree_size);
  EXPECT_EQ(report.foreign_heads, 1u);
  EXPECT_EQ(report.kept_matched, 2u);
  EXPECT_EQ(report.copied_unsigned, 0u);
  options.trusted = {ed25519::private_key::from_seed(sha256("another's")).public_part()};
  EXPECT_TRUE(finds(finding_kind::head_signature));
}

// Goal: a copy over several partitions, and a copy of that one, are sound too.
TEST_F(copy_check_test, bears_out_copies_of_copies) {
  memory_log first{{{"runs", 3}, {"workers", 1}, {"workspaces", 1}, {"catalog", 2}}}, last;
  memory_log from;
  const test::signed_history again{from, 8, 200, 40};
  ASSERT_TRUE(copy(from, first));
  options.offsets_without_gaps = false;
  auto report = verify(first, options);
  EXPECT_EQ(report.found, 0u) << report.findings.front().what;
  EXPECT_EQ(report.foreign_heads, 1u);
  EXPECT_EQ(report.copied_events, again.heads().back().tree_size);
  ASSERT_TRUE(copy(first, last));
  report = verify(last, options);
  EXPECT_EQ(report.found, 0u) << report.findings.front().what;
  EXPECT_EQ(report.copied_events, again.heads().back().tree_size);
}

// Goal: an edit is found although its stream was hashed anew to the end.
TEST_F(copy_check_test, finds_an_edit) {
  auto& bad = rows.rows[some_row()];
  bad.event.data += ' ';
  rows.rehash(bad.event.stream);
  const auto report = look();
  ASSERT_EQ(report.found, 2u);
  EXPECT_EQ(report.findings[0].kind, finding_kind::other_events);
  EXPECT_THAT(report.findings[0].what, HasSubstr("not the one with which it was sealed"));
  EXPECT_THAT(report.findings[1].what, HasSubstr("the last tree head of the source's"));
}

// Goal: the last event of a stream, taken away without a trace in chain and offsets, is missed.
TEST_F(copy_check_test, finds_a_deletion) {
  rows.rows.erase(rows.rows.begin() + static_cast<std::ptrdiff_t>(some_last()));
  rows.renumber();
  EXPECT_TRUE(finds(finding_kind::fewer_events));
}

// Goal: the very last copied event is missed, too.
TEST_F(copy_check_test, finds_a_cut) {
  rows.rows.erase(rows.rows.end() - 2);
  rows.renumber();
  EXPECT_TRUE(finds(finding_kind::fewer_events));
}

// Goal: an event among the copied ones is found whether it says that it was copied or not.
TEST_F(copy_check_test, finds_an_insertion) {
  const auto at = some_row();
  test::stream_maker s{test::session_name(99), rows.rows[at].epoch};
  const auto sound = rows.rows;
  for (const auto& origin : {std::string{}, rows.rows[at].origin}) {
    auto extra = *s.peek();
    extra.origin = origin;
    for (const auto place : {at, rows.rows.size() - 1}) {
      rows.rows = sound;
      rows.rows.insert(rows.rows.begin() + static_cast<std::ptrdiff_t>(place), extra);
      rows.renumber();
      EXPECT_TRUE(finds(finding_kind::origin)) << origin << " at " << place;
    }
  }
}

// Goal: two events that changed places are found, whether their origins went along or not.
TEST_F(copy_check_test, finds_a_swap) {
  auto i = some_row(), j = i + 1;
  while (rows.rows[j].event.stream == rows.rows[i].event.stream)
    ++i, ++j;
  std::swap(rows.rows[i], rows.rows[j]);
  rows.renumber();
  EXPECT_TRUE(finds(finding_kind::origin));
  std::swap(rows.rows[i].origin, rows.rows[j].origin);
  EXPECT_TRUE(finds(finding_kind::other_events));
}

// Goal: an origin that is gone, changed, of another ledger, or of no place is found.
TEST_F(copy_check_test, finds_a_changed_origin) {
  auto& origin = rows.rows[some_row()].origin;
  const auto sound = origin;
  for (const auto& wrong :
       {std::string{}, std::string{"nonsense"}, "01ARZ3NDEKTSV4RRFFQ69G5FAV" + sound.substr(26),
        sound + "0000000", sound.substr(0, 26) + ":part_runs_0:1"}) {
    origin = wrong;
    EXPECT_GT(look().found, 0u) << wrong;
  }
  origin = sound;
  EXPECT_EQ(look().found, 0u);
}

// Goal: what the copy says of its source cannot be changed either: it is chained, and the head is
// signed.
TEST_F(copy_check_test, finds_a_changed_start) {
  auto& start = rows.rows[2].event;
  ASSERT_EQ(start.type, full_type(ledger_copy_started::name, 1));
  const auto root = to_hex(history.heads().back().root);
  for (auto at = start.data.find(root); at != std::string::npos; at = start.data.find(root))
    start.data.replace(at, root.size(), to_hex(sha256("another tree")));
  rows.rehash(start.stream);
  EXPECT_TRUE(finds(finding_kind::other_events));
  EXPECT_TRUE(finds(finding_kind::head_signature));
}

// Goal: where the copy tells no head of its source any more, nothing is said to be borne out.
TEST_F(copy_check_test, counts_what_no_head_covers) {
  auto& start = rows.rows[2].event;
  const auto head = start.data.find(",\"head\":{");
  ASSERT_NE(head, std::string::npos);
  start.data.erase(head, start.data.find('}', head) + 1 - head);
  rows.rehash(start.stream);
  const auto report = look();
  EXPECT_EQ(report.foreign_heads, 0u);
  EXPECT_EQ(report.copied_unsigned, report.copied_events);
  EXPECT_GT(report.copied_events, 0u);
}

// Goal: a copy that is not whole says so, and where it ended.
TEST_F(copy_check_test, finds_a_copy_that_is_not_whole) {
  rows.rows.resize(some_row());
  rows.index.clear();
  options.check_unfinished = false;
  const auto report = look();
  ASSERT_EQ(report.found, 3u);
  EXPECT_THAT(report.findings[0].what, HasSubstr("is not there"));
  EXPECT_THAT(report.findings[2].what, HasSubstr("goes on where it ended"));
}

// Goal: origins in a ledger that is no copy are found.
TEST_F(copy_check_test, finds_origins_in_a_ledger_that_is_no_copy) {
  rows = test::rows_log{source};
  EXPECT_EQ(look().found, 0u);
  for (auto& r : rows.rows)
    if (kind_of(r.event.stream) != stream_kind::partition) {
      r.origin = "L:part_ledger_0:0";
      break;
    }
  EXPECT_TRUE(finds(finding_kind::origin));
}

} // namespace runledger::replay
