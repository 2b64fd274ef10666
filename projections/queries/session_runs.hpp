#pragma once

#include "projections/reader_internals.hpp"

namespace runledger::views {

/// The runs of a session, oldest first. For queries/ alone. Throws sqlite::error.
std::vector<session_run> runs_of(view_reader::internals& in, place session);

} // namespace runledger::views
