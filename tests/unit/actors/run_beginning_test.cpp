// Goal: what a run begins with is sent, or the reason why not says what the attempt costs.

#include "actors/run_beginning.hpp"

#include "events/log/memory_log.hpp"
#include "tests/support/sim_parts.hpp"
#include "tests/support/temp_folder.hpp"

#include <gtest/gtest.h>

namespace runledger::test {
namespace {

/// A blob store that says one thing.
class failing_store final : public blob_store {
public:
  explicit failing_store(blob_errc why) : why_(why) {}
  result<blob_ref, blob_errc> put(std::string_view) override { return why_; }
  result<blob_ref, blob_errc> put_file(int, std::uint64_t) override { return why_; }
  result<std::string, blob_errc> get(const digest&) const override { return why_; }
  std::optional<std::string> path_of(const digest&) const override { return std::nullopt; }

private:
  blob_errc why_;
};

/// The beginning of a later turn whose input stands in the blob store.
begun_text beginning(const blob_store& blobs, const blob_ref& input, bool remote) {
  temp_folder folder;
  memory_log log;
  run::state state;
  state.turn = 2;
  state.attempt = 1;
  run_granted granted;
  auto fact = std::make_shared<session::turn_accepted>();
  fact->prompt.blob = input;
  granted.entry.fact = fact;
  run_beginning what{state,         granted, nullptr, run_id{"run_1"}, session_id{"sess_1"},
                     folder.path(), {}};
  if (remote)
    what.remote = harness::held_lease{"run_1", 1};
  return write_beginning(log, blobs, what);
}

// Goal: a beginning that no worker could get fails the run at once, and says why; a harness on this
// server gets the same one.
TEST(run_beginning, that_is_too_large_for_a_worker_fails_the_run) {
  memory_blob_store blobs;
  const auto input = *blobs.put('"' + std::string(26U << 20, 'x') + '"');
  const auto text = beginning(blobs, input, true);
  EXPECT_EQ(text.problem.code, "beginning_too_large");
  EXPECT_NE(text.problem.message.find("a remote worker gets at most 33554432"), std::string::npos)
      << text.problem.message;
  EXPECT_EQ(text.cost, attempt_cost::final);
  EXPECT_TRUE(beginning(blobs, input, false).problem.empty());
  const auto small = *blobs.put(R"("hello")");
  EXPECT_TRUE(beginning(blobs, small, true).problem.empty());
}

// Goal: content that is late costs the run nothing, content that is gone does.
TEST(run_beginning, waits_for_content_that_is_late) {
  const blob_ref input{sha256("x"), 1};
  const auto late = beginning(failing_store{blob_errc::unavailable}, input, false);
  EXPECT_EQ(late.problem.code, "blob_unavailable");
  EXPECT_EQ(late.cost, attempt_cost::none);
  const auto gone = beginning(failing_store{blob_errc::missing}, input, false);
  EXPECT_EQ(gone.problem.code, "ledger_corrupt");
  EXPECT_EQ(gone.cost, attempt_cost::counted);
}

} // namespace
} // namespace runledger::test
