#include "cli/offline_ledger.hpp"

#include "cli/kafka_ledger.hpp"
#include "cli/output_file.hpp"
#include "events/log/file_blob_store.hpp"
#include "events/log/private_copy.hpp"
#include "events/log/replica_log.hpp"
#include "events/log/sqlite_log.hpp"

#include <CLI/CLI.hpp>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fmt/format.h>
#include <string_view>

namespace runledger::cli {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view sqlite_prefix = "sqlite:", kafka_prefix = "kafka:";

/// A command that is ended from outside leaves no copy behind, and no half of a file.
extern "C" void end_by_signal(int number) {
  private_copy::remove_now();
  output_file::remove_now();
  std::signal(number, SIG_DFL);
  std::raise(number);
}

void remove_copy_at_signals() {
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction action = {};
    if (::sigaction(number, nullptr, &action) != 0 || action.sa_handler != SIG_DFL)
      continue; // Somebody wants it to be ignored.
    action.sa_handler = end_by_signal;
    ::sigaction(number, &action, nullptr);
  }
}

std::string chosen_folder(const offline_options& options) {
  if (!options.data.empty())
    return options.data;
  const char* from_environment = std::getenv("RUNLEDGER_DATA");
  return from_environment != nullptr && *from_environment != '\0' ? from_environment
                                                                  : "./runledger-data";
}

std::unique_ptr<event_log> open_file(const std::string& path) {
  remove_copy_at_signals();
  sqlite_log_options options;
  options.file = path;
  options.read_only = true;
  auto log = sqlite_log::open(std::move(options));
  if (!log)
    throw command_failure{exit_wrong, log.error()};
  return *std::move(log);
}

/// BROKERS or BROKERS/PREFIX: reads the topics to their end into a file that is gone at the end.
std::unique_ptr<event_log> open_topics(std::string named, const private_copy& into,
                                       const kafka_access& access) {
  remove_copy_at_signals();
  kafka_log_options with;
  kafka::topic_wishes wishes;
  if (const auto slash = named.find('/'); slash != std::string::npos) {
    wishes.prefix = named.substr(slash + 1);
    named.resize(slash);
  }
  wishes.read_only = true;
  wishes.blobs = false;
  with.cluster.brokers = named;
  with.cluster.properties = kafka_settings_of(access).properties;
  auto topics = kafka::prepare_topics(with.cluster, wishes, std::chrono::seconds{10});
  if (!topics)
    throw command_failure{exit_wrong, topics.error()};
  with.prefix = wishes.prefix;
  with.topics = ledger_topics(*topics);
  with.replica_file = into.path();
  with.read_only = true;
  with.patience = std::chrono::seconds{10};
  auto log = kafka_log::open(std::move(with));
  if (!log)
    throw command_failure{exit_wrong, log.error()};
  return *std::move(log);
}

/// A node's copy of a ledger in Kafka, where the folder has no ledger of its own.
bool holds_replica(const std::string& folder) {
  std::error_code ignored;
  return !fs::exists(folder + "/ledger.db", ignored) && fs::exists(folder + "/replica.db", ignored);
}

std::unique_ptr<event_log> open_replica(const std::string& path) {
  remove_copy_at_signals();
  auto log = replica_log::open(path);
  if (!log)
    throw command_failure{exit_wrong, log.error()};
  return *std::move(log);
}

/// A folder without a ledger is told apart from a ledger that cannot be read.
void expect_ledger_in(const std::string& folder) {
  std::error_code ec;
  if (!fs::is_directory(folder, ec))
    throw command_failure{
        exit_wrong,
        fmt::format("the data folder {} {}: name it with --data, or a ledger with --ledger", folder,
                    fs::exists(folder, ec) ? "is no folder" : "is not there")};
  if (!fs::exists(folder + "/ledger.db", ec) && !ec && !holds_replica(folder))
    throw command_failure{exit_wrong,
                          fmt::format("{} holds no ledger (ledger.db, or replica.db of a node with"
                                      " its ledger in Kafka)",
                                      folder)};
}

/// The folder of blobs beside what is read; nothing where there is none.
std::unique_ptr<blob_store> blobs_in(const std::string& folder) {
  std::error_code ec;
  if (!fs::is_directory(folder, ec))
    return nullptr;
  auto store = file_blob_store::open(folder, file_blob_store::access::read_only);
  if (!store)
    throw command_failure{exit_wrong, store.error()};
  return *std::move(store);
}

} // namespace

void add_offline_options(CLI::App& app, offline_options& options) {
  app.add_option("--data", options.data,
                 "The data folder: ledger, views and tree heads (else RUNLEDGER_DATA, else "
                 "./runledger-data)");
  app.add_option("--ledger", options.ledger,
                 "The ledger, where it is not the folder's: sqlite:FILE or kafka:BROKERS[/PREFIX]");
  app.add_flag("--json", options.json, "Print JSON");
  add_kafka_access(app, options.kafka);
}

std::string data_folder_of(const offline_options& options) {
  if (!options.ledger.empty() && options.data.empty())
    return {};
  auto folder = chosen_folder(options);
  if (options.ledger.empty())
    expect_ledger_in(folder);
  return folder;
}

offline_ledger::offline_ledger(const offline_options& options) {
  const std::string_view named = options.ledger;
  data_ = data_folder_of(options);
  if (named.empty() && holds_replica(data_)) {
    name_ = data_ + "/replica.db";
    log_ = open_replica(name_);
    blobs_ = blobs_in(blobs_folder(data_));
  } else if (named.empty()) {
    name_ = data_ + "/ledger.db";
    log_ = open_file(name_);
    blobs_ = blobs_in(data_ + "/blobs");
  } else if (named.starts_with(sqlite_prefix) && named.size() > sqlite_prefix.size()) {
    name_ = named.substr(sqlite_prefix.size());
    log_ = open_file(name_);
    const auto beside = fs::path{name_}.parent_path();
    blobs_ = blobs_in(data_.empty() ? (beside / "blobs").string() : data_ + "/blobs");
  } else if (named.starts_with(kafka_prefix) && named.size() > kafka_prefix.size()) {
    name_ = named.substr(kafka_prefix.size());
    auto place = private_copy::of_nothing();
    if (!place)
      throw command_failure{exit_wrong, place.error()};
    copy_ = *std::move(place);
    log_ = open_topics(name_, *copy_, options.kafka);
    if (!data_.empty())
      blobs_ = blobs_in(blobs_folder(data_));
  } else {
    throw command_failure{
        exit_wrong, fmt::format("--ledger {}: write sqlite:FILE or kafka:BROKERS", options.ledger)};
  }
}

offline_ledger::~offline_ledger() = default;

void refuse(const offline_ledger& from, const read_error& why) {
  if (why.what == read_error::kind::unavailable)
    throw command_failure{exit_wrong,
                          fmt::format("{} cannot be read: {}", from.name(), why.detail)};
  throw command_failure{exit_no,
                        fmt::format("{}: damaged at stream {}, seq {}, offset {}: {}", from.name(),
                                    why.stream.value, why.seq, why.offset, why.detail)};
}

} // namespace runledger::cli
