#include "tests/support/event_schemas.hpp"

#include "events/json_schema.hpp"

#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <unordered_map>

namespace runledger::test {

namespace {

const std::string folder = RUNLEDGER_SOURCE_DIR "/docs/schemas/";
constexpr std::string_view dialect =
    R"("$schema": "https://json-schema.org/draft/2020-12/schema",)";

std::string read_file(const std::string& path) {
  std::ifstream file{path, std::ios::binary};
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string replaced(std::string text, std::string_view what, std::string_view by) {
  for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + by.size()))
    text.replace(at, what.size(), by);
  return text;
}

/// What the schemas share, as a member of a schema in draft 7.
std::string definitions() {
  const auto text = read_file(folder + "common.json");
  const auto parsed = json::parse(text);
  const auto shared = parsed ? parsed->root().find("$defs") : std::nullopt;
  if (!shared)
    throw std::runtime_error(folder + "common.json has no $defs");
  return "\"definitions\":" + replaced(std::string{shared->raw()}, "#/$defs/", "#/definitions/");
}

using compiled_ptr = std::shared_ptr<const json_schema::compiled>;

std::unordered_map<std::string, compiled_ptr> compile_all() {
  std::unordered_map<std::string, compiled_ptr> out;
  for (const auto& file : std::filesystem::directory_iterator{folder}) {
    const auto type = "dev.runledger." + file.path().stem().string();
    if (file.path().filename() == "common.json")
      continue;
    const auto text = schema_text(type);
    const auto parsed = json::parse(text);
    if (!parsed)
      throw std::runtime_error(file.path().string() + ": " + parsed.error().message);
    auto made = json_schema::compiled::make(parsed->root());
    if (!made)
      throw std::runtime_error(file.path().string() + ": " + made.error().front().message);
    out.emplace(type, std::move(*made));
  }
  return out;
}

} // namespace

std::string schema_text(const std::string& full_type) {
  static const auto shared = definitions();
  const auto parts = split_type(full_type);
  if (!parts)
    return {};
  auto text = read_file(folder + std::string{parts->name} + ".v" + std::to_string(parts->version)
                        + ".json");
  if (text.empty())
    return {};
  text = replaced(replaced(std::move(text), "common.json#/$defs/", "#/definitions/"), dialect, "");
  return text.substr(0, text.rfind('}')) + "," + shared + "}";
}

std::string schema_mismatch(const envelope& e) {
  static const auto schemas = compile_all();
  const auto found = schemas.find(e.type);
  if (found == schemas.end())
    return "there is no schema of " + e.type + " in docs/schemas";
  const auto data = json::parse(e.data);
  if (!data)
    return e.id() + " (" + e.type + ") has no JSON: " + data.error().message;
  const auto mismatch = found->second->validate(data->root());
  if (!mismatch)
    return {};
  return e.id() + " (" + e.type + ") does not fit its schema at `" + mismatch->path
         + "`: " + mismatch->message + " " + e.data;
}

} // namespace runledger::test
