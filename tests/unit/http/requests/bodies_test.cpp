#include "http/requests/change_version.hpp"
#include "http/requests/create_agent.hpp"
#include "http/requests/create_key.hpp"
#include "http/requests/create_workspace.hpp"
#include "http/requests/fork_run.hpp"
#include "http/requests/post_message.hpp"
#include "http/requests/slug.hpp"
#include "http/requests/start_run.hpp"

#include <gtest/gtest.h>

namespace runledger::http {
namespace {

/// `type @ body/recipe/...` of every entry in `errors`, or the code where there is none.
std::string said(const problem& p) {
  if (p.errors.empty())
    return p.code;
  std::string out;
  for (const auto& e : p.errors) {
    out += (out.empty() ? "" : "; ") + e.type + " @ ";
    for (const auto& part : e.loc)
      out += std::visit(overloaded{[](const std::string& name) { return '/' + name; },
                                   [](std::uint64_t at) { return '/' + std::to_string(at); }},
                        part);
  }
  return out;
}

/// What a reader says of a body: `fine`, or its complaints.
template <class Read>
std::string reading(Read read, const std::string& text) {
  auto body = parse_object(text);
  if (!body)
    return said(body.error());
  auto out = read(body->root());
  return out ? "fine" : said(out.error());
}

// Goal: what is not a JSON object is refused with the code of its kind.
TEST(request_bodies, must_be_objects) {
  const auto start = [](const std::string& text) { return reading(read_start_run, text); };
  EXPECT_EQ(start(""), "malformed_json");
  EXPECT_EQ(start("{"), "malformed_json");
  EXPECT_EQ(start("{} x"), "malformed_json");
  EXPECT_EQ(start(R"({"a":1,"\u0061":2})"), "duplicate_member");
  EXPECT_EQ(start("{\"a\":\"\xff\"}"), "bad_utf8");
  EXPECT_EQ(start("\xef\xbb\xbf{}"), "byte_order_mark");
  EXPECT_EQ(start(R"({"a":1e400})"), "number_out_of_range");
  EXPECT_EQ(start(R"({"a":)" + std::string(300, '[') + std::string(300, ']') + "}"), "too_deep");
  for (const char* text : {"[]", "\"x\"", "5", "null"})
    EXPECT_EQ(start(text), "object_type @ /body") << text;
  EXPECT_EQ(parse_object("{").error().status, status::bad_request);
  EXPECT_EQ(parse_object("[]").error().status, status::unprocessable);
}

// Goal: a run takes a prompt or a state, and passes it on as it was written.
TEST(request_bodies, start_run) {
  const auto start = [](const std::string& text) { return reading(read_start_run, text); };
  EXPECT_EQ(start(R"({"prompt":"hi","unknown":1})"), "fine");
  EXPECT_EQ(start(R"({"initial_state":{},"prompt":null})"), "fine");
  EXPECT_EQ(start("{}"), "missing @ /body");
  EXPECT_EQ(start(R"({"prompt":"a","initial_state":{}})"), "mutually_exclusive @ /body");
  EXPECT_EQ(start(R"({"prompt":5})"), "string_type @ /body/prompt");
  EXPECT_EQ(start(R"({"prompt":""})"), "string_too_short @ /body/prompt");
  EXPECT_EQ(start(R"({"initial_state":[1]})"), "object_type @ /body/initial_state");
  const auto body =
      parse_object(R"({"initial_state": {"n": 0.1000, "m":12345678901234567890123}})");
  EXPECT_EQ(read_start_run(body->root())->initial_state.json,
            R"({"n": 0.1000, "m":12345678901234567890123})");
}

// Goal: a message and its aliases are the same thing, one at a time.
TEST(request_bodies, post_message) {
  const auto post = [](const std::string& text) { return reading(read_post_message, text); };
  for (const char* name : {"message", "content", "prompt"})
    EXPECT_EQ(post(std::string{"{\""} + name + "\":\"hi\"}"), "fine");
  EXPECT_EQ(post("{}"), "missing @ /body/message");
  EXPECT_EQ(post(R"({"message":"a","prompt":"b"})"), "mutually_exclusive @ /body/prompt");
  EXPECT_EQ(post(R"({"content":["a"]})"), "string_type @ /body/content");
}

// Goal: a fork's place is a step key as harnesses may choose it.
TEST(request_bodies, fork_run) {
  const auto fork = [](const std::string& text) { return reading(read_fork_run, text); };
  EXPECT_EQ(fork(R"({"at":"load","unknown":1})"), "fine");
  EXPECT_EQ(fork(R"({"at":")" + std::string(200, 'k') + "\"}"), "fine");
  EXPECT_EQ(fork(R"({"at":")" + std::string(201, 'k') + "\"}"), "string_too_long @ /body/at");
  EXPECT_EQ(fork(R"({"at":""})"), "string_too_short @ /body/at");
  EXPECT_EQ(fork(R"({"at":1})"), "string_type @ /body/at");
  EXPECT_EQ(fork("{}"), "missing @ /body/at");
}

