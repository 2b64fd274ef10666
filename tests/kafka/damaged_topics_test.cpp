// Goal: what happens to topics from outside: every record comes again, records are deleted, topics
// are made anew. Nothing of it moves a fold, a view or a consumer in silence.

#include "events/log/kafka/topics.hpp"
#include "tests/support/http_client.hpp"
#include "tests/support/kafka_broker.hpp"
#include "tests/support/kafka_damage.hpp"
#include "tests/support/kafka_ledger.hpp"
#include "tests/support/log_writers.hpp"
#include "tests/support/server_process.hpp"
#include "tests/support/shell.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <sstream>

namespace runledger::test {

namespace {

using ::testing::HasSubstr;

const std::vector<std::string> ledger_topics{"runs", "workers", "workspaces", "catalog"};

/// Topics of two partitions, a log on them, and some streams in it.
class damaged_log : public on_real_kafka {
protected:
  void SetUp() override {
    on_real_kafka::SetUp();
    if (IsSkipped())
      return;
    kafka::topic_wishes wishes;
    wishes.prefix = topics_.prefix();
    wishes.partitions = 2;
    wishes.blobs = false;
    const auto made = kafka::prepare_topics({address()}, wishes);
    ASSERT_TRUE(made) << made.error();
    for (const auto& each : made->topics)
      sizes_.push_back({each.label, each.partitions});
    log_ = open_kafka(options(folder_.path()));
    ASSERT_TRUE(log_);
    for (std::uint32_t p = 0; p < log_->partition_count(); ++p)
      epoch_ = take_partition(*log_, p, "node", clock_, ids_)->epoch;
    write_sessions(1, 40);
  }
  kafka_log_options options(const std::string& folder) {
    auto out = kafka_options(address(), topics_.prefix(), sizes_, folder, &said_);
    out.compare_interval = std::chrono::milliseconds{500};
    return out;
  }
  void write_sessions(std::uint64_t from, std::uint64_t to) {
    for (auto n = from; n <= to; ++n) {
      stream_maker s{session_name(n), epoch_};
      EXPECT_EQ(append_one(*log_, {s.next()}).outcome, append_outcome::accepted);
      EXPECT_EQ(append_one(*log_, {s.next()}).outcome, append_outcome::accepted);
    }
  }
  /// Place and hash of all that was accepted.
  static std::vector<std::string> accepted(const kafka_log& log) {
    std::vector<std::string> out;
    for (std::uint32_t p = 0; p < log.partition_count(); ++p)
      for (const auto& each : read_all(log, 1000, p))
        out.push_back(std::to_string(p) + ' ' + std::to_string(each->offset) + ' '
                      + each->event.id() + ' ' + to_hex(each->event.eventhash));
    return out;
  }
  std::string topic(const std::string& label) const { return topics_.prefix() + '.' + label; }
  static const std::string& address() { return kafka_broker::shared().address(); }

  kafka_topics topics_;
  temp_folder folder_;
  said_lines said_;
  std::vector<topic_size> sizes_;
  std::unique_ptr<kafka_log> log_;
  fixed_clock clock_;
  counting_ids ids_;
  std::uint64_t epoch_ = 0;
};

/// The sum of a metric's samples whose line holds `part`.
double metric_sum(const std::string& metrics, const std::string& name, const std::string& part) {
  std::istringstream lines{metrics};
  double sum = 0;
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with(name) && line.find(part) != std::string::npos)
      sum += std::atof(line.substr(line.rfind(' ')).c_str());
  return sum;
}

/// A server with the word counting agent.
class damaged_server : public on_real_kafka {
protected:
  void SetUp() override {
    on_real_kafka::SetUp();
    if (IsSkipped())
      return;
    server_.expect_other_views("they are made of topics, not of a file");
    ASSERT_TRUE(server_.start()) << server_.why();
    const auto recipe = shell_apart("/usr/bin/python3 -B '" RUNLEDGER_SOURCE_DIR
                                    "/examples/agents/make_recipe.py' '" RUNLEDGER_SOURCE_DIR
                                    "/examples/agents/wordcount'")
                            .out;
    EXPECT_EQ(client().post("/api/v1/agents", recipe).status, 201);
  }
  server_options options() {
    return {RUNLEDGER_BINARY,
            folder_ / "data",
            {"--ledger", "kafka", "--kafka.brokers", address(), "--kafka.topic-prefix",
             topics_.prefix(), "--kafka.partitions", "2", "--kafka.session-timeout-ms", "2000"},
            {}};
  }
  http_client client() const { return http_client{server_.port(), server_.admin_key()}; }
  std::string begin(int pause_ms) {
    return client().post("/api/v1/agents/wordcount/runs",
                         R"({"initial_state":{"file":"ballad.txt","pause_ms":)"
                             + std::to_string(pause_ms) + "}}")["id"];
  }
  bool succeeds(const std::string& run) const {
    return eventually([&] { return client().get("/api/v1/runs/" + run)["status"] == "succeeded"; });
  }
  /// A session's last event comes after its run's.
  bool session_has_heard_of(const std::string& run) const {
    return eventually([&] {
      const auto shown = client().get("/api/v1/runs/" + run);
      const auto session = client().get("/api/v1/sessions/" + shown["session_id"]);
      return session["last_activity_at"] >= shown["finished_at"];
    });
  }
  /// What the views say of a run, its session and the agents.
  std::map<std::string, std::string> told(const std::string& run) const {
    const auto session = client().get("/api/v1/runs/" + run)["session_id"];
    std::map<std::string, std::string> out;
    for (const auto& path :
         {"/api/v1/runs/" + run, "/api/v1/sessions/" + session,
          "/api/v1/sessions/" + session + "/events?limit=1000", std::string{"/api/v1/agents"}})
      out[path] = client().get(path).body;
    return out;
  }
  /// The events that the example consumer accepts, as its lines.
  std::vector<std::string> consumed() const {
    const auto said = shell_apart("PYTHONPATH= /usr/bin/python3 -B '" RUNLEDGER_SOURCE_DIR
                                  "/examples/consumers/python/consume.py' --until-end --brokers "
                                  + address() + " --prefix " + topics_.prefix());
    EXPECT_EQ(said.exit_code, 0) << said.error;
    std::vector<std::string> out;
    std::istringstream lines{said.out};
    for (std::string line; std::getline(lines, line);)
      out.push_back(line);
    std::ranges::sort(out);
    return out;
  }
  static const std::string& address() { return kafka_broker::shared().address(); }

