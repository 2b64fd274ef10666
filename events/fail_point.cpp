#include "events/fail_point.hpp"

#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <string>
#include <string_view>

namespace runledger {

namespace {

struct plan {
  std::string name;
  std::atomic<long> calls_left{1};
  bool armed = false;

  plan() {
    const char* text = std::getenv("RUNLEDGER_FAIL_POINT");
    if (text == nullptr || *text == '\0')
      return;
    name = text;
    armed = true;
    if (auto colon = name.rfind(':'); colon != std::string::npos) {
      calls_left = std::strtol(name.c_str() + colon + 1, nullptr, 10);
      name.resize(colon);
    }
  }
};

} // namespace

void fail_point(const char* name) {
  static plan chosen;
  if (!chosen.armed || chosen.name != name)
    return;
  if (chosen.calls_left.fetch_sub(1) == 1)
    ::kill(::getpid(), SIGKILL);
}

} // namespace runledger
