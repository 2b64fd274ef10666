#include "cli/settings.hpp"

#include "cli/settings_table.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace runledger {

namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

settings_sources file(std::string text) {
  return {"s.toml", std::move(text), {}, {}};
}

std::vector<std::string> problems_of(const settings_sources& from) {
  const auto loaded = load_settings(from);
  return loaded ? std::vector<std::string>{} : loaded.error().problems;
}

std::string origin_of(const loaded_settings& loaded, std::string_view key) {
  for (const auto& line : loaded.shown)
    if (line.key == key)
      return line.origin;
  return "absent";
}

} // namespace

// Goal: without any source, everything has the documented default.
TEST(settings, defaults) {
  const auto loaded = load_settings({});
  ASSERT_TRUE(loaded);
  const auto& s = loaded->values;
  EXPECT_EQ(s.listen, (endpoint{"127.0.0.1", 8080}));
  EXPECT_EQ(s.data, "./runledger-data");
  EXPECT_EQ(s.ledger, ledger_kind::sqlite);
  EXPECT_EQ(s.log.level, log_level::info);
  EXPECT_EQ(s.log.format, log_format::automatic);
  EXPECT_EQ(s.http.body_limit, 8u << 20);
  EXPECT_EQ(s.http.bundle_limit, 512u << 20);
  EXPECT_EQ(s.http.head_limit, 16u << 10);
  EXPECT_EQ(s.http.max_fields, 100u);
  EXPECT_EQ(s.http.head_timeout, std::chrono::seconds{10});
  EXPECT_EQ(s.http.body_timeout, std::chrono::seconds{30});
  EXPECT_EQ(s.http.max_connections, 10'000u);
  EXPECT_EQ(s.http.max_connections_per_address, 1'000u);
  EXPECT_FALSE(s.http.allow_plaintext);
  EXPECT_EQ(s.sandbox.mode, sandbox_mode::required);
  EXPECT_FALSE(s.sandbox.allow_none);
  EXPECT_TRUE(s.sandbox.mount_roots.empty());
  EXPECT_EQ(s.sandbox.resources.memory_mb, 1024u);
  EXPECT_EQ(s.sandbox.resources.processes, 256u);
  EXPECT_EQ(s.sandbox.resources.disk_mb, 1024u);
  EXPECT_EQ(s.runs.max_queued, 100'000u);
  EXPECT_EQ(s.runs.drain, std::chrono::seconds{30});
  EXPECT_EQ(s.audit_refused_per_minute, 12);
  EXPECT_EQ(s.step_reserve_micro_usd, 50'000);
  EXPECT_TRUE(loaded->warnings.empty());
}

// Goal: flag beats environment beats file beats default, and the origin tells which it was.
TEST(settings, precedence_and_origin) {
  auto from = file("listen = '127.0.0.1:1'\n[http]\nbody_limit = '1MiB'\nmax_fields = 7\n");
  from.environment = {{"RUNLEDGER_HTTP_BODY_LIMIT", "2MiB"}, {"RUNLEDGER_LISTEN", "127.0.0.1:2"}};
  from.flags = {{"listen", "127.0.0.1:3"}};
  const auto loaded = load_settings(from);
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->values.listen.port, 3);
  EXPECT_EQ(loaded->values.http.body_limit, 2u << 20);
  EXPECT_EQ(loaded->values.http.max_fields, 7u);
  EXPECT_EQ(origin_of(*loaded, "listen"), "--listen");
  EXPECT_EQ(origin_of(*loaded, "http.body_limit"), "RUNLEDGER_HTTP_BODY_LIMIT");
  EXPECT_EQ(origin_of(*loaded, "http.max_fields"), "s.toml:4:14");
  EXPECT_EQ(origin_of(*loaded, "data"), "default");
}

// Goal: every key can be set by its flag and by its variable, and both find the same key.
TEST(settings, every_key_has_a_flag_and_a_variable) {
  for (const auto& spec : cli::key_specs()) {
    if (spec.is_pattern())
      continue;
    EXPECT_EQ(cli::key_of_flag(cli::flag_name(spec.name)), spec.name);
    EXPECT_EQ(cli::key_of_variable(cli::variable_name(spec.name)), spec.name);
  }
  EXPECT_EQ(cli::flag_name("http.body_limit"), "http.body-limit");
  EXPECT_EQ(cli::variable_name("http.body_limit"), "RUNLEDGER_HTTP_BODY_LIMIT");
}

// Goal: an unknown key is an error with its place and the key that was meant; all of them are
// reported.
TEST(settings, unknown_keys_are_errors_with_place_and_suggestion) {
  EXPECT_THAT(
      problems_of(file("lisetn = '127.0.0.1:1'\n[http]\n  body_limt = '1MiB'\n")),
      ElementsAre("s.toml:3:3: unknown key `http.body_limt`; did you mean `http.body_limit`?",
                  "s.toml:1:1: unknown key `lisetn`; did you mean `listen`?"));
  EXPECT_THAT(problems_of(file("body_limit = 1")),
              ElementsAre(HasSubstr("did you mean `http.body_limit`?")));
  EXPECT_THAT(
      problems_of(file("[secrets.a]\nenvv = 'A'\n")),
      ElementsAre(AllOf(StartsWith("s.toml:2:1: "), HasSubstr("did you mean `secrets.a.env`?"))));
  EXPECT_THAT(problems_of(file("colour = 'red'")), ElementsAre("s.toml:1:1: unknown key `colour`"));
}

TEST(settings, unknown_flag_is_an_error_in_its_own_spelling) {
  settings_sources from;
  from.flags = {{"http.body-limt", "1MiB"}};
  EXPECT_THAT(problems_of(from),
              ElementsAre("--http.body-limt: unknown flag; did you mean `--http.body-limit`?"));
}

// Goal: an unknown variable warns, because the environment is shared; reserved names do not.
TEST(settings, unknown_variable_is_a_warning) {
  settings_sources from;
  from.environment = {{"RUNLEDGER_HTTP_BODY_LIMITS", "1"}, {"RUNLEDGER_API_KEY", "k"},
                      {"RUNLEDGER_TEST_SEED", "1"},        {"RUNLEDGER_SERVER", "x"},
                      {"RUNLEDGER_BOOTSTRAP_KEY", "k"},    {"RUNLEDGER_FAIL_POINT", "x"}};
  const auto loaded = load_settings(from);
  ASSERT_TRUE(loaded);
  EXPECT_THAT(loaded->warnings,
              ElementsAre("RUNLEDGER_HTTP_BODY_LIMITS: no setting has this variable; did you "
                          "mean RUNLEDGER_HTTP_BODY_LIMIT?"));
}

// Goal: values of a wrong type or out of bounds name their place, what they should be, and what
// they were.
TEST(settings, bad_values_name_their_place) {
  EXPECT_THAT(
      problems_of(file("[http]\nbody_limit = '8MB'")),
      ElementsAre("s.toml:2:14: `http.body_limit` is a size such as 8MiB (KiB, MiB, GiB, or plain "
                  "bytes), not \"8MB\""));
  EXPECT_THAT(problems_of(file("[http]\nhead_timeout = 10")),
              ElementsAre(HasSubstr("with its unit, such as 10s")));
  EXPECT_THAT(problems_of(file("[http]\nmax_fields = 'many'")),
              ElementsAre(HasSubstr("whole number")));
  EXPECT_THAT(problems_of(file("[http]\nmax_fields = 0")),
              ElementsAre(HasSubstr("between 1 and 1000, not \"0\"")));
  EXPECT_THAT(problems_of(file("[http]\nallow_plaintext = 'true'")),
              ElementsAre(HasSubstr("without quotes")));
  EXPECT_THAT(problems_of(file("data = 7")), ElementsAre(HasSubstr("text in quotes")));
  EXPECT_THAT(problems_of(file("[sandbox]\nmount_roots = '/srv'")),
              ElementsAre(HasSubstr("is a list")));
  EXPECT_THAT(problems_of(file("[sandbox]\nmount_roots = [1]")),
              ElementsAre(HasSubstr("list of texts")));
  EXPECT_THAT(
      problems_of(file("[log]\nlevel = 'inof'")),
      ElementsAre(HasSubstr("one of trace, debug, info, warn, error; did you mean `info`?")));
  settings_sources from;
  from.environment = {{"RUNLEDGER_LISTEN", "8080"}};
  EXPECT_THAT(problems_of(from),
              ElementsAre(StartsWith("RUNLEDGER_LISTEN: `listen` is HOST:PORT")));
}

TEST(settings, a_file_that_is_no_toml_names_the_place) {
  EXPECT_THAT(problems_of(file("listen = '127.0.0.1:1'\nhttp = = 2\n")),
              ElementsAre(StartsWith("s.toml:2:")));
}

// Goal: an empty group says nothing, an empty named entry is incomplete.
TEST(settings, empty_tables) {
  EXPECT_TRUE(problems_of(file("[http]\n[secrets]\n[kafka.properties]\n")).empty());
  EXPECT_THAT(problems_of(file("[secrets.a]\n")), ElementsAre(HasSubstr("secrets.a")));
}

// Goal: keys do not travel readable beyond the machine unless someone says so.
TEST(settings, plaintext_beyond_loopback_needs_a_word) {
  EXPECT_THAT(problems_of(file("listen = '0.0.0.0:80'")),
              ElementsAre(HasSubstr("http.allow_plaintext")));
  EXPECT_TRUE(problems_of(file("listen = '0.0.0.0:80'\nhttp.allow_plaintext = true")).empty());
  EXPECT_TRUE(problems_of(file("listen = '0.0.0.0:80'\nhttp.tls = {certificate = 'c', key = 'k'}"))
                  .empty());
  EXPECT_TRUE(problems_of(file("listen = '127.1.2.3:80'")).empty());
  EXPECT_TRUE(problems_of(file("listen = '[::1]:80'")).empty());
  EXPECT_FALSE(problems_of(file("listen = '127.example.org:80'")).empty());
  EXPECT_THAT(problems_of(file("http.tls.key = 'k'")), ElementsAre(HasSubstr("together")));
}

// Goal: a proxy that is no address or network ends the start, with its place.
TEST(settings, trusted_proxies_are_networks) {
  const auto loaded =
      load_settings(file("[http]\ntrusted_proxies = ['10.0.0.0/8', '::1', '192.0.2.7']\n"));
  ASSERT_TRUE(loaded);
  EXPECT_THAT(loaded->values.http.trusted_proxies, ElementsAre("10.0.0.0/8", "::1", "192.0.2.7"));
  EXPECT_THAT(
      problems_of(file("[http]\ntrusted_proxies = ['10.0.0.0/8', '10.0.0.0/33', 'proxy']\n")),
      ElementsAre(AllOf(StartsWith("s.toml:2:"), HasSubstr("\"10.0.0.0/33\" is no address")),
                  AllOf(StartsWith("s.toml:2:"), HasSubstr("\"proxy\" is no address"))));
  settings_sources from;
  from.flags = {{"http.trusted-proxies", "10.1.0.0/8"}};
  EXPECT_THAT(problems_of(from), ElementsAre(AllOf(StartsWith("--http.trusted-proxies: "),
                                                   HasSubstr("did you mean 10.0.0.0/8?"))));
}

TEST(settings, secrets) {
  const auto loaded =
      load_settings(file("[secrets.a]\nenv = 'SURELY_NOT_SET_7'\nworkspaces = ['w']\n"
                         "[secrets.b]\nfile = '/nonexistent'\n"));
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->values.secrets.at("a").env, "SURELY_NOT_SET_7");
  EXPECT_THAT(loaded->values.secrets.at("a").workspaces, ElementsAre("w"));
  EXPECT_THAT(loaded->warnings,
              ElementsAre(HasSubstr("SURELY_NOT_SET_7"), HasSubstr("/nonexistent")));
  EXPECT_THAT(problems_of(file("[secrets.a]\nenv = 'A'\nfile = 'f'")),
              ElementsAre(HasSubstr("exactly one")));
  EXPECT_THAT(problems_of(file("[secrets.'a b']\nenv = 'A'")),
              ElementsAre(HasSubstr("characters")));
}

TEST(settings, named_entries_by_flag_and_variable) {
  settings_sources from;
  from.environment = {{"RUNLEDGER_SECRETS_OPENAI_KEY_FILE", "/f"},
                      {"RUNLEDGER_KAFKA_PROPERTIES_SASL_USERNAME", "u"}};
  from.flags = {{"secrets.My-Key.env", "PATH"}, {"kafka.properties.linger.ms", "5"}};
  const auto loaded = load_settings(from);
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->values.secrets.at("openai_key").file, "/f");
  EXPECT_EQ(loaded->values.secrets.at("My-Key").env, "PATH");
  EXPECT_EQ(loaded->values.kafka.properties.at("sasl.username"), "u");
  EXPECT_EQ(loaded->values.kafka.properties.at("linger.ms"), "5");
}

TEST(settings, models_and_tools) {
  const auto loaded = load_settings(file(R"(
[models.small]
base_url = "http://127.0.0.1:9/v1"
model = "m"
price_in_per_million_usd = 0.15
price_out_per_million_usd = 3
timeout = "90s"
[models.script]
kind = "scripted"
replies = ["one", {text = "two", tokens_in = 3}]
[tools.search]
kind = "http"
url = "http://127.0.0.1:9/search"
headers_env = {Authorization = "SEARCH_KEY"}
[tools.run]
kind = "process"
command = ["python3", "tool.py"]
)"));
  ASSERT_TRUE(loaded) << loaded.error().problems.front();
  const auto& small = loaded->values.models.at("small");
  EXPECT_EQ(small.price_in_micro_usd_per_million, 150'000);
  EXPECT_EQ(small.price_out_micro_usd_per_million, 3'000'000);
  EXPECT_EQ(small.timeout, std::chrono::seconds{90});
  ASSERT_EQ(loaded->values.models.at("script").replies.size(), 2u);
  EXPECT_EQ(loaded->values.models.at("script").replies[1].tokens_in, 3);
  EXPECT_EQ(loaded->values.tools.at("search").headers_env.at("Authorization"), "SEARCH_KEY");
  EXPECT_THAT(loaded->values.tools.at("run").command, ElementsAre("python3", "tool.py"));
  EXPECT_THAT(problems_of(file("[tools.x]\nkind = 'process'")),
              ElementsAre(HasSubstr("needs `command`")));
  EXPECT_THAT(problems_of(file("[models.x]\nkind = 'scripted'")),
              ElementsAre(HasSubstr("needs `replies`")));
  EXPECT_THAT(problems_of(file("[models.x]\nmodel = 'm'")), ElementsAre(HasSubstr("`base_url`")));
}

// Goal: what is printed holds no password, neither when it is shown nor when it is refused.
TEST(settings, passwords_are_not_shown) {
  const auto loaded = load_settings(file("[kafka.properties]\n'sasl.password' = 'hunter2'\n"));
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->values.kafka.properties.at("sasl.password"), "hunter2");
  for (const auto& line : loaded->shown)
    EXPECT_EQ(line.value.find("hunter2"), std::string::npos);
  for (const auto& problem :
       problems_of(file("[kafka.properties]\n'sasl.password' = ['hunter2']\n")))
    EXPECT_EQ(problem.find("hunter2"), std::string::npos);
}

// Goal: the printed configuration is a file that gives the same settings.
TEST(settings, what_is_shown_is_a_file_with_the_same_meaning) {
  const auto first =
      load_settings(file("http.body_limit = '3MiB'\nsandbox.mount_roots = ['/a', '/b c']\n"
                         "[secrets.k]\nenv = 'PATH'\n"));
  ASSERT_TRUE(first);
  std::string text;
  for (const auto& line : first->shown)
    text += line.key + " = " + line.value + "\n";
  const auto second = load_settings(file(text));
  ASSERT_TRUE(second) << second.error().problems.front();
  ASSERT_EQ(first->shown.size(), second->shown.size());
  for (std::size_t i = 0; i < first->shown.size(); ++i) {
    EXPECT_EQ(first->shown[i].key, second->shown[i].key);
    EXPECT_EQ(first->shown[i].value, second->shown[i].value);
  }
}

// Goal: one of several nodes needs a URL under which it is reached, Kafka, and the common secret;
// what is wrong is said with what to do.
TEST(settings, nodes_need_address_and_secret) {
  const std::string brokers = "ledger = 'kafka'\n[kafka]\nbrokers = 'b:1'\n";
  const std::string secret = "cluster_secret_file = 'cluster.secret'\n";
  for (const auto* url : {"http://127.0.0.1:8080", "https://node-1:443", "http://[::1]:8080"})
    EXPECT_TRUE(problems_of(file(brokers + secret + "advertise = '" + url + "'\n")).empty()) << url;
  for (const auto* url : {"node-1:8080", "http://node-1", "http://node-1:80/x", "ftp://n:1",
                          "http://:80", "http://a b:80", "http://n:808080", "http://n:"})
    EXPECT_THAT(problems_of(file(brokers + secret + "advertise = '" + url + "'\n")),
                Contains(HasSubstr("http://HOST:PORT")))
        << url;
  EXPECT_THAT(problems_of(file(brokers + "advertise = 'http://n:1'\n")),
              Contains(HasSubstr("openssl rand")));
  EXPECT_THAT(problems_of(file("[kafka]\nadvertise = 'http://n:1'\n" + secret)),
              Contains(HasSubstr("`ledger = kafka`")));
}

} // namespace runledger
