#pragma once

#include "http/request.hpp"

#include <functional>
#include <string_view>

namespace runledger::http {

/// A call that would have changed something and was refused, once it was looked at who asks. The
/// texts are valid during the callback only.
struct refused_call {
  verb method = verb::post;
  std::string_view pattern, path; ///< The path as sent, without the query.
  principal_ptr by;               ///< Null: nobody was recognised.
  std::string_view request_id;
  http::status status = http::status::internal;
  std::string_view code;
};
using refusal_listener = std::function<void(const refused_call&)>;

} // namespace runledger::http
