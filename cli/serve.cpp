#include "cli/serve.hpp"

#include "cli/logging.hpp"
#include "cli/server_process.hpp"

#include <cstdio>
#include <exception>
#include <spdlog/spdlog.h>

namespace runledger {

int serve(const settings& with) {
  cli::start_logging(with.log.level, with.log.format);
  try {
    cli::server_process process{with};
    return process.run();
  } catch (const std::exception& why) {
    std::fprintf(stderr, "runledger: %s\n", why.what());
    return 2;
  }
}

} // namespace runledger
