#include "events/json.hpp"
#include "http/openapi.hpp"
#include "http/routes/table.hpp"

#include <algorithm>
#include <gtest/gtest.h>
#include <map>
#include <set>

namespace runledger {
namespace {

json::document read_description() {
  auto parsed = json::parse(http::openapi_text());
  EXPECT_TRUE(parsed) << parsed.error().message;
  return std::move(*parsed);
}

std::string lower(std::string_view text) {
  std::string out{text};
  std::ranges::transform(out, out.begin(), [](unsigned char c) { return std::tolower(c); });
  return out;
}

/// Follows a `$ref` of the document; the value itself if it is none.
json::value resolved(const json::value& root, const json::value& v) {
  const auto ref = v.find("$ref");
  if (!ref)
    return v;
  auto at = root;
  for (auto rest = ref->string().substr(2); !rest.empty();) {
    const auto end = std::min(rest.find('/'), rest.size());
    auto next = at.find(rest.substr(0, end));
    EXPECT_TRUE(next) << ref->string();
    at = *next;
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return at;
}

void each_ref(const json::value& v, const std::function<void(const json::value&)>& visit) {
  if (v.find("$ref"))
    visit(v);
  for (auto child : v.children())
    each_ref(child, visit);
}

/// The operation of a route; it must be there.
json::value operation_of(const json::value& root, const http::route& r) {
  const auto path = root.find("paths")->find(r.pattern);
  EXPECT_TRUE(path) << r.pattern;
  const auto operation = path->find(lower(http::name_of(r.method)));
  EXPECT_TRUE(operation) << http::name_of(r.method) << ' ' << r.pattern;
  return *operation;
}

std::set<std::string> parameters_of(const json::value& root, const json::value& operation,
                                    std::string_view where) {
  std::set<std::string> out;
  if (const auto list = operation.find("parameters"))
    for (auto each : list->children()) {
      const auto p = resolved(root, each);
      if (p.find("in")->string() == where)
        out.emplace(p.find("name")->string());
    }
  return out;
}

std::set<std::string> path_parameters(std::string_view pattern) {
  std::set<std::string> out;
  for (auto open = pattern.find('{'); open != pattern.npos; open = pattern.find('{', open + 1))
    out.emplace(pattern.substr(open + 1, pattern.find('}', open) - open - 1));
  return out;
}

// Goal: what is served is described, and what is described is served.
TEST(openapi, has_exactly_the_routes) {
  const auto document = read_description();
  std::set<std::string> served, described;
  for (const auto& r : http::route_table())
    if (r.who != http::access::node) // Those are nobody's but other nodes'.
      served.insert(lower(http::name_of(r.method)) + ' ' + std::string{r.pattern});
  for (auto path : document.root().find("paths")->children())
    for (auto operation : path.children())
      described.insert(std::string{operation.name()} + ' ' + std::string{path.name()});
  EXPECT_EQ(served, described);
}

// Goal: each operation names its path parameters, its body, its scope and its errors as the route
// has them.
TEST(openapi, operations_agree_with_their_routes) {
  const auto document = read_description();
  const auto root = document.root();
  for (const auto& r : http::route_table()) {
    if (r.who == http::access::node)
      continue;
    SCOPED_TRACE(std::string{http::name_of(r.method)} + ' ' + std::string{r.pattern});
    const auto operation = operation_of(root, r);
    const auto answers = operation.find("responses");
    EXPECT_EQ(parameters_of(root, operation, "path"), path_parameters(r.pattern));
    EXPECT_EQ(operation.find("requestBody").has_value(), r.body != http::body_kind::none);
    EXPECT_EQ(parameters_of(root, operation, "header").contains("Idempotency-Key"),
              r.method == http::verb::post);
    const bool open = r.who == http::access::open;
    EXPECT_EQ(operation.find("security").has_value(), open);
    EXPECT_EQ(answers->find("401").has_value(), !open);
    EXPECT_EQ(answers->find("415").has_value(), r.body != http::body_kind::none);
    for (const char* always : {"400", "413", "429", "431", "503"})
      EXPECT_TRUE(answers->find(always)) << always;
    if (r.pattern.find('{') != r.pattern.npos && !open) {
      EXPECT_TRUE(answers->find("404"));
    }
    constexpr std::pair<http::scope, std::string_view> names[] = {{http::scope::read, "`read`"},
                                                                  {http::scope::write, "`write`"},
                                                                  {http::scope::admin, "`admin`"}};
    for (const auto& [scope, name] : names)
      if (r.needs == scope) {
        EXPECT_NE(operation.find("description")->string().find(name), std::string_view::npos);
      }
  }
}

// Goal: every operation has one success at least, every answer with a body a schema, and every
// operationId stands once.
TEST(openapi, is_complete) {
  const auto document = read_description();
  const auto root = document.root();
  std::set<std::string> ids;
  for (auto path : root.find("paths")->children())
    for (auto operation : path.children()) {
      SCOPED_TRACE(operation.find("operationId")->string());
      EXPECT_TRUE(ids.emplace(operation.find("operationId")->string()).second);
      bool succeeds = false;
      for (auto answer : operation.find("responses")->children()) {
        succeeds = succeeds || answer.name().starts_with('2') || answer.name() == "101";
        const auto full = resolved(root, answer);
        EXPECT_TRUE(full.find("description"));
        if (const auto content = full.find("content")) {
          for (auto kind : content->children())
            EXPECT_TRUE(kind.find("schema")) << kind.name();
        }
        if (answer.name() >= "400") {
          EXPECT_TRUE(full.find("content")->find("application/problem+json"));
        }
      }
      EXPECT_TRUE(succeeds);
    }
}

// Goal: no reference hangs in the air.
TEST(openapi, references_resolve) {
  const auto document = read_description();
  std::size_t count = 0;
  each_ref(document.root(), [&](const json::value& v) {
    EXPECT_TRUE(resolved(document.root(), v).is_object());
    ++count;
  });
  EXPECT_GT(count, 100u);
}

} // namespace
} // namespace runledger
