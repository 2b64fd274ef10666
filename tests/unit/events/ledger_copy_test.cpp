// Goal: a ledger that is copied is sealed, whole and unchanged where it goes on, however often the
// copy was interrupted; and what must not be copied is left as it is.

#include "events/log/ledger_copy.hpp"

#include "events/codec.hpp"
#include "events/named_contents.hpp"
#include "tests/support/log_writers.hpp"
#include "tests/support/memory_blob_store.hpp"
#include "tests/support/signed_history.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <utility>

namespace runledger::test {

namespace {

using ::testing::HasSubstr;

const std::vector<topic_size> divided{
    {"runs", 3}, {"workers", 1}, {"workspaces", 1}, {"catalog", 2}};

/// Every event but those of partitions' own streams, by its id.
std::map<std::string, digest> contents_of(const event_log& log) {
  std::map<std::string, digest> out;
  for (std::uint32_t p = 0; p < log.partition_count(); ++p)
    for (std::int64_t at = 0;;) {
      const auto page = *log.read_partition(p, at, 500);
      if (page.empty())
        break;
      for (const auto& r : page)
        if (kind_of(r->event.stream) != stream_kind::partition)
          out.emplace(r->event.id(), r->event.eventhash);
      at = page.back()->offset + 1;
    }
  return out;
}

std::map<std::string, std::optional<std::int64_t>> unfinished_of(const event_log& log) {
  std::map<std::string, std::optional<std::int64_t>> out;
  for (std::uint32_t p = 0; p < log.partition_count(); ++p)
    for (const auto& each : *log.unfinished(p, {}, 100'000))
      out.emplace(each.stream.value, each.due_ms);
  return out;
}

/// A log whose appends go wrong from one on: as if the process had been killed then.
class dying_log final : public event_log {
public:
  dying_log(event_log& to, std::size_t& left, bool written)
      : to_(to), left_(left), written_(written) {}
  void append(std::vector<append_request> group, completion done) override {
    const auto count = group.size();
    const bool dies = left_ == 0;
    left_ -= dies ? 0 : 1;
    completion told = dies ? completion{[](const std::vector<append_result>&) {}} : done;
    if (!dies || written_)
      to_.append(std::move(group), std::move(told));
    if (dies)
      done(std::vector<append_result>(count,
                                      {append_outcome::unknown, verdict::accepted, "killed"}));
  }
  result<std::vector<record_ptr>, read_error>
  read_stream(const stream_id& stream, std::uint64_t from, std::size_t limit) const override {
    return to_.read_stream(stream, from, limit);
  }
  result<std::vector<record_ptr>, read_error>
  read_partition(std::uint32_t partition, std::int64_t from, std::size_t limit) const override {
    return to_.read_partition(partition, from, limit);
  }
  result<std::optional<stream_head>, read_error> head(const stream_id& stream) const override {
    return to_.head(stream);
  }
  std::span<const topic_partition> partition_names() const override {
    return to_.partition_names();
  }
  partition_head partition_state(std::uint32_t partition) const override {
    return to_.partition_state(partition);
  }
  std::int64_t end_offset(std::uint32_t partition) const override {
    return to_.end_offset(partition);
  }
  void on_append(std::function<void()> listener) override { to_.on_append(std::move(listener)); }
  result<std::vector<unfinished_stream>, read_error>
  unfinished(std::uint32_t partition, const stream_id& after, std::size_t limit) const override {
    return to_.unfinished(partition, after, limit);
  }
  std::optional<std::string> failed() const override { return to_.failed(); }

private:
  event_log& to_;
  std::size_t& left_;
  const bool written_;
};

class ledger_copy_test : public testing::Test {
protected:
  ledger_copy_test() {
    for (const char* content : {"a", "b", "c", "d"}) // Artifacts of random histories.
      (void)from_blobs.put(content);
  }
  copy_options options(event_log& from, event_log& to, std::string name = "kafka:b/p") {
    copy_options out;
    out.from = {&from, &from_blobs, "sqlite:/a/ledger.db"};
    out.to = {&to, &to_blobs, std::move(name)};
    out.clock = &clock;
    out.ids = &ids;
    out.group_events = 20;
    return out;
  }

  memory_blob_store from_blobs, to_blobs;
  fixed_clock clock;
  counting_ids ids;
  memory_log source;
  signed_history history{source, 5, 150, 40};
};

} // namespace

// Goal: the copy holds every event with its hash and its origin, begins with the source's last head
// and ends with their number; the source names the copy and takes nothing more.
TEST_F(ledger_copy_test, holds_everything_and_says_from_where) {
  memory_log target;
  const auto done = copy_ledger(options(source, target));
  ASSERT_TRUE(done) << done.error().detail;
  const auto expected = contents_of(source);
  EXPECT_EQ(contents_of(target), expected);
  EXPECT_EQ(unfinished_of(target), unfinished_of(source));
  EXPECT_EQ(done->events, expected.size());
  EXPECT_EQ(done->appended, expected.size());
  EXPECT_GT(done->contents, 0u);
  const auto seal = *seal_of(source, 0);
  ASSERT_TRUE(seal);
  EXPECT_EQ(seal->to, "kafka:b/p");
  EXPECT_EQ(seal->ledger, done->to_ledger);
  EXPECT_EQ(seal->events, expected.size());
  const auto rows = read_all(target);
  ASSERT_GT(rows.size(), 4u);
  EXPECT_EQ(rows[2]->event.type, full_type("ledger.copy_started", 1));
  EXPECT_EQ(rows.back()->event.type, full_type("ledger.copied", 1));
  std::uint64_t leaf = 0;
  for (const auto& r : rows)
    if (kind_of(r->event.stream) != stream_kind::partition) {
      EXPECT_EQ(r->origin, done->from_ledger + ":part_ledger_0:" + std::to_string(leaf++));
    }
  const auto facts = *copy_facts_of(target);
  ASSERT_TRUE(facts.started && facts.ended);
  EXPECT_EQ(facts.ended->events, expected.size());
  ASSERT_EQ(facts.started->partitions.size(), 1u);
  const auto& head = facts.started->partitions[0].head;
  ASSERT_TRUE(head);
  EXPECT_EQ(head->signature, history.heads().back().signature);
  EXPECT_NE(head->public_key, "");
  EXPECT_THAT((*why_closed(source)).value_or(""), HasSubstr("goes on there as the ledger "));
  EXPECT_FALSE(*why_closed(target));
}

// Goal: what the last head of the source does not cover gets one, where its key is there.
TEST_F(ledger_copy_test, signs_a_last_head) {
  stream_maker s{"sess_" + make_ulid(clock.now(), 0, 9), 1};
  ASSERT_EQ(append_one(source, {s.next()}).outcome, append_outcome::accepted);
  memory_log target;
  auto asked = options(source, target);
  asked.key = signing_key();
  ASSERT_TRUE(copy_ledger(asked));
  const auto started = copy_facts_of(target)->started;
  ASSERT_TRUE(started && started->partitions[0].head);
  EXPECT_EQ(started->partitions[0].head->tree_size, contents_of(source).size());
  EXPECT_EQ(started->partitions[0].head->root, started->partitions[0].root);
}

// Goal: to many partitions and back: every stream has the same hashes, and each event is in the
// partition where it belongs.
TEST_F(ledger_copy_test, goes_to_other_partitions_and_back) {
  memory_log many{divided}, again;
  ASSERT_TRUE(copy_ledger(options(source, many)));
  EXPECT_EQ(contents_of(many), contents_of(source));
  EXPECT_EQ(unfinished_of(many), unfinished_of(source));
  auto back = options(many, again, "sqlite:/b/ledger.db");
  back.from.blobs = &to_blobs;
  const auto done = copy_ledger(back);
  ASSERT_TRUE(done) << done.error().detail;
  EXPECT_EQ(done->partitions, 7u);
  EXPECT_EQ(contents_of(again), contents_of(source));
  EXPECT_EQ(unfinished_of(again), unfinished_of(source));
}

// Goal: a copy whose process is killed at any of its writes, whether that one was still written or
// not, goes on and ends as if nothing had happened; after the end there is nothing to do.
TEST_F(ledger_copy_test, goes_on_wherever_it_was_killed) {
  const auto expected = contents_of(source);
  for (const bool written : {false, true})
    for (std::size_t lives = 0;; ++lives) {
      SCOPED_TRACE(lives);
      memory_log from, to{divided};
      signed_history same{from, 5, 150, 40};
      auto left = lives;
      dying_log from_dies{from, left, written}, to_dies{to, left, written};
      const auto killed = copy_ledger(options(from_dies, to_dies));
      if (killed) {
        EXPECT_GT(lives, 15u);
        break;
      }
      EXPECT_EQ(killed.error().what, copy_error::kind::failed) << killed.error().detail;
      EXPECT_TRUE(*why_closed(to) || copy_facts_of(to)->ended || to.end_offset(0) < 3);
      const auto done = copy_ledger(options(from, to));
      ASSERT_TRUE(done) << done.error().detail;
      EXPECT_EQ(contents_of(to), expected);
      EXPECT_EQ(unfinished_of(to), unfinished_of(from));
      EXPECT_FALSE(*why_closed(to));
      const auto end = to.end_offset(0);
      const auto again = copy_ledger(options(from, to));
      ASSERT_TRUE(again);
      EXPECT_TRUE(again->was_done);
      EXPECT_EQ(again->events, expected.size());
      EXPECT_EQ(to.end_offset(0), end);
    }
}

// Goal: where a killed copy leaves a target on which a server may start, and one did and wrote, the
// copy is refused: nothing that either has written is lost in silence.
TEST_F(ledger_copy_test, refuses_a_target_that_a_server_has_begun_with) {
  int begun = 0;
  for (std::size_t lives = 0;; ++lives) {
    SCOPED_TRACE(lives);
    memory_log from, to{divided};
    signed_history same{from, 5, 20, 10};
    auto left = lives;
    dying_log from_dies{from, left, false}, to_dies{to, left, false};
    if (copy_ledger(options(from_dies, to_dies)))
      break;
    if (*why_closed(to) || to.end_offset(0) == 0)
      continue;
    ++begun;
    ASSERT_TRUE(take_partition(to, 1, "server", clock, ids));
    const auto end = to.end_offset(1);
    const auto done = copy_ledger(options(from, to));
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().what, copy_error::kind::refused) << done.error().detail;
    EXPECT_THAT(done.error().detail, HasSubstr("a server has written to kafka:b/p"));
    EXPECT_EQ(to.end_offset(1), end);
  }
  EXPECT_EQ(begun, 2); // Founded; claimed as well.
}

// Goal: a stream that somebody has written to in an unfinished copy ends it, instead of its own
// next events being taken for those of the source.
TEST_F(ledger_copy_test, refuses_a_stream_that_goes_on_otherwise) {
  memory_log target;
  std::size_t left = 8;
  dying_log dies{target, left, false};
  ASSERT_FALSE(copy_ledger(options(source, dies)));
  const auto last = read_all(target).back()->event;
  ASSERT_NE(kind_of(last.stream), stream_kind::partition);
  const auto claim = take_partition(target, 0, "server", clock, ids);
  ASSERT_TRUE(claim);
  const auto head = *target.head(last.stream);
  ASSERT_TRUE(head);
  ASSERT_EQ(append_one(target, {make_record(*head, last, claim->epoch, false)}).outcome,
            append_outcome::accepted);
  const auto done = copy_ledger(options(source, target));
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().what, copy_error::kind::refused) << done.error().detail;
  EXPECT_THAT(done.error().detail,
              HasSubstr("another event " + last.stream.value + ":" + std::to_string(last.seq + 1)));
  EXPECT_FALSE(copy_facts_of(target)->ended);
}

// Goal: a copy that goes on with another place for contents has all of them there in the end.
TEST_F(ledger_copy_test, goes_on_with_another_place_for_contents) {
  memory_log target;
  std::size_t left = 8;
  dying_log dies{target, left, false};
  ASSERT_FALSE(copy_ledger(options(source, dies)));
  memory_blob_store other;
  auto asked = options(source, target);
  asked.to.blobs = &other;
  const auto done = copy_ledger(asked);
  ASSERT_TRUE(done) << done.error().detail;
  std::size_t in_first = 0, named = 0;
  for (const auto& r : read_all(target))
    for (const auto& each : named_contents(r->event)) {
      ++named;
      in_first += to_blobs.get(each.id) ? 1 : 0;
      EXPECT_TRUE(other.get(each.id)) << r->event.id();
    }
  EXPECT_GT(named, 0u);
  EXPECT_GT(in_first, 0u) << "the first call has put some, or this shows nothing";
}

// Goal: a target that holds anything else is left as it is, and the source is not sealed.
TEST_F(ledger_copy_test, refuses_a_target_that_is_not_empty) {
  memory_log target;
  ASSERT_TRUE(take_partition(target, 0, "a", clock, ids));
  const auto done = copy_ledger(options(source, target));
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().what, copy_error::kind::refused);
  EXPECT_THAT(done.error().detail, HasSubstr("is not empty"));
  EXPECT_EQ(target.end_offset(0), 2);
  EXPECT_FALSE(source.partition_state(0).sealed);
}

