#include "cli/copy_sides.hpp"

#include "cli/command.hpp"
#include "cli/kafka_ledger.hpp"
#include "cli/private_file.hpp"
#include "events/log/file_blob_store.hpp"
#include "events/log/kafka/group_members.hpp"
#include "events/log/kafka/topic_blob_store.hpp"
#include "events/log/sqlite_log.hpp"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fmt/format.h>
#include <string_view>

namespace runledger::cli {

namespace {

namespace fs = std::filesystem;
using std::chrono::seconds;

constexpr std::string_view sqlite_scheme = "sqlite:", kafka_scheme = "kafka:";
constexpr std::string_view ledger_file = "ledger.db";
constexpr seconds topic_silence{30};

[[noreturn]] void end_with(std::string why) {
  throw command_failure{exit_wrong, std::move(why)};
}

/// From warnings on.
void tell_line(int level, std::string_view line) {
  if (level <= 4)
    fmt::print(stderr, "runledger: {}\n", line);
}

kafka::cluster cluster_of(const ledger_place& place, const side_wishes& wishes) {
  return {place.brokers, wishes.properties, tell_line};
}

std::unique_ptr<event_log> open_file(sqlite_log_options options) {
  auto log = sqlite_log::open(std::move(options));
  if (!log)
    end_with(log.error());
  return *std::move(log);
}

open_side open_topics(const ledger_place& place, const side_wishes& wishes, bool make) {
  open_side out;
  const auto with = cluster_of(place, wishes);
  kafka::topic_wishes topics;
  topics.prefix = place.prefix;
  if (wishes.partitions > 0)
    topics.partitions = wishes.partitions;
  topics.replication = wishes.replication;
  topics.blobs = wishes.blobs.empty();
  topics.read_only = !make;
  auto report = kafka::prepare_topics(with, topics);
  if (!report)
    end_with(report.error());
  for (const auto& each : report->warnings)
    tell_line(4, each);
  out.scratch = std::make_unique<scratch_folder>();
  kafka_log_options options;
  options.cluster = with;
  options.prefix = place.prefix;
  options.topics = ledger_topics(*report);
  options.replica_file = out.scratch->path() + "/replica.db";
  options.append_timeout = seconds{60};
  options.log = tell_line;
  auto log = kafka_log::open(std::move(options));
  if (!log)
    end_with(log.error());
  out.log = *std::move(log);
  if (!wishes.blobs.empty())
    return out;
  kafka::blob_topic_options blobs;
  blobs.with = with;
  blobs.topic = report->topics.back().name;
  blobs.partitions = report->topics.back().partitions;
  blobs.folder = out.scratch->path() + "/blobs";
  blobs.log = tell_line;
  auto store = kafka::topic_blob_store::open(std::move(blobs));
  if (!store)
    end_with(store.error());
  // Else what is only not read yet would be missing.
  if (!make && !(*store)->read_to_end(topic_silence, wishes.pause))
    end_with(fmt::format("{}: the topic {}.blobs is not read to its end: nothing came for {} s",
                         place.name(), place.prefix, topic_silence.count()));
  out.blobs = *std::move(store);
  return out;
}

std::unique_ptr<blob_store> open_blobs(const std::string& folder, file_blob_store::access how) {
  auto store = file_blob_store::open(folder, how);
  if (!store)
    end_with(store.error());
  return *std::move(store);
}

} // namespace

std::string ledger_place::name() const {
  return in_kafka ? fmt::format("{}{}/{}", kafka_scheme, brokers, prefix)
                  : fmt::format("{}{}", sqlite_scheme, file());
}

ledger_place place_of_ledger(const std::string& option, const std::string& named) {
  ledger_place out;
  if (named.starts_with(kafka_scheme) && named.size() > kafka_scheme.size()) {
    out.in_kafka = true;
    out.brokers = named.substr(kafka_scheme.size());
    out.prefix = "runledger";
    if (const auto slash = out.brokers.find('/'); slash != std::string::npos) {
      out.prefix = out.brokers.substr(slash + 1);
      out.brokers.resize(slash);
    }
    if (out.brokers.empty() || out.prefix.empty())
      end_with(
          fmt::format("{} {}: write kafka:HOST:PORT or kafka:HOST:PORT/PREFIX", option, named));
    return out;
  }
  if (!named.starts_with(sqlite_scheme) || named.size() == sqlite_scheme.size())
    end_with(fmt::format("{} {}: write sqlite:FILE or kafka:BROKERS[/PREFIX]", option, named));
  const auto path = fs::absolute(named.substr(sqlite_scheme.size())).lexically_normal();
  if (path.filename() != ledger_file)
    end_with(fmt::format("{} {}: a server opens no other file of its data folder than ledger.db; "
                         "name sqlite:DATA/ledger.db",
                         option, named));
  out.folder = path.parent_path().string();
  return out;
}

scratch_folder::scratch_folder() {
  const char* chosen = std::getenv("TMPDIR");
  path_ = fmt::format("{}/runledger-copy-XXXXXX",
                      chosen != nullptr && *chosen != '\0' ? chosen : "/tmp");
  if (::mkdtemp(path_.data()) == nullptr)
    end_with(fmt::format("no folder can be made in {}: set TMPDIR to one with room",
                         fs::path{path_}.parent_path().string()));
}

scratch_folder::~scratch_folder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

data_folder_lock lock_side(const ledger_place& place) {
  auto lock = data_folder_lock::acquire(place.folder);
  if (!lock)
    end_with(lock.error());
  return *std::move(lock);
}

std::unique_ptr<event_log> peek_at(const ledger_place& place) {
  std::error_code ec;
  if (!fs::exists(place.file(), ec))
    return nullptr;
  sqlite_log_options options;
  options.file = place.file();
  options.read_only = true;
  return open_file(std::move(options));
}

void expect_no_nodes(const ledger_place& place, const side_wishes& wishes) {
  const auto members = kafka::members_of_group(cluster_of(place, wishes),
                                               kafka::owners_group(place.prefix), seconds{10});
  if (!members)
    end_with(fmt::format("{}: the brokers do not say whether nodes are there: {}", place.name(),
                         members.error().message));
  if (*members > 0)
    end_with(fmt::format("{} is in use by {} node{}: stop every server of it, then run this again",
                         place.name(), *members, *members == 1 ? "" : "s"));
}

std::unique_ptr<blob_store> blobs_of_folder(const ledger_place& place, const side_wishes& wishes) {
  const auto folder = wishes.blobs.empty() ? place.folder + "/blobs" : wishes.blobs;
  std::error_code ec;
  if (!fs::is_directory(folder, ec)) {
    if (!wishes.blobs.empty())
      end_with(fmt::format("{} is no folder", folder));
    return nullptr;
  }
  return open_blobs(folder, file_blob_store::access::read_only);
}

open_side open_source(const ledger_place& place, const side_wishes& wishes,
                      std::optional<data_folder_lock> lock) {
  if (place.in_kafka) {
    auto out = open_topics(place, wishes, false);
    if (!out.blobs)
      out.blobs = blobs_of_folder(place, wishes);
    return out;
  }
  open_side out;
  out.lock = std::move(lock);
  sqlite_log_options options;
  options.folder = place.folder;
  options.wal_preallocated_bytes = 0; // Few and large commits: it would cost more than it saves.
  out.log = open_file(std::move(options));
  out.blobs = blobs_of_folder(place, wishes);
  if (const auto text = read_private_file(place.folder + "/node.key"))
    out.node_key = ed25519::private_key::from_pem(*text + "\n");
  return out;
}

open_side open_target(const ledger_place& place, const side_wishes& wishes) {
  if (place.in_kafka) {
    auto out = open_topics(place, wishes, true);
    if (!out.blobs)
      out.blobs = open_blobs(wishes.blobs, file_blob_store::access::read_write);
    return out;
  }
  open_side out;
  out.lock = lock_side(place);
  sqlite_log_options options;
  options.folder = place.folder;
  options.wal_preallocated_bytes = 0; // Few and large commits: it would cost more than it saves.
  out.log = open_file(std::move(options));
  out.blobs = open_blobs(wishes.blobs.empty() ? place.folder + "/blobs" : wishes.blobs,
                         file_blob_store::access::read_write);
  return out;
}

} // namespace runledger::cli