// Goal: all that is wrong with an agent is told at once, with the path into the recipe.
TEST(request_bodies, create_agent) {
  const recipe_rules rules{{}, false, {"/srv/data"}};
  const auto create = [&](const std::string& text) {
    return reading([&](const json::value& v) { return read_create_agent(v, rules); }, text);
  };
  EXPECT_EQ(create(R"({"name":"A"})"), "fine");
  EXPECT_EQ(create("{}"), "missing @ /body/name");
  EXPECT_EQ(
      create(R"({"name":"","slug":"No Slug","description":4})"),
      "string_too_short @ /body/name; string_type @ /body/description; bad_slug @ /body/slug");
  EXPECT_EQ(create("{\"name\":\"" + std::string(129, 'x') + "\"}"), "string_too_long @ /body/name");
  std::string umlauts; // Characters count, not bytes.
  for (int i = 0; i < 128; ++i)
    umlauts += "\xc3\xa4";
  EXPECT_EQ(create("{\"name\":\"" + umlauts + "\"}"), "fine");
  EXPECT_EQ(create(R"({"name":"A","recipe":{"harness":{}}})"),
            "missing @ /body/recipe/harness/kind");
  EXPECT_EQ(create(R"({"name":"A","recipe":{"harness":{"kind":"llm"}}})"),
            "not_available @ /body/recipe/harness/kind");
  EXPECT_EQ(create(R"({"name":"A","recipe":{"harness":{"kind":"process","command":["x"],
                       "sandbox":"none","mounts":[{"source":"/srv/data/x","mode":"ro"},
                       {"source":"/srv/database","mode":"ro"},
                       {"source":"/srv/data/../etc","mode":"rw"}]}}})"),
            "not_permitted @ /body/recipe/harness/sandbox; "
            "not_permitted @ /body/recipe/harness/mounts/1/source; "
            "not_permitted @ /body/recipe/harness/mounts/2/source");
  EXPECT_EQ(create(R"({"name":"A","recipe":{"harness":{"kind":"process","command":[]},
                       "state_schema":{"properties":{"a":{"$anchor":"x"}}}}})"),
            "missing @ /body/recipe/harness/command; "
            "unsupported_keyword @ /body/recipe/state_schema/properties/a/$anchor");
}

// Goal: a recipe that names no sandbox gets the server's, and is judged by it.
TEST(request_bodies, recipes_get_the_servers_defaults) {
  recipe_rules rules;
  rules.defaults.sandbox = "none";
  const auto create = [&](const std::string& text) {
    return reading([&](const json::value& v) { return read_create_version(v, rules); }, text);
  };
  EXPECT_EQ(create(R"({"recipe":{"harness":{"kind":"process","command":["x"]}}})"),
            "not_permitted @ /body/recipe/harness/sandbox");
  EXPECT_EQ(create(R"({"recipe":{"harness":{"kind":"process","command":["x"],
                       "sandbox":"required"}}})"),
            "fine");
}