// Goal: a ledger goes on in one place: once it is sealed it is copied nowhere else.
TEST_F(ledger_copy_test, is_made_once) {
  memory_log target, other;
  ASSERT_TRUE(copy_ledger(options(source, target)));
  const auto second = copy_ledger(options(source, other, "kafka:b/other"));
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().what, copy_error::kind::refused);
  EXPECT_THAT(second.error().detail, HasSubstr("was sealed for kafka:b/p"));
  EXPECT_EQ(other.end_offset(0), 0);
}

// Goal: an unfinished copy is no source, and nothing that is no ledger is one.
TEST_F(ledger_copy_test, needs_a_whole_source) {
  memory_log half, target, nothing;
  std::size_t left = 8;
  dying_log dies{half, left, false};
  ASSERT_FALSE(copy_ledger(options(source, dies)));
  EXPECT_THAT((*why_closed(half)).value_or(""), HasSubstr("is not whole"));
  auto done = copy_ledger(options(half, target, "kafka:b/third"));
  ASSERT_FALSE(done);
  EXPECT_THAT(done.error().detail, HasSubstr("itself a copy that is not whole"));
  done = copy_ledger(options(nothing, target));
  ASSERT_FALSE(done);
  EXPECT_THAT(done.error().detail, HasSubstr("holds no ledger"));
}

