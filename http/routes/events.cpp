#include "http/routes/events.hpp"

#include "http/requests/query.hpp"
#include "http/routes/reading.hpp"
#include "http/routes/refusals.hpp"
#include "projections/queries/session_timeline.hpp"

namespace runledger::http {

namespace {

/// Reads pages until there are `limit` items or no more: one page may hold less than was asked for.
result<rendered, problem> read_array(views::view_reader& reader, const stream_subject& s,
                                     std::size_t limit) {
  rendered out{"["};
  std::size_t count = 0;
  for (auto after = s.after;;) {
    auto page = s.what == stream_subject::kind::session
                    ? views::session_timeline(reader, s.workspace, s.id, after, limit - count)
                    : views::run_log_events(reader, s.workspace, s.id, after, limit - count);
    if (!page)
      return problem_of(page.error());
    if (!*page)
      return no_such(s.what == stream_subject::kind::session ? "session" : "run");
    for (const auto& item : (*page)->items) {
      if (out.body.size() > 1)
        out.body.push_back(',');
      out.body += item.json;
      ++count;
    }
    if (count >= limit || (*page)->at_end || (*page)->scanned <= after)
      break;
    after = (*page)->scanned;
  }
  out.body.push_back(']');
  return out;
}

} // namespace

void answer_events(route_context& c, const request& rq, stream_subject::kind what, std::string id,
                   reply r) {
  query_reader in{rq};
  const bool stream = wants_stream(rq);
  stream_subject subject{what, {rq.caller()->workspace}, std::move(id), 0};
  if (stream)
    subject.after = read_resume(rq, in);
  else
    subject.after = in.number("since", 0, 0, static_cast<std::uint64_t>(INT64_MAX));
  const auto limit = in.number("limit", events_limit_default, 1, events_limit_max);
  if (!in.ok())
    return r.problem(std::move(in).refusal());
  if (stream)
    return when_fresh(c, std::move(r), [&c, subject = std::move(subject)](reply to) {
      c.streams->open(subject, std::move(to));
    });
  answer_aside(c, std::move(r), [subject = std::move(subject), limit](views::view_reader& reader) {
    return read_array(reader, subject, limit);
  });
}

} // namespace runledger::http
