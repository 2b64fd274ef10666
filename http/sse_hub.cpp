#include "http/sse_hub.hpp"

#include "http/routes/refusals.hpp"
#include "projections/queries/run_by_id.hpp"
#include "projections/queries/session_by_id.hpp"
#include "projections/queries/session_timeline.hpp"

#include <atomic>
#include <deque>
#include <optional>

namespace runledger::http {

/// What a thread of the query pool found out for a stream.
struct stream_page {
  std::optional<problem> why_not;
  views::timeline_page page;
  session_id session;
  bool over = false; ///< First page only: nothing will ever follow.
};

namespace {

constexpr std::size_t page_items = 128;
/// Items wait here rather than in the connection's buffer while the client has this much to read.
constexpr std::size_t unread_bytes_max = 64 * 1024;

problem no_such_subject(const stream_subject& s) {
  return problem::of(fault::not_found, s.what == stream_subject::kind::session
                                           ? "There is no such session."
                                           : "There is no such run.");
}

/// Query thread.
stream_page read_page(views::view_reader& reader, const stream_subject& s, std::uint64_t after) {
  stream_page out;
  auto page = s.what == stream_subject::kind::session
                  ? views::session_timeline(reader, s.workspace, s.id, after, page_items)
                  : views::run_log_events(reader, s.workspace, s.id, after, page_items);
  if (!page)
    out.why_not = problem_of(page.error());
  else if (!*page)
    out.why_not = no_such_subject(s);
  else
    out.page = std::move(**page);
  return out;
}

/// The same for the page with which a stream begins: its session is found out, and whether the
/// client has everything already.
stream_page read_first_page(views::view_reader& reader, const stream_subject& s) {
  session_id session{s.id};
  bool ended = false;
  if (s.what == stream_subject::kind::run_log) {
    auto run = views::run_by_id(reader, s.workspace, s.id);
    if (!run)
      return {problem_of(run.error()), {}, {}};
    if (!*run)
      return {no_such_subject(s), {}, {}};
    session = (*run)->session;
    ended = (*run)->last_seq != 0 && s.after >= (*run)->last_seq;
  } else if (s.after != 0) {
    auto found = views::session_by_id(reader, s.workspace, s.id);
    ended = found && *found && (*found)->session.phase == session::phase::terminated;
  }
  auto out = read_page(reader, s, s.after);
  out.session = std::move(session);
  out.over = ended && out.page.items.empty() && out.page.at_end;
  return out;
}

} // namespace

/// All streams, by session. Outlives the hub where a query is under way.
struct sse_hub::core : std::enable_shared_from_this<core> {
  core(net::io_context& io_, query_pool& queries_) : io(io_), queries(queries_) {}

  net::io_context& io;
  query_pool& queries;
  std::unordered_map<session_id, std::unordered_set<std::shared_ptr<subscriber>>> by_session;
  std::atomic<std::size_t> count = 0; ///< Written here, read by the views' thread too.

  std::mutex news_mutex; ///< Guards `news` and `told`, which the views' thread fills.
  std::unordered_set<session_id> news;
  bool told = false;

  void enlist(const session_id& session, const std::shared_ptr<subscriber>& who);
  void strike(const session_id& session, const std::shared_ptr<subscriber>& who);
  void wake();
};

/// One stream. Kept by the core's list, by a query under way, or by a callback of its connection.
class sse_hub::subscriber : public std::enable_shared_from_this<subscriber> {
public:
  subscriber(std::shared_ptr<core> home, stream_subject subject, reply r)
      : home_(std::move(home)),
        subject_(std::move(subject)),
        after_(subject_.after),
        reply_(std::move(r)) {}

  /// There may be items behind `after_`.
  void look() {
    stale_ = true;
    go_on();
  }

  void end() {
    ended_ = true;
    waiting_.clear();
    stream_.close();
    if (!session_.empty())
      home_->strike(session_, shared_from_this());
  }

private:
  /// Sends what waits, then reads on. At most one query and one wait for the client at a time.
  void go_on() {
    if (ended_ || reading_ || blocked_)
      return;
    if (!send_waiting())
      return;
    if (stale_)
      read();
  }

  void read() {
    stale_ = false;
    reading_ = true;
    home_->queries.run([self = shared_from_this(), subject = subject_, after = after_,
                        first = reply_.has_value()](views::view_reader& reader) {
      auto page = std::make_shared<stream_page>(first ? read_first_page(reader, subject)
                                                      : read_page(reader, subject, after));
      net::post(self->home_->io, [self, page] { self->take(std::move(*page)); });
    });
  }

