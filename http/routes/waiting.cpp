#include "http/routes/waiting.hpp"

#include "http/requests/preferences.hpp"
#include "http/routes/refusals.hpp"
#include "http/routes/writing.hpp"

namespace runledger::http {

std::optional<std::chrono::seconds> wait_asked(const request& rq) {
  for (const auto& field : rq.headers())
    if (same_text(field.name, "Prefer"))
      if (auto wait = read_wait(field.value))
        return wait;
  return std::nullopt;
}

run_wait::run_wait(route_context& c, reply r, std::optional<std::chrono::seconds> wait,
                   completion done)
    : context_(c), reply_(std::move(r)), wait_(wait), done_(std::move(done)), timer_(c.io) {}

answer<accepted_run> run_wait::accepted_to() {
  return answer<accepted_run>{
      [self = shared_from_this()](result<accepted_run, refusal_info> outcome) {
        net::post(self->context_.io, [self, outcome = std::move(outcome)]() mutable {
          if (outcome)
            self->accepted(std::move(*outcome));
          else
            self->refused(outcome.error());
        });
      }};
}

end_listener run_wait::end_to() {
  if (!wait_)
    return {};
  return [self = shared_from_this()](ended_run what) {
    net::post(self->context_.io,
              [self, what = std::move(what)]() mutable { self->ended(std::move(what)); });
  };
}

void run_wait::refused(const refusal_info& why) {
  if (!reply_)
    return;
  auto to = *std::exchange(reply_, std::nullopt);
  if (refused_)
    refused_(why, std::move(to));
  else
    to.problem(problem_of(why));
}

void run_wait::accepted(accepted_run what) {
  if (!reply_)
    return;
  answer_.accepted = std::move(what);
  is_accepted_ = true;
  if (!wait_ || answer_.end)
    return finish(true);
  context_.waits.insert(this);
  // The edge's deadline must not come before ours.
  reply_->extend_deadline(*wait_ + std::chrono::seconds{30});
  reply_->on_abandoned([weak = weak_from_this()] {
    if (auto self = weak.lock())
      self->give_up();
  });
  timer_.expires_after(*wait_);
  timer_.async_wait([self = shared_from_this()](const error_code& ec) {
    if (!ec)
      self->finish(false);
  });
}

void run_wait::ended(ended_run what) {
  if (!reply_)
    return;
  answer_.end = std::move(what);
  if (is_accepted_)
    finish(true);
}

void run_wait::give_up() {
  timer_.cancel();
  context_.waits.erase(this);
  if (reply_)
    std::exchange(reply_, std::nullopt)->empty(); // Nobody hears it.
}

void run_wait::finish(bool in_time) {
  if (!reply_)
    return;
  timer_.cancel();
  context_.waits.erase(this);
  auto to = *std::exchange(reply_, std::nullopt);
  if (wait_)
    to.header("Preference-Applied", "wait=" + std::to_string(wait_->count()));
  mark_replayed(to, answer_.accepted.replayed);
  answer_.ask_views = !in_time;
  std::exchange(done_, nullptr)(std::move(answer_), std::move(to));
}

} // namespace runledger::http
