#include "events/log/replica.hpp"

#include "tests/support/log_writers.hpp"
#include "tests/support/temp_folder.hpp"

#include <gtest/gtest.h>

#include <fstream>

namespace runledger::test {

namespace {

const std::vector<topic_partition> names = name_partitions({{"runs", 2}, {"catalog", 1}});

replica_options options(const temp_folder& in) {
  replica_options out;
  out.path = in / "replica.db";
  out.source = "a test";
  out.names = names;
  return out;
}

std::unique_ptr<replica> open(replica_options with) {
  auto opened = replica::open(std::move(with));
  EXPECT_TRUE(opened.has_value()) << (opened ? "" : opened.error());
  return opened ? *std::move(opened) : nullptr;
}

/// Feeds a replica as the reading thread does, with offsets that have gaps.
class feeder {
public:
  explicit feeder(replica& into) : into_(into) {
    for (std::uint32_t p = 0; p < names.size(); ++p)
      next_.push_back(into.position(p).next);
  }
  raw_record raw(const std::shared_ptr<record>& event, std::uint32_t partition) {
    raw_record out;
    out.partition = partition;
    out.offset = next_[partition]++;
    if (event) {
      out.event = std::make_shared<record>(*event);
      out.event->partition = partition;
      out.event->offset = out.offset;
    }
    return out;
  }
  raw_record raw(const std::shared_ptr<record>& event) {
    return raw(event, partition_of(event->event.stream, event->event.partition_key, names).value());
  }
  std::vector<verdict> feed(std::vector<raw_record> batch) {
    EXPECT_TRUE(into_.judge(batch));
    std::vector<std::pair<std::uint32_t, replica_position>> read;
    for (const auto& r : batch)
      read.push_back({r.partition, {r.offset + 1, r.offset, sha256(std::to_string(r.offset))}});
    EXPECT_TRUE(into_.store(batch, read)) << into_.last_error().message;
    into_.publish(batch);
    std::vector<verdict> out;
    for (const auto& r : batch)
      out.push_back(r.outcome);
    return out;
  }
  /// Founds and claims a partition.
  void found(std::uint32_t partition) {
    stream_maker own{partition_stream(names[partition]).value, 0};
    own.attributes().type = full_type("partition.opened", 1);
    auto opened = own.peek();
    opened->event.data = "{\"partitions\":" + std::to_string(names[partition].count)
                         + ",\"partitioner\":\"murmur2\",\"ledger\":\"L\"}";
    seal(opened->event);
    follow(own.head(), *opened);
    own.attributes().type = full_type("partition.claimed", 1);
    own.epoch(1);
    auto claim = own.peek();
    claim->event.data = "{\"epoch\":1,\"node\":\"n\"}";
    seal(claim->event);
    EXPECT_EQ(feed({raw(opened, partition), raw(claim, partition)}),
              (std::vector<verdict>{verdict::accepted, verdict::accepted}));
  }

private:
  replica& into_;
  std::vector<std::int64_t> next_;
};

std::string session_in(std::uint32_t partition) {
  for (std::uint64_t n = 1;; ++n)
    if (partition_of(stream_id{session_name(n)}, session_name(n), names) == partition)
      return session_name(n);
}

} // namespace

class replica_file : public testing::Test {
protected:
  temp_folder folder_;
};

// Goal: partitions are kept apart, each with its own offsets and gaps, near the end and before.
TEST_F(replica_file, keeps_partitions_apart) {
  auto with = options(folder_);
  with.recent_records = 3;
  auto copy = open(with);
  feeder f{*copy};
  for (std::uint32_t p = 0; p < 3; ++p)
    f.found(p);
  stream_maker a{session_in(0), 1}, b{session_in(1), 1}, zombie{session_in(1), 0};
  auto first = a.next("1", true, 5);
  EXPECT_EQ(f.feed({f.raw(first), f.raw(zombie.next()), f.raw(nullptr, 1), f.raw(first),
                    f.raw(b.next("1", true)), f.raw(a.next("2"))}),
            (std::vector<verdict>{verdict::accepted, verdict::wrong_epoch, verdict::accepted,
                                  verdict::duplicate, verdict::accepted, verdict::accepted}));
  for (std::size_t step : {1u, 100u}) {
    std::vector<std::int64_t> offsets[2];
    for (std::uint32_t p : {0u, 1u})
      for (std::int64_t at = 0;;) {
        const auto some = copy->read_partition(p, at, step);
        ASSERT_TRUE(some);
        if (some->empty())
          break;
        for (const auto& r : *some) {
          EXPECT_EQ(r->partition, p);
          EXPECT_TRUE(r->damage.empty()) << r->damage;
          offsets[p].push_back(r->offset);
        }
        at = offsets[p].back() + 1;
      }
    EXPECT_EQ(offsets[0], (std::vector<std::int64_t>{0, 1, 2, 4}));
    EXPECT_EQ(offsets[1], (std::vector<std::int64_t>{0, 1, 4}));
  }
  EXPECT_EQ(copy->end_offset(0), 5);
  EXPECT_EQ(copy->end_offset(2), 2);
  ASSERT_EQ(copy->unfinished(1, {}, 10)->size(), 1u);
  EXPECT_EQ(copy->unfinished(1, {}, 10)->front().stream.value, session_in(1));
  EXPECT_TRUE(copy->unfinished(0, {}, 10)->empty());
}

// Goal: a file that is opened again goes on where it was, heads and epochs included.
TEST_F(replica_file, is_opened_again) {
  stream_maker a{session_in(1), 1};
  {
    auto copy = open(options(folder_));
    feeder f{*copy};
    f.found(1);
    EXPECT_EQ(f.feed({f.raw(a.next())}), (std::vector<verdict>{verdict::accepted}));
  }
  auto copy = open(options(folder_));
  EXPECT_FALSE(copy->made_anew());
  EXPECT_EQ(copy->partition_state(1).epoch, 1u);
  EXPECT_EQ(copy->position(1).next, 3);
  EXPECT_EQ(copy->position(1).last, 2);
  EXPECT_EQ(copy->position(1).last_hash, sha256("2"));
  EXPECT_EQ(copy->end_offset(1), 3);
  feeder f{*copy};
  auto twice = a.peek("3");
  EXPECT_EQ(f.feed({f.raw(a.next("2")), f.raw(twice)}),
            (std::vector<verdict>{verdict::accepted, verdict::stale_seq}));
  EXPECT_EQ(copy->compare_stored(*twice), verdict::stale_seq);
}

// Goal: a file of something else, one that is not trusted, and rubbish are made anew, and it is
// said why.
TEST_F(replica_file, is_made_anew_where_it_is_of_no_use) {
  {
    auto copy = open(options(folder_));
    feeder{*copy}.found(0);
  }
  auto other = options(folder_);
  other.source = "another test";
  auto copy = open(other);
  ASSERT_TRUE(copy->made_anew());
  EXPECT_NE(copy->made_anew()->find("copy of another ledger"), std::string::npos);
  EXPECT_EQ(copy->position(0).next, 0);
  feeder{*copy}.found(0);
  copy->distrust("it was wrong");
  copy.reset();
  copy = open(other);
  EXPECT_EQ(copy->made_anew(), "it was wrong");
  EXPECT_EQ(copy->end_offset(0), 0);
  copy.reset();
  std::ofstream{folder_ / "replica.db", std::ios::trunc} << std::string(8192, 'x');
  copy = open(other);
  EXPECT_TRUE(copy->made_anew());
  feeder{*copy}.found(0);
}

// Goal: contents that do not match their hashes are refused by the fold.
TEST_F(replica_file, refuses_wrong_hashes) {
  auto copy = open(options(folder_));
  feeder f{*copy};
  f.found(0);
  stream_maker a{session_in(0), 1};
  auto forged = a.peek();
  forged->event.data += ' ';
  EXPECT_EQ(f.feed({f.raw(forged), f.raw(a.next())}),
            (std::vector<verdict>{verdict::bad_hash, verdict::accepted}));
  EXPECT_EQ(copy->read_stream(stream_id{session_in(0)}, 1, 10)->size(), 1u);
}

} // namespace runledger::test
