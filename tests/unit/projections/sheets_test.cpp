#include "projections/replay/sheets.hpp"

#include "projections/replay/csv.hpp"
#include "tests/support/history.hpp"

#include "events/log/memory_log.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace runledger::replay {

namespace {

using ::testing::HasSubstr;

std::string cell_of(std::string_view text) {
  std::string out;
  csv_writer{out}.text(text);
  return out;
}

// Goal: cells are quoted as RFC 4180 says, and only where it says so.
TEST(csv, quotes_what_needs_it) {
  EXPECT_EQ(cell_of("plain text"), "plain text");
  EXPECT_EQ(cell_of("a,b"), "\"a,b\"");
  EXPECT_EQ(cell_of("say \"x\""), "\"say \"\"x\"\"\"");
  EXPECT_EQ(cell_of("two\nlines"), "\"two\nlines\"");
  EXPECT_EQ(cell_of("two\r\nlines"), "\"two\r\nlines\"");
  EXPECT_EQ(cell_of(""), "");
  std::string line;
  csv_writer csv{line};
  csv.text("").number(-3).money(micro_usd{520'000}).money(micro_usd{1}).time({}).end_line();
  csv.time(from_ms(1'700'000'000'123)).end_line();
  EXPECT_EQ(line, ",-3,0.52,0.000001,\r\n2023-11-14T22:13:20.123Z\r\n");
}

// Goal: no text becomes a formula in a spreadsheet.
TEST(csv, defuses_formulas) {
  EXPECT_EQ(cell_of("=1+1"), "'=1+1");
  EXPECT_EQ(cell_of("=HYPERLINK(\"x\",\"y\")"), "\"'=HYPERLINK(\"\"x\"\",\"\"y\"\")\"");
  EXPECT_EQ(cell_of("+1"), "'+1");
  EXPECT_EQ(cell_of("-1"), "'-1");
  EXPECT_EQ(cell_of("@SUM(A1)"), "'@SUM(A1)");
  EXPECT_EQ(cell_of("\t=1"), "'\t=1");
  EXPECT_EQ(cell_of("\r=1"), "\"'\r=1\"");
  EXPECT_EQ(cell_of("\n=1"), "\"'\n=1\"");
  EXPECT_EQ(cell_of("a=1"), "a=1");
}

/// Two runs of one session: one that failed with a hostile message, one that is under way.
class sheets_test : public ::testing::Test {
protected:
  sheets_test() {
    accept(failed, 1);
    begin(failed);
    spend(failed, 100, 250'000, "=cheap");
    facts.clock.time += std::chrono::hours{24};
    spend(failed, 7, 1, "=cheap");
    run::failed end;
    end.session = session;
    end.error = {"agent_error", "=cmd, \"x\""};
    facts.write_run(session, failed, end);
    accept(running, 2);
    begin(running);
    facts.write_run(session, running, run::attempt_started{2, worker_id{"wrk_1"}});
    spend(running, 5, 1'000'000, "dear");
  }

  void accept(const run_id& id, std::int64_t turn) {
    session::turn_accepted fact;
    fact.turn = turn;
    fact.run = id;
    fact.agent.value = "ag_1";
    fact.agent_slug = "triage";
    fact.agent_version = 3;
    facts.write_session(session, fact);
  }
  void begin(const run_id& id) {
    run::started fact;
    fact.session = session;
    fact.worker.value = "wrk_1";
    facts.write_run(session, id, fact);
  }
  void spend(const run_id& id, std::int64_t tokens, std::int64_t micro, const char* model) {
    facts.write_run(session, id,
                    run::usage_reported{tokens, 2, micro_usd{micro}, model, "llm", {}, {}});
  }
  std::string table(sheet which, const selection& what = {}) {
    std::string out;
    const auto lines = write_sheet(log, which, what,
                                   [&](std::string_view bytes) {
                                     out += bytes;
                                     return true;
                                   },
                                   {});
    EXPECT_TRUE(lines);
    EXPECT_EQ(static_cast<std::uint64_t>(std::ranges::count(out, '\n')), lines ? *lines + 1 : 0);
    return out;
  }
  static std::string body(const std::string& table) { return table.substr(table.find('\n') + 1); }

  memory_log log;
  test::history facts{log};
  session_id session = facts.fresh_session();
  run_id failed = facts.fresh_run(session), running = facts.fresh_run(session);
};

// Goal: a run is one line with its state, its times, its money and what went wrong.
TEST_F(sheets_test, tell_of_runs) {
  const auto all = table(sheet::runs);
  EXPECT_THAT(all, ::testing::StartsWith("run_id,session_id,workspace,turn,agent_id,agent,"
                                         "agent_version,kind,trigger,parent_run_id,status,"));
  EXPECT_EQ(body(all),
            failed.value + ',' + session.value
                + ",default,1,ag_1,triage,3,agent,manual,,failed,2023-11-14T22:13:20.000Z,"
                  "2023-11-14T22:13:20.000Z,2023-11-15T22:13:20.000Z,1,0,107,4,0.250001,"
                  "agent_error,\"'=cmd, \"\"x\"\"\"\r\n"
                + running.value + ',' + session.value
                + ",default,2,ag_1,triage,3,agent,manual,,running,2023-11-15T22:13:20.000Z,"
                  "2023-11-15T22:13:20.000Z,,2,0,5,2,1,,\r\n");
}

// Goal: spend is summed by day, agent, model and category, exactly, and over the time asked for.
TEST_F(sheets_test, tell_of_spend) {
  EXPECT_EQ(body(table(sheet::spend)),
            "2023-11-14,default,ag_1,triage,'=cheap,llm,1,100,2,0.25\r\n"
            "2023-11-15,default,ag_1,triage,'=cheap,llm,1,7,2,0.000001\r\n"
            "2023-11-15,default,ag_1,triage,dear,llm,1,5,2,1\r\n");
  selection later;
  later.since = *parse_rfc3339("2023-11-15T00:00:00Z");
  EXPECT_THAT(body(table(sheet::spend, later)), ::testing::Not(HasSubstr("2023-11-14")));
  EXPECT_THAT(body(table(sheet::spend, later)), HasSubstr("'=cheap,llm,1,7,2,0.000001"));
  selection earlier;
  earlier.until = later.since;
  EXPECT_EQ(body(table(sheet::spend, earlier)),
            "2023-11-14,default,ag_1,triage,'=cheap,llm,1,100,2,0.25\r\n");
}

// Goal: the selection is that of runs: by id, by time of acceptance, by workspace.
TEST_F(sheets_test, take_what_is_asked_for) {
  selection one;
  one.run = running, one.session = session;
  EXPECT_THAT(body(table(sheet::runs, one)), ::testing::StartsWith(running.value));
  selection later;
  later.since = *parse_rfc3339("2023-11-15T00:00:00Z");
  EXPECT_THAT(body(table(sheet::runs, later)), ::testing::StartsWith(running.value));
  selection elsewhere;
  elsewhere.workspace.value = "other";
  EXPECT_EQ(body(table(sheet::runs, elsewhere)), "");
  EXPECT_EQ(body(table(sheet::spend, elsewhere)), "");
}

// Goal: a damaged event is told with its place, not left out of the sums.
TEST_F(sheets_test, refuse_damage) {
  ASSERT_TRUE(log.damage(stream_of(failed), 2));
  const auto done = write_sheet(log, sheet::spend, {}, [](std::string_view) { return true; }, {});
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().what, export_error::kind::ledger);
  EXPECT_EQ(done.error().why.stream, stream_of(failed));
  EXPECT_EQ(done.error().why.seq, 2u);
}

// Goal: an output that takes no more ends it.
TEST_F(sheets_test, say_that_they_cannot_be_written) {
  int calls = 0;
  const auto done =
      write_sheet(log, sheet::runs, {}, [&](std::string_view) { return ++calls < 2; }, {});
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().what, export_error::kind::output);
}

} // namespace

} // namespace runledger::replay
