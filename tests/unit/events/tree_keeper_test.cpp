#include "events/log/tree_keeper.hpp"

#include "events/log/memory_log.hpp"
#include "events/log/tree_head_files.hpp"
#include "events/node.hpp"
#include "tests/support/log_writers.hpp"
#include "tests/support/temp_folder.hpp"

#include <filesystem>
#include <fstream>
#include <sstream>

namespace runledger::test {

namespace {

const auto our_key = ed25519::private_key::from_seed(sha256("ours"));
const auto other_key = ed25519::private_key::from_seed(sha256("another"));

class tree_keeper_test : public ::testing::Test {
protected:
  tree_keeper_test() { start(); }

  /// A process takes the partition, with a keeper that has read everything.
  void start(const ed25519::private_key& key = our_key) {
    claim_ = *take_partition(log_, 0, "node-1", clock_, ids_);
    ASSERT_TRUE(
        node::ensure_registered(log_, claim_, "node-1", key.public_part(), clock_).has_value());
    keeper_.emplace(log_, claim_);
    keeper_->start();
    ASSERT_FALSE(keeper_->advance(1'000'000));
  }

  void write(std::size_t count) {
    for (; count > 0; --count)
      ASSERT_EQ(append_one(log_, {maker().next()}).outcome, append_outcome::accepted);
  }
  stream_maker maker() { return stream_maker{session_name(++sessions_), claim_.epoch}; }

  append_result write_head(const ed25519::private_key& key = our_key) {
    return append_one(log_, {keeper_->make_head("node-1", key, clock_.now())});
  }

  /// The tree as the definition has it.
  merkle::frontier naive() const {
    merkle::frontier out;
    for (const auto& r : read_all(log_))
      if (kind_of(r->event.stream) != stream_kind::partition)
        out.add(r->event.eventhash);
    return out;
  }

  memory_log log_;
  fixed_clock clock_;
  counting_ids ids_;
  partition_claim claim_;
  std::optional<tree_keeper> keeper_;
  std::uint64_t sessions_ = 0;
};

// Goal: the tree has every event but the partition's own, and heads cover it.
TEST_F(tree_keeper_test, follows_the_ledger) {
  write(5);
  EXPECT_FALSE(keeper_->advance(100));
  EXPECT_EQ(keeper_->tree(), naive());
  EXPECT_EQ(keeper_->uncovered(), 6u); // With the node's key.
  ASSERT_EQ(write_head().outcome, append_outcome::accepted);
  EXPECT_FALSE(keeper_->advance(100));
  EXPECT_EQ(keeper_->uncovered(), 0u);
  auto heads = keeper_->take_heads();
  ASSERT_EQ(heads.size(), 1u);
  EXPECT_EQ(heads[0].tree_size, 6u);
  EXPECT_EQ(heads[0].root, naive().root());
  EXPECT_TRUE(is_signed_by(heads[0], our_key.public_part()));
  write(1);
  ASSERT_EQ(write_head().outcome, append_outcome::accepted) << "of a tree without the last event";
}

// Goal: after a start the tree goes on from the last head; what stands before is not read again.
TEST_F(tree_keeper_test, goes_on_from_the_last_head) {
  write(9);
  keeper_->advance(100);
  write_head();
  write(3);
  auto expected = naive();
  ASSERT_TRUE(log_.damage(stream_id{session_name(2)}, 1)); // It would be noticed.
  start();
  EXPECT_EQ(keeper_->failed(), std::nullopt);
  EXPECT_EQ(keeper_->tree(), expected);
  EXPECT_EQ(keeper_->uncovered(), 3u);
  EXPECT_EQ(write_head().outcome, append_outcome::accepted);
}

// Goal: many starts without an event between them hide the last head from nobody.
TEST_F(tree_keeper_test, finds_the_last_head_behind_many_claims) {
  write(2);
  keeper_->advance(100);
  write_head();
  for (int i = 0; i < 150; ++i)
    start();
  EXPECT_EQ(keeper_->uncovered(), 0u);
  EXPECT_EQ(keeper_->tree(), naive());
}

// Goal: a head that no registered key has signed is nothing to go on from: all is counted anew.
TEST_F(tree_keeper_test, does_not_trust_a_forged_head) {
  write(4);
  keeper_->advance(100);
  write_head(other_key);
  start();
  EXPECT_EQ(keeper_->tree(), naive());
  EXPECT_EQ(keeper_->uncovered(), 0u); // It was counted, and the size is right.
}

// Goal: the node's next key goes on from what an earlier one has signed.
TEST_F(tree_keeper_test, goes_on_after_a_change_of_keys) {
  write(4);
  keeper_->advance(100);
  write_head();
  start(other_key);
  EXPECT_EQ(keeper_->tree(), naive());
  EXPECT_EQ(keeper_->uncovered(), 1u); // The new key's registration.
  EXPECT_EQ(write_head(other_key).outcome, append_outcome::accepted);
  auto known = node::read(log_, "node-1");
  ASSERT_TRUE(known);
  ASSERT_EQ(known->keys.size(), 2u);
  EXPECT_EQ(known->keys[1].key, other_key.public_part());
}

// Goal: what was refused or lost is not in the tree; what landed although nobody heard is.
TEST_F(tree_keeper_test, believes_the_ledger_alone) {
  auto late = maker();
  late.epoch(claim_.epoch + 1);
  EXPECT_EQ(append_one(log_, {late.next()}).outcome, append_outcome::rejected);
  log_.fail_next(1, append_fault::unknown_not_written);
  append_one(log_, {maker().next()});
  keeper_->advance(100);
  EXPECT_EQ(keeper_->tree().size(), 1u);
  log_.fail_next(1, append_fault::unknown_but_written);
  append_one(log_, {maker().next()});
  log_.fail_next(1, append_fault::unknown_but_written);
  write_head();
  keeper_->advance(100);
  EXPECT_EQ(keeper_->tree(), naive());
  EXPECT_EQ(keeper_->tree().size(), 2u);
  EXPECT_EQ(keeper_->uncovered(), 1u);
  EXPECT_EQ(write_head().outcome, append_outcome::accepted); // Behind the one that landed.
}

// Goal: nothing is signed over a damaged event.
TEST_F(tree_keeper_test, stops_at_damage) {
  write(3);
  ASSERT_TRUE(log_.damage(stream_id{session_name(2)}, 1));
  keeper_->advance(100);
  ASSERT_TRUE(keeper_->failed());
  EXPECT_NE(keeper_->failed()->find(session_name(2) + ":1"), std::string::npos);
  EXPECT_FALSE(keeper_->current());
}

// Goal: a limit only means to come again.
TEST_F(tree_keeper_test, takes_a_bounded_number_at_a_time) {
  write(10);
  EXPECT_TRUE(keeper_->advance(4));
  EXPECT_FALSE(keeper_->current());
  while (keeper_->advance(4)) {
  }
  EXPECT_TRUE(keeper_->current());
  EXPECT_EQ(keeper_->tree(), naive());
}

// Goal: an idle start registers nothing again.
TEST_F(tree_keeper_test, registers_a_key_once) {
  auto before = log_.end_offset(0);
  start();
  EXPECT_EQ(log_.end_offset(0), before + 1); // The claim.
}

// -- the day files -----------------------------------------------------------------------------

class tree_head_files_test : public tree_keeper_test {
protected:
  void add_head() {
    write(2);
    keeper_->advance(100);
    ASSERT_EQ(write_head().outcome, append_outcome::accepted);
    keeper_->advance(100);
  }
  tree_head_files files() const {
    return {folder_.path() + "/heads", claim_.ledger, "part_ledger_0"};
  }
  std::string text_of(const std::string& name) const {
    std::ifstream file{folder_.path() + "/heads/" + name, std::ios::binary};
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
  }
  /// What the ledger holds, as lines.
  std::string expected() const {
    std::string out;
    for (const auto& r : read_all(log_))
      if (auto head = signed_head_of(r->event, claim_.ledger))
        out += to_line(*head) + '\n';
    return out;
  }

