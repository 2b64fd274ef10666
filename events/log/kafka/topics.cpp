#include "events/log/kafka/topics.hpp"

#include <librdkafka/rdkafka.h>

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <map>
#include <memory>
#include <thread>

namespace runledger::kafka {

namespace {

using std::chrono::milliseconds;
using deadline = std::chrono::steady_clock::time_point;

constexpr std::string_view blobs_label = "blobs";
/// A new topic is known to every broker after so long; asked again until then.
constexpr milliseconds between_looks{100};

milliseconds timeout_until(deadline end) {
  return std::max(std::chrono::duration_cast<milliseconds>(end - std::chrono::steady_clock::now()),
                  milliseconds{1});
}

/// An instance that only asks; it starts a producer's threads, since a consumer wants a group.
struct asker {
  std::unique_ptr<producer> instance;
  rd_kafka_t* raw() const { return instance->raw(); }
};

struct queue_destroyer {
  void operator()(rd_kafka_queue_t* raw) const { rd_kafka_queue_destroy(raw); }
};
struct event_destroyer {
  void operator()(rd_kafka_event_t* raw) const { rd_kafka_event_destroy(raw); }
};
struct options_destroyer {
  void operator()(rd_kafka_AdminOptions_t* raw) const { rd_kafka_AdminOptions_destroy(raw); }
};
struct new_topic_destroyer {
  void operator()(rd_kafka_NewTopic_t* raw) const { rd_kafka_NewTopic_destroy(raw); }
};
struct resource_destroyer {
  void operator()(rd_kafka_ConfigResource_t* raw) const { rd_kafka_ConfigResource_destroy(raw); }
};
using queue_ptr = std::unique_ptr<rd_kafka_queue_t, queue_destroyer>;
using event_ptr = std::unique_ptr<rd_kafka_event_t, event_destroyer>;
using options_ptr = std::unique_ptr<rd_kafka_AdminOptions_t, options_destroyer>;

options_ptr make_options(const asker& to, rd_kafka_admin_op_t what, milliseconds timeout) {
  options_ptr out{rd_kafka_AdminOptions_new(to.raw(), what)};
  std::array<char, 256> why{};
  rd_kafka_AdminOptions_set_request_timeout(out.get(), static_cast<int>(timeout.count()),
                                            why.data(), why.size());
  return out;
}

std::string joined(const std::vector<topic_setting>& settings) {
  std::string out;
  for (const auto& s : settings)
    out += (out.empty() ? "" : ",") + s.name + '=' + s.value;
  return out;
}

/// Fewer than this many copies acknowledge nothing.
std::uint32_t wanted_in_sync(std::uint32_t replicas) {
  return replicas >= 2 ? 2 : 1;
}

/// What a topic is made with.
std::vector<topic_setting> safe_settings(std::uint32_t replicas) {
  return {{"cleanup.policy", "delete"},
          {"max.message.bytes", std::to_string(largest_record_bytes)},
          {"min.insync.replicas", std::to_string(wanted_in_sync(replicas))},
          {"retention.bytes", "-1"},
          {"retention.ms", "-1"},
          {"unclean.leader.election.enable", "false"}};
}

/// Makes the topics in one request. A topic that somebody else has just made is as good.
result<void, std::string> make_topics(const asker& to, const std::vector<std::string>& names,
                                      std::uint32_t partitions, std::uint32_t replicas,
                                      milliseconds timeout) {
  std::vector<std::unique_ptr<rd_kafka_NewTopic_t, new_topic_destroyer>> topics;
  std::vector<rd_kafka_NewTopic_t*> raw;
  for (const auto& name : names) {
    std::array<char, 256> why{};
    topics.emplace_back(rd_kafka_NewTopic_new(name.c_str(), static_cast<int>(partitions),
                                              static_cast<int>(replicas), why.data(), why.size()));
    if (!topics.back())
      return fmt::format("the topic {} cannot be made: {}", name, why.data());
    for (const auto& s : safe_settings(replicas))
      rd_kafka_NewTopic_set_config(topics.back().get(), s.name.c_str(), s.value.c_str());
    raw.push_back(topics.back().get());
  }
  queue_ptr queue{rd_kafka_queue_new(to.raw())};
  const auto options = make_options(to, RD_KAFKA_ADMIN_OP_CREATETOPICS, timeout);
  rd_kafka_CreateTopics(to.raw(), raw.data(), raw.size(), options.get(), queue.get());
  event_ptr event{rd_kafka_queue_poll(queue.get(), static_cast<int>(timeout.count()) + 1000)};
  if (!event)
    return std::string{"the topics were not made: no broker answered in time"};
  if (rd_kafka_event_error(event.get()) != RD_KAFKA_RESP_ERR_NO_ERROR)
    return fmt::format("the topics were not made: {}", rd_kafka_event_error_string(event.get()));
  std::size_t count = 0;
  const auto** made =
      rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event.get()), &count);
  for (std::size_t i = 0; i < count; ++i) {
    const auto code = rd_kafka_topic_result_error(made[i]);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR || code == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
      continue;
    const char* more = rd_kafka_topic_result_error_string(made[i]);
    return fmt::format("the topic {} was not made: {}", rd_kafka_topic_result_name(made[i]),
                       more != nullptr ? more : rd_kafka_err2str(code));
  }
  return {};
}

