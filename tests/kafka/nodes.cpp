#include "tests/kafka/nodes.hpp"

#include "tests/support/shell.hpp"

#include <gtest/gtest.h>

#include <netinet/in.h>
#include <sqlite3.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <map>

namespace runledger::test {

std::uint16_t free_port() {
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof at;
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ::bind(fd, reinterpret_cast<sockaddr*>(&at), size);
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&at), &size);
  ::close(fd);
  return ntohs(at.sin_port);
}

void write_secret(const std::string& path) {
  std::ofstream{path} << cluster_secret_of_tests << '\n';
  ::chmod(path.c_str(), S_IRUSR | S_IWUSR);
}

kafka_nodes::kafka_nodes(int count, kafka_nodes_options options) : options_(std::move(options)) {
  const auto secret = folder_ / "cluster.secret";
  write_secret(secret);
  for (int i = 0; i < count; ++i) {
    const auto data = folder_ / ("node-" + std::to_string(i));
    const auto port = free_port();
    auto with = common(data);
    const auto address = "127.0.0.1:" + std::to_string(port);
    for (const auto& flag :
         {std::string{"--listen"}, address, std::string{"--kafka.advertise"}, "http://" + address,
          std::string{"--kafka.cluster-secret-file"}, secret})
      with.flags.push_back(flag);
    nodes_.push_back(std::make_unique<one>(std::move(with), data, port));
    nodes_.back()->server.expect_other_views("they are made of topics, not of a file");
  }
}

server_options kafka_nodes::common(const std::string& data) const {
  server_options out;
  out.binary = RUNLEDGER_BINARY;
  out.data = data;
  out.flags = {"--ledger",
               "kafka",
               "--kafka.brokers",
               options_.brokers.empty() ? kafka_broker::shared().address() : options_.brokers,
               "--kafka.topic-prefix",
               topics_.prefix(),
               "--kafka.partitions",
               std::to_string(options_.partitions),
               "--kafka.session-timeout-ms",
               std::to_string(options_.session_timeout.count())};
  out.flags.insert(out.flags.end(), options_.flags.begin(), options_.flags.end());
  if (!options_.admin_key.empty())
    out.environment = {{"RUNLEDGER_BOOTSTRAP_KEY", options_.admin_key}};
  return out;
}

server_options kafka_nodes::alone(const std::string& data) const {
  return common(data);
}

std::string kafka_nodes::admin_key() const {
  if (!options_.admin_key.empty())
    return options_.admin_key;
  for (const auto& each : nodes_)
    if (auto key = each->server.admin_key(); !key.empty())
      return key;
  return {};
}

bool kafka_nodes::start() {
  for (auto& each : nodes_)
    each->server.launch();
  return std::ranges::all_of(nodes_, [](auto& each) { return each->server.await_ready(); });
}

std::string kafka_nodes::why() {
  std::string out;
  for (auto& each : nodes_)
    out += each->server.why() + "\n----\n";
  return out;
}

http_answer kafka_nodes::ask(std::string_view method, std::string_view target,
                             std::string_view body, const header_list& more) const {
  http_answer answer;
  std::size_t next = 0;
  eventually([&] {
    http_client to{port(next++ % size()), admin_key()};
    answer = to.ask(method, target, body, more);
    broken_ += answer.status == 0 && answer.sent ? 1 : 0;
    return answer.status != 0 && answer.status != 503;
  });
  return answer;
}

double kafka_nodes::metric(std::size_t i, const std::string& name) const {
  const auto text = "\n" + client(i).get("/metrics").body;
  const auto at = text.find("\n" + name + " ");
  return at == std::string::npos ? -1 : std::atof(text.c_str() + at + name.size() + 2);
}

std::size_t kafka_nodes::held(std::size_t i) const {
  return static_cast<std::size_t>(std::max(metric(i, "runledger_partitions_held"), 0.0));
}

bool kafka_nodes::settles(std::chrono::milliseconds at_most) {
  return eventually(
      [&] {
        std::size_t sum = 0, running = 0;
        bool even = true;
        for (std::size_t i = 0; i < size(); ++i)
          running += nodes_[i]->server.running() ? 1 : 0;
        for (std::size_t i = 0; i < size(); ++i) {
          if (!nodes_[i]->server.running())
            continue;
          const auto its = held(i);
          sum += its;
          even = even && its >= 4 * (partitions() / 4 / running)
                 && metric(i, "runledger_cluster_members") == static_cast<double>(running);
        }
        return even && sum == partitions();
      },
      at_most);
}

