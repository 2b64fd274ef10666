#include "http/refusal_recorder.hpp"

#include "tests/support/history.hpp"

#include <gtest/gtest.h>

namespace runledger::http {
namespace {

const std::string run = "run_01ARZ3NDEKTSV4RRFFQ69G5FAV";

class refusal_recorder_test : public ::testing::Test {
protected:
  refusal_recorder_test() {
    recorder.record_with([this](record_refusal_request ask, answer<refusal_recorded> to) {
      written.push_back(std::move(ask));
      if (answers)
        to(refusal_recorded{});
      else
        owed.push_back(std::move(to));
    });
  }

  refused_call call(principal_ptr by = nullptr) const {
    return {verb::post, "/api/v1/runs/{run}/fork", path,       std::move(by),
            "req_1",    status::not_found,         "not_found"};
  }
  static principal_ptr who(const std::string& key, const std::string& workspace) {
    return std::make_shared<const principal>(principal{key, workspace, scope::write});
  }
  template <class Fact>
  std::vector<Fact> of_type() const {
    std::vector<Fact> out;
    for (const auto& each : written)
      if (const auto* fact = std::get_if<Fact>(&each.report))
        out.push_back(*fact);
    return out;
  }

  net::io_context io{1};
  test::hand_clock clock;
  key_ring keys{clock};
  refusal_recorder recorder{io, clock, keys, 12};
  std::string path = "/api/v1/runs/" + run + "/fork";
  std::vector<record_refusal_request> written;
  std::vector<answer<refusal_recorded>> owed;
  bool answers = true;
};

// Goal: who, what and which request stand in the record; without a key it is anonymous's.
TEST_F(refusal_recorder_test, records_who_and_what) {
  recorder.take(call(who("key_1", "team")));
  recorder.take(call());
  ASSERT_EQ(written.size(), 2U);
  EXPECT_EQ(written[0].context.workspace.value, "team");
  EXPECT_EQ(written[0].context.principal, "key_1");
  EXPECT_EQ(written[0].context.correlation_id, "req_1");
  const audit::call_refused expected{"POST",     "/api/v1/runs/{run}/fork", path, {run}, 404,
                                     "not_found"};
  EXPECT_EQ(std::get<audit::call_refused>(written[0].report), expected);
  EXPECT_EQ(written[1].context.workspace.value, "system");
  EXPECT_EQ(written[1].context.principal, "anonymous");
}

// Goal: a flood writes a bounded number of events in one workspace, and leaves others alone.
TEST_F(refusal_recorder_test, bounds_a_flood_by_workspace) {
  for (int i = 0; i < 10'000; ++i) {
    recorder.take(call());
    recorder.take(call(who("key_1", "team")));
  }
  EXPECT_EQ(of_type<audit::call_refused>().size(), 60U + 20U);
  recorder.take(call(who("key_2", "other")));
  EXPECT_EQ(of_type<audit::call_refused>().size(), 60U + 20U + 1U);
  EXPECT_TRUE(of_type<audit::calls_suppressed>().empty());
  bool finished = false;
  recorder.finish(std::chrono::seconds{60}, [&] { finished = true; });
  io.poll();
  EXPECT_TRUE(finished);
  std::int64_t left_out = 0;
  for (const auto& each : of_type<audit::calls_suppressed>())
    left_out += each.count;
  EXPECT_EQ(of_type<audit::calls_suppressed>().size(), 2U) << "one for each of the two";
  EXPECT_EQ(left_out, 20'000 - 60 - 20);
  std::string metrics;
  recorder.append_metrics(metrics);
  EXPECT_NE(metrics.find("\nrunledger_audit_recorded_calls_total 83\n"), metrics.npos) << metrics;
  EXPECT_NE(metrics.find("\nrunledger_audit_suppressed_calls_total 19920\n"), metrics.npos);
  EXPECT_NE(metrics.find("\nrunledger_audit_lost_calls_total 0\n"), metrics.npos);
}

// Goal: the end waits for what is being written, and what could not be written is counted.
TEST_F(refusal_recorder_test, ends_when_everything_is_settled) {
  answers = false;
  recorder.take(call());
  bool finished = false;
  recorder.finish(std::chrono::seconds{60}, [&] { finished = true; });
  io.poll();
  EXPECT_FALSE(finished);
  owed.front().refuse(errc::ledger_unavailable);
  io.restart();
  io.poll();
  EXPECT_TRUE(finished);
  recorder.record_with(nullptr);
  recorder.take(call());
  std::string metrics;
  recorder.append_metrics(metrics);
  EXPECT_NE(metrics.find("\nrunledger_audit_lost_calls_total 2\n"), metrics.npos) << metrics;
}

// Goal: nothing that may be a secret is kept: neither the text of a key nor what is no id.
TEST_F(refusal_recorder_test, keeps_ids_and_names_of_a_path_only) {
  const auto stored = [&](std::string_view pattern, std::string_view sent) {
    return stored_path_of(pattern, sent, keys).path;
  };
  const std::string pattern = "/api/v1/keys/{key}";
  EXPECT_EQ(stored(pattern, "/api/v1/keys/key_01ARZ3NDEKTSV4RRFFQ69G5FAV"),
            "/api/v1/keys/key_01ARZ3NDEKTSV4RRFFQ69G5FAV");
  EXPECT_EQ(stored("/a/{agent}/versions/{version}", "/a/word-count/versions/12"),
            "/a/word-count/versions/12");
  EXPECT_EQ(stored(pattern, "/api/v1/keys/" + make_key_text()), "/api/v1/keys/*");
  EXPECT_EQ(stored(pattern, "/api/v1/keys/%72lk_abc"), "/api/v1/keys/*");
  EXPECT_EQ(stored(pattern, "/api/v1/keys/" + std::string(65, 'a')), "/api/v1/keys/*");
  EXPECT_EQ(stored(pattern, "/api/v1/keys/a%20b"), "/api/v1/keys/*");
  EXPECT_EQ(stored(pattern, "/api/v1/keys/a%2Fb"), "/api/v1/keys/*");
  EXPECT_EQ(stored(pattern, "/api/v1/keys/Sekret!"), "/api/v1/keys/*");
  // A key that the operator chose may look like a name.
  const std::string chosen = "my-own-bootstrap-key";
  EXPECT_EQ(stored(pattern, "/api/v1/keys/" + chosen), "/api/v1/keys/" + chosen);
  keys.add({key_id{"key_1"}, {}, 1, sha256(chosen), {}});
  EXPECT_EQ(stored(pattern, "/api/v1/keys/" + chosen), "/api/v1/keys/*");
  EXPECT_TRUE(stored_path_of(pattern, "/api/v1/keys/" + chosen, keys).targets.empty());
}

} // namespace
} // namespace runledger::http
