#include "cli/command.hpp"
#include "cli/output.hpp"
#include "cli/serve.hpp"
#include "cli/settings_table.hpp"
#include "events/json_writer.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <memory>

namespace runledger::cli {

namespace {

struct serve_options {
  std::string config;
  bool print_config = false, json = false;
  std::vector<std::pair<std::string, CLI::Option*>> flags; // The flag's name and what was given.
  std::vector<std::string> rest;                           // For keys with a name in them.
};

/// `--secrets.NAME.env X` and `--secrets.NAME.env=X`, in the order in which they came.
void add_rest(const std::vector<std::string>& rest, settings_sources& from) {
  for (std::size_t i = 0; i < rest.size(); ++i) {
    if (!rest[i].starts_with("--"))
      throw command_failure{exit_wrong, fmt::format("`{}` is not expected here", rest[i])};
    const auto equals = rest[i].find('=');
    if (equals != std::string::npos)
      from.flags.emplace_back(rest[i].substr(2, equals - 2), rest[i].substr(equals + 1));
    else if (i + 1 < rest.size() && !rest[i + 1].starts_with("--"))
      from.flags.emplace_back(rest[i].substr(2), rest[i + 1]), ++i;
    else
      from.flags.emplace_back(rest[i].substr(2), "");
  }
}

[[noreturn]] void refuse(const settings_error& error) {
  std::string text = "the settings cannot be used";
  for (const auto& problem : error.problems)
    text += "\n  " + printable(problem);
  throw command_failure{exit_wrong, text};
}

void print_config(const loaded_settings& loaded, bool json) {
  if (!json) {
    std::size_t widest = 0;
    for (const auto& line : loaded.shown)
      widest = std::max(widest, line.key.size() + line.value.size());
    for (const auto& line : loaded.shown)
      print(fmt::format("{} = {}{:{}}  # {}\n", line.key, line.value, "",
                        widest - line.key.size() - line.value.size(), line.origin));
    return;
  }
  std::string out;
  json_writer writer{out};
  writer.begin_array();
  for (const auto& line : loaded.shown)
    writer.begin_object()
        .member("key", line.key)
        .member("value", line.value)
        .member("origin", line.origin)
        .end_object();
  writer.end_array();
  print(out + "\n");
}

int run(const serve_options& asked) {
  auto from = read_settings_sources(asked.config);
  if (!from)
    refuse(from.error());
  for (const auto& [name, option] : asked.flags) {
    if (option->count() == 0)
      continue;
    auto text = option->results().empty() ? std::string{} : option->results().back();
    if (text.empty() && option->get_expected_min() == 0)
      text = "true"; // A switch without a value.
    from->flags.emplace_back(name, std::move(text));
  }
  add_rest(asked.rest, *from);
  const auto loaded = load_settings(*from);
  if (!loaded)
    refuse(loaded.error());
  for (const auto& warning : loaded->warnings)
    fmt::print(stderr, "runledger: warning: {}\n", printable(warning));
  if (asked.print_config) {
    print_config(*loaded, asked.json);
    return exit_done;
  }
  return serve(loaded->values);
}

void add_flags(CLI::App& verb, serve_options& asked) {
  for (const auto& spec : key_specs()) {
    if (spec.is_pattern())
      continue;
    const auto dot = spec.name.find('.');
    auto help = std::string{spec.help};
    if (!spec.choices.empty())
      help += fmt::format(" ({})", spec.choices);
    if (!spec.fallback.empty())
      help += fmt::format(" [{}]", spec.fallback);
    const auto name = flag_name(spec.name);
    auto* option =
        verb.add_option("--" + name)
            ->description(help)
            ->group(dot == std::string_view::npos ? "Server"
                                                  : std::string{spec.name.substr(0, dot)})
            ->take_last();
    if (spec.type == value_type::boolean)
      option->expected(0, 1);
    asked.flags.emplace_back(name, option);
  }
}

} // namespace

void add_serve(CLI::App& app, command& chosen) {
  const auto asked = std::make_shared<serve_options>();
  auto& verb = *app.add_subcommand("serve", "Run the server");
  verb.add_option("--config", asked->config,
                  "TOML file with settings (else RUNLEDGER_CONFIG, else none)");
  verb.add_flag("--print-config", asked->print_config,
                "Print every setting with its origin, as TOML, and end");
  verb.add_flag("--json", asked->json, "With --print-config: as JSON");
  add_flags(verb, *asked);
  verb.allow_extras();
  verb.footer("Every setting is a key of the file (http.body_limit), a variable "
              "(RUNLEDGER_HTTP_BODY_LIMIT) and a "
              "flag; the flag beats the variable, the variable the file. Secrets, models and tools "
              "have a name in "
              "the key: --secrets.NAME.env VARIABLE.\n"
              "Examples:\n"
              "  runledger serve --data /var/lib/runledger\n"
              "  runledger serve --config runledger.toml --http.body-limit 16MiB --print-config");
  verb.callback([&chosen, asked, &verb] {
    asked->rest = verb.remaining();
    chosen = [asked] { return run(*asked); };
  });
}

} // namespace runledger::cli
