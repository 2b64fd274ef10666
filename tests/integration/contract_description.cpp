#include "tests/integration/contract_description.hpp"

#include "events/json_schema.hpp"
#include "events/json_writer.hpp"
#include "http/openapi.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <fstream>

namespace runledger::contract {

namespace {

std::vector<std::string_view> segments(std::string_view path) {
  std::vector<std::string_view> out;
  while (path.starts_with('/')) {
    path.remove_prefix(1);
    const auto end = std::min(path.find('/'), path.size());
    out.push_back(path.substr(0, end));
    path.remove_prefix(end);
  }
  return out;
}

/// How many segments of the pattern are fixed; -1: the path does not meet it.
int fixed_matches(std::string_view pattern, std::string_view path) {
  const auto wanted = segments(pattern), given = segments(path);
  if (wanted.size() != given.size())
    return -1;
  int fixed = 0;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (wanted[i].starts_with('{') ? given[i].empty() : wanted[i] != given[i])
      return -1;
    fixed += wanted[i].starts_with('{') ? 0 : 1;
  }
  return fixed;
}

std::string media_type_of(const test::http_answer& answer) {
  const auto full = answer.header("Content-Type");
  return full.substr(0, full.find(';'));
}

/// Whether the object is closed by this test: a recipe is the caller's, extras and all.
bool may_close(const json::value& schema, std::string_view name) {
  return schema.find("properties") && !schema.find("additionalProperties") && name != "Recipe"
         && name != "Harness";
}

/// The schema again, with references into `definitions` and with objects closed. `name`: of the
/// component, if it is one; inside of a recipe nothing is closed.
void rewrite(const json::value& v, std::string_view name, bool closing, json_writer& to) {
  if (v.is_array()) {
    to.begin_array();
    for (auto each : v.children())
      rewrite(each, {}, closing, to);
    to.end_array();
    return;
  }
  if (!v.is_object()) {
    to.raw(v.raw());
    return;
  }
  closing = closing && name != "Recipe" && name != "Harness";
  to.begin_object();
  for (auto each : v.children()) {
    if (each.name() == "discriminator")
      continue; // A hint for generators, beside the `oneOf` that says the same.
    to.key(each.name());
    constexpr std::string_view components = "#/components/schemas/";
    if (each.name() == "$ref" && each.is_string() && each.string().starts_with(components))
      to.value("#/definitions/" + std::string{each.string().substr(components.size())});
    else
      rewrite(each, {}, closing, to);
  }
  if (closing && may_close(v, name))
    to.member("additionalProperties", false);
  to.end_object();
}

/// Watches every client of this process; at its end leaves what was seen where CMake wants it.
class watch_answers final : public testing::Environment {
public:
  void SetUp() override {
    test::http_client::watch(
        [](std::string_view method, std::string_view target, const test::http_answer& answer) {
          for (const auto& problem : description::of_the_api().problems(method, target, answer))
            ADD_FAILURE() << "openapi.json: " << method << ' ' << target << ' ' << answer.status
                          << ": " << problem << "\n"
                          << answer.body.substr(0, 2000);
        });
  }
  void TearDown() override {
    const char* file = std::getenv("CONTRACT_SEEN");
    if (file == nullptr)
      return;
    std::ofstream out{file};
    for (const auto& each : description::of_the_api().seen())
      out << each << '\n';
  }
};
// gtest owns it.
[[maybe_unused]] const auto* const watching =
    testing::AddGlobalTestEnvironment(new watch_answers); // NOLINT

} // namespace

description& description::of_the_api() {
  static description one;
  return one;
}

description::description() : document_(std::move(*json::parse(http::openapi_text()))) {
  json_writer to{definitions_};
  to.begin_object();
  for (auto each : document_.root().find("components")->find("schemas")->children()) {
    to.key(each.name());
    rewrite(each, each.name(), true, to);
  }
  to.end_object();
}

json::value description::resolved(json::value v) const {
  const auto ref = v.find("$ref");
  if (!ref)
    return v;
  auto at = document_.root();
  for (auto part : segments(ref->string().substr(1)))
    at = *at.find(part);
  return at;
}

