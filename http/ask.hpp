#pragma once

#include "actors/answer.hpp"
#include "http/net.hpp"
#include "http/reply.hpp"
#include "http/routes/refusals.hpp"

#include <memory>
#include <utility>

namespace runledger::http {

/// The one bridge to the actors: the answer to hand to the engine. When it comes, on whatever
/// thread, the HTTP thread goes on: with `then(value, reply)` for a success, with the problem of
/// the refusal otherwise. The edge's deadline stands behind it: a write that is not answered in
/// time is answered 503 `outcome_unknown`, and what comes later is dropped.
template <class T, class Then>
answer<T> answer_to(reply r, Then then) {
  struct duty {
    reply to;
    Then then;
  };
  auto kept = std::make_shared<duty>(duty{std::move(r), std::move(then)});
  const auto where = kept->to.executor();
  return answer<T>{[kept = std::move(kept), where](result<T, refusal_info> outcome) mutable {
    net::post(where, [kept = std::move(kept), outcome = std::move(outcome)]() mutable {
      if (outcome)
        kept->then(std::move(*outcome), std::move(kept->to));
      else
        kept->to.problem(problem_of(outcome.error()));
    });
  }};
}

} // namespace runledger::http