  kafka_topics topics_;
  temp_folder folder_;
  server_process server_{options()};
};

} // namespace

// Goal: every record written twice more changes no fold, neither of who has read the first ones nor
// of who reads all; each is counted, and writing goes on.
TEST_F(damaged_log, redelivered_records_move_no_fold) {
  const auto before = accepted(*log_);
  ASSERT_GT(before.size(), 80u);
  std::size_t repeated = 0;
  for (int times = 0; times < 2; ++times) // The second time also what the first has written.
    for (const auto& label : ledger_topics)
      repeated += redeliver(address(), topic(label));
  EXPECT_EQ(repeated, 3 * before.size());
  const auto refused = [](const kafka_log& log) {
    const auto records = log.figures().records;
    std::uint64_t sum = 0;
    for (std::size_t i = 1; i < records.size(); ++i)
      sum += records[i];
    return sum;
  };
  EXPECT_TRUE(eventually([&] { return refused(*log_) >= repeated; })) << refused(*log_);
  EXPECT_EQ(accepted(*log_), before);
  write_sessions(41, 50);
  temp_folder other;
  const auto anew = open_kafka(options(other.path()));
  ASSERT_TRUE(anew);
  EXPECT_EQ(accepted(*anew), accepted(*log_));
  EXPECT_EQ(accepted(*anew).size(), before.size() + 20);
  EXPECT_EQ(refused(*anew), repeated);
  EXPECT_FALSE(log_->failed());
}

// Goal: a topic that was emptied under a running log ends it, and the next start says what is gone.
TEST_F(damaged_log, notices_deleted_records) {
  delete_records(address(), topic("runs"), 0);
  EXPECT_TRUE(eventually([&] { return log_->failed().has_value(); }));
  EXPECT_THAT(log_->failed().value_or(""), HasSubstr(topic("runs")));
  log_.reset();
  const auto again = kafka_log::open(options(folder_.path()));
  ASSERT_FALSE(again);
  EXPECT_THAT(again.error(), HasSubstr(topic("runs")));
}

// Goal: where the first records are gone a node that has no replica cannot know what they were: it
// does not start, and says why.
TEST_F(damaged_log, refuses_a_topic_without_its_beginning) {
  delete_records(address(), topic("runs"), 5);
  temp_folder other;
  const auto refused = kafka_log::open(options(other.path()));
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error(), HasSubstr(topic("runs")));
}

// Goal: while every record of the ledger comes twice more, a run goes on and ends; views, timelines
// and a consumer that follows the documented rule show the same as before.
TEST_F(damaged_server, redelivered_records_move_no_view_and_no_consumer) {
  const auto ended = begin(0);
  ASSERT_TRUE(succeeds(ended));
  ASSERT_TRUE(session_has_heard_of(ended));
  const auto before = told(ended);
  const auto seen = consumed();
  EXPECT_GT(seen.size(), 20u);
  const auto running = begin(150);
  std::size_t repeated = 0;
  for (int times = 0; times < 2; ++times)
    for (const auto& label : ledger_topics)
      repeated += redeliver(address(), topics_.prefix() + '.' + label);
  EXPECT_TRUE(succeeds(running));
  const auto refused = [&] {
    const auto metrics = client().get("/metrics").body;
    const std::string name = "runledger_kafka_records_total";
    return metric_sum(metrics, name, "verdict=")
           - metric_sum(metrics, name, "verdict=\"accepted\"");
  };
  EXPECT_TRUE(eventually([&] { return refused() >= static_cast<double>(repeated); })) << refused();
  auto after = told(ended);
  for (const auto& [path, body] : before)
    EXPECT_EQ(after[path], body) << path;
  const auto seen_again = consumed();
  EXPECT_TRUE(std::ranges::includes(seen_again, seen));
  EXPECT_EQ(std::ranges::adjacent_find(seen_again), seen_again.end()) << "an event came twice";
}

} // namespace runledger::test
