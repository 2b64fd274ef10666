#include "cli/version.hpp"

#include "cli/version_text.hpp"

namespace runledger::cli {

std::string_view version() {
  return RUNLEDGER_VERSION_TEXT;
}

} // namespace runledger::cli
