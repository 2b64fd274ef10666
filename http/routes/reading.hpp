#pragma once

#include "events/result.hpp"
#include "http/context.hpp"
#include "http/reply.hpp"
#include "http/request.hpp"
#include "projections/view_reader.hpp"

#include <functional>
#include <string>
#include <utility>
#include <vector>

/// How handlers read: after the views hold everything that was durable when the request arrived.
namespace runledger::http {

/// An answer that was put together aside of the connection.
struct rendered {
  std::string body;
  http::status code = http::status::ok;
  std::vector<std::pair<std::string, std::string>> headers = {};
};

/// Asks the views and renders. Owns copies of all that it needs of the request. Throws nothing.
using question = std::function<result<rendered, problem>(views::view_reader&)>;

/// For a single row: answers on the HTTP thread, at once if the views are up to date.
void answer_here(route_context& c, reply r, question ask);
/// For everything longer: asks on a thread of the query pool.
void answer_aside(route_context& c, reply r, question ask);

/// Calls `then` on the HTTP thread once the views have caught up with the ledger as it is now: at
/// once if they have. When that takes more than 5 s, the reply is 503 `timeout`.
void when_fresh(route_context& c, reply r, std::function<void(reply)> then);

/// Finishes the reply with what came out.
void finish(reply& r, result<rendered, problem> outcome);

/// 404 for whatever is not there, or not in the caller's workspace.
problem no_such(std::string_view what);

/// A bare JSON array of what `append(out, item)` makes of each.
template <class Items, class Append>
std::string array_of(const Items& items, Append append) {
  std::string out{"["};
  for (const auto& item : items) {
    if (out.size() > 1)
      out.push_back(',');
    append(out, item);
  }
  out.push_back(']');
  return out;
}

/// What a list needs to know of its request: the page that is asked for, and how to link to the
/// next one.
struct list_request {
  std::size_t limit = 0;
  std::optional<views::list_cursor> after;
  std::string path;  ///< Of the request.
  std::string query; ///< Its query without `cursor`.

  /// Adds `Link: <...>; rel="next"` if there is more.
  void link(rendered& to, const std::string& next) const;
};
/// Whether the client asks for an event stream rather than an array.
bool wants_stream(const request& rq);
/// The seq behind which a stream goes on: Last-Event-ID, else `after`, else `since`.
class query_reader;
std::uint64_t read_resume(const request& rq, query_reader& in);
/// Reads `limit` and `cursor`; complains into `in`.
list_request read_list_request(const request& rq, query_reader& in);

} // namespace runledger::http
