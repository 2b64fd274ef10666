#include "events/codec.hpp"
#include "events/log/append_and_wait.hpp"
#include "events/log/sqlite.hpp"
#include "events/log/sqlite_log.hpp"
#include "events/log/sqlite_rows.hpp"
#include "events/partition.hpp"
#include "events/tree_head.hpp"
#include "tests/support/log_writers.hpp"
#include "tests/support/temp_folder.hpp"

#include <gtest/gtest.h>

#include <chrono>

namespace runledger::test {

// Goal: a program that knows no seals and claims a sealed partition does not bring it back to life:
// nobody opens it to write, and what stands behind the seal is told.
TEST(sqlite_seal, takes_nothing_behind_a_seal) {
  temp_folder folder;
  fixed_clock clock;
  counting_ids ids;
  const stream_id own{"part_ledger_0"};
  stream_head sealed;
  {
    const auto log = *sqlite_log::open({.folder = folder.path(), .wal_preallocated_bytes = 0});
    const auto claim = take_partition(*log, 0, "a", clock, ids);
    ASSERT_TRUE(claim);
    auto fact = encode(partition_event{partition_sealed{"sqlite:/b", "L2", 0, sha256("")}});
    const auto seal =
        make_record(claim->head, own_attributes(own, fact.type, fact.data, clock.now()), 1, false);
    ASSERT_EQ(append_and_wait(*log, append_request{{seal}}, std::chrono::seconds{30}).outcome,
              append_outcome::accepted);
    sealed = **log->head(own);
  }
  const auto claim = make_record(sealed,
                                 own_attributes(own, full_type("partition.claimed", 1),
                                                R"({"epoch":2,"node":"old"})", clock.now()),
                                 2, false);
  claim->offset = 3;
  {
    auto db = sqlite::connection::open(folder / "ledger.db", sqlite::open_mode::read_write);
    ASSERT_TRUE(db);
    auto insert = db->prepare(sqlite::insert_event_sql());
    ASSERT_TRUE(insert);
    sqlite::bind_event(*insert, *claim);
    ASSERT_EQ(insert->step(), sqlite::step_result::done);
  }
  const auto log = sqlite_log::open({.folder = folder.path(), .wal_preallocated_bytes = 0});
  ASSERT_FALSE(log);
  EXPECT_TRUE(log.error().find("behind the seal at seq 3") != std::string::npos) << log.error();
}

} // namespace runledger::test
