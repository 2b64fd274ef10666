#pragma once

#include <string_view>

namespace runledger::json_schema {

/// Tells whether a text has a format.
using format_test = bool (*)(std::string_view);

/// The test of a `format`; nullptr for one that is not supported.
format_test find_format(std::string_view name);

} // namespace runledger::json_schema
