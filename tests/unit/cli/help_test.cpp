// Goal: the help of every command, found by walking the command line's own tree, has an example of
// that command, and every example is a call that is understood.

#include "cli/command.hpp"

#include <CLI/CLI.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <sstream>

namespace runledger::cli {

namespace {

/// A command line and what it chose, without running it.
struct command_line {
  command_line() { add_commands(app, chosen); }
  command chosen;
  CLI::App app{"Runledger", "runledger"};
};

/// The lines of a help's footer that are calls, without what a shell would do with them.
std::vector<std::string> examples_in(const CLI::App& app) {
  std::vector<std::string> out;
  std::istringstream lines{app.get_footer()};
  for (std::string line; std::getline(lines, line);) {
    const auto begin = line.rfind("runledger ");
    if (line.starts_with("  ") && begin != std::string::npos)
      out.push_back(line.substr(begin, line.find(')', begin) - begin));
  }
  return out;
}

using visitor = std::function<void(const CLI::App&, const std::string& path)>;

void walk(const CLI::App& app, const std::string& path, const visitor& visit) {
  visit(app, path);
  for (const auto* each : app.get_subcommands([](const CLI::App*) { return true; }))
    if (!each->get_name().empty()) // A group of options is an app without a name.
      walk(*each, path + ' ' + each->get_name(), visit);
}

} // namespace

TEST(help, every_command_has_an_example_of_itself) {
  const command_line all;
  int commands = 0;
  walk(all.app, "runledger", [&](const CLI::App& app, const std::string& path) {
    ++commands;
    const auto examples = examples_in(app);
    EXPECT_THAT(examples, ::testing::Contains(::testing::StartsWith(path))) << app.get_footer();
    EXPECT_THAT(app.help(), ::testing::HasSubstr(app.get_footer()));
  });
  EXPECT_GT(commands, 25);
}

TEST(help, every_example_is_understood) {
  const command_line all;
  walk(all.app, "runledger", [](const CLI::App& app, const std::string&) {
    for (const auto& example : examples_in(app)) {
      command_line asked;
      try {
        asked.app.parse(example, true);
        EXPECT_TRUE(asked.chosen) << example;
      } catch (const CLI::CallForHelp&) {
        continue;
      } catch (const CLI::ParseError& why) {
        ADD_FAILURE() << example << ": " << why.what();
      }
    }
  });
}

} // namespace runledger::cli
