#pragma once

#include "events/money.hpp"
#include "tests/support/seeds.hpp"

#include <cstdint>
#include <string>
#include <vector>

/// What a scripted agent does. Its code is the same in every attempt: it follows from a number that
/// stands in the run's input. What goes wrong depends on the attempt besides.
namespace runledger::sim {

enum class op_kind : std::uint8_t { step, message, log, tool, checkpoint, usage, artifact };

struct op {
  op_kind kind = op_kind::step;
  std::string key;                 ///< Of a step; else what makes its frame id.
  bool with_id = false;            ///< Its frames carry ids, the same in every attempt.
  std::int64_t failing = 0;        ///< step: so many executions fail, retryable.
  bool fails_for_good = false;     ///< step: then it fails for good.
  std::int64_t slow = 0;           ///< step: so many executions take longer than the timeout.
  std::int64_t timeout_ms = 0;     ///< step: 0: none.
  std::int64_t cost_micro_usd = 0; ///< usage.
};

enum class ending : std::uint8_t {
  result,
  error,     ///< Final.
  retryable, ///< An error in the first attempt, a result in the next.
  endless,   ///< Goes on until it is cancelled.
};

struct program {
  std::vector<op> ops;
  ending end = ending::result;
  bool trusts_history = false;  ///< Leaves out what the history shows as done.
  bool ends_on_give_up = false; ///< A step that was given up is an error of the run.
  std::int64_t max_runs = 1;    ///< As its process says in `ready`.
};
program program_of(std::uint64_t number);

/// How an attempt goes wrong.
enum class rudeness : std::uint8_t {
  none,
  dies,            ///< By a signal.
  leaves,          ///< Exit code 0 without a result.
  garbage,         ///< A line that is no frame.
  breaks_protocol, ///< A frame that is out of place.
  falls_silent,    ///< No line any more.
  ignores_cancel,  ///< Goes on as if nothing was said.
  stutters,        ///< Says twice what may be said twice.
};
struct mishap {
  rudeness how = rudeness::none;
  std::int64_t after_lines = 0; ///< It said so many lines before.
};
/// What goes wrong in this attempt; `percent` of the attempts are rude.
mishap mishap_of(std::uint64_t number, std::int64_t attempt, std::int64_t percent);

} // namespace runledger::sim
