#pragma once

#include "http/authenticator.hpp"
#include "http/net.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>

namespace runledger::http {

/// Says when the keys of one of several nodes can be believed. Who revokes a key has every member
/// of the group load its keys (neighbours::refresh_keys), so a member's are right. They may be
/// wrong on a node that joins, that slept for a part of its session, or that fell out of the group:
/// then every request is answered 503 until the keys were read anew, behind a barrier that was
/// asked for after that. Where no broker answers nothing can be known; then reads go on with the
/// keys at hand, marked as stale like what they read, and writes are refused.
///
/// HTTP thread only; everything that it is given outlives it, or stop().
class key_watch final : public authenticator {
public:
  struct parts {
    /// Tells, from any thread, once all is read that was in the ledger; false: nobody knows.
    std::function<void(std::function<void(bool)>)> when_current;
    /// Loads the keys into the ring; tells on the HTTP thread whether it could.
    std::function<void(std::function<void(bool)>)> load;
    std::function<bool()> is_member; ///< Of the group, as far as is known.
    std::function<bool()> is_stale;  ///< No broker has answered for a session.
    /// A clock that goes on while the process or the machine sleeps.
    std::function<std::chrono::milliseconds()> now;
  };

  /// `session`: who is silent for so long is no member any more.
  key_watch(net::io_context& io, authenticator& keys, std::chrono::milliseconds session,
            parts with);

  /// Calls `then` when the keys are known for the first time.
  void begin(std::function<void()> then);
  void stop();
  /// Whether requests are answered now.
  bool answers() const;

  result<principal_ptr, auth_refusal> authenticate(std::string_view authorization,
                                                   std::string_view api_key) override;
  bool takes_writes() const override { return standing_ == standing::known; }

private:
  enum class standing : std::uint8_t {
    unknown, ///< A revoked key may be among them.
    old,     ///< Likewise, and nobody can tell.
    known,
  };

  /// What it knew when it asked.
  struct question {
    std::uint64_t sleeps = 0, absences = 0;
    bool member = false;
  };

  bool slept() const { return parts_.now() - seen_ > session_ / 2; }
  void tick();
  void look();
  void ask();
  void heard(const question& asked, bool current, bool loaded);

  net::io_context& io_;
  authenticator& keys_;
  const std::chrono::milliseconds session_;
  const parts parts_;
  net::steady_timer timer_;
  std::function<void()> then_;
  standing standing_ = standing::unknown;
  std::chrono::milliseconds seen_{0}; ///< When the last tick was.
  question now_; ///< How many ticks came late, and how many found it outside of the group.
  bool asking_ = false;
  std::shared_ptr<key_watch*> self_; ///< For what comes back from elsewhere; null: stopped.
};

/// Milliseconds since the machine started, those of its sleep included.
std::chrono::milliseconds time_since_boot();

} // namespace runledger::http
