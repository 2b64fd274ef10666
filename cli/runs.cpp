#include "cli/output.hpp"
#include "cli/run_output.hpp"
#include "cli/timeline.hpp"
#include "cli/verb.hpp"
#include "events/json_writer.hpp"

#include <algorithm>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <unistd.h>

namespace runledger::cli {

namespace {

struct run_options : client_options {
  std::string agent, run, session, status, prompt, state, key, save;
  std::size_t limit = 50;
  unsigned version = 0;
  bool wait = false;
};

std::string path_of(const run_options& asked) {
  return "/api/v1/runs/" + segment(asked.run);
}

int start(const run_options& asked) {
  std::string body;
  json_writer writer{body};
  writer.begin_object();
  if (!asked.state.empty()) {
    const auto state = text_of(asked.state);
    if (const auto document = json::parse(state); !document)
      throw command_failure{exit_wrong, fmt::format("--state: byte {}: {}", document.error().offset,
                                                    document.error().message)};
    writer.raw_member("initial_state", state);
  } else {
    writer.member("prompt", text_of(asked.prompt));
  }
  writer.end_object();
  auto target = "/api/v1/agents/" + segment(asked.agent);
  if (asked.version != 0)
    target += fmt::format("/versions/{}", asked.version);
  const api server{asked};
  const auto reply = server.post(target + "/runs", body, asked.key);
  if (!asked.wait) {
    show_run(server, reply);
    return exit_done;
  }
  const auto document = parsed(reply.body);
  const auto run_id = cell(document.root(), "id");
  const auto status = follow_run(server, run_id, server.json());
  show_run(server, server.get("/api/v1/runs/" + segment(run_id)));
  return run_exit_code(status);
}

int list_runs(const run_options& asked) {
  const api server{asked};
  const auto target = asked.agent.empty() ? std::string{"/api/v1/runs"}
                                          : "/api/v1/agents/" + segment(asked.agent) + "/runs";
  const auto filter = query({{"session_id", asked.session}, {"status", asked.status}});
  print_list(server.json(), server.list(target + filter, asked.limit), [](const auto& runs) {
    const auto now = system_wall_clock{}.now();
    table rows{{"ID", "STATUS", "STEPS", "COST", "CREATED", "TOOK", "AGENT"}};
    for (const auto& document : runs) {
      const auto run = document.root();
      rows.row({cell(run, "id"), cell(run, "status"), cell(run, "steps_completed"),
                "$" + cell(run, "cost_usd"), relative_cell(run, "created_at", now),
                duration_cell(run, "started_at", "finished_at"), cell(run, "agent_id")});
    }
    return rows.empty() ? std::string{"no runs\n"} : rows.text(wants_colour());
  });
  return exit_done;
}

int show(const run_options& asked) {
  const api server{asked};
  show_run(server, server.get(path_of(asked)));
  return exit_done;
}

int watch(const run_options& asked) {
  const api server{asked};
  return run_exit_code(follow_run(server, asked.run, false));
}

int log(const run_options& asked) {
  const api server{asked};
  const auto reply = server.get(path_of(asked) + "/log");
  if (server.json()) {
    print(reply.body + "\n");
    return exit_done;
  }
  const auto document = parsed(reply.body);
  auto url = std::string{document.root().find("url") ? document.root().find("url")->string() : ""};
  // Behind a proxy the address in the answer may name another host; its path is the same.
  if (const auto scheme = url.find("://"); scheme != std::string::npos) {
    const auto path = url.find('/', scheme + 3);
    url = path == std::string::npos ? "" : url.substr(path);
  }
  http_call call;
  call.target = url;
  const auto text = server.connection().stream(call, [](std::string_view piece) {
    print(piece);
    return true;
  });
  if (!text)
    throw command_failure{exit_wrong, text.error().message};
  if (!text->ok())
    server.refuse(*text);
  return exit_done;
}

int explain(const run_options& asked) {
  const api server{asked};
  const auto reply = server.get(path_of(asked) + "/explain");
  if (server.json()) {
    print(reply.body + "\n");
    return exit_done;
  }
  const auto document = parsed(reply.body);
  const auto told = document.root();
  print(fmt::format("{}\n  because  {}\n  event    {}\n", cell(told, "summary"),
                    cell(told, "reason"), cell(told, "event_id")));
  if (const auto until = cell(told, "until"); until != "-")
    print(fmt::format("  until    {}\n", relative_time(until, system_wall_clock{}.now())));
  return exit_done;
}

/// A file name without folders: what a harness called its artifact decides nothing about where it
/// goes.
std::string safe_name(std::string name, std::string_view id) {
  std::replace(name.begin(), name.end(), '/', '_');
  name = printable(name);
  return name.empty() || name == "." || name == ".." ? std::string{id} : name;
}

void save_artifact(const api& server, const json::value& artifact, const std::string& folder) {
  const auto id = cell(artifact, "id");
  const auto path = std::filesystem::path{folder} / safe_name(cell(artifact, "name"), id);
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (file < 0)
    throw command_failure{exit_wrong,
                          fmt::format("{}: cannot be made, or is there already", path.string())};
  bool written = true;
  http_call call;
  call.target = "/api/v1/artifacts/" + segment(id);
  const auto reply = server.connection().stream(call, [&](std::string_view piece) {
    while (written && !piece.empty()) {
      const auto count = ::write(file, piece.data(), piece.size());
      written = count > 0;
      piece.remove_prefix(written ? static_cast<std::size_t>(count) : 0);
    }
    return written;
  });
  written = ::close(file) == 0 && written;
  if (!reply || !reply->ok() || !written) {
    ::unlink(path.c_str());
    if (reply && !reply->ok())
      server.refuse(*reply);
    throw command_failure{exit_wrong, reply ? fmt::format("{}: cannot be written", path.string())
                                            : reply.error().message};
  }
  if (!server.json())
    print(path.string() + "\n");
}

int artifacts(const run_options& asked) {
  const api server{asked};
  const auto reply = server.get(path_of(asked) + "/artifacts");
  const auto document = parsed(reply.body);
  if (!asked.save.empty()) {
    std::error_code ignored; // What fails here fails again, with its reason, at the first file.
    std::filesystem::create_directories(asked.save, ignored);
    for (const auto artifact : document.root().children())
      save_artifact(server, artifact, asked.save);
    if (!server.json())
      return exit_done;
  }
  if (server.json()) {
    print(reply.body + "\n");
    return exit_done;
  }
  table rows{{"NAME", "TYPE", "BYTES", "DIGEST", "ID"}};
  for (const auto artifact : document.root().children())
    rows.row({cell(artifact, "name"), cell(artifact, "media_type"), cell(artifact, "size"),
              cell(artifact, "digest").substr(0, 19), cell(artifact, "id")});
  print(rows.empty() ? "no artifacts\n" : rows.text(wants_colour()));
  return exit_done;
}

void add_start(CLI::App& noun, command& chosen) {
  const auto asked = std::make_shared<run_options>();
  auto& verb = add_verb(noun, chosen, "start", "Start a run of an agent", asked, start);
  verb.add_option("AGENT", asked->agent, "Id or slug")->required();
  auto* input = verb.add_option_group("input");
  input->add_option("--prompt", asked->prompt, "What to do, as text; @FILE and @- read it");
  input->add_option("--state", asked->state, "What to do, as JSON; @FILE and @- read it");
  input->require_option(1);
  verb.add_option("--version", asked->version, "This version (else the newest active one)");
  verb.add_option("--idempotency-key", asked->key,
                  "Repeating the call with this key starts nothing new");
  verb.add_flag("--wait", asked->wait,
                "Show the timeline until the run has ended; exit 1 if it failed");
  verb.footer("Examples:\n"
              "  runledger runs start wordcount --prompt 'count the ballad' --wait\n"
              "  runledger runs start wordcount --state @input.json --json");
}

void add_reading_verbs(CLI::App& noun, command& chosen) {
  const struct {
    const char *name, *help;
    int (*run)(const run_options&);
  } verbs[] = {
      {"show", "Show a run with its result", show},
      {"watch", "Follow a run's events to its end; exit 1 if it does not succeed", watch},
      {"log", "Print the raw log of a run that has ended; --json: where it is", log},
      {"artifacts", "List the artifacts of a run, or save them", artifacts},
      {"explain", "Say why a run is where it is", explain},
  };
  for (const auto& [name, help, run] : verbs) {
    const auto asked = std::make_shared<run_options>();
    auto& verb = add_verb(noun, chosen, name, help, asked, run);
    verb.add_option("RUN", asked->run, "The run's id")->required();
    if (run == artifacts)
      verb.add_option("--save", asked->save, "Folder into which to save them");
    verb.footer(fmt::format("Example:\n  runledger runs {} run_01J9...{}", name,
                            run == artifacts ? " --save out" : ""));
  }
}

} // namespace

void add_runs(CLI::App& app, command& chosen) {
  auto& noun = *app.add_subcommand("runs", "Start, list and follow runs");
  noun.require_subcommand(1);
  add_start(noun, chosen);

  const auto listed = std::make_shared<run_options>();
  auto& list_verb = add_verb(noun, chosen, "list", "List runs, newest first", listed, list_runs);
  list_verb.add_option("--agent", listed->agent, "Of this agent, id or slug");
  list_verb.add_option("--session", listed->session, "Of this session");
  list_verb.add_option("--status", listed->status,
                       "pending, running, succeeded, failed, cancelled");
  list_verb.add_option("--limit", listed->limit, "At most so many")->capture_default_str();
  list_verb.footer("Example:\n  runledger runs list --agent wordcount --status failed");

  add_reading_verbs(noun, chosen);
  noun.footer("Examples:\n"
              "  runledger runs start wordcount --prompt 'count the ballad' --wait\n"
              "  runledger runs show run_01J9...");
}

} // namespace runledger::cli
