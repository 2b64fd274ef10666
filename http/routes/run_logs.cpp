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
download log_here(const route_context& c, std::string_view run) {
  const auto path = c.data_dir + "/logs/" + std::string{run} + ".log";
  unique_fd file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW)};
  struct stat about {};
  if (!file || ::fstat(file.get(), &about) != 0 || about.st_size == 0)
    return {};
  return log_file(std::move(file), static_cast<std::uint64_t>(about.st_size), run);
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
  auto what = log_here(c, run);
  if (what.file)
    return r.file(std::move(what));
  if (c.others == nullptr)
    return r.text(status::ok, plain_text, {}); // The run wrote nothing.
  r.extend_deadline(fetch_patience);
  auto kept = std::make_shared<reply>(std::move(r));
  c.others->fetch_raw_log(
      std::string{run}, c.data_dir, [kept, name = std::string{run}](neighbours::raw_log found) {
        if (found.file)
          kept->file(log_file(std::move(found.file), found.size, name));
        else if (found.unreachable)
          kept->problem(fault::not_ready, "The server that has this log cannot be reached.");
        else
          kept->text(status::ok, plain_text, {});
      });
}

void give_raw_log(route_context& c, const request& rq, reply r) {
  const auto run = rq.param("run");
  auto what = is_id(run, "run_") ? log_here(c, run) : download{};
  if (what.file)
    r.file(std::move(what));
  else
    r.problem(no_such("log here"));
}

} // namespace runledger::http::routes
