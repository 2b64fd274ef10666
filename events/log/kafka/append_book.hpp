#pragma once

#include "events/log/event_log.hpp"
#include "events/log/replica.hpp"

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace runledger::kafka {

/// The appends that are under way: what they wait for, and what their callers are told. Knows the
/// fold's state through the replica, and nothing of brokers. Any thread; callers are told by
/// whoever runs what was `finished`, outside of every lock.
class append_book {
public:
  using clock = std::chrono::steady_clock;
  /// A group whose results are all known.
  struct finished_group {
    event_log::completion done;
    std::vector<append_result> results;
  };
  using finished = std::vector<finished_group>;
  /// An event that has to be written. They are written in their order; after one that could not be,
  /// the rest of its request is not.
  struct outgoing {
    std::uint64_t id = 0;
    std::uint64_t request = 0; ///< The same for the events of one request.
    std::shared_ptr<record> event;
  };

  append_book(const replica& known, std::chrono::milliseconds timeout, std::size_t most)
      : known_(known), timeout_(timeout), most_(most) {}

  /// Judges a group by what is known here. What has to be written is waited for from now on.
  std::vector<outgoing> take(std::vector<append_request> group, event_log::completion done,
                             clock::time_point now, finished& out);
  /// True if somebody waits for this very event.
  bool waits_for(const record& r) const;
  /// An event was read back, and the fold said `v`; where the very event stood there before,
  /// `duplicate` or `wrong_epoch` (replica::compare_stored). Others than ours are no matter.
  void read_back(const record& r, verdict v, finished& out);
  /// An event was not written, or perhaps it was.
  void not_written(std::uint64_t id, bool perhaps, const std::string& why, finished& out);
  /// Appends that have waited for too long end `unknown`.
  void expire(clock::time_point now, finished& out);
  /// All of them.
  void end_all(const std::string& why, finished& out);

  std::size_t in_flight() const;
  std::uint64_t unknown() const;

private:
  struct group_state {
    event_log::completion done;
    std::vector<append_result> results;
    std::size_t open = 0;
  };
  struct request_state {
    std::shared_ptr<group_state> group;
    std::size_t index = 0;
    std::size_t waits = 0; ///< Events that were not read back yet.
    bool settled = false;
  };
  using request_ptr = std::shared_ptr<request_state>;
  /// The very event, by one writer.
  struct key {
    digest hash;
    std::uint64_t epoch = 0;
    friend bool operator==(const key&, const key&) = default;
  };
  struct key_hash {
    std::size_t operator()(const key& k) const;
  };
  struct flight {
    std::shared_ptr<record> event;
    bool first = true; ///< Of its request: nothing of that was written before.
    clock::time_point deadline;
    std::vector<request_ptr> waiting;
  };
  /// The head of a stream if everything that is under way is accepted.
  struct expectation {
    stream_head head;
    std::uint64_t newest = 0; ///< The flight that makes it so.
  };
  /// What judging a request found.
  struct judged {
    append_result result{append_outcome::accepted, verdict::accepted, {}};
    std::vector<std::shared_ptr<record>> to_write;
    std::vector<std::uint64_t> to_await; ///< Flights of the very same events.
    stream_head head;                    ///< After what is to be written in its place.
    bool moves = false;                  ///< `head` counts.
  };

  judged judge_request(append_request& request) const;
  /// Nothing: whether it is a repeat can only be said by reading it back.
  std::optional<verdict> judge_repeat(record& r, judged& into) const;
  std::optional<stream_head> expected_head(const envelope& first) const;
  void depart(judged& what, const request_ptr& request, std::uint64_t request_id,
              clock::time_point now, std::vector<outgoing>& out);
  void settle(const request_ptr& request, append_result result, finished& out);
  using flights = std::map<std::uint64_t, flight>;
  /// Takes the flight out; its callers are still to be told.
  flight land(flights::iterator at, bool accepted);

  const replica& known_;
  const std::chrono::milliseconds timeout_;
  const std::size_t most_;
  mutable std::mutex mutex_;
  flights flights_; ///< By id, so in the order of their deadlines.
  std::unordered_map<key, std::uint64_t, key_hash> by_key_;
  std::unordered_map<stream_id, expectation> expected_;
  std::uint64_t next_id_ = 1, next_request_ = 1, unknown_ = 0;
};

} // namespace runledger::kafka
