#pragma once

#include <string_view>

namespace runledger::cli {

/// The version with the commit that was built, such as `0.1.0 (1a2b3c4d5e6f)`; `0.1.0` outside a
/// checkout.
std::string_view version();

} // namespace runledger::cli
