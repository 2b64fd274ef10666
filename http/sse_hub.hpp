#pragma once

#include "events/ids.hpp"
#include "http/net.hpp"
#include "http/query_pool.hpp"
#include "http/reply.hpp"
#include "projections/projection.hpp"

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <unordered_set>

namespace runledger::http {

/// What one event stream shows, and from where.
struct stream_subject {
  enum class kind : std::uint8_t {
    session, ///< A session's timeline; ends after session_terminated.
    run_log, ///< The signal-level items of one run; ends after its terminal run_status.
  } what = kind::session;
  workspace_id workspace;
  std::string id;          ///< Of the session or the run.
  std::uint64_t after = 0; ///< The last seq that the client has.
};

/// The event streams of the API. Each reads pages of the timeline as fast as its client takes them,
/// from the views, where every item has its seq for good: so there is no gap and no duplicate,
/// whatever happens between two connections. A stream without news costs its place in two maps.
///
/// HTTP thread only, except changed(). Lifetime: the destructor closes all streams; `io` and
/// `queries` outlive it.
class sse_hub {
public:
  sse_hub(net::io_context& io, query_pool& queries);
  ~sse_hub();
  sse_hub(const sse_hub&) = delete;
  sse_hub& operator=(const sse_hub&) = delete;

  /// Answers with the stream, or 404, or the problem that its first page met.
  void open(stream_subject subject, reply r);

  /// The views have new items. Any thread; brief.
  void changed(const views::change_set& what);

  std::size_t open_streams() const;

private:
  class subscriber;
  struct core;
  std::shared_ptr<core> core_;
};

} // namespace runledger::http
