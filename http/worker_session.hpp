#pragma once

#include "actors/engine.hpp"
#include "actors/harness/line_reader.hpp"
#include "http/context.hpp"
#include "http/message_user.hpp"

#include <atomic>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

namespace runledger::http {

/// Where a node brings a worker whose queue another one holds.
inline constexpr std::string_view workers_of_nodes_path = "/internal/v1/workers/connect";

/// One connection of a remote worker, whatever carries its messages: reads them, passes them on to
/// the worker's queue, and hands the carrier what comes back (docs/harness-protocol.md).
///
/// Bounded both ways. What the worker said counts until its frames are decided and durable: beyond
/// `in_flight_max` the carrier is told to read no more. Lines that the carrier cannot get rid of
/// end the connection. HTTP thread only.
class worker_session : public message_user, public std::enable_shared_from_this<worker_session> {
public:
  using carrier = message_carrier;

  worker_session(route_context& context, request_context who)
      : context_(context), who_(std::move(who)) {}
  void carried_by(carrier& by) override { carrier_ = &by; }
  /// Asked before each message; a key may be revoked while its connection lives.
  void allowed_while(std::function<bool()> allowed) { allowed_ = std::move(allowed); }
  /// Asked likewise: whether it is known which keys were revoked. The worker may come again.
  void served_while(std::function<bool()> served) { served_ = std::move(served); }

  /// One message of the worker. False: read no further until go_on().
  bool take(std::string_view message) override;
  void sent() override;
  void over() override;
  /// The connection comes from another node, which has no other one to go to.
  void goes_no_further() { goes_no_further_ = true; }

private:
  class link;
  class elsewhere;
  struct rates {
    std::int64_t lease_epoch = 0;
    harness::token_bucket lines, bytes;
    std::size_t repeats = 0; ///< Bytes that it may say again at once.
  };

  void on(harness::worker_hello& hello, std::size_t bytes);
  void on(harness::worker_slots& said, std::size_t bytes);
  void on(harness::worker_frame& said, std::size_t bytes);
  void on(harness::worker_bad_frame& said, std::size_t bytes);
  void on(harness::worker_lease_ended& said, std::size_t bytes);
  void on(harness::worker_leave& said, std::size_t bytes);
  void on(harness::worker_heartbeat& said, std::size_t bytes);

  void welcome(result<attached_worker, refusal_info> outcome);
  void deliver(const std::string& lines);
  void note_unsent();
  void refuse(std::string_view code, const std::string& message);
  rates& rates_of(const harness::held_lease& lease);
  bool go_elsewhere(const refusal_info& why, const std::string& hello);
  bool floods(const harness::worker_frame& said, std::size_t bytes);
  void returned(std::size_t bytes);
  template <class Word>
  void say(Word word) {
    if (say_)
      say_(worker_says{std::move(word)});
  }

  route_context& context_;
  request_context who_;
  carrier* carrier_ = nullptr;
  std::function<void(worker_says)> say_;
  std::function<bool()> allowed_, served_;
  bool greeted_ = false;
  std::size_t in_flight_ = 0;
  bool paused_ = false;
  std::map<std::string, rates, std::less<>> rates_; // By run.
  std::string hello_;                               // Until it is known where the queue is.
  std::shared_ptr<elsewhere> elsewhere_;            // The queue is held by another node.
  bool goes_no_further_ = false;
  std::shared_ptr<std::atomic<std::size_t>> unsent_ =
      std::make_shared<std::atomic<std::size_t>>(0); // As the link tells the actors.
};

} // namespace runledger::http