void kafka_nodes::make_agent() const {
  const auto recipe = shell_apart("/usr/bin/python3 -B '" RUNLEDGER_SOURCE_DIR
                                  "/examples/agents/make_recipe.py' '" RUNLEDGER_SOURCE_DIR
                                  "/examples/agents/wordcount'")
                          .out;
  const auto made = ask("POST", "/api/v1/agents", recipe);
  EXPECT_TRUE(made.status == 201 || made.status == 409) << made.status << made.body;
}

std::string kafka_nodes::begin_run(int pause_ms) const {
  const auto begun =
      ask("POST", "/api/v1/agents/wordcount/runs",
          R"({"initial_state":{"file":"ballad.txt","pause_ms":)" + std::to_string(pause_ms) + "}}");
  EXPECT_EQ(begun.status, 201) << begun.body;
  return begun["id"];
}

std::string kafka_nodes::status_of(const std::string& run, std::size_t at) const {
  return client(at).get("/api/v1/runs/" + run)["status"];
}

bool kafka_nodes::succeeds(const std::string& run, std::size_t at) const {
  return eventually([&] { return status_of(run, at) == "succeeded"; }, std::chrono::seconds{60});
}

std::size_t kafka_nodes::steps_of(const std::string& run, std::size_t at) const {
  return static_cast<std::size_t>(
      std::atoi(client(at).get("/api/v1/runs/" + run)["steps_completed"].c_str()));
}

std::size_t kafka_nodes::runner() const {
  std::size_t out = 0;
  EXPECT_TRUE(eventually([&] {
    for (std::size_t i = 0; i < size(); ++i)
      if (metric(i, "runledger_running_runs") > 0) {
        out = i;
        return true;
      }
    return false;
  }));
  return out;
}

namespace {

/// Calls `row` for each row of a query on a node's replica.
template <class Row>
void query_replica(const std::string& data, const char* sql, Row row) {
  sqlite3* file = nullptr;
  sqlite3_stmt* rows = nullptr;
  if (sqlite3_open_v2((data + "/replica.db").c_str(), &file, SQLITE_OPEN_READONLY, nullptr)
          == SQLITE_OK
      && sqlite3_prepare_v2(file, sql, -1, &rows, nullptr) == SQLITE_OK)
    while (sqlite3_step(rows) == SQLITE_ROW)
      row(rows);
  sqlite3_finalize(rows);
  sqlite3_close(file);
}

/// By partition: offsets and hashes, in their order.
using folded_partitions = std::map<std::int64_t, std::vector<std::pair<std::int64_t, std::string>>>;

folded_partitions read_replica(const std::string& data) {
  folded_partitions out;
  query_replica(data,
                "SELECT partition, offset, hex(eventhash) || epoch FROM events ORDER BY offset",
                [&](sqlite3_stmt* row) {
                  out[sqlite3_column_int64(row, 0)].emplace_back(
                      sqlite3_column_int64(row, 1),
                      reinterpret_cast<const char*>(sqlite3_column_text(row, 2)));
                });
  return out;
}

} // namespace

std::string kafka_nodes::difference(std::size_t a, std::size_t b) const {
  const auto one = read_replica(data(a)), other = read_replica(data(b));
  if (one.empty() || one.size() != other.size())
    return "partitions: " + std::to_string(one.size()) + " and " + std::to_string(other.size());
  for (const auto& [p, events] : one) {
    const auto& theirs = other.at(p);
    for (std::size_t i = 0; i < std::min(events.size(), theirs.size()); ++i)
      if (events[i] != theirs[i])
        return "partition " + std::to_string(p) + ", event " + std::to_string(i);
  }
  return {};
}

std::vector<std::size_t> kafka_nodes::shares_of(const std::string& topic, std::size_t at) const {
  std::map<std::string, std::size_t> by_process;
  const auto query = "SELECT json_extract(data, '$.node'), max(seq) FROM events WHERE type = "
                     "'dev.runledger.partition.claimed.v1' AND stream LIKE 'part_"
                     + topic + "_%' GROUP BY stream";
  query_replica(data(at), query.c_str(), [&](sqlite3_stmt* row) {
    ++by_process[reinterpret_cast<const char*>(sqlite3_column_text(row, 0))];
  });
  std::vector<std::size_t> out;
  for (const auto& [process, count] : by_process)
    out.push_back(count);
  std::ranges::sort(out);
  return out;
}

std::size_t kafka_nodes::runs_known(std::size_t at) const {
  std::size_t out = 0;
  query_replica(
      data(at), "SELECT count(DISTINCT stream) FROM events WHERE substr(stream, 1, 4) = 'run_'",
      [&](sqlite3_stmt* row) { out = static_cast<std::size_t>(sqlite3_column_int64(row, 0)); });
  return out;
}

} // namespace runledger::test
