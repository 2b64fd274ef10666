#pragma once

#include "events/log/memory_log.hpp"
#include "projections/rebuild.hpp"
#include "projections/view_reader.hpp"
#include "projections/view_store.hpp"
#include "tests/support/history.hpp"
#include "tests/support/temp_folder.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace runledger::test {

/// A ledger in memory, a history that writes to it, and views that are folded when the test says
/// so.
class view_test : public ::testing::Test {
protected:
  temp_folder folder;
  std::string path = folder / "views.db";
  memory_log log;
  history facts{log};
  std::unique_ptr<views::view_store> store;
  std::unique_ptr<views::view_reader> reader;

  /// Folds what is there, at most `batch` records in one commit.
  void fold(std::size_t batch = 1000) {
    if (!store) {
      auto opened = views::view_store::open(path, views::writing::live);
      ASSERT_TRUE(opened) << opened.error().message;
      store = std::move(*opened);
    }
    for (;;) {
      auto records = log.read_partition(0, store->next_offset(0), batch);
      ASSERT_TRUE(records);
      if (records->empty())
        break;
      auto done = store->apply(*records);
      ASSERT_TRUE(done) << done.error().message;
    }
    if (!reader) {
      auto opened = views::view_reader::open(path, log, nullptr);
      ASSERT_TRUE(opened) << opened.error().detail;
      reader = std::move(*opened);
    }
  }

  /// The live tables equal those that a rebuild makes.
  void expect_same_as_rebuilt() {
    auto other = folder / "rebuilt.db";
    auto rebuilt = views::rebuild(other, log);
    ASSERT_TRUE(rebuilt) << rebuilt.error();
    auto live = views::dump(path), fresh = views::dump(other);
    ASSERT_TRUE(live) << live.error().message;
    ASSERT_TRUE(fresh) << fresh.error().message;
    EXPECT_EQ(*live, *fresh);
  }
};

} // namespace runledger::test
