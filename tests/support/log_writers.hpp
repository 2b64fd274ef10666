#pragma once

#include "events/chain.hpp"
#include "events/log/event_log.hpp"
#include "events/partition.hpp"

#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

/// Small writers for tests of the ledger's back ends.
namespace runledger::test {

/// A clock that stands still until it is moved.
class fixed_clock final : public wall_clock {
public:
  timestamp now() const override { return now_; }
  void advance_ms(std::int64_t ms) { now_ += std::chrono::milliseconds{ms}; }

private:
  timestamp now_ = from_ms(1'700'000'000'000);
};

/// The same ids in every run.
class counting_ids final : public id_source {
public:
  std::uint64_t random() override { return ++count_ * 0x9e3779b97f4a7c15; }

private:
  std::uint64_t count_ = 0;
};

/// Makes the events of one stream, chained. Copy it to make two different continuations.
class stream_maker {
public:
  explicit stream_maker(std::string stream, std::uint64_t epoch) : epoch_(epoch) {
    e_.stream.value = std::move(stream);
    e_.partition_key = e_.stream.value;
    e_.type = full_type("session.turn_accepted", 1);
    e_.workspace.value = "default";
    e_.time = from_ms(1'700'000'000'000);
    e_.causation_id = "cmd_01";
    e_.correlation_id = "req_01";
    e_.principal = "key_01";
    e_.traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  }

  envelope& attributes() { return e_; }
  stream_head& head() { return head_; }
  void epoch(std::uint64_t e) { epoch_ = e; }

  /// The next event; its data is `{"n":<text>}`.
  std::shared_ptr<record> next(const std::string& text = "1", bool open = false,
                               std::optional<std::int64_t> due_ms = std::nullopt) {
    auto r = peek(text, open, due_ms);
    follow(head_, *r);
    return r;
  }
  /// The same, but the maker stays where it is.
  std::shared_ptr<record> peek(const std::string& text = "1", bool open = false,
                               std::optional<std::int64_t> due_ms = std::nullopt) const {
    auto e = e_;
    e.data = "{\"n\":" + text + "}";
    return make_record(head_, std::move(e), epoch_, open, due_ms);
  }

private:
  envelope e_;
  stream_head head_;
  std::uint64_t epoch_;
};

/// A session's id for tests: `sess_` and 26 characters that end in `n`.
inline std::string session_name(std::uint64_t n) {
  return "sess_" + make_ulid(from_ms(1'700'000'000'000), 0, n);
}

using records = std::vector<std::shared_ptr<record>>;

/// Appends a group and waits for its results (empty if none came within ten seconds).
inline std::vector<append_result> append_group(event_log& log, std::vector<records> group) {
  struct waiting {
    std::mutex mutex;
    std::condition_variable changed;
    std::optional<std::vector<append_result>> results;
  };
  auto state = std::make_shared<waiting>();
  std::vector<append_request> requests;
  for (auto& events : group)
    requests.push_back({std::move(events)});
  log.append(std::move(requests), [state](std::vector<append_result> results) {
    std::lock_guard guard{state->mutex};
    state->results = std::move(results);
    state->changed.notify_all();
  });
  std::unique_lock lock{state->mutex};
  state->changed.wait_for(lock, std::chrono::seconds{10},
                          [&] { return state->results.has_value(); });
  return state->results.value_or(std::vector<append_result>{});
}

/// Appends one request and waits for its result.
inline append_result append_one(event_log& log, records events) {
  auto results = append_group(log, {std::move(events)});
  return results.size() == 1 ? results.front() : append_result{};
}

/// Every record of the partition, read in steps of `step`.
inline std::vector<record_ptr> read_all(const event_log& log, std::size_t step = 1000,
                                        std::uint32_t partition = 0) {
  std::vector<record_ptr> out;
  for (std::int64_t at = 0;;) {
    auto some = log.read_partition(partition, at, step);
    if (!some) {
      ADD_FAILURE() << some.error().detail;
      return out;
    }
    if (some->empty())
      return out;
    out.insert(out.end(), some->begin(), some->end());
    at = out.back()->offset + 1;
  }
}

} // namespace runledger::test
