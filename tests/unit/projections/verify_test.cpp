#include "projections/replay/verify.hpp"

#include "events/log/file_blob_store.hpp"
#include "tests/support/rows_log.hpp"
#include "tests/support/signed_history.hpp"
#include "tests/support/temp_folder.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace runledger::replay {

namespace {

using ::testing::HasSubstr;

/// A ledger of a random history under heads, as its rows.
class verify_test : public ::testing::Test {
protected:
  verify_test() {
    options.offsets_without_gaps = true;
    options.trusted = {test::signing_key().public_part()};
  }

  verify_report look() const { return verify(rows, options); }
  void keep(const signed_tree_head& head) { options.kept = {{"head.jsonl, line 1", head}}; }
  /// A row of a session or a run, somewhere in the middle.
  record& victim() {
    auto i = rows.rows.size() / 2;
    while (kind_of(rows.rows[i].event.stream) == stream_kind::partition)
      ++i;
    return rows.rows[i];
  }

  memory_log log;
  test::signed_history history{log, 7, 200, 40};
  test::rows_log rows{log};
  verify_options options;
};

// Goal: a sound ledger is borne out, and the report says by how much.
TEST_F(verify_test, counts_what_it_checked) {
  keep(history.heads().front());
  const auto report = look();
  EXPECT_EQ(report.found, 0u);
  EXPECT_EQ(report.events, rows.rows.size());
  EXPECT_EQ(report.claims, 1u);
  EXPECT_EQ(report.tree_heads, history.heads().size());
  EXPECT_EQ(report.signed_events, history.heads().back().tree_size);
  EXPECT_EQ(report.unsigned_events, 0u);
  EXPECT_EQ(report.kept_matched, 1u);
}

// Goal: the first bad place is the very event, and one change is one finding.
TEST_F(verify_test, names_the_place) {
  const auto& bad = victim();
  victim().event.data += ' ';
  const auto report = look();
  ASSERT_EQ(report.found, 1u);
  const auto& f = report.findings[0];
  EXPECT_EQ(f.kind, finding_kind::damaged);
  EXPECT_EQ(f.stream, bad.event.stream);
  EXPECT_EQ(f.seq, bad.event.seq);
  EXPECT_EQ(f.offset, bad.offset);
}

// Goal: an edit that was hashed anew is narrowed down to the events between two heads.
TEST_F(verify_test, narrows_an_edit_down) {
  auto& bad = victim();
  bad.event.data += ' ';
  rows.rehash(bad.event.stream);
  const auto report = look();
  ASSERT_GT(report.found, 0u);
  const auto& f = report.findings[0];
  EXPECT_EQ(f.kind, finding_kind::other_events);
  EXPECT_EQ(kind_of(f.stream), stream_kind::partition);
  EXPECT_GT(f.offset, bad.offset);
  const auto before = report.signed_events;
  EXPECT_GT(before, 0u);
  EXPECT_THAT(f.what, HasSubstr("among those from offset"));
}

// Goal: many findings are counted, and the first ones kept.
TEST_F(verify_test, keeps_the_first_findings_and_counts_all) {
  options.findings_max = 3;
  for (auto& r : rows.rows)
    r.event.principal += 'x';
  const auto report = look();
  EXPECT_GE(report.found, rows.rows.size());
  ASSERT_EQ(report.findings.size(), 3u);
  EXPECT_EQ(report.findings[0].offset, 0);
  EXPECT_EQ(report.findings[1].offset, 1);
}

// Goal: time that goes back is told, though the fold accepts it.
TEST_F(verify_test, tells_of_time_that_went_back) {
  for (auto i = rows.rows.size() / 2; i < rows.rows.size(); ++i) {
    auto& r = rows.rows[i];
    if (kind_of(r.event.stream) != stream_kind::run || r.event.seq < 2)
      continue;
    r.event.time -= std::chrono::hours{1};
    rows.rehash(r.event.stream);
    rows.sign_anew(test::signing_key());
    break;
  }
  const auto report = look();
  ASSERT_GT(report.found, 0u);
  EXPECT_EQ(report.findings[0].kind, finding_kind::time_went_back);
}

// Goal: a kept head of another ledger or of nobody's key proves nothing, and that is told.
TEST_F(verify_test, tells_of_a_head_that_is_none) {
  memory_log other;
  const test::signed_history elsewhere{other, 8, 50, 50};
  keep(elsewhere.heads().front());
  auto report = look();
  ASSERT_EQ(report.found, 1u);
  EXPECT_EQ(report.findings[0].kind, finding_kind::foreign_head);
  EXPECT_THAT(report.findings[0].what, HasSubstr("head.jsonl, line 1"));
  auto forged = history.heads().front();
  forged.signature = history.heads().back().signature;
  keep(forged);
  report = look();
  ASSERT_GT(report.found, 0u);
  EXPECT_EQ(report.findings[0].kind, finding_kind::head_signature);
  EXPECT_EQ(report.kept_matched, 0u);
}

// Goal: contents beside the ledger are read where that is asked for: missing, changed, of another
// size.
TEST_F(verify_test, reads_the_contents_that_events_name) {
  memory_log small;
  test::history facts{small};
  const test::temp_folder folder;
  auto store = file_blob_store::open(folder.path());
  ASSERT_TRUE(store);
  auto& blobs = **store;
  const auto session = facts.fresh_session();
  const auto run = facts.fresh_run(session);
  auto accepted = facts.turn(run);
  accepted.prompt = payload{{}, *blobs.put("\"a long prompt\"")};
  facts.write_session(session, accepted);
  run::artifact_published file;
  file.title = "a.txt";
  file.content = sha256("nobody has put this");
  facts.write_run(session, run, file);
  verify_options with;
  with.blobs = &blobs;
  auto report = verify(small, with);
  EXPECT_EQ(report.contents, 2u);
  ASSERT_EQ(report.found, 1u);
  EXPECT_EQ(report.findings[0].kind, finding_kind::blob);
  EXPECT_EQ(report.findings[0].stream, stream_of(run));
  file.content = blobs.put("four")->id;
  file.size_bytes = 5;
  facts.write_run(session, run, file);
  report = verify(small, with);
  ASSERT_EQ(report.found, 2u);
  EXPECT_THAT(report.findings[1].what, HasSubstr("another size"));
  with.blobs = nullptr;
  EXPECT_EQ(verify(small, with).found, 0u);
}

} // namespace

} // namespace runledger::replay
