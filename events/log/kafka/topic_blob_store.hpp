#pragma once

#include "events/log/blob_store.hpp"
#include "events/log/kafka/client.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace runledger::kafka {

/// How blobs are kept in a topic.
struct blob_topic_options {
  cluster with;
  std::string topic; ///< Its full name, as it is in the cluster.
  std::uint32_t partitions = 1;
  std::string folder; ///< This node's copies; made if it is not there.
  /// A put that was not acknowledged after so long is `unavailable`.
  std::chrono::milliseconds put_timeout{10'000};
  /// A get of what is not here waits so long for what the topic has.
  std::chrono::milliseconds get_patience{3'000};
  std::function<void(int level, std::string_view line)> log = {};
};

/// Blobs that every node can read: chunked records in a topic (docs/events.md), which each node
/// follows and keeps as files. A put is durable when all chunks are acknowledged. A blob that was
/// put elsewhere is here as soon as the topic was read so far; get() waits for that. What is read
/// is verified, as a whole, before it is kept. Any thread; calls block on brokers and disk.
class topic_blob_store final : public blob_store {
public:
  /// An error is one sentence for the operator.
  static result<std::unique_ptr<topic_blob_store>, std::string> open(blob_topic_options options);
  ~topic_blob_store() override;

  result<blob_ref, blob_errc> put(std::string_view content) override;
  result<blob_ref, blob_errc> put_file(int fd, std::uint64_t max_size) override;
  result<std::string, blob_errc> get(const digest& id) const override;
  std::optional<std::string> path_of(const digest& id) const override;

private:
  struct parts;
  topic_blob_store();
  std::unique_ptr<parts> parts_;
};

} // namespace runledger::kafka