// Goal: a kind that is not built yet has a code of its own.
TEST(request_bodies, not_available) {
  const auto body = parse_object(R"({"recipe":{"harness":{"kind":"llm"}}})");
  const auto read = read_create_version(body->root(), {});
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, "not_available");
  EXPECT_EQ(read.error().status, status::unprocessable);
}

// Goal: a version changes one thing at a time, to one of two phases.
TEST(request_bodies, change_version) {
  const auto change = [](const std::string& text) {
    return reading([](const json::value& v) { return read_change_version(v, {}); }, text);
  };
  EXPECT_EQ(change(R"({"status":"active"})"), "fine");
  EXPECT_EQ(change(R"({"status":"archived"})"), "fine");
  EXPECT_EQ(change(R"({"status":"draft"})"), "enum @ /body/status");
  EXPECT_EQ(change("{}"), "missing @ /body");
  EXPECT_EQ(change(R"({"status":"active","recipe":{}})"), "mutually_exclusive @ /body");
  EXPECT_EQ(change(R"({"recipe":{}})"), "missing @ /body/recipe/harness");
}

// Goal: a key needs a name and known scopes; its end is a time.
TEST(request_bodies, create_key) {
  const auto create = [](const std::string& text) { return reading(read_create_key, text); };
  EXPECT_EQ(create(R"({"name":"ci","scopes":["read","write"]})"), "fine");
  EXPECT_EQ(create("{}"), "missing @ /body/name; missing @ /body/scopes");
  EXPECT_EQ(create(R"({"name":"ci","scopes":[]})"), "too_short @ /body/scopes");
  EXPECT_EQ(create(R"({"name":"ci","scopes":["read","root",5]})"),
            "enum @ /body/scopes/1; enum @ /body/scopes/2");
  EXPECT_EQ(create(R"({"name":"ci","scopes":"read"})"), "array_type @ /body/scopes");
  EXPECT_EQ(create(R"({"name":"ci","scopes":["read"],"expires_at":"tomorrow"})"),
            "datetime_type @ /body/expires_at");
}

// Goal: ids of workspaces can stand in paths, and the server's own is reserved.
TEST(request_bodies, create_workspace) {
  const auto create = [](const std::string& text) { return reading(read_create_workspace, text); };
  EXPECT_EQ(create(R"({"name":"Team","id":"team_1-A"})"), "fine");
  EXPECT_EQ(create(R"({"name":"Team"})"), "fine");
  EXPECT_EQ(create(R"({"id":"team"})"), "missing @ /body/name");
  EXPECT_EQ(create(R"({"name":"Team","id":"system"})"), "reserved @ /body/id");
  for (const char* id : {"a/b", "..", "-a", "a b", "\\u00e4"})
    EXPECT_EQ(create(std::string{R"({"name":"T","id":")"} + id + "\"}"), "bad_id @ /body/id") << id;
}

// Goal: slugs follow from names, always in the same way.
TEST(request_bodies, slugs) {
  EXPECT_EQ(slug_from_name("Support  Triage (v2)!"), "support-triage-v2");
  EXPECT_EQ(slug_from_name("  -- A"), "a");
  EXPECT_EQ(slug_from_name(std::string(200, 'x')), std::string(64, 'x'));
  EXPECT_EQ(slug_from_name("\xe4\xbd\xa0\xe5\xa5\xbd"), slug_from_name("\xe4\xbd\xa0\xe5\xa5\xbd"));
  EXPECT_TRUE(is_slug(slug_from_name("\xe4\xbd\xa0\xe5\xa5\xbd")));
  for (const char* text : {"", "-a", "a-", "A", "a_b", "a b"})
    EXPECT_FALSE(is_slug(text)) << text;
}

} // namespace
} // namespace runledger::http
