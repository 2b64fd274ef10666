#include "actors/harness/protocol.hpp"

#include "events/json.hpp"

#include <chrono>
#include <gtest/gtest.h>
#include <string>
#include <vector>

using namespace runledger;
using namespace runledger::harness;

namespace {

frame parsed(const std::string& line) {
  auto f = parse_frame(line);
  EXPECT_TRUE(f) << line << ": " << (f ? "" : f.error().text());
  return f ? *f : frame{};
}

std::string refused(const std::string& line) {
  auto f = parse_frame(line);
  EXPECT_FALSE(f) << line;
  return f ? "" : f.error().message;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> out;
  std::size_t from = 0;
  for (std::size_t end = 0; (end = text.find('\n', from)) != std::string::npos; from = end + 1)
    out.push_back(text.substr(from, end - from));
  EXPECT_EQ(from, text.size()) << "a line without its end";
  return out;
}

} // namespace

// Goal: what a harness says of a failure, and the names it gives, are cut between two characters,
// so that no event or frame that repeats them grows too long.
TEST(harness_protocol, bounds_texts) {
  std::string long_text(1, 'x');
  while (long_text.size() < 900'000)
    long_text += "\u00e9";
  for (const auto& line :
       {R"({"type":"error","message":")" + long_text + "\"}",
        R"({"type":"step.fail","key":"k","error":{"message":")" + long_text + "\"}}"}) {
    const auto cut = parsed(line).message;
    EXPECT_LE(cut.size(), 64U << 10);
    EXPECT_GT(cut.size(), 64'000U);
    EXPECT_TRUE(json::parse('"' + cut + '"')) << "no longer UTF-8";
    EXPECT_TRUE(cut.ends_with(" [cut here; 900001 bytes in all]")) << cut.substr(cut.size() - 50);
  }
  EXPECT_LE(parsed(R"({"type":"error","message":"m","code":")" + long_text + "\"}").code.size(),
            1024U);
  EXPECT_LE(parsed(R"({"type":"step.start","key":"k","name":")" + long_text + "\"}").name.size(),
            1024U);
  EXPECT_EQ(parsed(R"({"type":"error","message":")" + std::string(65'536, 'x') + "\"}").message,
            std::string(65'536, 'x'));
}