// Goal: a content that is not there, or is another one, ends the copy before the event that names
// it; once it is there again the copy goes on.
TEST_F(ledger_copy_test, needs_every_content) {
  memory_log target;
  auto asked = options(source, target);
  memory_blob_store empty;
  asked.from.blobs = &empty;
  auto done = copy_ledger(asked);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().what, copy_error::kind::damaged);
  EXPECT_THAT(done.error().detail, HasSubstr(" is missing"));
  asked.from.blobs = nullptr;
  EXPECT_THAT(copy_ledger(asked).error().detail, HasSubstr("no folder or topic of blobs"));
  EXPECT_TRUE(copy_ledger(options(source, target)));
  EXPECT_EQ(contents_of(target), contents_of(source));
  EXPECT_EQ(*to_blobs.get(sha256("a")), "a");
}

// Goal: a damaged event ends the copy, and its place is told.
TEST_F(ledger_copy_test, stops_at_a_damaged_event) {
  memory_log target;
  ASSERT_TRUE(source.damage(read_all(source)[20]->event.stream, read_all(source)[20]->event.seq));
  const auto done = copy_ledger(options(source, target));
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().what, copy_error::kind::damaged);
  EXPECT_FALSE(copy_facts_of(target)->ended);
}

// Goal: a server that claims the source while it is sealed is found.
TEST_F(ledger_copy_test, finds_another_writer) {
  class rival final : public wall_clock {
  public:
    explicit rival(memory_log& log) : log_(log) {}
    timestamp now() const override {
      // The clock is asked between the claim and the seal.
      if (log_.partition_state(0).epoch == 2) {
        EXPECT_TRUE(take_partition(log_, 0, "rival", plain_, ids_));
      }
      return plain_.now();
    }

  private:
    memory_log& log_;
    fixed_clock plain_;
    mutable counting_ids ids_;
  };
  const rival clock{source};
  memory_log target;
  auto asked = options(source, target);
  asked.clock = &clock;
  const auto done = copy_ledger(asked);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().what, copy_error::kind::in_use) << done.error().detail;
  EXPECT_FALSE(source.partition_state(0).sealed);
  EXPECT_EQ(target.end_offset(0), 0);
}

