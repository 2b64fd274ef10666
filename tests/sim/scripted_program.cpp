#include "tests/sim/scripted_program.hpp"

namespace runledger::sim {

namespace {

op random_op(test::dice& dice, std::size_t place) {
  op out;
  out.key = "k" + std::to_string(place);
  out.with_id = dice.percent(60);
  auto roll = dice.below(100);
  if (roll < 60) {
    if (dice.percent(25))
      out.failing = dice.between(1, 3);
    out.fails_for_good = dice.percent(5);
    if (dice.percent(20)) {
      out.timeout_ms = dice.between(200, 5000);
      out.slow = dice.percent(40) ? dice.between(1, 3) : 0;
    }
    return out;
  }
  constexpr op_kind others[]{op_kind::message, op_kind::log,   op_kind::tool,
                             op_kind::usage,   op_kind::usage, op_kind::checkpoint};
  out.kind = others[dice.below(6)];
  if (dice.percent(4))
    out.kind = op_kind::artifact;
  out.cost_micro_usd = dice.between(1, 400'000);
  return out;
}

} // namespace

program program_of(std::uint64_t number) {
  test::dice dice{test::mix(number, 1)};
  program out;
  auto ops = dice.below(6);
  for (std::size_t i = 0; i < ops; ++i)
    out.ops.push_back(random_op(dice, i));
  auto roll = dice.below(100);
  if (roll >= 90)
    out.end = ending::endless;
  else if (roll >= 80)
    out.end = ending::error;
  else if (roll >= 70)
    out.end = ending::retryable;
  out.trusts_history = dice.coin();
  out.ends_on_give_up = dice.coin();
  out.max_runs = dice.between(1, 4);
  return out;
}

mishap mishap_of(std::uint64_t number, std::int64_t attempt, std::int64_t percent) {
  test::dice dice{test::mix(number, 1000 + static_cast<std::uint64_t>(attempt))};
  mishap out;
  if (!dice.percent(percent)) {
    if (dice.percent(percent)) // It does no harm, so it need not be rare.
      out.how = rudeness::stutters;
    return out;
  }
  out.how = static_cast<rudeness>(1 + dice.below(7));
  out.after_lines = dice.between(0, 4);
  return out;
}

} // namespace runledger::sim
