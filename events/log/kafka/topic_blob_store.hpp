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
  /// This node's copies, and nothing else; one that is of another topic or cluster is renamed.
  std::string folder;
  /// A put is `unavailable` when nothing was acknowledged for so long...
  std::chrono::milliseconds put_patience{2'000};
  /// ...and that of a content in memory when not all of it was after so long.
  std::chrono::milliseconds put_timeout{10'000};
  /// A get of what is not here waits so long for what the topic has.
  std::chrono::milliseconds get_patience{3'000};
  std::function<void(int level, std::string_view line)> log = {};
};

/// Blobs that every node can read: chunked records in a topic (docs/events.md), which each node
/// follows and keeps as files. A put is durable when all chunks are acknowledged. A blob that was
/// put elsewhere is here as soon as the topic was read so far; get() waits for that. What is read
/// is verified, as a whole, before it is kept.
///
/// A put that is `unavailable` goes on being sent (kafka::blob_sender): asked for again later, it
/// is there. Any thread. Calls block on disk, and on brokers for no longer than the options say;
/// while no broker answers only the first ones do.
class topic_blob_store final : public blob_store {
public:
  /// An error is one sentence for the operator.
  static result<std::unique_ptr<topic_blob_store>, std::string> open(blob_topic_options options);
  ~topic_blob_store() override;

  /// From where the copies in a folder were read; nothing: none were.
  struct source {
    std::string cluster, topic;
  };
  static std::optional<source> source_of(const std::string& folder);

  /// Waits until all is here that the topic has now. False: nothing came for `silence`. Calls
  /// `pause` some times a second, which may throw.
  bool read_to_end(std::chrono::milliseconds silence, const std::function<void()>& pause) const;

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
