#include "projections/queries/artifacts.hpp"
#include "http/requests/query.hpp"
#include "http/routes/handlers.hpp"
#include "http/routes/reading.hpp"
#include "http/routes/refusals.hpp"
#include "projections/queries/run_by_id.hpp"
#include "projections/render.hpp"

#include <fcntl.h>

namespace runledger::http::routes {

namespace {

/// Finishes with the artifact's content, streamed from the file that holds it.
void send_content(route_context& c, const views::artifact_row& row, reply& r) {
  const auto path = c.blobs.path_of(row.content);
  download what;
  if (path)
    what.file = unique_fd{::open(path->c_str(), O_RDONLY | O_CLOEXEC)};
  if (!what.file)
    return r.problem(fault::internal, "The artifact's content is missing from the store.");
  what.size = static_cast<std::uint64_t>(row.size_bytes);
  if (!row.media_type.empty())
    what.media_type = row.media_type;
  what.etag = "sha256:" + to_hex(row.content);
  what.attachment = row.name.empty() ? row.id.value : row.name;
  // What agents publish is never run by a browser in the name of this server.
  r.header("Content-Security-Policy", "sandbox");
  r.file(std::move(what));
}

} // namespace

void list_artifacts(route_context& c, const request& rq, reply r) {
  query_reader in{rq};
  auto page = read_list_request(rq, in);
  if (!in.ok())
    return r.problem(std::move(in).refusal());
  answer_aside(c, std::move(r),
               [page = std::move(page), run = std::string{rq.param("run")},
                workspace = workspace_id{rq.caller()->workspace}](
                   views::view_reader& reader) -> result<rendered, problem> {
                 auto row = views::run_by_id(reader, workspace, run);
                 if (!row)
                   return problem_of(row.error());
                 if (!*row)
                   return no_such("run");
                 auto found = views::list_artifacts(reader, **row, page.limit, page.after);
                 if (!found)
                   return problem_of(found.error());
                 rendered out;
                 out.body = array_of(found->items, views::append_artifact_json);
                 page.link(out, found->next);
                 return out;
               });
}

void download_artifact(route_context& c, const request& rq, reply r) {
  when_fresh(c, std::move(r),
             [&c, workspace = workspace_id{rq.caller()->workspace},
              id = std::string{rq.param("artifact")}](reply to) {
               auto found = views::artifact_by_id(*c.reader, workspace, id);
               if (!found)
                 return to.problem(problem_of(found.error()));
               if (!*found)
                 return to.problem(no_such("artifact"));
               send_content(c, **found, to);
             });
}

} // namespace runledger::http::routes
