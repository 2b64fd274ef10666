// Goal: scripts/kafka is a real broker whose data outlives kill -9, and it refuses what it cannot
// vouch for or must not touch.

#include "tests/support/kafka_broker.hpp"
#include "tests/support/kafka_cluster.hpp"
#include "tests/support/server_process.hpp"
#include "tests/support/temp_folder.hpp"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>

namespace runledger::test {

namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;

std::string numbers(int from, int to) {
  std::string out;
  for (int i = from; i <= to; ++i)
    out += fmt::format("{}\n", i);
  return out;
}

spoken produce(const std::string& address, const std::string& topic, int from, int to) {
  return shell(fmt::format("seq {} {} | kcat -P -b {} -t {} -p 0 -X acks=all "
                           "-X enable.idempotence=true",
                           from, to, address, topic));
}

spoken consume(const std::string& address, const std::string& topic) {
  return shell_apart(
      fmt::format("timeout 60 kcat -C -b {} -t {} -p 0 -o beginning -e -q", address, topic));
}

/// A port of loopback on which this process listens.
class taken_port {
public:
  taken_port() : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    ::bind(socket_, reinterpret_cast<sockaddr*>(&at), sizeof at);
    ::listen(socket_, 1);
    ::getsockname(socket_, reinterpret_cast<sockaddr*>(&at), &size);
    number_ = ntohs(at.sin_port);
  }
  ~taken_port() { ::close(socket_); }
  taken_port(const taken_port&) = delete;
  taken_port& operator=(const taken_port&) = delete;
  int number() const { return number_; }

private:
  int socket_, number_ = 0;
};

void write_file(const std::string& path, std::string_view text) {
  std::ofstream{path, std::ios::binary} << text;
}

/// The record of a cluster of one broker at that port, as scripts/kafka leaves it.
void record_cluster(const temp_folder& data, int port) {
  const auto version = std::getenv("KAFKA_VERSION");
  write_file(data / "cluster.json",
             fmt::format(R"({{"version": "{}", "cluster_id": "AAAAAAAAAAAAAAAAAAAAAA",
                              "properties": [], "brokers": [{{"number": 1, "port": {},
                              "controller_port": {}}}]}})",
                         version == nullptr ? "3.9.2" : version, port, port));
}

/// A process that stands for broker 1 of a recorded cluster; `started` is what /proc says of it, or
/// something else.
int record_process(const temp_folder& data, const std::string& started = {}) {
  const auto pid = std::stoi(shell("sleep 300 >/dev/null 2>&1 & echo $!").out);
  const auto stat = shell(fmt::format("cut -d ' ' -f 22 /proc/{}/stat", pid)).out;
  fs::create_directory(data / "broker-1");
  write_file(data / "broker-1/pid", fmt::format("{} {}", pid, started.empty() ? stat : started));
  return pid;
}

/// Neither gone nor waiting for somebody to collect it.
bool runs(int pid) {
  return !read_whole_file(fmt::format("/proc/{}/cmdline", pid)).empty();
}

/// The checked jars once more, as links, to be damaged.
std::string linked_jars(const temp_folder& cache) {
  auto jars = kafka_script("jars").out;
  jars.pop_back();
  const auto folder = cache / fs::path{jars}.filename().string();
  fs::create_directory(folder);
  for (const auto& jar : fs::directory_iterator{jars})
    fs::create_symlink(jar.path(), folder / jar.path().filename());
  return folder;
}

} // namespace

// Goal: what was acknowledged is there after kill -9 and another start, at the same address.
TEST_F(on_own_kafka, keeps_its_records_when_it_is_killed) {
  kafka_cluster cluster;
  ASSERT_TRUE(cluster.start()) << cluster.why();
  const auto address = cluster.address();
  ASSERT_THAT(address, MatchesRegex("127\\.0\\.0\\.1:[0-9]+"));
  ASSERT_EQ(create_kafka_topic(address, "kept", 1), "");
  const auto said = produce(address, "kept", 1, 1000);
  ASSERT_EQ(said.exit_code, 0) << said.out;

  ASSERT_TRUE(cluster.kill(1)) << cluster.why();
  EXPECT_EQ(cluster.pid(1), -1);
  EXPECT_NE(shell(fmt::format("timeout 5 kcat -L -m 1 -b {}", address)).exit_code, 0);
  EXPECT_FALSE(cluster.kill(1));
  EXPECT_THAT(cluster.why(), HasSubstr("broker 1 of"));
  EXPECT_THAT(cluster.why(), HasSubstr("does not run"));

  ASSERT_TRUE(cluster.start(1)) << cluster.why();
  EXPECT_EQ(cluster.address(), address);
  EXPECT_EQ(consume(address, "kept").out, numbers(1, 1000));
}

