#pragma once

#include "http/requests/query.hpp"
#include "projections/replay/point.hpp"

#include <optional>

namespace runledger::http {

/// `?as_of=`: a point in the past. Complains into `in`: of a text that names none and, without
/// `has_seq`, of a seq. Nothing: the present is asked for.
std::optional<replay::point> read_as_of(query_reader& in, bool has_seq = true);

} // namespace runledger::http
