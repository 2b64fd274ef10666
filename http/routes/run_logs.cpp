#include "events/json_writer.hpp"
#include "http/cluster/neighbours.hpp"
#include "http/routes/events.hpp"
#include "http/routes/handlers.hpp"
#include "http/routes/reading.hpp"
#include "http/routes/refusals.hpp"
#include "projections/queries/run_by_id.hpp"

#include <fcntl.h>
#include <sys/stat.h>

namespace runledger::http::routes {

namespace {

constexpr std::chrono::seconds link_lives{900};

constexpr std::chrono::seconds fetch_patience{120};
constexpr std::string_view plain_text = "text/plain; charset=utf-8";

download log_file(unique_fd file, std::uint64_t size, std::string_view run) {
  download out;
  out.file = std::move(file);
  out.size = size;
  out.media_type = plain_text;
  out.attachment = std::string{run} + ".log";
  return out;
}

/// No file: the run wrote nothing here.
neighbours::raw_log log_here(const route_context& c, std::string_view run) {
  const auto path = c.data_dir + "/logs/" + std::string{run} + ".log";
  unique_fd file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW)};
  struct statx about {};
  if (!file
      || ::statx(file.get(), "", AT_EMPTY_PATH, STATX_SIZE | STATX_MTIME | STATX_BTIME, &about) != 0
      || about.stx_size == 0)
    return {};
  const auto& began = (about.stx_mask & STATX_BTIME) != 0 ? about.stx_btime : about.stx_mtime;
  return {std::move(file), about.stx_size, began.tv_sec * 1000 + began.tv_nsec / 1'000'000, false};
}

void give_log(reply& r, neighbours::raw_log found, std::string_view run) {
  if (found.unreachable)
    r.problem(fault::not_ready, "A server that may have a part of this log cannot be reached.");
  else if (found.file)
    r.file(log_file(std::move(found.file), found.size, run));
  else
    r.text(status::ok, plain_text, {}); // The run wrote nothing.
}

std::string raw_log_path(std::string_view run) {
  return "/api/v1/runs/" + std::string{run} + "/log/raw";
}

} // namespace

void run_log_events(route_context& c, const request& rq, reply r) {
  answer_events(c, rq, stream_subject::kind::run_log, std::string{rq.param("run")}, std::move(r));
}

void run_log_link(route_context& c, const request& rq, reply r) {
  auto origin = std::string{rq.forwarded_scheme().empty() ? c.scheme : rq.forwarded_scheme()}
                + "://" + std::string{rq.header("Host").value_or("localhost")};
  answer_here(
      c, std::move(r),
      [&c, origin = std::move(origin), workspace = workspace_id{rq.caller()->workspace},
       run =
           std::string{rq.param("run")}](views::view_reader& reader) -> result<rendered, problem> {
        auto row = views::run_by_id(reader, workspace, run);
        if (!row)
          return problem_of(row.error());
        if (!*row)
          return no_such("run");
        if (!run::terminal((*row)->phase))
          return problem::of(fault::not_found, "The log is complete when the run has ended.");
        const auto path = raw_log_path(run);
        rendered out;
        json_writer{out.body}
            .begin_object()
            .member("url",
                    origin + path + '?' + c.urls.query("GET", path, c.clock.now() + link_lives))
            .member("expires_in_seconds", link_lives.count())
            .end_object();
        return out;
      });
}

void download_run_log(route_context& c, const request& rq, reply r) {
  const auto run = rq.param("run");
  if (!is_id(run, "run_")
      || !c.urls.check("GET", raw_log_path(run), rq.query("expires").value_or(""),
                       rq.query("signature").value_or(""), c.clock.now()))
    return r.problem(fault::forbidden, "This link is not valid any more.");
  auto here = log_here(c, run);
  if (c.others == nullptr)
    return give_log(r, std::move(here), run);
  r.extend_deadline(fetch_patience);
  auto kept = std::make_shared<reply>(std::move(r));
  c.others->fetch_raw_log(std::string{run}, c.data_dir, std::move(here),
                          [kept, name = std::string{run}](neighbours::raw_log found) {
                            give_log(*kept, std::move(found), name);
                          });
}

void give_raw_log(route_context& c, const request& rq, reply r) {
  const auto run = rq.param("run");
  auto what = is_id(run, "run_") ? log_here(c, run) : neighbours::raw_log{};
  if (!what.file)
    return r.problem(no_such("log here"));
  r.header(log_began_header, std::to_string(what.began_ms));
  r.file(log_file(std::move(what.file), what.size, run));
}

} // namespace runledger::http::routes
