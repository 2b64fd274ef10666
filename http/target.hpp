#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// The request target: escapes and queries.
namespace runledger::http {

/// Texts that had to be copied to be decoded; their addresses stay.
using text_store = std::vector<std::unique_ptr<std::string>>;

/// `text` with its `%XX` decoded, and `+` as a space if `plus_is_space`. Without anything to decode
/// this is `text` itself, else a text in `store`. Nothing if an escape is bad, gives NUL, or the
/// result is no UTF-8.
std::optional<std::string_view> decode_escapes(std::string_view text, bool plus_is_space,
                                               text_store& store);

/// Whether `text` is well-formed UTF-8 (no overlong forms, no surrogates, nothing over U+10FFFF).
bool is_utf8(std::string_view text);

} // namespace runledger::http