// Goal: every frame of the contract is understood, its JSON members kept as written.
TEST(harness_protocol, reads_every_frame) {
  EXPECT_EQ(parsed(R"({"type":"ready","protocol":1,"max_runs":64})").max_runs, 64);
  EXPECT_EQ(parsed(R"({"type":"ready","protocol":1})").max_runs, 1);
  EXPECT_EQ(parsed("{}").type, frame_type::heartbeat);
  EXPECT_EQ(parsed(R"({"run":"run_1"})").run, "run_1");

  auto start =
      parsed(R"({"type":"step.start","run":"r","id":"i","key":"k","name":"n","kind":"llm",)"
             R"("timeout_ms":1500,"max_cost_usd":"0.5"})");
  EXPECT_EQ(start.type, frame_type::step_start);
  EXPECT_EQ(start.run + start.id + start.key + start.name + start.kind, "riknllm");
  EXPECT_EQ(start.timeout_ms, 1500);
  EXPECT_EQ(start.max_cost, micro_usd{500'000});

  EXPECT_EQ(parsed(R"({"type":"step.done","key":"k","output": {"a" : [1.50, 1e3]} })").payload,
            R"({"a" : [1.50, 1e3]})");
  EXPECT_EQ(parsed(R"({"type":"step.done","key":"k","output":null})").payload, "null");

  auto fail = parsed(R"({"type":"step.fail","key":"k","error":{"message":"m","code":"c"}})");
  EXPECT_TRUE(fail.retryable);
  EXPECT_EQ(fail.message + fail.code, "mc");
  EXPECT_EQ(fail.error_json, R"({"message":"m","code":"c"})");
  EXPECT_FALSE(parsed(R"({"type":"step.fail","key":"k","error":{"message":"m"},"retryable":false})")
                   .retryable);

  EXPECT_EQ(parsed(R"({"type":"message","role":"assistant","content":"hi"})").payload, R"("hi")");
  EXPECT_EQ(parsed(R"({"type":"tool.call","key":"k","tool":"t","args":{}})").tool, "t");
  EXPECT_EQ(parsed(R"({"type":"tool.result","key":"k","tool":"t","output":1})").payload, "1");
  auto failed =
      parsed(R"({"type":"tool.result","key":"k","tool":"t","error":{"message":"m","x":1}})");
  EXPECT_EQ(failed.error_json, R"({"message":"m","x":1})");
  EXPECT_TRUE(failed.payload.empty());
  EXPECT_EQ(parsed(R"({"type":"checkpoint","state":[]})").payload, "[]");

  auto usage =
      parsed(R"({"type":"usage","tokens_in":3,"tokens_out":4,"cost_usd":0.0000005,"model":"m"})");
  EXPECT_EQ(usage.tokens_in * 10 + usage.tokens_out, 34);
  EXPECT_EQ(usage.cost, micro_usd{1}); // Half up.

  auto log = parsed(R"({"type":"log","level":"info","message":"m","fields":{"a":1}})");
  EXPECT_EQ(log.level + log.message + log.payload, R"(infom{"a":1})");
  EXPECT_EQ(parsed(R"({"type":"artifact","path":"a/b","name":"n","media_type":"text/plain"})").path,
            "a/b");
  EXPECT_EQ(parsed(R"({"type":"result","output":"done"})").payload, R"("done")");
  auto error = parsed(R"({"type":"error","message":"m","code":"c","retryable":true})");
  EXPECT_TRUE(error.retryable);
  EXPECT_FALSE(parsed(R"({"type":"error","message":"m"})").retryable);
}

// Goal: what the contract does not name is ignored, and null stands for an absent optional member.
TEST(harness_protocol, ignores_unknown_members_and_nulls) {
  auto f =
      parsed(R"({"type":"step.start","key":"k","name":null,"timeout_ms":null,"later":{"x":[1]}})");
  EXPECT_TRUE(f.name.empty());
  EXPECT_FALSE(f.timeout_ms);
}

// Goal: what breaks the contract is refused, with a sentence that names the member.
TEST(harness_protocol, refuses_what_breaks_the_contract) {
  EXPECT_EQ(refused("hello"), parse_frame("hello").error().message);
  for (const char* line :
       {"", "null", "[]", "\"x\"", "{", "{} {}", "{\"type\":\"log\"", "{\"a\":1,\"a\":2}"})
    refused(line);
  EXPECT_EQ(refused(R"({"type":"step.go","key":"k"})"), "unknown type");
  EXPECT_EQ(refused(R"({"type":"heartbeat"})"), "unknown type");
  EXPECT_EQ(refused(R"({"type":7})"), "unknown type");
  EXPECT_EQ(refused(R"({"key":"k"})"), "heartbeat: `type` is missing");
  EXPECT_EQ(refused(R"({"type":"step.start"})"), "step.start: `key` is missing");
  EXPECT_NE(refused(R"({"type":"step.start","key":""})").find("`key`"), std::string::npos);
  EXPECT_NE(refused(R"({"type":"step.start","key":7})").find("a string"), std::string::npos);
  EXPECT_NE(refused(R"({"type":"result","id":"","output":1})").find("`id`"), std::string::npos);
  refused(R"({"type":"ready"})");
  refused(R"({"type":"ready","protocol":2})");
  refused(R"({"type":"ready","protocol":1,"max_runs":0})");
  refused(R"({"type":"ready","protocol":1,"max_runs":1.5})");
  refused(R"({"type":"step.start","key":"k","timeout_ms":0})");
  refused(R"({"type":"step.start","key":"k","max_cost_usd":-1})");
  refused(R"({"type":"step.start","key":"k","max_cost_usd":"much"})");
  refused(R"({"type":"step.done","key":"k"})");
  refused(R"({"type":"step.fail","key":"k"})");
  refused(R"({"type":"step.fail","key":"k","error":"text"})");
  refused(R"({"type":"step.fail","key":"k","error":{}})");
  refused(R"({"type":"step.fail","key":"k","error":{"message":"m"},"retryable":1})");
  refused(R"({"type":"message","role":"tool","content":1})");
  refused(R"({"type":"message","role":"user"})");
  refused(R"({"type":"tool.call","key":"k","tool":"","args":1})");
  refused(R"({"type":"tool.result","key":"k","tool":"t"})");
  refused(R"({"type":"tool.result","key":"k","tool":"t","output":1,"error":"e"})");
  refused(R"({"type":"checkpoint"})");
  refused(R"({"type":"usage","tokens_in":-1,"tokens_out":0,"cost_usd":0})");
  refused(R"({"type":"usage","tokens_in":1,"tokens_out":0})");
  refused(R"({"type":"usage","tokens_in":1,"tokens_out":0,"cost_usd":true})");
  refused(R"({"type":"log","level":"info"})");
  refused(R"({"type":"log","level":"info","message":"m","fields":[]})");
  refused(R"({"type":"artifact","path":""})");
  refused(R"({"type":"error"})");
}

// Goal: the limit of 200 counts characters, not bytes, and holds on both sides.
TEST(harness_protocol, counts_characters_of_keys) {
  auto line = [](int n) {
    std::string key;
    for (int i = 0; i < n; ++i)
      key += "\u00e4";
    return R"({"type":"step.start","key":")" + key + R"("})";
  };
  parsed(line(200));
  refused(line(201));
}

// Goal: a line of exactly 1 MiB passes, one byte more does not.
TEST(harness_protocol, limits_the_line) {
  std::string head = R"({"type":"result","output":")";
  auto line = head + std::string(max_line_bytes - head.size() - 2, 'x') + "\"}";
  EXPECT_EQ(line.size(), max_line_bytes);
  parsed(line);
  EXPECT_EQ(refused(line + " "), "line over 1 MiB");
}

// Goal: a quoted line is short, printable and valid UTF-8, whatever the harness wrote.
TEST(harness_protocol, quotes_lines_safely) {
  auto quoted = parse_frame("a\xff\x01\tb\xc3\xa4").error().line;
  EXPECT_EQ(quoted, "a\\xff\\x01\\x09b\xc3\xa4");
  std::string wide = "x";
  for (int i = 0; i < 200; ++i)
    wide += "\xe2\x82\xac";
  auto cut = parse_frame(wide).error().line;
  EXPECT_EQ(cut.size(), 199U); // 1 + 66 x 3: no character is torn.
  EXPECT_TRUE(json::parse("\"" + cut + "\""));
}

// Goal: the lines to a harness are single JSON objects with the members of the contract.
TEST(harness_protocol, writes_server_lines) {
  EXPECT_EQ(hello_line("runledger/1"),
            "{\"type\":\"hello\",\"protocol\":1,\"server\":\"runledger/1\"}\n");
  EXPECT_EQ(step_go_line("r", "k\n", 2),
            "{\"type\":\"step.go\",\"run\":\"r\",\"key\":\"k\\n\",\"attempt\":2}\n");
  EXPECT_EQ(step_cached_line("r", "k", "[1]"),
            "{\"type\":\"step.cached\",\"run\":\"r\",\"key\":\"k\",\"output\":[1]}\n");
  EXPECT_EQ(step_cached_line("r", "k", "", {{"/output", "d", 7, "p", "text/plain"}}),
            "{\"type\":\"step.cached\",\"run\":\"r\",\"key\":\"k\",\"blobs\":{\"/"
            "output\":{\"digest\":\"d\","
            "\"size\":7,\"path\":\"p\",\"media_type\":\"text/plain\"}}}\n");
  EXPECT_EQ(step_give_up_line("r", "k", "{}"),
            "{\"type\":\"step.give_up\",\"run\":\"r\",\"key\":\"k\",\"error\":{}}\n");
  EXPECT_EQ(ack_line("r", "i"), "{\"type\":\"ack\",\"run\":\"r\",\"id\":\"i\"}\n");
  EXPECT_EQ(cancel_line("r", 30), "{\"type\":\"cancel\",\"run\":\"r\",\"drain_ms\":30}\n");
  EXPECT_EQ(shutdown_line(30), "{\"type\":\"shutdown\",\"drain_ms\":30}\n");
}

// Goal: a short history travels in run.start alone.
TEST(harness_protocol, writes_run_start) {
  run_start s;
  s.run = "r";
  s.session = "s";
  s.attempt = 2;
  s.agent_id = "a";
  s.agent_slug = "slug";
  s.agent_version = 3;
  s.prompt_json = "\"hi\"";
  s.workdir = "/w";
  s.history = {{R"({"seq":1})", {}},
               {R"({"seq":2,"data":{}})", {{"/data/content", "d", 9, "p", "text/plain"}}}};
  EXPECT_EQ(run_start_lines(s),
            R"({"type":"run.start","run":"r","session":"s","attempt":2,)"
            R"("agent":{"id":"a","slug":"slug","version":3},"input":{"prompt":"hi"},"limits":{},)"
            R"("workdir":"/w","history":[{"seq":1},{"seq":2,"data":{}}],"history_more":false,)"
            R"("blobs":{"/history/1/data/content":{"digest":"d","size":9,"path":"p",)"
            R"("media_type":"text/plain"}}})"
            "\n");
}

// Goal: a long history is split into frames of at most 1 MiB that lose and reorder nothing, and
// every pointer leads to the item it was given for.
TEST(harness_protocol, splits_a_long_history) {
  run_start s;
  s.run = "r";
  s.prompt_json = "\"" + std::string(max_member_bytes, 'p') + "\"";
  std::string filler(200'000, 'x');
  constexpr int items = 40;
  for (int i = 0; i < items; ++i) {
    history_item item{"{\"seq\":" + std::to_string(i) + ",\"pad\":\"" + filler + "\"}", {}};
    if (i % 7 == 0)
      item.blobs.push_back({"/data", "digest" + std::to_string(i), 1, "p", "text/plain"});
    s.history.push_back(item);
  }
  auto lines = lines_of(run_start_lines(s));
  ASSERT_GT(lines.size(), 7U);
  std::int64_t seq = 0;
  std::size_t blobs = 0;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    EXPECT_LE(lines[i].size(), max_line_bytes);
    auto doc = json::parse(lines[i]);
    ASSERT_TRUE(doc);
    auto root = doc->root();
    bool last = i + 1 == lines.size();
    EXPECT_EQ(root.find(i == 0 ? "history_more" : "more")->boolean(), !last);
    std::string member = i == 0 ? "history" : "items";
    std::vector<std::int64_t> seqs;
    for (auto item : root.find(member)->children()) {
      EXPECT_EQ(item.find("seq")->integer(), seq);
      seqs.push_back(seq++);
    }
    if (auto named = root.find("blobs"))
      for (auto blob : named->children()) {
        auto prefix = "/" + member + "/";
        ASSERT_TRUE(blob.name().starts_with(prefix));
        auto index =
            static_cast<std::size_t>(std::stoi(std::string{blob.name().substr(prefix.size())}));
        EXPECT_EQ(blob.find("digest")->string(), "digest" + std::to_string(seqs.at(index)));
        ++blobs;
      }
  }
  EXPECT_EQ(seq, items);
  EXPECT_EQ(blobs, 6U);
}

// Goal: a caller's page that is not the last says so in its last frame.
TEST(harness_protocol, pages_of_history) {
  EXPECT_EQ(history_lines("r", {}, true),
            "{\"type\":\"history\",\"run\":\"r\",\"items\":[],\"more\":true}\n");
  EXPECT_EQ(history_lines("r", {{"1", {}}, {"2", {}}}, false),
            "{\"type\":\"history\",\"run\":\"r\",\"items\":[1,2],\"more\":false}\n");
}

// Goal: parsing keeps up with 50,000 frames a second on half a core, with a wide margin for a busy
// machine.
TEST(harness_protocol, parses_fast_enough) {
  std::string line =
      R"({"type":"step.done","run":"run_01JABCDEFGHJKMNPQRSTVWXYZ0","id":"42","key":"step-42",)"
      R"("output":{"text":"some words of an answer","numbers":[1,2,3]}})";
  constexpr int n = 50'000;
  auto from = std::chrono::steady_clock::now();
  std::size_t bytes = 0;
  for (int i = 0; i < n; ++i)
    bytes += parse_frame(line)->payload.size();
  auto spent = std::chrono::duration<double>(std::chrono::steady_clock::now() - from).count();
  EXPECT_EQ(bytes, n * 52U);
  RecordProperty("frames_per_second", static_cast<int>(n / spent));
  std::printf("%.0f frames/s\n", n / spent);
  EXPECT_LT(spent, 5.0);
}
