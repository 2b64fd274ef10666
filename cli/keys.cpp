#include "cli/output.hpp"
#include "cli/settings_values.hpp"
#include "cli/verb.hpp"
#include "events/json_writer.hpp"

#include <fmt/format.h>

namespace runledger::cli {

namespace {

struct key_options : client_options {
  std::string workspace, scopes, name, expires_at, id;
};

std::string joined(const json::value& object, std::string_view member) {
  std::string out;
  if (const auto found = object.find(member); found && found->is_array())
    for (const auto item : found->children())
      if (item.is_string())
        out += (out.empty() ? "" : ",") + printable(item.string());
  return out.empty() ? "-" : out;
}

int create(const key_options& asked) {
  std::string body;
  json_writer writer{body};
  writer.begin_object().member("name", asked.name).key("scopes").begin_array();
  for (const auto& scope : split_list(asked.scopes))
    writer.value(scope);
  writer.end_array();
  if (!asked.workspace.empty())
    writer.member("workspace", asked.workspace);
  if (!asked.expires_at.empty())
    writer.member("expires_at", asked.expires_at);
  writer.end_object();
  const api server{asked};
  const auto reply = server.post_once("/api/v1/keys", body);
  if (server.json()) {
    print(reply.body + "\n");
    return exit_done;
  }
  const auto document = parsed(reply.body);
  const auto key = document.root();
  // The key alone on stdout, so that it can go into a file or a variable.
  fmt::print(stderr, "{} in workspace {}, scopes {}. The key is shown only now:\n", cell(key, "id"),
             cell(key, "workspace"), joined(key, "scopes"));
  print(cell(key, "key") + "\n");
  return exit_done;
}

int list_keys(const key_options& asked) {
  const api server{asked};
  print_list(server.json(), server.list("/api/v1/keys", 100'000), [](const auto& keys) {
    const auto now = system_wall_clock{}.now();
    table rows{{"NAME", "WORKSPACE", "SCOPES", "CREATED", "EXPIRES", "ID"}};
    for (const auto& document : keys) {
      const auto key = document.root();
      rows.row({cell(key, "name"), cell(key, "workspace"), joined(key, "scopes"),
                relative_cell(key, "created_at", now), relative_cell(key, "expires_at", now),
                cell(key, "id")});
    }
    return rows.text(wants_colour());
  });
  return exit_done;
}

int revoke(const key_options& asked) {
  const api server{asked};
  server.remove("/api/v1/keys/" + segment(asked.id));
  if (!server.json())
    print(fmt::format("{} is revoked\n", printable(asked.id)));
  return exit_done;
}

} // namespace

void add_keys(CLI::App& app, command& chosen) {
  auto& noun = *app.add_subcommand("keys", "Create, list and revoke API keys");
  noun.require_subcommand(1);

  const auto made = std::make_shared<key_options>();
  auto& create_verb =
      add_verb(noun, chosen, "create", "Create a key and show it once", made, create);
  create_verb.add_option("--name", made->name, "What the key is for")->required();
  create_verb
      .add_option("--scopes", made->scopes, "read, write, budget, worker, admin; with commas")
      ->required();
  create_verb.add_option("--workspace", made->workspace, "Its workspace (else the caller's)");
  create_verb.add_option("--expires-at", made->expires_at, "RFC 3339 time");
  create_verb.footer(
      "Example:\n"
      "  RUNLEDGER_API_KEY=$(runledger keys create --name ci --workspace default --scopes write)");

  const auto listed = std::make_shared<key_options>();
  auto& list_verb =
      add_verb(noun, chosen, "list", "List the keys, without their secrets", listed, list_keys);
  list_verb.footer("Example:\n  runledger keys list --json");

  const auto revoked = std::make_shared<key_options>();
  auto& revoke_verb = add_verb(noun, chosen, "revoke", "Revoke a key, at once", revoked, revoke);
  revoke_verb.add_option("ID", revoked->id, "The key's id, key_...")->required();
  revoke_verb.footer("Example:\n  runledger keys revoke key_01J9...");
  noun.footer("Examples:\n"
              "  runledger keys create --name ci --workspace default --scopes write\n"
              "  runledger keys list");
}

} // namespace runledger::cli
