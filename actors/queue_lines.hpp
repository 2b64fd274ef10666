#pragma once

#include "events/ids.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

/// Lines between two processes that hold partitions of one ledger: one holds a queue, the other
/// runs that wait in it. What is said over them is in actors/queue_line_messages.hpp.
namespace runledger {

/// One end of a line. Messages come out at the other end whole, in their order, each at most once;
/// a line that has lost one is broken. Any thread; returns at once.
class queue_line {
public:
  virtual ~queue_line() = default;
  virtual void send(std::string message) = 0;
  /// What was sent before may still arrive.
  virtual void close() = 0;
};

/// Who is at the end of a line. Called on any thread, one call at a time.
struct line_listener {
  std::function<void(std::string)> heard;
  std::function<void()> over; ///< Once: it was closed, broke, or could not be opened.
};

/// Opens lines to the holders of queues. Any thread; returns at once; outlives the engine.
class queue_lines {
public:
  virtual ~queue_lines() = default;
  /// A line to whoever holds this queue, which lives in this partition (flat number). What is sent
  /// before it is open waits. It is not opened again once it is over.
  virtual std::shared_ptr<queue_line> open(const stream_id& queue, std::uint32_t partition,
                                           line_listener to) = 0;
};

} // namespace runledger
