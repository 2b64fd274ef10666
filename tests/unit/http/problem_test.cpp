// Goal: prove the form of errors as callers see them, and the rows that the contract names.

#include "http/problem.hpp"

#include "events/json.hpp"

#include <gtest/gtest.h>

namespace runledger::http {
namespace {

TEST(Problem, RendersRfc9457) {
  auto what =
      problem::invalid({"body", "steps", std::uint64_t{2}, "kind"}, "is \"missing\"", "missing");
  what.extra = R"("stream":"run_1","seq":4)";
  EXPECT_EQ(render(what, "req_1"),
            R"({"type":"urn:runledger:problem:validation_failed",)"
            R"("title":"The request is not valid","status":422,)"
            R"("detail":"is \"missing\"","code":"validation_failed","request_id":"req_1",)"
            R"("errors":[{"loc":["body","steps",2,"kind"],"msg":"is \"missing\"",)"
            R"("type":"missing"}],)"
            R"("stream":"run_1","seq":4})");
}

TEST(Problem, IsValidJsonForEveryFault) {
  for (unsigned i = 0; i <= static_cast<unsigned>(fault::timeout); ++i) {
    const auto what = problem::of(static_cast<fault>(i));
    const auto parsed = json::parse(render(what, "req_1"));
    ASSERT_TRUE(parsed) << i;
    EXPECT_EQ(parsed->root().find("code")->string(), what.code);
    EXPECT_NE(reason_of(what.status), "Status") << what.code;
  }
}

TEST(Problem, HasTheStatusesOfTheContract) {
  auto row = [](fault why) {
    const auto what = problem::of(why);
    return std::to_string(static_cast<unsigned>(what.status)) + " " + what.code;
  };
  EXPECT_EQ(row(fault::malformed_json), "400 malformed_json");
  EXPECT_EQ(row(fault::validation_failed), "422 validation_failed");
  EXPECT_EQ(row(fault::idempotency_conflict), "422 idempotency_conflict");
  EXPECT_EQ(row(fault::queue_full), "429 queue_full");
  EXPECT_EQ(row(fault::too_many_connections), "503 too_many_connections");
  EXPECT_EQ(row(fault::too_many_connections_per_address), "429 too_many_connections");
  EXPECT_EQ(row(fault::ledger_corrupt), "500 ledger_corrupt");
  EXPECT_EQ(row(fault::ledger_unavailable), "503 ledger_unavailable");
  EXPECT_EQ(row(fault::outcome_unknown), "503 outcome_unknown");
}

TEST(Problem, BringsItsHeaders) {
  using lines = std::vector<std::pair<std::string, std::string>>;
  EXPECT_EQ(problem::of(fault::unauthorized).headers, (lines{{"WWW-Authenticate", "Bearer"}}));
  EXPECT_EQ(problem::of(fault::queue_full).headers, (lines{{"Retry-After", "1"}}));
  EXPECT_EQ(problem::of(fault::not_found).headers, lines{});
}

} // namespace
} // namespace runledger::http
