#pragma once

#include "actors/engine.hpp"
#include "http/context.hpp"
#include "http/reply.hpp"

#include <chrono>
#include <functional>
#include <memory>
#include <optional>

/// Requests that start a run and, with `Prefer: wait=N`, are answered when it has ended.
namespace runledger::http {

/// The `wait` of the request's Prefer header fields.
std::optional<std::chrono::seconds> wait_asked(const request& rq);

/// What may be known of an accepted run when its request is answered.
struct run_answer {
  accepted_run accepted;
  std::optional<ended_run> end; ///< Only with a wait, and only if it came in time.
  bool ask_views = false;       ///< The wait is over: show the run as it is now.
};

/// Waits for a run's acceptance, and where it is asked for, for its end. One use.
///
/// `accepted_to()` and `end_to()` go into the engine's request; `done` is called once, on the HTTP
/// thread, with a reply that holds the headers `Preference-Applied` and `Idempotent-Replayed`. A
/// refusal is answered here.
class run_wait final : public pending_wait, public std::enable_shared_from_this<run_wait> {
public:
  using completion = std::function<void(run_answer, reply)>;
  run_wait(route_context& c, reply r, std::optional<std::chrono::seconds> wait, completion done);

  /// Gets what is refused, instead of the problem that stands for it.
  void on_refusal(std::function<void(const refusal_info&, reply)> refused) {
    refused_ = std::move(refused);
  }
  answer<accepted_run> accepted_to();
  /// Empty without a wait.
  end_listener end_to();

  void end_early() override { finish(false); }

private:
  void accepted(accepted_run what);
  void refused(const refusal_info& why);
  void ended(ended_run what);
  void finish(bool in_time);
  /// The client left.
  void give_up();

  route_context& context_;
  std::optional<reply> reply_;
  std::optional<std::chrono::seconds> wait_;
  completion done_;
  std::function<void(const refusal_info&, reply)> refused_;
  net::steady_timer timer_;
  run_answer answer_;
  bool is_accepted_ = false;
};

} // namespace runledger::http
