// Counts the primes below a limit, one segment a step, and publishes the last of them as
// largest.txt. The prompt names the limit ("count the primes below 2000000"), or the initial state
// does:
// {"limit": 2000000, "segments": 4}.

#include "runledger_agent.hpp"

#include <algorithm>
#include <fstream>

namespace {

constexpr std::int64_t limit_max = 50'000'000;
constexpr std::int64_t segments_max = 100;

std::vector<std::int64_t> primes_up_to(std::int64_t end) {
  std::vector<bool> composite(static_cast<std::size_t>(end + 1));
  std::vector<std::int64_t> primes;
  for (std::int64_t n = 2; n <= end; ++n) {
    if (composite[static_cast<std::size_t>(n)])
      continue;
    primes.push_back(n);
    for (auto multiple = n * n; multiple <= end; multiple += n)
      composite[static_cast<std::size_t>(multiple)] = true;
  }
  return primes;
}

/// The primes in [begin, end), by sieving with the primes up to the root of `end`.
std::vector<std::int64_t> primes_between(std::int64_t begin, std::int64_t end) {
  std::int64_t root = 1;
  while (root * root < end)
    ++root;
  std::vector<bool> composite(static_cast<std::size_t>(std::max<std::int64_t>(end - begin, 0)));
  for (auto prime : primes_up_to(root))
    for (auto n = std::max(prime * prime, (begin + prime - 1) / prime * prime); n < end; n += prime)
      composite[static_cast<std::size_t>(n - begin)] = true;
  std::vector<std::int64_t> found;
  for (auto n = std::max<std::int64_t>(begin, 2); n < end; ++n)
    if (!composite[static_cast<std::size_t>(n - begin)])
      found.push_back(n);
  return found;
}

/// One line an execution: shows which steps ran, and how often, whatever was killed when.
void note(const agent::run& run) {
  std::ofstream{"effects.log", std::ios::app}
      << run.id + "/" + run.step_key + " " + std::to_string(run.step_attempt) + "\n";
}

/// Written beside its place and moved there: the file is whole or not there.
void write_file(const std::string& name, const std::string& text) {
  std::ofstream file{name + ".part", std::ios::binary};
  file << text;
  file.close();
  if (!file || std::rename((name + ".part").c_str(), name.c_str()) != 0)
    throw agent::error("cannot write " + name, "io", true);
}

std::int64_t limit_of(const agent::json& input) {
  auto limit = input["initial_state"]["limit"].integer();
  auto prompt = input["prompt"].text();
  if (auto digit = prompt.find_first_of("0123456789"); digit != prompt.npos)
    limit = std::strtoll(prompt.c_str() + digit, nullptr, 10);
  if (limit < 3 || limit > limit_max)
    throw agent::error("the limit is a number from 3 to " + std::to_string(limit_max), "bad_limit");
  return limit;
}

agent::json drive(agent::run& run) {
  auto limit = limit_of(run.input);
  auto segments =
      std::clamp<std::int64_t>(run.input["initial_state"]["segments"].integer(4), 1, segments_max);
  std::int64_t count = 0;
  std::int64_t largest = 0;
  for (std::int64_t segment = 0; segment < segments; ++segment) {
    auto found = run.step("segment-" + std::to_string(segment + 1), [&]() -> agent::json {
      note(run);
      auto primes = primes_between(limit * segment / segments, limit * (segment + 1) / segments);
      return agent::json::object{{"count", static_cast<std::int64_t>(primes.size())},
                                 {"largest", primes.empty() ? 0 : primes.back()}};
    });
    count += found["count"].integer();
    largest = std::max(largest, found["largest"].integer());
    run.send("checkpoint",
             {{"id", "state-" + std::to_string(segment + 1)},
              {"state", agent::json::object{{"segments", segment + 1}, {"count", count}}}});
  }
  run.step("write", [&]() -> agent::json {
    note(run);
    write_file("largest.txt", std::to_string(largest) + "\n");
    return {};
  });
  run.send("artifact",
           {{"id", "artifact-1"}, {"path", "largest.txt"}, {"media_type", "text/plain"}});
  auto text = std::to_string(count) + " primes below " + std::to_string(limit);
  run.send("message", {{"id", "message-1"}, {"role", "assistant"}, {"content", text}});
  return agent::json::object{{"limit", limit}, {"count", count}, {"largest", largest}};
}

} // namespace

int main() {
  return agent::serve(drive);
}
