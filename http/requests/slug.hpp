#pragma once

#include <string>
#include <string_view>

namespace runledger::http {

/// 1 to 64 characters of a-z, 0-9 and `-`, with a letter or digit at both ends.
bool is_slug(std::string_view text);

/// The slug of a name: lower case, everything else than a-z and 0-9 becomes one `-`. A name without
/// any such character gets one from its hash, so the same name always gives the same slug.
std::string slug_from_name(std::string_view name);

} // namespace runledger::http
