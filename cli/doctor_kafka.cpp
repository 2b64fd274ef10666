#include "cli/doctor_checks.hpp"
#include "events/log/kafka/topics.hpp"

#include <fmt/format.h>

namespace runledger::cli {

finding check_kafka(const kafka::cluster& with, const std::string& prefix) {
  kafka::topic_wishes wishes;
  wishes.prefix = prefix;
  wishes.blobs = false;
  wishes.read_only = true;
  const auto topics = kafka::prepare_topics(with, wishes, std::chrono::seconds{10});
  if (!topics)
    return {"kafka", health::fail, topics.error(), ""};
  for (const auto& warning : topics->warnings)
    return {"kafka", health::warn, warning,
            "Three brokers and kafka.replication 3 survive the loss of one."};
  return {"kafka", health::ok,
          fmt::format("{} topics {}.* of {} replicas keep what they acknowledge",
                      topics->topics.size(), prefix, topics->topics.front().replicas),
          ""};
}

} // namespace runledger::cli
