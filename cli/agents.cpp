#include "cli/output.hpp"
#include "cli/verb.hpp"
#include "events/json_writer.hpp"

#include <fmt/format.h>

namespace runledger::cli {

namespace {

struct agent_options : client_options {
  std::string agent, name, slug, description, recipe, from;
  std::size_t limit = 50;
  unsigned version = 0;
  bool activate = false;
};

/// A text that must be one JSON object before it goes on the way.
std::string object_text(const std::string& path) {
  auto text = file_text(path);
  const auto document = json::parse(text);
  if (!document)
    throw command_failure{exit_wrong, fmt::format("{}: byte {}: {}", path, document.error().offset,
                                                  document.error().message)};
  if (!document->root().is_object())
    throw command_failure{exit_wrong, fmt::format("{}: is no JSON object", path)};
  return text;
}

std::string agent_text(const json::value& agent, timestamp now) {
  auto out = fmt::format("{}  {}\n", cell(agent, "slug"), cell(agent, "name"));
  out += fmt::format("  id              {}\n", cell(agent, "id"));
  if (const auto text = cell(agent, "description"); text != "-")
    out += fmt::format("  description     {}\n", text);
  out += fmt::format("  active version  {}\n", cell(agent, "active_version"));
  out += fmt::format("  created         {}\n", relative_cell(agent, "created_at", now));
  return out;
}

std::string versions_text(const json::value& versions, timestamp now) {
  table rows{{"VERSION", "STATUS", "CREATED"}};
  for (const auto version : versions.children())
    rows.row({cell(version, "version"), cell(version, "status"),
              relative_cell(version, "created_at", now)});
  return rows.text(wants_colour());
}

void show_agent(const api& server, const http_reply& reply) {
  if (server.json())
    return print(reply.body + "\n");
  const auto document = parsed(reply.body);
  const auto now = system_wall_clock{}.now();
  print(agent_text(document.root(), now));
  if (const auto versions = document.root().find("versions"); versions && versions->size() > 0)
    print("\n" + versions_text(*versions, now));
}

int create(const agent_options& asked) {
  std::string body;
  if (!asked.from.empty()) {
    body = object_text(asked.from);
  } else {
    if (asked.name.empty())
      throw command_failure{exit_wrong, "give --name, or the whole body with --from FILE"};
    json_writer writer{body};
    writer.begin_object().member("name", asked.name);
    if (!asked.slug.empty())
      writer.member("slug", asked.slug);
    if (!asked.description.empty())
      writer.member("description", asked.description);
    if (!asked.recipe.empty())
      writer.raw_member("recipe", object_text(asked.recipe));
    writer.end_object();
  }
  const api server{asked};
  show_agent(server, server.post("/api/v1/agents", body));
  return exit_done;
}

int list_agents(const agent_options& asked) {
  const api server{asked};
  print_list(server.json(), server.list("/api/v1/agents", asked.limit), [](const auto& agents) {
    const auto now = system_wall_clock{}.now();
    table rows{{"SLUG", "NAME", "ACTIVE", "CREATED", "ID"}};
    for (const auto& agent : agents)
      rows.row({cell(agent.root(), "slug"), cell(agent.root(), "name"),
                cell(agent.root(), "active_version"),
                relative_cell(agent.root(), "created_at", now), cell(agent.root(), "id")});
    return rows.empty() ? std::string{"no agents yet\n"} : rows.text(wants_colour());
  });
  return exit_done;
}

std::string path_of(const agent_options& asked) {
  return "/api/v1/agents/" + segment(asked.agent);
}

int show(const agent_options& asked) {
  const api server{asked};
  show_agent(server, server.get(path_of(asked)));
  return exit_done;
}

int versions(const agent_options& asked) {
  const api server{asked};
  const auto target = path_of(asked) + "/versions";
  if (asked.version != 0) {
    const auto reply = server.get(fmt::format("{}/{}", target, asked.version));
    print(server.json() ? reply.body + "\n" : pretty(parsed(reply.body).root()) + "\n");
    return exit_done;
  }
  const auto reply = server.get(target);
  print(server.json() ? reply.body + "\n"
                      : versions_text(parsed(reply.body).root(), system_wall_clock{}.now()));
  return exit_done;
}

http_reply set_status(const api& server, const agent_options& asked, std::string_view version,
                      std::string_view status) {
  std::string body;
  json_writer{body}.begin_object().member("status", status).end_object();
  return server.patch(fmt::format("{}/versions/{}", path_of(asked), version), body);
}

void show_version(const api& server, const http_reply& reply) {
  if (server.json())
    return print(reply.body + "\n");
  const auto document = parsed(reply.body);
  print(fmt::format("version {} is {}\n", cell(document.root(), "version"),
                    cell(document.root(), "status")));
}

int revise(const agent_options& asked) {
  std::string body;
  json_writer{body}.begin_object().raw_member("recipe", object_text(asked.recipe)).end_object();
  const api server{asked};
  auto reply = server.post(path_of(asked) + "/versions", body);
  if (asked.activate) {
    const auto document = parsed(reply.body);
    reply = set_status(server, asked, cell(document.root(), "version"), "active");
  }
  show_version(server, reply);
  return exit_done;
}

int change(const agent_options& asked, std::string_view status) {
  const api server{asked};
  show_version(server, set_status(server, asked, std::to_string(asked.version), status));
  return exit_done;
}

void add_versions(CLI::App& noun, command& chosen) {
  const auto of = std::make_shared<agent_options>();
  auto& list_verb = add_verb(noun, chosen, "versions", "List the versions of an agent, or show one",
                             of, versions);
  list_verb.add_option("AGENT", of->agent, "Id or slug")->required();
  list_verb.add_option("VERSION", of->version, "Show this version with its recipe");
  list_verb.footer("Example:\n  runledger agents versions wordcount 2");

  const auto next = std::make_shared<agent_options>();
  auto& revise_verb = add_verb(noun, chosen, "revise", "Add a version, as a draft", next, revise);
  revise_verb.add_option("AGENT", next->agent, "Id or slug")->required();
  revise_verb.add_option("--recipe", next->recipe, "File with the recipe; - is stdin")->required();
  revise_verb.add_flag("--activate", next->activate, "Make the new version active at once");
  revise_verb.footer(
      "Example:\n  runledger agents revise wordcount --recipe recipe.json --activate");

  const auto up = std::make_shared<agent_options>();
  auto& activate_verb = add_verb(
      noun, chosen, "activate", "Make a version active", up,
      +[](const agent_options& asked) { return change(asked, "active"); });
  activate_verb.add_option("AGENT", up->agent, "Id or slug")->required();
  activate_verb.add_option("VERSION", up->version, "Its number")->required();
  activate_verb.footer("Example:\n  runledger agents activate wordcount 2");

  const auto down = std::make_shared<agent_options>();
  auto& archive_verb = add_verb(
      noun, chosen, "archive", "Take a version out of use", down,
      +[](const agent_options& asked) { return change(asked, "archived"); });
  archive_verb.add_option("AGENT", down->agent, "Id or slug")->required();
  archive_verb.add_option("VERSION", down->version, "Its number")->required();
  archive_verb.footer("Example:\n  runledger agents archive wordcount 1");
}

} // namespace

void add_agents(CLI::App& app, command& chosen) {
  auto& noun = *app.add_subcommand("agents", "Create agents, list them, change their versions");
  noun.require_subcommand(1);

  const auto made = std::make_shared<agent_options>();
  auto& create_verb = add_verb(noun, chosen, "create",
                               "Create an agent; its recipe becomes version 1", made, create);
  create_verb.add_option("--name", made->name, "Name, 1 to 128 characters");
  create_verb.add_option("--slug", made->slug,
                         "Short name for addresses (else made from the name)");
  create_verb.add_option("--description", made->description, "What the agent does");
  create_verb.add_option("--recipe", made->recipe, "File with the recipe; - is stdin");
  create_verb.add_option("--from", made->from, "File with the whole body; - is stdin")
      ->excludes("--name")
      ->excludes("--recipe")
      ->excludes("--slug")
      ->excludes("--description");
  create_verb.footer("Examples:\n"
                     "  runledger agents create --name 'Word count' --recipe recipe.json\n"
                     "  examples/agents/make_recipe.py examples/agents/wordcount | runledger "
                     "agents create --from -");

  const auto listed = std::make_shared<agent_options>();
  auto& list_verb =
      add_verb(noun, chosen, "list", "List agents, newest first", listed, list_agents);
  list_verb.add_option("--limit", listed->limit, "At most so many")->capture_default_str();
  list_verb.footer("Example:\n  runledger agents list --limit 10");

  const auto shown = std::make_shared<agent_options>();
  auto& show_verb = add_verb(noun, chosen, "show", "Show an agent with its versions", shown, show);
  show_verb.add_option("AGENT", shown->agent, "Id or slug")->required();
  show_verb.footer("Example:\n  runledger agents show wordcount");

  add_versions(noun, chosen);
  noun.footer("Examples:\n"
              "  runledger agents create --name 'Word count' --recipe recipe.json\n"
              "  runledger agents show wordcount");
}

} // namespace runledger::cli
