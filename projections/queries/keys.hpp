#pragma once

#include "projections/view_reader.hpp"

namespace runledger::views {

/// Keys of all workspaces that are not revoked, newest first.
answer<page<key_row>> list_keys(view_reader& reader, std::size_t limit,
                                const std::optional<list_cursor>& after);

/// Every key that opens something (not revoked, not parked; it may have expired), for the
/// authentication cache.
answer<std::vector<key_row>> all_valid_keys(view_reader& reader);

/// By id, revoked ones too.
answer<std::optional<key_row>> key_by_id(view_reader& reader, std::string_view id);

/// The key that opens with this secret; nothing for revoked and parked ones.
answer<std::optional<key_row>> key_by_secret(view_reader& reader, const digest& secret_hash);

} // namespace runledger::views
