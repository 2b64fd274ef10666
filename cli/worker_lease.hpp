#pragma once

#include "actors/harness/harness.hpp"
#include "actors/harness/worker_protocol.hpp"

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace runledger::cli {

/// What a worker keeps of one run that it has leased: which of the harness's frames the server has
/// not answered yet, and which of the server's lines the harness has got. So a lease goes on after
/// a connection was cut, or the server was gone: frames are sent again under the same id, and a
/// line that comes again is dropped. Pure.
class worker_lease {
public:
  explicit worker_lease(harness::held_lease held) : held_(std::move(held)) {}

  const harness::held_lease& held() const { return held_; }
  /// `run.start` and the whole history have come: the worker can say that it holds the run.
  bool begun() const { return begun_; }

  /// The message that brings a frame to the server. It is kept until it is answered. Nothing: it is
  /// longer than the server reads (escapes are written anew), and the attempt has to end.
  std::optional<std::string> take_frame(const harness::frame& f);
  /// The harness is gone without a last word; kept until the lease is over.
  std::string take_end(const harness::worker_lease_ended& ended);
  /// `result`, `error` or the harness's end has been said: nothing counts that comes after it.
  bool last_word_said() const { return last_word_; }
  /// What the server may not have got, in its order.
  const std::deque<std::string>& unanswered();
  std::size_t kept_bytes() const { return kept_bytes_; }

  /// A line of the server for the harness, as it is to be passed on; nothing: the harness has got
  /// it already, or it was for the worker.
  std::optional<std::string> take_line(const harness::server_line& line, std::string_view text);

private:
  struct kept {
    std::string id, key;
    harness::frame_type type = harness::frame_type::heartbeat;
    bool own_id = false; // The harness's.
    std::string message;
  };
  bool asks(const kept& one) const {
    return one.type == harness::frame_type::step_start
           || one.type == harness::frame_type::step_fail;
  }
  bool answer_step(const std::string& key);
  bool acknowledge(const std::string& id);
  void keep(kept one);

  harness::held_lease held_;
  std::deque<kept> kept_;
  std::deque<std::string> messages_;
  std::map<std::string, std::int64_t> gone_; // Step key to the last execution that was let go.
  std::size_t kept_bytes_ = 0;
  std::uint64_t frames_ = 0;
  bool begun_ = false, last_word_ = false, cancelled_ = false;
};

} // namespace runledger::cli