description::found description::find(std::string_view method, std::string_view path) const {
  std::optional<json::value> best;
  int fixed = -1;
  for (auto each : document_.root().find("paths")->children())
    if (const auto n = fixed_matches(each.name(), path); n > fixed) {
      best = each;
      fixed = n;
    }
  if (!best)
    return {};
  std::string name{method == "HEAD" ? "GET" : method};
  std::ranges::transform(name, name.begin(), [](unsigned char c) { return std::tolower(c); });
  return {best->find(name), true};
}

std::vector<std::string> description::problems(std::string_view method, std::string_view target,
                                               const test::http_answer& answer) {
  std::vector<std::string> out;
  if (answer.status == 0)
    return out; // None came.
  if (answer.header("Runledger-Request-Id").empty())
    out.emplace_back("no Runledger-Request-Id");
  const auto where = find(method, target.substr(0, target.find('?')));
  const auto status = std::to_string(answer.status);
  if (!where.operation) {
    // Said once for the whole API, in its description: what is not there.
    if (answer.status < 400 || answer.status == (where.path_known ? 404 : 405))
      out.push_back("no such operation is described");
    if (media_type_of(answer) != "application/problem+json")
      out.push_back("another media type than application/problem+json");
    else if (method != "HEAD")
      fit(component("Problem"), answer.body, out);
    return out;
  }
  const auto described = where.operation->find("responses")->find(status);
  if (!described) {
    out.push_back("this status is not described");
    return out;
  }
  const auto content = resolved(*described).find("content");
  std::string media;
  if (!content && !(answer.body.empty() && answer.header("Content-Type").empty())) {
    out.push_back("a body is not described");
  } else if (content && method != "HEAD") {
    check_body(*content, answer, out);
    media = content->find("*/*") ? "*/*" : media_type_of(answer);
  }
  if (out.empty() && answer.status < 400 && method != "HEAD") {
    const std::lock_guard held{lock_};
    seen_.insert(std::string{where.operation->find("operationId")->string()} + ' ' + status
                 + (media.empty() ? "" : ' ' + media));
  }
  return out;
}

void description::check_body(const json::value& content, const test::http_answer& answer,
                             std::vector<std::string>& out) {
  const auto media = media_type_of(answer);
  auto described = content.find(media);
  if (!described)
    described = content.find("*/*");
  if (!described) {
    out.push_back("the media type `" + media + "` is not described");
    return;
  }
  if (media == "application/json" || media == "application/problem+json") {
    fit(standalone(*described->find("schema")), answer.body, out);
    return;
  }
  if (media != "text/event-stream")
    return;
  for (std::string_view rest = answer.body; !rest.empty();) {
    const auto line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    if (line.starts_with("data: ") && out.empty())
      fit(component("TimelineItem"), line.substr(6), out);
  }
}

std::string description::standalone(const json::value& schema) const {
  std::string one;
  json_writer to{one};
  rewrite(schema, {}, true, to);
  return R"({"allOf":[)" + one + R"(],"definitions":)" + definitions_ + '}';
}

std::string description::component(std::string_view name) const {
  return R"({"allOf":[{"$ref":"#/definitions/)" + std::string{name} + R"("}],"definitions":)"
         + definitions_ + '}';
}

void description::fit(const std::string& schema, std::string_view body,
                      std::vector<std::string>& out) {
  const auto value = json::parse(body);
  if (!value) {
    out.push_back("the body is no JSON: " + value.error().message);
    return;
  }
  {
    const std::lock_guard held{lock_};
    if (checked_.insert(schema).second)
      for (const auto& problem : json_schema::check(json::parse(schema)->root()))
        out.push_back("the schema cannot be checked: " + problem.message);
  }
  if (!out.empty())
    return;
  if (const auto bad = json_schema::validate(schema, value->root()))
    out.push_back("the body does not fit at `" + bad->path + "`: " + bad->message);
}

std::set<std::string> description::seen() const {
  const std::lock_guard held{lock_};
  return seen_;
}

std::set<std::string> description::described() const {
  std::set<std::string> out;
  for (auto path : document_.root().find("paths")->children())
    for (auto operation : path.children())
      for (auto answer : operation.find("responses")->children()) {
        if (answer.name() >= "400")
          continue;
        const auto begin =
            std::string{operation.find("operationId")->string()} + ' ' + std::string{answer.name()};
        const auto content = resolved(answer).find("content");
        if (!content)
          out.insert(begin);
        else
          for (auto media : content->children())
            out.insert(begin + ' ' + std::string{media.name()});
      }
  return out;
}

} // namespace runledger::contract
