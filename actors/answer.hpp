#pragma once

#include "events/result.hpp"

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace runledger {

/// Why a request was not done. One place in http/ maps these to statuses.
enum class errc : std::uint8_t {
  not_found = 1, ///< No such object in this workspace.
  agent_not_found,
  version_not_found,
  no_active_version,  ///< The agent has none to run.
  version_not_active, ///< A draft or archived version was asked for.
  not_draft,          ///< Active and archived recipes are immutable.
  wrong_phase,        ///< draft -> active -> archived, nothing else.
  name_taken,         ///< The slug belongs to another agent.
  workspace_exists,
  unknown_workspace,    ///< A key was asked for a workspace that does not exist.
  session_terminated,   ///< It takes no more messages.
  idempotency_conflict, ///< The key was used for another request.
  unknown_step,         ///< A fork was asked for at a step that the run never started.
  state_mismatch,       ///< initial_state does not fit the state_schema; `path` says where.
  queue_full,           ///< Too many runs wait.
  ledger_unavailable,   ///< Nothing was written; try again.
  outcome_unknown,      ///< It may have been written; the same key finds out.
  ledger_corrupt,       ///< A damaged record is in the way; stream, seq and offset say where.
  draining,             ///< The server is about to end.
  not_owner,            ///< Another process holds the partition; `partition` says which.
                        ///< Nothing was decided: the request may be sent there as it is.
};

struct refusal_info {
  errc code = errc::outcome_unknown;
  std::string detail;
  std::string path;      ///< state_mismatch: JSON Pointer into initial_state.
  std::string stream;    ///< ledger_corrupt.
  std::uint64_t seq = 0; ///< ledger_corrupt.
  std::int64_t offset = -1;
  std::optional<std::uint32_t> partition; ///< not_owner: flat.
};

/// The duty to answer one request, exactly once, from wherever the request ends up. Copies share
/// the duty; when the last copy goes without an answer, the asker hears outcome_unknown. (CAF 0.17
/// has no broken promises, and each of its requests leaves a timeout in the clock:
/// docs/decisions/0001.) Any thread.
template <class T>
class answer {
public:
  using deliver = std::function<void(result<T, refusal_info>)>;
  answer() = default; ///< Nobody asks.
  explicit answer(deliver to) : duty_(std::make_shared<duty>(std::move(to))) {}

  void operator()(result<T, refusal_info> outcome) const {
    if (duty_)
      duty_->pay(std::move(outcome));
  }
  void refuse(errc code, std::string detail = {}) const {
    (*this)(refusal_info{code, std::move(detail), {}, {}, 0, -1, {}});
  }
  explicit operator bool() const { return duty_ != nullptr; }

private:
  struct duty {
    explicit duty(deliver to) : to_(std::move(to)) {}
    ~duty() { pay(refusal_info{}); }
    duty(const duty&) = delete;
    duty& operator=(const duty&) = delete;
    void pay(result<T, refusal_info> outcome) {
      if (!paid_.exchange(true))
        to_(std::move(outcome));
    }
    deliver to_;
    std::atomic<bool> paid_ = false;
  };
  std::shared_ptr<duty> duty_;
};

} // namespace runledger