// Goal: of two copies of one source that begin at once one ends before it has sealed anything.
TEST_F(ledger_copy_test, ends_beside_another_copy) {
  class rival final : public wall_clock {
  public:
    explicit rival(memory_log& log) : log_(log) {}
    timestamp now() const override {
      // The clock is asked between the look at the source and its first seal.
      if (!std::exchange(sealed_, true)) {
        auto claim = take_partition(log_, 0, "ledger-copy", plain_, ids_);
        auto fact = encode(partition_event{partition_sealed{"kafka:b/other", "L2", 0, {}}});
        const auto own = partition_stream(log_.partition_name(0));
        EXPECT_EQ(append_one(log_, {make_record(claim->head,
                                                own_attributes(own, std::move(fact.type),
                                                               std::move(fact.data), plain_.now()),
                                                claim->epoch, false)})
                      .outcome,
                  append_outcome::accepted);
      }
      return plain_.now();
    }

  private:
    memory_log& log_;
    fixed_clock plain_;
    mutable counting_ids ids_;
    mutable bool sealed_ = false;
  };
  memory_log many{divided}, target;
  ASSERT_TRUE(copy_ledger(options(source, many)));
  const rival clock{many};
  auto asked = options(many, target);
  asked.from.blobs = &to_blobs;
  asked.clock = &clock;
  const auto done = copy_ledger(asked);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().what, copy_error::kind::in_use) << done.error().detail;
  EXPECT_THAT(done.error().detail, HasSubstr("sealed by another copy, to kafka:b/other"));
  for (std::uint32_t p = 1; p < many.partition_count(); ++p)
    EXPECT_FALSE(many.partition_state(p).sealed) << p;
  EXPECT_EQ(target.end_offset(0), 0);
}

// Goal: an origin's text is read back, and nothing else is one.
TEST(origin_place, is_one_text) {
  const auto read = read_origin("01ARZ3NDEKTSV4RRFFQ69G5FAV:part_runs_3:17");
  ASSERT_TRUE(read);
  EXPECT_EQ(read->ledger, "01ARZ3NDEKTSV4RRFFQ69G5FAV");
  EXPECT_EQ(read->partition, "part_runs_3");
  EXPECT_EQ(read->leaf, 17u);
  EXPECT_EQ(to_text(*read), "01ARZ3NDEKTSV4RRFFQ69G5FAV:part_runs_3:17");
  for (const char* wrong : {"", "L", "L:1", ":p:1", "L::1", "L:p:", "L:p:01", "L:p:-1", "L:p:1x",
                            "L:p:18446744073709551616"})
    EXPECT_FALSE(read_origin(wrong)) << wrong;
}

} // namespace runledger::test