// Goal: a paused broker is silent and forgets nothing; it ends with the process that it was started
// for, and that in order.
TEST_F(on_own_kafka, pauses_resumes_and_ends_with_its_process) {
  kafka_cluster cluster;
  ASSERT_TRUE(cluster.start()) << cluster.why();
  const auto probe = fmt::format("timeout 5 kcat -L -m 1 -b {}", cluster.address());
  const auto answers = [&] { return shell(probe).exit_code == 0; };
  ASSERT_TRUE(eventually(answers));
  ASSERT_TRUE(cluster.pause(1)) << cluster.why();
  EXPECT_FALSE(answers());
  EXPECT_THAT(kafka_script(fmt::format("status --data '{}'", cluster.folder())).out,
              HasSubstr("paused"));
  ASSERT_TRUE(cluster.resume(1)) << cluster.why();
  EXPECT_TRUE(eventually(answers));

  const auto process = shell("sleep 300 >/dev/null 2>&1 & echo $!").out;
  const auto watched = kafka_script(
      fmt::format("start --data '{}' --until-pid {}", cluster.folder(), std::stoi(process)));
  ASSERT_EQ(watched.exit_code, 0) << watched.error;
  ASSERT_GT(cluster.pid(1), 0);
  ::kill(std::stoi(process), SIGKILL);
  EXPECT_TRUE(eventually([&] { return cluster.pid(1) < 0; }));
}

// Goal: with three brokers and three replicas the loss of one is not felt, and it comes back.
TEST_F(on_own_kafka, of_three_one_may_be_killed) {
  kafka_cluster cluster{{3, {}}};
  ASSERT_TRUE(cluster.start()) << cluster.why();
  const auto address = cluster.address();
  ASSERT_EQ(create_kafka_topic(address, "three", 1, 3, {{"min.insync.replicas", "2"}}), "");
  ASSERT_EQ(produce(address, "three", 1, 100).exit_code, 0);
  ASSERT_TRUE(cluster.kill(2)) << cluster.why();
  const auto said = produce(address, "three", 101, 200);
  EXPECT_EQ(said.exit_code, 0) << said.out;
  ASSERT_TRUE(cluster.start(2)) << cluster.why();
  EXPECT_EQ(consume(address, "three").out, numbers(1, 200));
}

// Goal: nothing runs from jars that are not the recorded ones; the message names the first that
// differ.
TEST_F(on_own_kafka, refuses_other_jars) {
  const temp_folder cache, data;
  const auto jars = linked_jars(cache);
  const auto start = [&] {
    return kafka_script(fmt::format("start --data '{}'", data.path()),
                        fmt::format("RUNLEDGER_KAFKA_JARS='{}'", cache.path()));
  };
  const auto changed = fs::directory_iterator {
    jars
    } -> path();
  const auto real = fs::read_symlink(changed);
  fs::remove(changed);
  write_file(changed, read_whole_file(real) + "x");
  auto said = start();
  EXPECT_EQ(said.exit_code, 1);
  EXPECT_THAT(said.error, HasSubstr(changed.filename().string() + " has another SHA-256"));

  fs::remove(changed);
  said = start();
  EXPECT_EQ(said.exit_code, 1);
  EXPECT_THAT(said.error, HasSubstr(changed.filename().string() + " is missing"));

  fs::create_symlink(real, changed);
  fs::create_symlink(real, jars + "/more.jar");
  said = start();
  EXPECT_EQ(said.exit_code, 1);
  EXPECT_THAT(said.error, HasSubstr("more.jar is not in the list"));
  EXPECT_FALSE(fs::exists(data / "cluster.json"));
}

// Goal: a port of somebody else is refused before anything is started, whether the call or the
// cluster's record names it.
TEST_F(on_own_kafka, refuses_taken_ports) {
  const taken_port taken;
  const temp_folder fresh, recorded;
  const auto message = fmt::format("port {} of 127.0.0.1 is taken", taken.number());
  auto said =
      kafka_script(fmt::format("start --data '{}' --port {}", fresh.path(), taken.number()));
  EXPECT_EQ(said.exit_code, 1);
  EXPECT_THAT(said.error, HasSubstr(message));
  EXPECT_FALSE(fs::exists(fresh / "cluster.json"));

  record_cluster(recorded, taken.number());
  said = kafka_script(fmt::format("start --data '{}'", recorded.path()));
  EXPECT_EQ(said.exit_code, 1);
  EXPECT_THAT(said.error, HasSubstr(message));
  EXPECT_FALSE(fs::exists(recorded / "broker-1/pid"));
}

