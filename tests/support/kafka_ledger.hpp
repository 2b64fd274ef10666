#pragma once

#include "events/log/kafka_log.hpp"
#include "tests/support/temp_folder.hpp"

#include <gtest/gtest.h>

#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace runledger::test {

/// What a ledger said to its operator.
class said_lines {
public:
  std::function<void(int, std::string_view)> listener() {
    return [this](int level, std::string_view line) {
      std::lock_guard guard{mutex_};
      lines_.emplace_back(level, line);
    };
  }
  bool has(std::string_view part) const {
    std::lock_guard guard{mutex_};
    for (const auto& [level, line] : lines_)
      if (line.find(part) != std::string::npos)
        return true;
    return false;
  }

private:
  mutable std::mutex mutex_;
  std::vector<std::pair<int, std::string>> lines_;
};

/// Options for a ledger on topics that are there, with short times and its replica in `folder`.
inline kafka_log_options kafka_options(const std::string& brokers, const std::string& prefix,
                                       std::vector<topic_size> topics, const std::string& folder,
                                       said_lines* said = nullptr) {
  kafka_log_options out;
  out.cluster.brokers = brokers;
  out.prefix = prefix;
  out.topics = std::move(topics);
  out.replica_file = folder + "/replica.db";
  out.session_timeout = std::chrono::milliseconds{3000};
  out.append_timeout = std::chrono::milliseconds{8000};
  out.patience = std::chrono::milliseconds{10'000};
  if (said != nullptr)
    out.log = said->listener();
  return out;
}

/// The mock answers a fetch that finds nothing when its time is over, not when something comes.
inline kafka_log_options mock_options(const std::string& brokers, const std::string& prefix,
                                      std::vector<topic_size> topics, const std::string& folder,
                                      said_lines* said = nullptr) {
  auto out = kafka_options(brokers, prefix, std::move(topics), folder, said);
  out.cluster.properties["fetch.wait.max.ms"] = "5";
  return out;
}

/// Opens it; a failure is the test's.
inline std::unique_ptr<kafka_log> open_kafka(kafka_log_options options) {
  auto opened = kafka_log::open(std::move(options));
  EXPECT_TRUE(opened.has_value()) << (opened ? "" : opened.error());
  return opened ? *std::move(opened) : nullptr;
}

} // namespace runledger::test
