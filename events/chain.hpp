#pragma once

#include "events/envelope.hpp"
#include "events/fold.hpp"
#include "events/log/event_log.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

/// Making events that follow their stream's head: the writer's half of the fold. Pure.
namespace runledger {

/// A sealed record that follows `before` (a default head starts a stream). `attributes` is an
/// envelope with stream, type, workspace, causation_id, correlation_id, principal, traceparent,
/// data, time and (read at the start of a stream only) partition_key; the rest is filled in here:
/// seq, prevhash and hashes, the stream's partition key, and a time that is never before the
/// predecessor's. The log adds partition and offset.
std::shared_ptr<record> make_record(const stream_head& before, envelope attributes,
                                    std::uint64_t epoch, bool open,
                                    std::optional<std::int64_t> due_ms = std::nullopt);

/// Moves a stream's head behind `r`, which must be its next event. What the fold's advance() does
/// without a partition: for the actor that has just made the record.
void follow(stream_head& head, const record& r);

/// Collects the events of one command behind a stream's head. One thread.
class stream_writer {
public:
  explicit stream_writer(stream_head head) : head_(std::move(head)) {}

  /// Adds the next event; see make_record for `attributes`. The reference stays valid: the records
  /// are shared.
  const record& add(envelope attributes, std::uint64_t epoch, bool open,
                    std::optional<std::int64_t> due_ms = std::nullopt);

  /// The head after everything that was added.
  const stream_head& head() const { return head_; }
  bool empty() const { return request_.events.empty(); }
  /// What was added since the last take(), ready to append. The head stays where it is.
  append_request take() { return std::exchange(request_, {}); }

private:
  stream_head head_;
  append_request request_;
};

} // namespace runledger