// Goal: a cluster stays what it was made as, and a wrong call changes nothing.
TEST_F(on_own_kafka, refuses_calls_that_do_not_fit_the_cluster) {
  const temp_folder data, empty;
  record_cluster(data, 1);
  const auto say = [&](const std::string& words, const temp_folder& where) {
    return kafka_script(fmt::format("{} --data '{}'", words, where.path()));
  };
  const auto more = say("start --brokers 3", data);
  EXPECT_EQ(more.exit_code, 2);
  EXPECT_THAT(more.error, HasSubstr("holds a cluster with --brokers 1, not 3"));
  EXPECT_EQ(say("kill 4", data).exit_code, 2);
  EXPECT_EQ(say("kill 1", data).exit_code, 1);
  EXPECT_EQ(say("stop", empty).exit_code, 2);
  EXPECT_EQ(say("start --property nonsense", empty).exit_code, 2);
  EXPECT_THAT(say("status", data).out, HasSubstr("1 127.0.0.1:1 stopped"));
  EXPECT_EQ(kafka_script("jars", "KAFKA_VERSION=0.7").exit_code, 2);
}

// Goal: what is missing on a machine is told as such, by its package, with an exit code of its own.
TEST(kafka_script, says_what_is_missing) {
  const temp_folder cache, bin;
  const auto no_java = kafka_script("jars", "JAVA_HOME=/nonexistent");
  EXPECT_EQ(no_java.exit_code, 3);
  EXPECT_THAT(no_java.error, HasSubstr("openjdk-17-jre-headless"));

  write_file(bin / "java", "#!/bin/sh\n");
  fs::permissions(bin / "java", fs::perms::owner_all);
  fs::create_symlink(fs::canonical("/usr/bin/python3"), bin / "python3");
  const auto with =
      fmt::format("env -u JAVA_HOME PATH='{}' RUNLEDGER_KAFKA_JARS='{}'", bin.path(), cache.path());
  const auto no_maven = kafka_script("jars", with);
  EXPECT_EQ(no_maven.exit_code, 3);
  EXPECT_THAT(no_maven.error, HasSubstr("Debian: maven"));

  write_file(bin / "mvn", "#!/bin/sh\necho '[ERROR] no way to the repository'\nexit 1\n");
  fs::permissions(bin / "mvn", fs::perms::owner_all);
  const auto no_network = kafka_script("jars", with);
  EXPECT_EQ(no_network.exit_code, 3);
  EXPECT_THAT(no_network.error, HasSubstr("no way to the repository"));
}

// Goal: a broker's number that has passed to another process is not that broker: nobody ends it.
TEST(kafka_script, leaves_processes_of_others_alone) {
  const temp_folder data;
  record_cluster(data, 1);
  const auto pid = record_process(data, "1");
  EXPECT_THAT(kafka_script(fmt::format("status --data '{}'", data.path())).out,
              HasSubstr("stopped"));
  EXPECT_EQ(kafka_script(fmt::format("kill 1 --data '{}'", data.path())).exit_code, 1);
  EXPECT_EQ(kafka_script(fmt::format("stop --data '{}'", data.path())).exit_code, 0);
  EXPECT_TRUE(runs(pid));
  ::kill(pid, SIGKILL);
}

// Goal: brokers whose folder is gone are found by nobody, so the watchdog ends them.
TEST(kafka_script, a_lost_folder_ends_the_brokers) {
  const temp_folder data;
  record_cluster(data, 1);
  const auto pid = record_process(data);
  shell(fmt::format("'{}/scripts/kafka' watch --data '{}' --until-pid {} >/dev/null 2>&1 &",
                    RUNLEDGER_SOURCE_DIR, data.path(), ::getpid()));
  ASSERT_TRUE(eventually([&] { return !read_whole_file(data / "watchdog.pid").empty(); }));
  EXPECT_TRUE(runs(pid));
  fs::remove_all(data.path());
  EXPECT_TRUE(eventually([&] { return !runs(pid); }));
}

} // namespace runledger::test
