#include "tests/sim/clients.hpp"

namespace runledger::sim {

namespace {

/// Answers after which the same question makes sense.
bool undecided(errc code) {
  return code == errc::outcome_unknown || code == errc::ledger_unavailable
         || code == errc::queue_full || code == errc::draining || code == errc::not_owner;
}

std::string_view word(intent::kind what) {
  constexpr std::string_view words[]{"create_agent", "new_version", "start_run", "message",
                                     "cancel"};
  return words[static_cast<std::size_t>(what)];
}

/// Of the program in a prompt, as JSON: `"p:123"`.
std::uint64_t number_in(const std::string& prompt) {
  return std::strtoull(prompt.c_str() + std::string_view{"\"p:"}.size(), nullptr, 10);
}

constexpr std::size_t slugs = 3; // Few, so that clients collide.
/// A server that hears of nothing but repetitions gets nothing else done.
constexpr int open_max = 3;
constexpr std::int64_t again_percent = 5; // What is known already is asked again now and then.

} // namespace

// -- what to ask -------------------------------------------------------------------------------

clients::intent_ptr clients::begin(intent::kind what) {
  auto i = std::make_shared<intent>();
  i->what = what;
  i->number = intents_.size();
  i->workspace = workspace_id{"default"};
  if (dice_.percent(plan_.keyed_percent))
    i->key = "key-" + std::to_string(++keys_);
  intents_.push_back(i);
  return i;
}

std::vector<clients::intent_ptr> clients::all(intent::kind what, bool acknowledged_only) {
  std::vector<intent_ptr> out;
  for (const auto& i : intents_)
    if (i->what == what && (i->acknowledged || !acknowledged_only))
      out.push_back(i);
  return out;
}

bool clients::act(server& to) {
  if (dice_.percent(60) && begin_new(to))
    return true;
  return repeat(to);
}

bool clients::begin_new(server& to) {
  auto agents = all(intent::kind::create_agent, true);
  auto sessions = all(intent::kind::start_run, true);
  if (left_.agents > 0 && (agents.empty() || dice_.percent(30))) {
    --left_.agents;
    auto i = begin(intent::kind::create_agent);
    i->body = recipe();
    send(to, i);
    return true;
  }
  if (left_.runs > 0 && !agents.empty() && dice_.percent(60)) {
    --left_.runs;
    auto i = begin(intent::kind::start_run);
    const auto& agent = dice_.pick(agents);
    i->agent = agent->number;
    i->workspace = agent->workspace;
    i->by_slug = dice_.percent(30);
    i->program = dice_.next() % 1'000'000;
    send(to, i);
    if (!i->key.empty() && dice_.percent(30))
      send(to, i); // Concurrently.
    return true;
  }
  if (sessions.empty())
    return false;
  auto begin_on_session = [&](intent::kind what) {
    auto i = begin(what);
    const auto& session = dice_.pick(sessions);
    i->session = session->number;
    i->workspace = session->workspace;
    i->program = dice_.next() % 1'000'000;
    send(to, i);
    return true;
  };
  if (left_.messages > 0 && dice_.percent(60)) {
    --left_.messages;
    return begin_on_session(intent::kind::message);
  }
  if (left_.cancels > 0 && dice_.percent(40)) {
    --left_.cancels;
    return begin_on_session(intent::kind::cancel);
  }
  if (left_.changes > 0 && !agents.empty()) {
    --left_.changes;
    auto i = begin(intent::kind::new_version);
    i->agent = dice_.pick(agents)->number;
    i->body = recipe();
    send(to, i);
    return true;
  }
  return false;
}

/// An earlier request once more, or (rarely) another one under its key.
bool clients::repeat(server& to) {
  std::vector<intent_ptr> keyed;
  for (const auto& i : intents_)
    if (!i->key.empty() && i->open < open_max && (!i->acknowledged || dice_.percent(again_percent)))
      keyed.push_back(i);
  if (keyed.empty())
    return false;
  const auto& i = dice_.pick(keyed);
  bool body_counts = i->what == intent::kind::start_run || i->what == intent::kind::message;
  send(to, i, i->acknowledged && body_counts && dice_.percent(15));
  return true;
}

std::string clients::recipe() {
  std::string out = R"({"harness":{"kind":"process","command":["agent"],"heartbeat_seconds":)"
                    + std::to_string(dice_.between(1, 20)) + R"(,"drain_seconds":)"
                    + std::to_string(dice_.between(1, 10));
  if (dice_.percent(plan_.pooled_percent))
    out += R"(,"pool":{"max_processes":)" + std::to_string(dice_.between(1, 2))
           + R"(,"max_runs_per_process":)" + std::to_string(dice_.between(1, 4)) + '}';
  out += R"(},"retry":{"max_attempts":)" + std::to_string(dice_.between(1, 4))
         + R"(,"initial_backoff_ms":)" + std::to_string(dice_.between(1, 500))
         + R"(,"max_backoff_ms":5000},"limits":{)";
  std::string limits;
  if (dice_.percent(25))
    limits += R"(,"max_cost_usd":)" + to_usd(micro_usd{dice_.between(1, 1'500'000)});
  if (dice_.percent(15))
    limits += R"(,"max_steps":)" + std::to_string(dice_.between(1, 4));
  if (dice_.percent(15))
    limits += R"(,"timeout_seconds":)" + std::to_string(dice_.between(1, 60));
  return out + (limits.empty() ? limits : limits.substr(1)) + "}}";
}

// -- asking ------------------------------------------------------------------------------------

void clients::send(server& to, const intent_ptr& i, bool other_body) {
  world_.story.note("client asks server " + std::to_string(to.number) + ": "
                    + std::string{word(i->what)} + ' ' + std::to_string(i->number)
                    + (i->key.empty() ? "" : " under " + i->key)
                    + (other_body ? " with another body" : ""));
  ++i->sent;
  request_context context;
  context.workspace = i->workspace;
  context.principal = "key_client";
  context.correlation_id = "req_" + std::to_string(i->number);
  context.idempotency_key = i->key;
  if (!i->key.empty())
    context.fingerprint = sha256(std::to_string(i->number) + (other_body ? " other" : ""));
  switch (i->what) {
    case intent::kind::create_agent:
      return send_agent(to, i, std::move(context));
    case intent::kind::new_version:
      return send_version(to, i, std::move(context));
    case intent::kind::start_run:
      return send_run(to, i, std::move(context), other_body);
    case intent::kind::message:
      return send_message(to, i, std::move(context), other_body);
    case intent::kind::cancel:
      return send_cancel(to, i, std::move(context));
  }
}

template <class Answer, class F>
answer<Answer> clients::listen(server& to, const intent_ptr& i, bool other_body, F on_success) {
  auto place = std::pair{to.number, i->number};
  ++owed_[place];
  ++i->open;
  return answer<Answer>{[this, place, i, other_body, on_success](result<Answer, refusal_info> got) {
    auto owed = owed_.find(place);
    if (owed == owed_.end() || owed->second == 0)
      return; // The server was dead already: nobody reads this.
    --owed->second;
    --i->open;
    world_.judge.catch_up();
    if (!got)
      return on_refused(i, got.error(), other_body);
    world_.story.note("answer to " + std::to_string(i->number) + (got->replayed ? ", again" : ""));
    if (other_body)
      world_.judge.complain("intent " + std::to_string(i->number)
                            + ": another body under the same key was accepted");
    if (got->replayed && i->sent == 1)
      world_.judge.complain("intent " + std::to_string(i->number)
                            + ": the first request was answered as a repeated one");
    on_success(*got);
    i->acknowledged = true;
  }};
}

void clients::forget(std::size_t number) {
  for (auto& [place, open] : owed_)
    if (place.first == number) {
      intents_[place.second]->open -= open;
      open = 0;
    }
}

void clients::send_agent(server& to, const intent_ptr& i, request_context context) {
  create_agent_request ask_for;
  ask_for.context = std::move(context);
  ask_for.slug = "agent-" + std::to_string(i->number % slugs);
  ask_for.title = ask_for.slug;
  ask_for.recipe.json = i->body;
  ask(to, std::move(ask_for),
      listen<agent_answer>(to, i, false, [this, i](const agent_answer& got) {
        if (!i->made_agent.empty() && i->made_agent != got.id)
          world_.judge.complain("one key made two agents");
        i->made_agent = got.id;
        const auto* known = world_.judge.find(stream_of(got.id));
        if (known == nullptr)
          world_.judge.complain("the agent " + got.id.value + " was answered before it is durable");
      }));
}

void clients::send_version(server& to, const intent_ptr& i, request_context context) {
  change_version_request ask_for;
  ask_for.context = std::move(context);
  ask_for.agent = intents_[i->agent]->made_agent.value;
  agent::create_version create;
  create.recipe.json = i->body;
  ask_for.change = std::move(create);
  ask(to, std::move(ask_for),
      listen<agent_answer>(to, i, false, [this, i](const agent_answer& got) {
        if (i->version && *i->version != got.version)
          world_.judge.complain("one key made two versions");
        i->version = got.version;
        const auto* known = world_.judge.find(stream_of(got.id));
        if (known == nullptr
            || std::get<agent::state>(known->state).versions.size()
                   < static_cast<std::size_t>(got.version))
          world_.judge.complain("a version was answered before it is durable");
      }));
}

void clients::send_run(server& to, const intent_ptr& i, request_context context, bool other_body) {
  start_run_request ask_for;
  ask_for.context = std::move(context);
  const auto& agent = *intents_[i->agent];
  ask_for.agent = agent.made_agent.value;
  if (i->by_slug)
    ask_for.agent = "agent-" + std::to_string(agent.number % slugs);
  ask_for.prompt = text_payload("p:" + std::to_string(i->program + (other_body ? 1 : 0)));
  if (i->number % 3 == 0)
    ask_for.on_end = on_end();
  ask(to, std::move(ask_for),
      listen<accepted_run>(to, i, other_body,
                           [this, i](const accepted_run& got) { on_accepted(i, got); }));
}

void clients::send_message(server& to, const intent_ptr& i, request_context context,
                           bool other_body) {
  post_message_request ask_for;
  ask_for.context = std::move(context);
  ask_for.session = intents_[i->session]->made_session;
  ask_for.message = text_payload("p:" + std::to_string(i->program + (other_body ? 1 : 0)));
  ask(to, std::move(ask_for),
      listen<accepted_run>(to, i, other_body,
                           [this, i](const accepted_run& got) { on_accepted(i, got); }));
}

void clients::send_cancel(server& to, const intent_ptr& i, request_context context) {
  cancel_session_request ask_for;
  ask_for.context = std::move(context);
  ask_for.session = intents_[i->session]->made_session;
  ask(to, std::move(ask_for),
      listen<session_answer>(to, i, false, [this](const session_answer& got) {
        const auto* known = world_.judge.session_of(got.session);
        if (known == nullptr || known->at == session::phase::active)
          world_.judge.complain("a cancellation was answered before it is durable");
        if (known != nullptr && got.state.at == session::phase::terminated
            && known->at != session::phase::terminated)
          world_.judge.complain("a session was shown as terminated before that is durable");
      }));
}

end_listener clients::on_end() {
  return [this](const ended_run& got) {
    world_.judge.catch_up();
    const auto* known = world_.judge.run_of(got.run);
    if (known == nullptr || !run::terminal(known->at))
      world_.judge.complain("the end of " + got.run.value + " was told before it is durable");
    else if (!(*known == *got.state))
      world_.judge.complain("the end of " + got.run.value + " was told otherwise than it is");
  };
}

// -- answers -----------------------------------------------------------------------------------

void clients::on_accepted(const intent_ptr& i, const accepted_run& got) {
  auto& judge = world_.judge;
  if (!got.accepting || !judge.holds(got.accepting->event))
    return judge.complain("intent " + std::to_string(i->number)
                          + " was answered before its event is durable");
  promised_[got.accepting->event.id()] = got.accepting;
  if (!i->run.empty() && i->run != got.fact->run)
    judge.complain("intent " + std::to_string(i->number) + ": one key made two runs");
  i->run = got.fact->run;
  i->made_session = got.session;
  const auto& agent =
      *intents_[i->what == intent::kind::start_run ? i->agent : intents_[i->session]->agent];
  if (!i->by_slug && !agent.made_agent.empty() && got.fact->agent != agent.made_agent)
    judge.complain("intent " + std::to_string(i->number) + " was accepted for another agent");
  if (got.fact->prompt.json != text_payload("p:" + std::to_string(i->program)).json)
    judge.complain("intent " + std::to_string(i->number) + " was accepted with another input");
}

bool clients::cancel_asked(std::size_t session_intent) const {
  for (const auto& i : intents_)
    if (i->what == intent::kind::cancel && i->session == session_intent)
      return true;
  return false;
}

void clients::on_refused(const intent_ptr& i, const refusal_info& why, bool other_body) {
  world_.story.note("refusal of " + std::to_string(i->number) + ": "
                    + std::to_string(static_cast<int>(why.code)) + ' ' + why.detail);
  if (undecided(why.code))
    return;
  if (other_body && why.code == errc::idempotency_conflict)
    return;
  bool fair = false;
  if (why.code == errc::name_taken && i->what == intent::kind::create_agent)
    for (const auto& other : intents_)
      fair =
          fair
          || (other != i && other->what == i->what && other->number % slugs == i->number % slugs);
  if (why.code == errc::session_terminated && i->what == intent::kind::message)
    fair = cancel_asked(i->session) || stopped_.contains(intents_[i->session]->made_session.value);
  if (i->acknowledged)
    fair = false; // It was accepted before.
  if (!fair)
    world_.judge.complain("intent " + std::to_string(i->number) + " was refused with code "
                          + std::to_string(static_cast<int>(why.code)) + ' ' + why.detail);
  i->refused = true;
}

// -- the end -----------------------------------------------------------------------------------

bool clients::settle_open(server& to) {
  bool all_known = true;
  for (std::size_t n = 0; n < intents_.size(); ++n) {
    auto i = intents_[n];
    if (i->key.empty() || i->acknowledged || i->refused)
      continue;
    all_known = false;
    if (i->open == 0)
      send(to, i);
  }
  return all_known;
}

std::string clients::unknown() const {
  std::string out;
  for (const auto& i : intents_)
    if (!i->key.empty() && !i->acknowledged && !i->refused)
      out += ' ' + i->key + " (sent " + std::to_string(i->sent) + ", open "
             + std::to_string(i->open) + ')';
  return out;
}

void clients::cancel_endless(server& to) {
  for (const auto& [id, session] : world_.judge.accepted_runs()) {
    const auto* run = world_.judge.run_of(id);
    if (run != nullptr && run::terminal(run->at))
      continue;
    if (program_of(number_in(world_.judge.turn_of(id).fact.prompt.json)).end != ending::endless)
      continue;
    const auto* state = world_.judge.session_of(session);
    if (state->at != session::phase::active)
      continue;
    stopped_.insert(session.value);
    cancel_session_request ask_for;
    ask_for.context.workspace = state->workspace;
    ask_for.context.principal = "key_operator";
    ask_for.session = session;
    ask(to, std::move(ask_for), answer<session_answer>{});
  }
}

void clients::probe(server& to) {
  for (const auto& agent : all(intent::kind::create_agent, true)) {
    auto i = begin(intent::kind::start_run);
    i->agent = agent->number;
    i->key = "probe-" + std::to_string(i->number);
    for (i->program = 1; program_of(i->program).end != ending::result;)
      ++i->program;
    send(to, i);
  }
}

std::vector<std::string> clients::all_slugs() {
  std::vector<std::string> out;
  for (std::size_t n = 0; n < slugs; ++n)
    out.push_back("agent-" + std::to_string(n));
  return out;
}

void clients::claim_all_names(server& to) {
  for (const auto& slug : all_slugs()) {
    create_agent_request ask_for;
    ask_for.context.workspace = workspace_id{"default"};
    ask_for.context.principal = "key_operator";
    ask_for.slug = ask_for.title = slug;
    ask_for.recipe.json = recipe();
    ask(to, std::move(ask_for), answer<agent_answer>{});
  }
}

void clients::check_answers() {
  for (const auto& [id, promise] : promised_)
    if (!world_.judge.holds(promise->event))
      world_.judge.complain("the answer that rests on " + id + " is not true any more");
  for (const auto& i : intents_) {
    if (i->run.empty())
      continue;
    const auto* run = world_.judge.run_of(i->run);
    if (run == nullptr || !run::terminal(run->at))
      world_.judge.complain("the run " + i->run.value + " of intent " + std::to_string(i->number)
                            + " was accepted and never ended");
  }
}

} // namespace runledger::sim
