#include "cli/output.hpp"
#include "cli/verb.hpp"
#include "events/json_writer.hpp"

#include <fmt/format.h>

namespace runledger::cli {

namespace {

struct workspace_options : client_options {
  std::string id, name;
};

int create(const workspace_options& asked) {
  std::string body;
  json_writer writer{body};
  writer.begin_object().member("name", asked.name);
  if (!asked.id.empty())
    writer.member("id", asked.id);
  writer.end_object();
  const api server{asked};
  const auto reply = server.post("/api/v1/workspaces", body);
  if (server.json()) {
    print(reply.body + "\n");
    return exit_done;
  }
  const auto document = parsed(reply.body);
  print(fmt::format("{}  {}\n", cell(document.root(), "id"), cell(document.root(), "name")));
  return exit_done;
}

int list_workspaces(const workspace_options& asked) {
  const api server{asked};
  print_list(server.json(), server.list("/api/v1/workspaces", 100'000), [](const auto& workspaces) {
    const auto now = system_wall_clock{}.now();
    table rows{{"ID", "NAME", "CREATED"}};
    for (const auto& workspace : workspaces)
      rows.row({cell(workspace.root(), "id"), cell(workspace.root(), "name"),
                relative_cell(workspace.root(), "created_at", now)});
    return rows.text(wants_colour());
  });
  return exit_done;
}

} // namespace

void add_workspaces(CLI::App& app, command& chosen) {
  auto& noun = *app.add_subcommand("workspaces", "Create and list workspaces");
  noun.require_subcommand(1);

  const auto made = std::make_shared<workspace_options>();
  auto& create_verb = add_verb(noun, chosen, "create", "Create a workspace", made, create);
  create_verb.add_option("NAME", made->name, "Its name")->required();
  create_verb.add_option("--id", made->id, "Its id (else the server chooses one)");
  create_verb.footer("Example:\n  runledger workspaces create 'Team A' --id team-a");

  const auto listed = std::make_shared<workspace_options>();
  auto& list_verb = add_verb(noun, chosen, "list", "List workspaces", listed, list_workspaces);
  list_verb.footer("Example:\n  runledger workspaces list");
  noun.footer("Examples:\n"
              "  runledger workspaces create 'Team A' --id team-a\n"
              "  runledger workspaces list");
}

} // namespace runledger::cli