  temp_folder folder_;
  const std::string today_ = "2023-11-14.jsonl"; // Of the fixed clock.
};

// Goal: each head becomes one line of its day's file, once, whoever asks how often.
TEST_F(tree_head_files_test, hold_each_head_once) {
  add_head();
  auto lines = files();
  ASSERT_TRUE(lines.complete(log_));
  EXPECT_EQ(text_of(today_), expected());
  keeper_->take_heads();
  add_head();
  for (const auto& head : keeper_->take_heads()) {
    ASSERT_TRUE(lines.append(head));
    ASSERT_TRUE(lines.append(head));
  }
  ASSERT_TRUE(lines.complete(log_));
  ASSERT_TRUE(files().complete(log_));
  EXPECT_EQ(text_of(today_), expected());
  clock_.advance_ms(24 * 3600 * 1000);
  auto before = expected();
  add_head();
  ASSERT_TRUE(lines.complete(log_));
  EXPECT_EQ(text_of(today_), before);
  EXPECT_EQ(before + text_of("2023-11-15.jsonl"), expected());
  EXPECT_EQ(tree_head_file_names(folder_.path() + "/heads"),
            (std::vector<std::string>{today_, "2023-11-15.jsonl"}));
}

// Goal: wherever a crash cut the last line, the next start mends it from the ledger.
TEST_F(tree_head_files_test, are_mended_after_a_crash) {
  add_head();
  add_head();
  ASSERT_TRUE(files().complete(log_));
  auto whole = text_of(today_);
  auto path = folder_.path() + "/heads/" + today_;
  for (std::size_t kept = 0; kept < whole.size(); kept += 7) {
    std::filesystem::resize_file(path, kept);
    ASSERT_TRUE(files().complete(log_));
    ASSERT_EQ(text_of(today_), whole) << "cut at " << kept;
  }
}

// Goal: what cannot be written is told, and made good later.
TEST_F(tree_head_files_test, make_good_what_could_not_be_written) {
  add_head();
  auto lines = files();
  std::ofstream{folder_.path() + "/heads"} << "a file where the folder should be";
  EXPECT_FALSE(lines.complete(log_));
  std::filesystem::remove(folder_.path() + "/heads");
  std::filesystem::create_directory(folder_.path() + "/heads");
  add_head();
  ASSERT_TRUE(lines.complete(log_));
  EXPECT_EQ(text_of(today_), expected());
}

} // namespace

} // namespace runledger::test
