#include "tests/sim/story.hpp"

namespace runledger::sim {

namespace {

constexpr int steps_max = 20'000;
constexpr std::chrono::milliseconds tick{100};

template <class T>
answer<T> listen(const heard_ptr<T>& to) {
  return answer<T>{[to](result<T, refusal_info> got) {
    ++to->times;
    to->got = std::move(got);
  }};
}

payload prompt_of(std::uint64_t number) {
  return text_payload("p:" + std::to_string(number));
}

} // namespace

story::story(const std::vector<topic_size>& topics) : w(1, topics) {
  w.settings.heads.key.reset(); // Stories count what is at the ledger.
  w.out.program_for = [this](std::uint64_t number) { return programs_.at(number); };
  w.out.mishap_for = [this](std::uint64_t number, std::int64_t attempt, std::int64_t) {
    auto found = mishaps_.find({number, attempt});
    return found == mishaps_.end() ? mishap{} : found->second;
  };
}

void story::TearDown() {
  w.judge.catch_up();
  if (w.judge.problem().empty())
    views.finish();
  w.shut_down();
  EXPECT_EQ(w.judge.problem(), "") << w.story.tail();
}

std::string story::recipe_with(const std::string& retry, std::int64_t drain_seconds) {
  return R"({"harness":{"kind":"process","command":["agent"],"heartbeat_seconds":60,)"
         R"("drain_seconds":)"
         + std::to_string(drain_seconds) + R"(},"retry":{"jitter":0,"initial_backoff_ms":1000)"
         + (retry.empty() ? "" : ",") + retry + "}}";
}

void story::begin(std::string recipe) {
  auto& first = w.start();
  create_agent_request ask_for;
  ask_for.context = context("", 0);
  ask_for.slug = ask_for.title = "agent";
  ask_for.recipe.json = std::move(recipe);
  auto told = std::make_shared<heard<agent_answer>>();
  ask(first, std::move(ask_for), listen(told));
  settle();
  ASSERT_TRUE(told->accepted());
  agent = (**told).id;
}

void story::let(std::uint64_t number, std::vector<op> ops, ending end) {
  program code;
  code.ops = std::move(ops);
  code.end = end;
  programs_[number] = std::move(code);
}

void story::spoil(std::uint64_t number, std::int64_t attempt, mishap how) {
  mishaps_[{number, attempt}] = how;
}

request_context story::context(const std::string& key, std::uint64_t number) {
  request_context out;
  out.workspace = workspace_id{"default"};
  out.principal = "key_client";
  out.correlation_id = "req_" + std::to_string(++requests_);
  out.idempotency_key = key;
  if (!key.empty())
    out.fingerprint = sha256(std::to_string(number));
  return out;
}

heard_ptr<accepted_run> story::start_run(server& at, std::uint64_t number, const std::string& key) {
  start_run_request ask_for;
  ask_for.context = context(key, number);
  ask_for.agent = agent.value;
  ask_for.prompt = prompt_of(number);
  auto told = std::make_shared<heard<accepted_run>>();
  ask(at, std::move(ask_for), listen(told));
  return told;
}

heard_ptr<accepted_run> story::post_message(server& at, const session_id& to, std::uint64_t number,
                                            const std::string& key) {
  post_message_request ask_for;
  ask_for.context = context(key, number);
  ask_for.session = to;
  ask_for.message = prompt_of(number);
  auto told = std::make_shared<heard<accepted_run>>();
  ask(at, std::move(ask_for), listen(told));
  return told;
}

heard_ptr<session_answer> story::cancel(server& at, const session_id& which) {
  cancel_session_request ask_for;
  ask_for.context = context("", 0);
  ask_for.session = which;
  auto told = std::make_shared<heard<session_answer>>();
  ask(at, std::move(ask_for), listen(told));
  return told;
}

accepted_run story::accept_run(std::uint64_t number) {
  auto told = start_run(w.current(), number);
  until([&] { return !told->nothing(); }, "an answer to the request");
  EXPECT_TRUE(told->accepted());
  return told->accepted() ? **told : accepted_run{};
}

// -- going on ----------------------------------------------------------------------------------

bool story::one_step() {
  test::dice none{0};
  if (w.jobs() > 0) {
    w.run_job();
    return true;
  }
  for (auto& one : w.servers()) {
    if (!one->alive)
      continue;
    if (one->port.held() > 0) {
      one->port.end_one(0, append_end::accepted, none);
      return true;
    }
    if (auto busy = one->host.busy(); !busy.empty()) {
      one->host.step(busy.front());
      return true;
    }
  }
  if (w.letters.empty())
    return w.outside_step && w.outside_step();
  w.deliver(0, journey::arrives);
  return true;
}

void story::until(const std::function<bool()>& reached, const char* what) {
  for (int i = 0; i < steps_max; ++i) {
    w.judge.catch_up();
    views.step();
    if (!w.judge.problem().empty())
      FAIL() << "while waiting for " << what;
    if (reached())
      return;
    if (!one_step())
      w.advance(tick);
  }
  FAIL() << "never came: " << what << '\n' << w.story.tail();
}

void story::until_ended(const run_id& run) {
  until(
      [&] {
        const auto* state = w.judge.run_of(run);
        return state != nullptr && run::terminal(state->at);
      },
      "the end of the run");
  settle();
}

// -- looking -----------------------------------------------------------------------------------

std::vector<std::string> story::names_of(const stream_id& stream) const {
  std::vector<std::string> out;
  auto records = w.disk.read_stream(stream, 1, SIZE_MAX);
  for (const auto& r : *records)
    out.emplace_back(split_type(r->event.type)->name);
  return out;
}

std::size_t story::count(const stream_id& stream, const std::string& name) const {
  auto names = names_of(stream);
  return static_cast<std::size_t>(std::ranges::count(names, name));
}

const run::state& story::state_of(const run_id& run) {
  static const run::state absent;
  w.judge.catch_up();
  const auto* known = w.judge.run_of(run);
  return known == nullptr ? absent : *known;
}

std::vector<std::int64_t> story::executions(const run_id& run, const std::string& key) const {
  auto found = w.out.effects.find(run.value + '/' + key);
  return found == w.out.effects.end() ? std::vector<std::int64_t>{} : found->second;
}

std::int64_t story::terminal_events(const run_id& run) const {
  auto stream = stream_of(run);
  return static_cast<std::int64_t>(count(stream, "run.succeeded") + count(stream, "run.failed")
                                   + count(stream, "run.cancelled"));
}

} // namespace runledger::sim
