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

struct blob_sender_options {
  cluster with;
  std::string topic; ///< Its full name.
  std::uint32_t partitions = 1;
  /// Nobody waits longer than this while no chunk is acknowledged; while that lasts, nobody waits.
  std::chrono::milliseconds patience{2000};
  /// For a content in memory nobody waits longer than this, whatever is acknowledged.
  std::chrono::milliseconds longest_wait{10'000};
  std::size_t most_memory = std::size_t{256} << 20; ///< Of contents that are under way.
  std::size_t most_files = 64;                      ///< Under way.
  std::function<void(int level, std::string_view line)> log = {};
};

/// Writes blobs into their topic, on a thread of its own: who asks waits for the acknowledgement of
/// all chunks, but not for ever, and what is not acknowledged by then goes on being sent. Who asks
/// again for the same blob joins what is under way, so a slow blob gets there and is sent once. A
/// producer that failed for good is replaced, and what it had not got acknowledged is sent again.
/// Any thread.
class blob_sender {
public:
  /// An error is one sentence for the operator.
  static result<std::unique_ptr<blob_sender>, std::string> open(blob_sender_options options);
  /// What is not acknowledged is given up.
  ~blob_sender();
  blob_sender(const blob_sender&) = delete;
  blob_sender& operator=(const blob_sender&) = delete;

  /// True once all of the blob is acknowledged. False: not yet, or refused by a broker (the log has
  /// it).
  bool send(const blob_ref& blob, std::string_view content);
  /// The same with the content of an open file, from byte `begin` on; it is read through a handle
  /// of its own. Waits as long as something is acknowledged.
  bool send_file(const blob_ref& blob, int fd, std::uint64_t begin);

private:
  struct parts;
  blob_sender();
  std::unique_ptr<parts> parts_;
};

} // namespace runledger::kafka
