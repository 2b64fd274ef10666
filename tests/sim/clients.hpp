#pragma once

#include "tests/sim/world.hpp"
#include "tests/support/fault_plan.hpp"

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace runledger::sim {

/// What a client wants, and what it was told. With a key it is asked again until it is known.
struct intent {
  enum class kind : std::uint8_t { create_agent, new_version, start_run, message, cancel };
  kind what = kind::start_run;
  std::size_t number = 0;
  workspace_id workspace;
  std::string key; ///< Idempotency-Key; empty: asked once.
  std::string body;
  std::size_t agent = 0;   ///< Intent that created it: start_run, new_version.
  std::size_t session = 0; ///< Intent that opened it: message, cancel.
  bool by_slug = false;
  std::uint64_t program = 0;
  std::optional<std::int64_t> version;
  // What came of it.
  int sent = 0, open = 0;
  bool acknowledged = false, refused = false;
  agent_id made_agent;
  run_id run;
  session_id made_session;
};

/// The clients of a simulation. They remember every answer and hold the servers to it.
class clients {
public:
  clients(world& w, const test::fault_plan& plan, std::uint64_t seed)
      : world_(w), plan_(plan), dice_(seed), left_(plan) {}

  /// Something new, or something again. False: nothing is left to ask.
  bool act(server& to);
  /// Asks everything again that is not known yet. True: nothing is.
  bool settle_open(server& to);
  /// What is not known yet, for people.
  std::string unknown() const;
  /// Cancels the sessions whose runs would never end by themselves, once each. All others must end
  /// without help.
  void cancel_endless(server& to);
  /// A run on each agent that can run, to see that the server still works.
  void probe(server& to);
  /// Asks for an agent of each name, to see that none is claimed by what never came to be.
  void claim_all_names(server& to);
  static std::vector<std::string> all_slugs();
  /// What a dead server still owed is unknown for good.
  void forget(std::size_t server_number);
  /// Every answer that was given must hold.
  void check_answers();

private:
  using intent_ptr = std::shared_ptr<intent>;
  intent_ptr begin(intent::kind what);
  bool begin_new(server& to);
  bool repeat(server& to);
  void send(server& to, const intent_ptr& i, bool other_body = false);
  void send_agent(server& to, const intent_ptr& i, request_context context);
  void send_version(server& to, const intent_ptr& i, request_context context);
  void send_run(server& to, const intent_ptr& i, request_context context, bool other_body);
  void send_message(server& to, const intent_ptr& i, request_context context, bool other_body);
  void send_cancel(server& to, const intent_ptr& i, request_context context);
  template <class Answer, class F>
  answer<Answer> listen(server& to, const intent_ptr& i, bool other_body, F on_success);
  void on_accepted(const intent_ptr& i, const accepted_run& got);
  void on_refused(const intent_ptr& i, const refusal_info& why, bool other_body);
  end_listener on_end();
  std::string recipe();
  std::vector<intent_ptr> all(intent::kind what, bool acknowledged_only);
  bool cancel_asked(std::size_t session_intent) const;

  world& world_;
  test::fault_plan plan_;
  test::dice dice_;
  test::fault_plan left_; ///< What may still be begun: its counters are used up.
  std::vector<intent_ptr> intents_;
  std::map<std::pair<std::size_t, std::size_t>, int> owed_; ///< (server, intent): answers open.
  std::map<std::string, record_ptr> promised_; ///< By event id: what an answer rested on.
  std::set<std::string> stopped_;              ///< Sessions that cancel_endless cancelled.
  std::size_t keys_ = 0;
};

} // namespace runledger::sim