using settings_by_topic = std::map<std::string, std::vector<topic_setting>>;

result<settings_by_topic, std::string>
read_settings(const asker& to, const std::vector<ledger_topic>& topics, milliseconds timeout) {
  std::vector<std::unique_ptr<rd_kafka_ConfigResource_t, resource_destroyer>> resources;
  std::vector<rd_kafka_ConfigResource_t*> raw;
  for (const auto& topic : topics) {
    resources.emplace_back(
        rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic.name.c_str()));
    raw.push_back(resources.back().get());
  }
  queue_ptr queue{rd_kafka_queue_new(to.raw())};
  const auto options = make_options(to, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS, timeout);
  rd_kafka_DescribeConfigs(to.raw(), raw.data(), raw.size(), options.get(), queue.get());
  event_ptr event{rd_kafka_queue_poll(queue.get(), static_cast<int>(timeout.count()) + 1000)};
  if (!event)
    return std::string{"the topics' settings cannot be read: no broker answered in time"};
  if (rd_kafka_event_error(event.get()) != RD_KAFKA_RESP_ERR_NO_ERROR)
    return fmt::format("the topics' settings cannot be read: {}",
                       rd_kafka_event_error_string(event.get()));
  settings_by_topic out;
  std::size_t count = 0;
  const auto** answers = rd_kafka_DescribeConfigs_result_resources(
      rd_kafka_event_DescribeConfigs_result(event.get()), &count);
  for (std::size_t i = 0; i < count; ++i) {
    const auto* name = rd_kafka_ConfigResource_name(answers[i]);
    if (const auto code = rd_kafka_ConfigResource_error(answers[i]);
        code != RD_KAFKA_RESP_ERR_NO_ERROR)
      return fmt::format("the settings of the topic {} cannot be read: {}", name,
                         rd_kafka_err2str(code));
    std::size_t size = 0;
    const auto** entries = rd_kafka_ConfigResource_configs(answers[i], &size);
    auto& settings = out[name];
    for (std::size_t k = 0; k < size; ++k) {
      const char* value = rd_kafka_ConfigEntry_value(entries[k]);
      settings.push_back({rd_kafka_ConfigEntry_name(entries[k]), value != nullptr ? value : ""});
    }
  }
  return out;
}

std::string add_text(std::string text, const std::string& line) {
  return text.empty() ? line : text + '\n' + line;
}

ledger_topic seen(const topic_info& info, const std::string& label) {
  ledger_topic out{info.name, label, static_cast<std::uint32_t>(info.partitions.size()), 0};
  std::size_t fewest = info.partitions.empty() ? 0 : info.partitions.front().replicas;
  for (const auto& p : info.partitions)
    fewest = std::min(fewest, p.replicas);
  out.replicas = static_cast<std::uint32_t>(fewest);
  return out;
}

class preparation {
public:
  preparation(const cluster& with, const topic_wishes& wishes, milliseconds patience)
      : with_(with),
        wishes_(wishes),
        end_(std::chrono::steady_clock::now() + patience),
        labels_(ledger_topic_labels()) {
    if (wishes.blobs)
      labels_.emplace_back(blobs_label);
  }

  result<topic_report, std::string> run() {
    auto opened = producer::open(with_, {});
    if (!opened)
      return opened.error().message;
    to_.instance = *std::move(opened);
    auto info = look();
    if (!info)
      return info.error();
    if (const auto missing = missing_in(*info); !missing.empty()) {
      if (auto made = make(missing, info->brokers); !made)
        return made.error();
      info = look_until_there();
      if (!info)
        return info.error();
    }
    for (const auto& label : labels_)
      report_.topics.push_back(seen(*info->find(name_of(label)), label));
    if (auto good = check(info->brokers); !good)
      return good.error();
    return std::move(report_);
  }

private:
  std::string name_of(std::string_view label) const {
    return fmt::format("{}.{}", wishes_.prefix, label);
  }

  result<cluster_info, std::string> look() const {
    auto info = to_.instance->describe(timeout_until(end_));
    if (!info)
      return fmt::format("no Kafka broker answers at {}: {}", with_.brokers, info.error().message);
    return *std::move(info);
  }

  std::vector<std::string> missing_in(const cluster_info& info) const {
    std::vector<std::string> out;
    for (const auto& label : labels_)
      if (info.find(name_of(label)) == nullptr)
        out.push_back(name_of(label));
    return out;
  }

