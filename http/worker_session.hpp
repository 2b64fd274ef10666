#pragma once

#include "actors/engine.hpp"
#include "actors/harness/line_reader.hpp"
#include "http/context.hpp"

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <string_view>

namespace runledger::http {

/// One connection of a remote worker, whatever carries its messages: reads them, passes them on to
/// the worker's queue, and hands the carrier what comes back (docs/harness-protocol.md).
///
/// Bounded both ways. What the worker said counts until its frames are decided and durable: beyond
/// `in_flight_max` the carrier is told to read no more. Lines that the carrier cannot get rid of
/// end the connection. HTTP thread only.
class worker_session : public std::enable_shared_from_this<worker_session> {
public:
  /// What brings the messages.
  class carrier {
  public:
    /// One message for the worker.
    virtual void send(std::string message) = 0;
    /// No more comes: close when what was sent is out. over() follows, at once or later.
    virtual void close(std::string reason) = 0;
    /// Reading may go on.
    virtual void go_on() = 0;
    /// Bytes that were sent and did not get out yet.
    virtual std::size_t unsent() const = 0;

  protected:
    ~carrier() = default;
  };

  worker_session(route_context& context, request_context who)
      : context_(context), who_(std::move(who)) {}
  void carried_by(carrier& by) { carrier_ = &by; }
  /// Asked before each message; a key may be revoked while its connection lives.
  void allowed_while(std::function<bool()> allowed) { allowed_ = std::move(allowed); }

  /// The carrier got rid of something, or has more.
  void note_unsent();
  /// One message of the worker. False: read no further until go_on().
  bool take(std::string_view message);
  /// The carrier is gone; nothing of it is called any more.
  void over();

private:
  class link;
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
  void refuse(std::string_view code, const std::string& message);
  rates& rates_of(const harness::held_lease& lease);
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
  std::function<bool()> allowed_;
  bool greeted_ = false;
  std::size_t in_flight_ = 0;
  bool paused_ = false;
  std::map<std::string, rates, std::less<>> rates_; // By run.
  std::shared_ptr<std::atomic<std::size_t>> unsent_ =
      std::make_shared<std::atomic<std::size_t>>(0); // As the link tells the actors.
};

} // namespace runledger::http