  void take(stream_page found) {
    reading_ = false;
    if (ended_)
      return;
    if (found.why_not)
      return give_up(*found.why_not);
    if (reply_ && !begin(found.session))
      return;
    if (found.over)
      return end();
    for (auto& item : found.page.items)
      waiting_.push_back(std::move(item));
    after_ = std::max(after_, found.page.scanned);
    if (!found.page.at_end)
      stale_ = true;
    go_on();
  }

  /// The first page is there: the answer is a stream.
  bool begin(const session_id& session) {
    stream_ = std::exchange(reply_, std::nullopt)->sse();
    if (!stream_.is_open()) {
      ended_ = true;
      return false;
    }
    stream_.on_close([weak = weak_from_this()] {
      if (auto self = weak.lock())
        self->end();
    });
    session_ = session;
    home_->enlist(session_, shared_from_this());
    stale_ = true; // What came between the query and the enlisting.
    return true;
  }

  void give_up(const problem& why) {
    if (reply_)
      std::exchange(reply_, std::nullopt)->problem(why);
    end(); // The client comes back behind its last item and is told why not.
  }

  /// False: the client has to read first, or the stream ended.
  bool send_waiting() {
    while (!waiting_.empty()) {
      if (stream_.buffered() > unread_bytes_max) {
        blocked_ = true;
        stream_.when_writable([weak = weak_from_this()] {
          if (auto self = weak.lock()) {
            self->blocked_ = false;
            self->go_on();
          }
        });
        return false;
      }
      const auto item = std::move(waiting_.front());
      waiting_.pop_front();
      if (!stream_.send(std::to_string(item.seq), item.type, item.json)) {
        end();
        return false;
      }
      const bool last =
          subject_.what == stream_subject::kind::session ? item.ends_session : item.ends_run;
      if (last) {
        end();
        return false;
      }
    }
    return true;
  }

  const std::shared_ptr<core> home_;
  const stream_subject subject_;
  std::uint64_t after_;
  std::optional<reply> reply_; ///< Until the first page is there.
  sse_stream stream_;
  session_id session_; ///< Set once enlisted.
  std::deque<views::timeline_entry> waiting_;
  bool stale_ = false, reading_ = false, blocked_ = false, ended_ = false;
};

void sse_hub::core::enlist(const session_id& session, const std::shared_ptr<subscriber>& who) {
  if (by_session[session].insert(who).second)
    ++count;
}

void sse_hub::core::strike(const session_id& session, const std::shared_ptr<subscriber>& who) {
  const auto found = by_session.find(session);
  if (found == by_session.end())
    return;
  count -= found->second.erase(who);
  if (found->second.empty())
    by_session.erase(found);
}

void sse_hub::core::wake() {
  std::unordered_set<session_id> sessions;
  {
    std::lock_guard lock{news_mutex};
    sessions.swap(news);
    told = false;
  }
  for (const auto& session : sessions) {
    const auto found = by_session.find(session);
    if (found == by_session.end())
      continue;
    const auto woken = found->second; // look() may strike some.
    for (const auto& each : woken)
      each->look();
  }
}

sse_hub::sse_hub(net::io_context& io, query_pool& queries)
    : core_(std::make_shared<core>(io, queries)) {}

sse_hub::~sse_hub() {
  const auto all = std::move(core_->by_session);
  core_->by_session.clear();
  for (const auto& [session, streams] : all)
    for (const auto& each : streams)
      each->end();
}

void sse_hub::open(stream_subject subject, reply r) {
  std::make_shared<subscriber>(core_, std::move(subject), std::move(r))->look();
}

void sse_hub::changed(const views::change_set& what) {
  // A stream that is enlisted after this look reads the views after it, and so sees this change.
  if (what.timelines.empty() || core_->count == 0)
    return;
  std::lock_guard lock{core_->news_mutex};
  for (const auto& [session, last] : what.timelines)
    core_->news.insert(session);
  if (std::exchange(core_->told, true))
    return;
  net::post(core_->io, [weak = std::weak_ptr{core_}] {
    if (auto home = weak.lock())
      home->wake();
  });
}

std::size_t sse_hub::open_streams() const {
  return core_->count;
}

} // namespace runledger::http