  result<void, std::string> make(const std::vector<std::string>& missing, std::size_t brokers) {
    if (wishes_.read_only)
      return fmt::format("{} has no ledger with the prefix {}: the topic {} is not there",
                         with_.brokers, wishes_.prefix, missing.front());
    if (auto gone = deleted(missing); !gone.empty())
      return gone;
    const auto replicas = wishes_.replication != 0
                              ? wishes_.replication
                              : static_cast<std::uint32_t>(std::min<std::size_t>(3, brokers));
    report_.made = missing;
    return make_topics(to_, missing, wishes_.partitions, replicas, timeout_until(end_));
  }

  /// What is to be said of a topic of a living ledger that is missing; empty: there is none.
  std::string deleted(const std::vector<std::string>& missing) const {
    std::string gone;
    for (const auto& label : wishes_.known)
      if (std::ranges::find(missing, name_of(label)) != missing.end())
        gone += (gone.empty() ? "" : ", ") + name_of(label);
    if (gone.empty())
      return {};
    if (const auto id = to_.instance->cluster_id(timeout_until(end_));
        !id || *id != wishes_.known_cluster)
      return {};
    return fmt::format("of {} this node has read records, and it is not there any more: the ledger"
                       " lost it. Restore it from a backup of the brokers. What this node has read"
                       " is in its data folder (replica.db, topic-blobs), for `runledger audit` and"
                       " `replay` with --data; a ledger that begins anew needs another data folder,"
                       " and another `kafka.topic_prefix` where others still have the old one",
                       gone);
  }

  bool have_leaders(const cluster_info& info) const {
    for (const auto& label : labels_)
      for (const auto& p : info.find(name_of(label))->partitions)
        if (p.leader < 0)
          return false;
    return true;
  }

  /// A broker may not know yet what another has made.
  result<cluster_info, std::string> look_until_there() const {
    while (true) {
      auto info = look();
      if (!info || (missing_in(*info).empty() && have_leaders(*info)))
        return info;
      if (std::chrono::steady_clock::now() >= end_)
        return fmt::format("the topics {}.* were made but have no leaders", wishes_.prefix);
      std::this_thread::sleep_for(between_looks);
    }
  }

  result<void, std::string> check(std::size_t brokers) {
    auto settings = read_settings(to_, report_.topics, timeout_until(end_));
    if (!settings)
      return settings.error();
    std::string wrong;
    for (const auto& topic : report_.topics) {
      if (const auto danger = dangerous_settings((*settings)[topic.name], topic.replicas);
          !danger.empty())
        wrong = add_text(
            wrong, fmt::format("the topic {} would lose events; put it right with: kafka-configs.sh"
                               " --bootstrap-server {} --alter --entity-type topics --entity-name"
                               " {} --add-config {}",
                               topic.name, with_.brokers, topic.name, joined(danger)));
      if (topic.replicas < wishes_.replication)
        wrong = add_text(
            wrong, fmt::format("the topic {} has {} replicas and `kafka.replication` is {}:"
                               " add replicas with kafka-reassign-partitions.sh"
                               " --bootstrap-server {}, or lower the setting",
                               topic.name, topic.replicas, wishes_.replication, with_.brokers));
    }
    if (!wrong.empty())
      return wrong;
    warn(brokers);
    return {};
  }

  void warn(std::size_t brokers) {
    std::string single;
    for (const auto& topic : report_.topics)
      if (topic.replicas <= 1)
        single += (single.empty() ? "" : ", ") + topic.name;
    if (!single.empty())
      report_.warnings.push_back(fmt::format(
          "EVERY EVENT IS KEPT ON ONE BROKER ONLY: its loss is the ledger's loss (topics {}; the"
          " cluster has {} broker{})",
          single, brokers, brokers == 1 ? "" : "s"));
  }

  const cluster& with_;
  const topic_wishes& wishes_;
  const deadline end_;
  std::vector<std::string> labels_;
  asker to_;
  topic_report report_;
};

/// Whether a setting keeps what is acknowledged.
bool is_safe(const topic_setting& wanted, const std::string& found) {
  const bool at_least = wanted.name == "min.insync.replicas" || wanted.name == "max.message.bytes";
  if (!at_least)
    return found == wanted.value;
  return std::strtoll(found.c_str(), nullptr, 10)
         >= std::strtoll(wanted.value.c_str(), nullptr, 10);
}

} // namespace

const std::vector<std::string>& ledger_topic_labels() {
  static const std::vector<std::string> labels{"runs", "workers", "workspaces", "catalog"};
  return labels;
}

std::vector<topic_setting> dangerous_settings(const std::vector<topic_setting>& found,
                                              std::uint32_t replicas) {
  std::vector<topic_setting> out;
  for (const auto& wanted : safe_settings(replicas)) {
    const auto at = std::find_if(found.begin(), found.end(), [&](const topic_setting& each) {
      return each.name == wanted.name;
    });
    if (at != found.end() && !is_safe(wanted, at->value))
      out.push_back(wanted);
  }
  return out;
}

result<topic_report, std::string> prepare_topics(const cluster& with, const topic_wishes& wishes,
                                                 std::chrono::milliseconds patience) {
  return preparation{with, wishes, patience}.run();
}

} // namespace runledger::kafka
