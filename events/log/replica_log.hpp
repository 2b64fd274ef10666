#pragma once

#include "events/log/event_log.hpp"
#include "events/log/private_copy.hpp"
#include "events/log/replica.hpp"

#include <memory>
#include <string>
#include <vector>

namespace runledger {

/// What a replica's file says of itself.
struct replica_facts {
  std::string source;                 ///< `kafka cluster ID topics PREFIX.*`.
  std::string cluster, prefix;        ///< Of that text.
  std::vector<topic_partition> names; ///< Its partitions.
  std::vector<std::string> read;      ///< Topics, without prefix, of which records were read.
};
/// Reads no more than that, and changes nothing. An error is one sentence for the operator.
result<replica_facts, std::string> replica_facts_of(const std::string& path);

/// A node's replica (`DATA/replica.db`) as a ledger for offline tools: a copy as of one moment, so
/// that a server may go on beside it. It holds what that node had read by then, which may be less
/// than the topics have. Appends are refused. Any thread.
class replica_log final : public event_log {
public:
  /// An error is one sentence for the operator.
  static result<std::unique_ptr<replica_log>, std::string> open(const std::string& path);

  void append(std::vector<append_request> group, completion done) override;
  result<std::vector<record_ptr>, read_error>
  read_stream(const stream_id& stream, std::uint64_t from_seq, std::size_t limit) const override {
    return copy_->read_stream(stream, from_seq, limit);
  }
  result<std::vector<record_ptr>, read_error>
  read_partition(std::uint32_t partition, std::int64_t from, std::size_t limit) const override {
    return copy_->read_partition(partition, from, limit);
  }
  result<std::optional<stream_head>, read_error> head(const stream_id& stream) const override {
    return copy_->head(stream);
  }
  std::span<const topic_partition> partition_names() const override { return copy_->names(); }
  partition_head partition_state(std::uint32_t partition) const override {
    return copy_->partition_state(partition);
  }
  std::int64_t end_offset(std::uint32_t partition) const override {
    return copy_->end_offset(partition);
  }
  void on_append(std::function<void()>) override {}
  result<std::vector<unfinished_stream>, read_error>
  unfinished(std::uint32_t partition, const stream_id& after, std::size_t limit) const override {
    return copy_->unfinished(partition, after, limit);
  }
  std::optional<std::string> failed() const override { return std::nullopt; }

private:
  replica_log() = default;
  std::unique_ptr<private_copy> file_; // Outlives what reads it.
  std::unique_ptr<replica> copy_;
};

} // namespace runledger
