#include "http/routes/reading.hpp"

#include "http/cluster/neighbours.hpp"
#include "http/requests/query.hpp"
#include "http/routes/refusals.hpp"

#include <algorithm>
#include <charconv>
#include <memory>

namespace runledger::http {

namespace {

constexpr std::chrono::seconds fresh_within{5};

/// A read that waits for the views. Lives until both the views and the timer are done with it.
struct waiting_read {
  waiting_read(net::io_context& io, reply r, std::function<void(reply)> go_on)
      : to(std::move(r)), then(std::move(go_on)), timer(io) {}
  reply to;
  std::function<void(reply)> then;
  net::steady_timer timer;
  bool over = false;
};

/// Whether a query parameter named `cursor` stands in `piece`.
bool is_cursor(std::string_view piece) {
  return piece == "cursor" || piece.starts_with("cursor=");
}

} // namespace

namespace {

/// What this server knows is all that it can say: others may have gone on.
void mark_stale(const route_context& c, reply& r) {
  if (c.stale && c.stale())
    r.header("Runledger-Stale", "true");
}

} // namespace

namespace {

void once_views_are(route_context& c, reply r, std::function<void(reply)> then) {
  if (c.views.caught_up()) {
    then(std::move(r));
    return;
  }
  auto wait = std::make_shared<waiting_read>(c.io, std::move(r), std::move(then));
  wait->timer.expires_after(fresh_within);
  wait->timer.async_wait([wait](const error_code& ec) {
    if (ec || wait->over)
      return;
    wait->over = true;
    wait->to.problem(fault::timeout, "The views are behind the ledger; try again.");
  });
  c.views.when_caught_up([wait, &io = c.io] {
    net::post(io, [wait] {
      if (wait->over)
        return;
      wait->over = true;
      wait->timer.cancel();
      wait->then(std::move(wait->to));
    });
  });
}

bool brokers_are_away(const route_context& c) {
  return c.stale && c.stale();
}

} // namespace

/// Where there are other nodes, what they have acknowledged is read first.
void when_fresh(route_context& c, reply r, std::function<void(reply)> then) {
  if (c.others == nullptr || brokers_are_away(c)) {
    mark_stale(c, r);
    return once_views_are(c, std::move(r), std::move(then));
  }
  auto kept = std::make_shared<reply>(std::move(r));
  c.others->when_current([&c, kept, then = std::move(then)](bool current) {
    net::post(c.io, [&c, kept, current, then] {
      if (!current)
        kept->header("Runledger-Stale", "true");
      once_views_are(c, std::move(*kept), then);
    });
  });
}

void finish(reply& r, result<rendered, problem> outcome) {
  if (!outcome) {
    r.problem(outcome.error());
    return;
  }
  for (const auto& [name, value] : outcome->headers)
    r.header(name, value);
  r.json(outcome->code, outcome->body);
}

void answer_here(route_context& c, reply r, question ask) {
  if (c.others == nullptr && c.views.caught_up()) { // The usual case costs no allocation.
    mark_stale(c, r);
    finish(r, ask(*c.reader));
    return;
  }
  when_fresh(c, std::move(r), [&c, ask = std::move(ask)](reply to) { finish(to, ask(*c.reader)); });
}

void answer_aside(route_context& c, reply r, question ask) {
  when_fresh(c, std::move(r), [&c, ask = std::move(ask)](reply to) {
    auto kept = std::make_shared<reply>(std::move(to));
    c.queries->run([kept, ask, &io = c.io](views::view_reader& reader) {
      auto outcome = std::make_shared<result<rendered, problem>>(ask(reader));
      net::post(io, [kept, outcome] { finish(*kept, std::move(*outcome)); });
    });
  });
}

problem no_such(std::string_view what) {
  return problem::of(fault::not_found, "There is no such " + std::string{what} + '.');
}

list_request read_list_request(const request& rq, query_reader& in) {
  list_request out;
  out.limit = in.number("limit", list_limit_default, 1, list_limit_max);
  if (const auto cursor = in.text("cursor"); !cursor.empty()) {
    out.after = views::parse_cursor(cursor);
    if (!out.after)
      in.complain("cursor", "This is no cursor of this list.", "bad_cursor");
  }
  out.path = rq.path();
  for (auto rest = rq.raw_query(); !rest.empty();) {
    const auto end = std::min(rest.find('&'), rest.size());
    const auto piece = rest.substr(0, end);
    if (!piece.empty() && !is_cursor(piece))
      out.query += std::string{piece} + '&';
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return out;
}

bool wants_stream(const request& rq) {
  const auto accept = rq.header("Accept");
  return accept && accept->find("text/event-stream") != accept->npos;
}

std::uint64_t read_resume(const request& rq, query_reader& in) {
  constexpr auto most = static_cast<std::uint64_t>(INT64_MAX);
  if (const auto last = rq.header("Last-Event-ID"); last && !last->empty()) {
    std::uint64_t seq = 0;
    const auto* end_of_text = last->data() + last->size();
    const auto [end, ec] = std::from_chars(last->data(), end_of_text, seq);
    if (ec != std::errc{} || end != end_of_text || seq > most)
      in.complain_at({std::string{"header"}, std::string{"Last-Event-ID"}},
                     "This is no id of an event in this stream.", "int_parsing");
    return seq;
  }
  const auto since = in.number("since", 0, 0, most);
  return in.number("after", since, 0, most);
}

void list_request::link(rendered& to, const std::string& next) const {
  if (!next.empty())
    to.headers.emplace_back("Link",
                            '<' + path + '?' + query + "cursor=" + next + ">; rel=\"next\"");
}

} // namespace runledger::http
