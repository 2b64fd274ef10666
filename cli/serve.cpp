#include "cli/serve.hpp"

#include <cstdio>

namespace runledger {

int serve(const settings&) {
  std::fputs("runledger: this build has no server yet\n", stderr);
  return 2;
}

} // namespace runledger
